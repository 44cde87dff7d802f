//! WebSockets through the balancer.

use std::time::Instant;

use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::harness::Lbdev;
use crate::wait::s;

/// A WebSocket to the demo, and the port of the backend that it came to.
pub async fn connect(port: u16) -> Result<(WebSocketStream<TcpStream>, u16)> {
    let socket = TcpStream::connect(("127.0.0.1", port)).await?;
    let (stream, response) = client_async(format!("ws://localhost:{port}/ws"), socket).await?;
    let backend = response
        .headers()
        .get("x-lbdev-backend")
        .context("no backend named")?;
    let backend = backend
        .to_str()?
        .rsplit(':')
        .next()
        .unwrap_or_default()
        .parse()?;
    Ok((stream, backend))
}

/// The next message.
pub async fn next(stream: &mut WebSocketStream<TcpStream>) -> Result<Message> {
    let message = tokio::time::timeout(s(20), stream.next())
        .await
        .context("no message came")?;
    Ok(message.context("the stream ended")??)
}

#[tokio::test]
async fn messages_of_every_kind_come_back() -> Result<()> {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let (mut stream, _) = connect(lbdev.ports.listen()).await?;
    let long: String = "0123456789abcdef".repeat(16 * 1024);
    for text in ["hello", "", "grüße 🎉", &long] {
        stream.send(Message::text(text)).await?;
        assert_eq!(next(&mut stream).await?, Message::text(text));
    }
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    stream.send(Message::binary(bytes.clone())).await?;
    assert_eq!(next(&mut stream).await?, Message::binary(bytes));
    stream.send(Message::Ping("are you there".into())).await?;
    assert_eq!(
        next(&mut stream).await?,
        Message::Pong("are you there".into())
    );
    stream.close(None).await?;
    assert!(matches!(next(&mut stream).await?, Message::Close(_)));
    Ok(())
}

/// Each handshake is one request of the rotation; a connection stays where it is, and counts as in flight.
#[tokio::test]
async fn handshakes_go_round_and_count_as_in_flight() -> Result<()> {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let mut open = Vec::new();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let (stream, backend) = connect(lbdev.ports.listen()).await?;
        open.push(stream);
        seen.push(backend);
    }
    crate::rotation::goes_round(&seen, &lbdev.ports.four());
    for port in lbdev.ports.four() {
        assert_eq!(lbdev.backend(port)["in_flight"], 1);
    }
    // A kill ends those of this backend, and only those.
    let victim = seen[1];
    lbdev.run(&["kill", &victim.to_string()]).ok();
    for (stream, backend) in open.iter_mut().zip(&seen) {
        // The send may still pass into a dead connection's buffer; the answer cannot come.
        let sent = stream.send(Message::text("still here?")).await;
        let answer = next(stream).await;
        let echoed = sent.is_ok() && answer.as_ref().is_ok_and(|message| message.is_text());
        assert_eq!(echoed, *backend != victim, "{backend}: {answer:?}");
    }
    let (_, backend) = connect(lbdev.ports.listen()).await?;
    assert_ne!(backend, victim);
    Ok(())
}

/// The client is told, and the stream ends in order.
async fn is_going_away(stream: &mut WebSocketStream<TcpStream>) -> Result<()> {
    let message = next(stream).await?;
    let Message::Close(Some(close)) = &message else {
        anyhow::bail!("no close with a code: {message:?}");
    };
    assert_eq!(close.code, CloseCode::Away);
    let after = tokio::time::timeout(s(20), stream.next()).await?;
    assert!(after.is_none(), "{after:?}");
    Ok(())
}

/// A drain waits for those that are open, and at its deadline they are told; a frame before it stays whole.
#[tokio::test]
async fn a_restart_tells_those_that_are_open() -> Result<()> {
    let lbdev = Lbdev::new();
    lbdev.demo_file("timeouts = { drain = \"1s\" }", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let (mut stream, backend) = connect(lbdev.ports.listen()).await?;
    let (mut other, elsewhere) = connect(lbdev.ports.listen()).await?;
    assert_ne!(backend, elsewhere);
    let long: String = "0123456789abcdef".repeat(16 * 1024);
    stream.send(Message::text(&long)).await?;
    let began = Instant::now();
    lbdev.run(&["restart", &backend.to_string()]).ok();
    assert_eq!(next(&mut stream).await?, Message::text(&long));
    is_going_away(&mut stream).await?;
    let took = began.elapsed();
    // Told at the deadline and not by the process, which would be later; `restart` itself takes a moment.
    assert!(took < s(5), "{took:?}");
    other.send(Message::text("still here?")).await?;
    assert_eq!(next(&mut other).await?, Message::text("still here?"));
    lbdev.until_state(backend, "up", s(30));
    Ok(())
}

/// Open WebSockets do not hold up the end, and are told of it.
#[tokio::test]
async fn down_does_not_wait_for_open_ones() -> Result<()> {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let (mut stream, _) = connect(lbdev.ports.listen()).await?;
    let down = lbdev.start(&["down"]);
    is_going_away(&mut stream).await?;
    let down = down.output(s(90)).ok();
    assert!(down.took < s(5), "{down}");
    lbdev.assert_all_gone();
    Ok(())
}
