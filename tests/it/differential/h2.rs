//! The same client in HTTP/2, with hyper's half of it: several streams of one connection at once.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::message::{Field, Framing, Message, is};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// One connection.
#[derive(Clone)]
pub struct Client(SendRequest<Body>);

impl Client {
    pub async fn connect(port: u16) -> Result<Client> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .max_header_list_size(64 * 1024)
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(connection);
        Ok(Client(sender))
    }

    /// The request goes out, and its answer comes.
    ///
    /// # Errors
    /// When the stream is reset, or with [`Client::is_over`] the connection has ended.
    pub async fn ask(&mut self, message: &Message) -> Result<Message> {
        self.0.ready().await?;
        let response = self.0.send_request(request(message)?).await?;
        let (head, body) = response.into_parts();
        let status = head.status.as_str().as_bytes().to_vec();
        let mut answer = Message::new([b"HTTP/2", &status, b""]);
        answer.fields = fields(&head.headers);
        let body = body
            .collect()
            .await
            .with_context(|| format!("{answer:?}"))?;
        answer.trailers = body.trailers().map(fields).unwrap_or_default();
        answer.body = body.to_bytes().to_vec();
        Ok(answer)
    }
}

impl Client {
    /// The connection takes no more requests.
    pub fn is_over(&self) -> bool {
        self.0.is_closed()
    }
}

fn fields(map: &HeaderMap) -> Vec<Field> {
    let field = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec())
    };
    map.iter().map(field).collect()
}

fn map<'a>(fields: impl Iterator<Item = &'a Field>) -> Result<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(
            HeaderName::from_bytes(name)?,
            HeaderValue::from_bytes(value)?,
        );
    }
    Ok(map)
}

/// What is for one hop of HTTP/1 has no place in HTTP/2 (RFC 9113 §8.2.2); the length is hyper's to say.
fn request(message: &Message) -> Result<Request<Body>> {
    let hop: Vec<Vec<u8>> = message.words("connection");
    let trailers = message
        .words("te")
        .iter()
        .any(|word| word.starts_with(b"trailers"));
    let stays = |(name, _): &&Field| {
        let named = hop.iter().any(|it| name.eq_ignore_ascii_case(it));
        let others = [
            "host",
            "connection",
            "te",
            "keep-alive",
            "proxy-connection",
            "upgrade",
            "content-length",
            "transfer-encoding",
        ];
        !named && !others.iter().any(|other| is(name, other))
    };
    let target = std::str::from_utf8(&message.start[1])?;
    let host = std::str::from_utf8(message.get("host").context("no host")?)?;
    let uri: Uri = match target.starts_with("http://") {
        true => target.parse()?,
        false => format!("http://{host}{target}").parse()?,
    };
    let mut request = Request::new(body(message)?);
    *request.method_mut() = Method::from_bytes(&message.start[0])?;
    *request.uri_mut() = uri;
    *request.headers_mut() = map(message.fields.iter().filter(stays))?;
    if trailers {
        let te = HeaderValue::from_static("trailers");
        request.headers_mut().insert("te", te);
    }
    Ok(request)
}

fn body(message: &Message) -> Result<Body> {
    if message.framing != Framing::Chunked {
        return Ok(Full::from(message.body.clone()).boxed_unsync());
    }
    let data = message.body.chunks(10_000);
    let mut frames: Vec<_> = data
        .map(|part| Frame::data(Bytes::copy_from_slice(part)))
        .collect();
    if !message.trailers.is_empty() {
        frames.push(Frame::trailers(map(message.trailers.iter())?));
    }
    if frames.is_empty() {
        return Ok(Full::default().boxed_unsync());
    }
    let frames = futures_util::stream::iter(frames.into_iter().map(Ok));
    Ok(StreamBody::new(frames).boxed_unsync())
}
