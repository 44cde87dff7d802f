//! `/ws`: a WebSocket that sends back what it gets (RFC 6455).

use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::body::{self, Body};
use super::form::Fields;
use super::page::Refusal;
use super::site::Site;

/// Whether a request wants a WebSocket; without it, `/ws` is a page.
pub(super) fn asked<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET && has_token(request.headers(), header::UPGRADE, "websocket")
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .any(|t| t.trim().eq_ignore_ascii_case(token))
}

/// Shakes hands and echoes, text as text and binary as binary, until one side closes. With `?hello` the first message
/// names the port, because a page's script cannot read the fields of the answer.
pub(super) fn accept(
    site: &Arc<Site>,
    request: &mut Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let headers = request.headers();
    if !has_token(headers, header::CONNECTION, "upgrade") {
        return Err(Refusal::bad("`Connection: upgrade` is missing"));
    }
    if headers
        .get(header::SEC_WEBSOCKET_VERSION)
        .map(HeaderValue::as_bytes)
        != Some(b"13")
    {
        return Err(
            Refusal::new(StatusCode::UPGRADE_REQUIRED, "the version here is 13")
                .with(header::SEC_WEBSOCKET_VERSION, "13"),
        );
    }
    let accept = headers
        .get(header::SEC_WEBSOCKET_KEY)
        .map(|key| derive_accept_key(key.as_bytes()))
        .and_then(|accept| HeaderValue::from_str(&accept).ok())
        .ok_or_else(|| Refusal::bad("`Sec-WebSocket-Key` is missing"))?;
    let hello = Fields::query(request.uri())
        .get("hello")
        .map(|_| format!("connected to port {} (pid {})", site.port, site.pid));
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            echo(TokioIo::new(upgraded), hello).await;
        }
    });
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

async fn echo<S>(stream: S, hello: Option<String>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    if let Some(hello) = hello
        && socket.send(Message::text(hello)).await.is_err()
    {
        return;
    }
    // Pings and closes are answered underneath; an error is the end of the connection either way.
    while let Some(Ok(message)) = socket.next().await {
        let echoed = match message {
            Message::Text(_) | Message::Binary(_) => socket.send(message).await,
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {
                socket.flush().await
            }
        };
        if echoed.is_err() {
            return;
        }
    }
}
