//! Listening, accepting, and one HTTP/1 connection a task: what both servers share.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket};

use super::DemoError;
use super::body::Body;

/// Connections that the system keeps until they are accepted. The usual 128 are too few: a failover sends a whole burst
/// here at once.
const BACKLOG: u32 = 1024;
/// After a failed accept (no file descriptors left) trying again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Listens on a port of 127.0.0.1; 0 lets the system choose. The second value is the port.
pub(super) async fn listen(port: u16) -> Result<(TcpListener, u16), DemoError> {
    let bind = || {
        let socket = TcpSocket::new_v4()?;
        // The port of a process that has just ended can be had again. On Windows the option would mean something else: two
        // processes on one port.
        socket.set_reuseaddr(cfg!(unix))?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        let listener = socket.listen(BACKLOG)?;
        let port = listener.local_addr()?.port();
        Ok((listener, port))
    };
    bind().map_err(|source| DemoError::Bind { port, source })
}

/// Serves until the process ends. `log` gets one line a request, when its response begins.
pub(super) async fn serve<H, F>(listener: TcpListener, handler: H) -> Infallible
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Small answers go out at once; where the option is refused they only go later.
        let _ = stream.set_nodelay(true);
        let handler = handler.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = handler(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            // No read timeouts: a balancer's idle connections are its own to close. A client that has sent all of its
            // request may close its half.
            let connection = http1::Builder::new()
                .half_close(true)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            // What fails here is the other side's doing (a reset, a malformed head); hyper has answered what it could.
            let _ = connection.await;
        });
    }
}
