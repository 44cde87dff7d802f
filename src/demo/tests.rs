//! Both servers over real sockets, in this process.

mod files;
mod pages;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::{HeaderMap, Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::{hidden, server, site};

/// Long enough for the slowest machine, short enough for a person.
const LIMIT: Duration = Duration::from_secs(20);

struct Demo {
    address: SocketAddr,
    died: mpsc::UnboundedReceiver<()>,
}

impl Demo {
    async fn start() -> Self {
        let (listener, port) = server::listen(0).await.expect("a free port");
        let (die, died) = mpsc::unbounded_channel();
        let die = Box::new(move || {
            let _ = die.send(());
        });
        let site = Arc::new(site::Site::new(port, 0, |_| (), die));
        let handler = move |request| site::answer(Arc::clone(&site), request);
        tokio::spawn(server::serve(listener, handler));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self { address, died }
    }

    fn request(&self, method: Method, target: &str) -> Asked {
        Asked {
            address: self.address,
            request: Request::builder()
                .method(method)
                .uri(target)
                .header(header::HOST, self.address.to_string()),
            body: Bytes::new(),
        }
    }

    async fn get(&self, target: &str) -> Answer {
        self.request(Method::GET, target).send().await
    }
}

struct Asked {
    address: SocketAddr,
    request: hyper::http::request::Builder,
    body: Bytes,
}

impl Asked {
    fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    async fn send(self) -> Answer {
        let request = self.request.body(Full::new(self.body)).expect("a request");
        let exchange = async {
            let stream = TcpStream::connect(self.address).await.expect("connects");
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
                .await
                .expect("speaks HTTP");
            tokio::spawn(connection);
            let response = sender.send_request(request).await.expect("an answer");
            let (parts, body) = response.into_parts();
            Answer {
                status: parts.status,
                headers: parts.headers,
                body: body.collect().await.expect("a whole body").to_bytes(),
            }
        };
        tokio::time::timeout(LIMIT, exchange)
            .await
            .expect("an answer in time")
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    fn field(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |v| v.to_str().expect("text"))
    }
}

#[test]
fn arguments() {
    fn check(line: &str, mine: bool) {
        let args: Vec<_> = line.split_whitespace().map(Into::into).collect();
        assert_eq!(hidden(&args).is_some(), mine, "{line}");
    }
    check("", false);
    check("up", false);
    check("demo --port 8000", false);
    check("__demo", true);
    check("__demo --port", true);
    check("__demo --port 70000", true);
    check("__demo --port 8000 --dir .", true);
    check("__static --port 8000", true);
    check("__static --port 8000 --dir /nonexistent/folder", true);
}
