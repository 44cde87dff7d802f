//! A chat whose room is in one process's memory (`examples/fastapi`, FastAPI): two browsers see each other's messages only
//! where both are at the same backend, which `sticky` decides.

use std::path::Path;

use anyhow::{Context, Result};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::browser::Browser;
use crate::harness::Lbdev;
use crate::need;
use crate::rotation::port_in;
use crate::up_django::Visitor;
use crate::wait::s;
use crate::websocket::next;

type Socket = WebSocketStream<TcpStream>;

/// The example with two backends.
fn up(python: &Path, sticky: &str) -> Result<Lbdev> {
    let mut lbdev = Lbdev::new();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/fastapi");
    std::fs::copy(example.join("main.py"), lbdev.dir.join("main.py"))?;
    let venv = python.parent().and_then(Path::parent);
    lbdev.set("VIRTUAL_ENV", venv.context("a venv has a folder")?);
    let text = std::fs::read_to_string(example.join("lbdev.toml"))?;
    let range = format!("{}-{}", lbdev.ports.first, lbdev.ports.first + 1);
    let text = text
        .replace("8000-8001", &range)
        .replace(
            "localhost:8080",
            &format!("localhost:{}", lbdev.ports.listen()),
        )
        .replace("sticky = \"cookie\"", &format!("sticky = \"{sticky}\""));
    assert!(text.contains(&range) && text.contains(&format!("\"{sticky}\"")));
    lbdev.write("lbdev.toml", &text);
    lbdev.run(&["up", "-d", "--wait"]).ok();
    Ok(lbdev)
}

/// A WebSocket of this browser: with its cookies. The second value is the port whose room it is in.
async fn enter(lbdev: &Lbdev, browser: &Visitor) -> Result<(Socket, u16)> {
    let port = lbdev.ports.listen();
    let mut request = format!("ws://localhost:{port}/ws").into_client_request()?;
    let cookies = browser.cookies.iter();
    let cookies: Vec<_> = cookies
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if !cookies.is_empty() {
        request
            .headers_mut()
            .insert("cookie", cookies.join("; ").parse()?);
    }
    let socket = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut socket, response) = client_async(request, socket).await?;
    let hello = next(&mut socket).await?.into_text()?;
    let room: u16 = hello.rsplit(' ').next().context("no port")?.parse()?;
    let named = response.headers()["x-lbdev-backend"].to_str()?;
    assert_eq!(named, format!("web:{room}"));
    Ok((socket, room))
}

/// Everybody in `room` hears it; `others` do not. A ping's pong is the proof: it comes after all that was sent before.
async fn heard(text: &str, room: &mut [&mut Socket], others: &mut [&mut Socket]) -> Result<()> {
    room[0].send(Message::text(text)).await?;
    for socket in room {
        assert_eq!(next(socket).await?, Message::text(text));
    }
    for socket in others {
        socket.send(Message::Ping("anything?".into())).await?;
        assert_eq!(next(socket).await?, Message::Pong("anything?".into()));
    }
    Ok(())
}

#[tokio::test]
async fn two_browsers_share_a_room_only_at_the_same_backend() -> Result<()> {
    let Some(python) = need::uvicorn() else {
        return Ok(());
    };
    let lbdev = up(&python, "cookie")?;
    let mut browsers = Vec::new();
    for _ in 0..2 {
        let mut browser = Visitor::new(lbdev.ports.listen())?;
        let page = browser.get("/")?;
        let home = page.backend_port().context("nobody is named")?;
        assert_eq!(port_in(&page.text()), Some(home));
        assert_eq!(browser.cookies.len(), 1, "{:?}", browser.cookies);
        browsers.push((browser, home));
    }
    let [(ann, anns), (bob, bobs)] = &browsers[..] else {
        unreachable!("two were pushed");
    };
    assert_ne!(anns, bobs, "new clients go round");
    // Three windows each, opened in turn: round robin would mix them.
    let mut rooms: [Vec<Socket>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..3 {
        for (room, (browser, home)) in rooms.iter_mut().zip([(ann, anns), (bob, bobs)]) {
            let (socket, port) = enter(&lbdev, browser).await?;
            assert_eq!(port, *home, "a browser stays at its backend");
            room.push(socket);
        }
    }
    let [of_ann, of_bob] = &mut rooms;
    let mut of_ann: Vec<_> = of_ann.iter_mut().collect();
    let mut of_bob: Vec<_> = of_bob.iter_mut().collect();
    heard("hello from ann", &mut of_ann, &mut of_bob).await?;
    heard("hello from bob", &mut of_bob, &mut of_ann).await?;

    // Ann's backend ends: her windows are told, come back at bob's, and are in one room with his.
    lbdev.run(&["kill", &anns.to_string()]).ok();
    for socket in of_ann {
        let end = tokio::time::timeout(s(20), socket.next()).await?;
        assert!(!matches!(end, Some(Ok(Message::Text(_)))), "{end:?}");
    }
    let (mut again, port) = enter(&lbdev, ann).await?;
    assert_eq!(port, *bobs);
    of_bob.push(&mut again);
    heard("together", &mut of_bob, &mut []).await
}

/// Without it a browser's windows are dealt out, and do not see each other.
#[tokio::test]
async fn without_sticky_one_browsers_windows_are_in_two_rooms() -> Result<()> {
    let Some(python) = need::uvicorn() else {
        return Ok(());
    };
    let lbdev = up(&python, "off")?;
    let browser = Visitor::new(lbdev.ports.listen())?;
    let (mut one, here) = enter(&lbdev, &browser).await?;
    let (mut two, there) = enter(&lbdev, &browser).await?;
    assert_ne!(here, there);
    heard("only here", &mut [&mut one], &mut [&mut two]).await
}

/// The example's page in real browsers.
#[test]
fn two_chromiums_chat() -> Result<()> {
    let (Some(python), Some(chromium)) = (need::uvicorn(), need::chromium()) else {
        return Ok(());
    };
    let lbdev = up(&python, "cookie")?;
    let page = format!("http://localhost:{}/", lbdev.ports.listen());
    let browsers = [Browser::start(&chromium)?, Browser::start(&chromium)?];
    let mut homes = Vec::new();
    for browser in &browsers {
        browser.open(&page)?;
        let home = port_in(&browser.text()?).context("no port")?;
        // Its WebSocket came to the same backend as its page.
        browser.wait_text(&format!("you are in the room of port {home}"))?;
        homes.push(home);
    }
    assert_ne!(homes[0], homes[1]);
    for (number, browser) in browsers.iter().enumerate() {
        browser.type_into("input[name=text]", &format!("written by {number}"))?;
        browser.click("button")?;
        browser.wait_text(&format!("written by {number}"))?;
    }
    // The first one's message was at its own backend's room long before the second one's came back.
    assert!(!browsers[1].text()?.contains("written by 0"));
    assert!(!browsers[0].text()?.contains("written by 1"));
    Ok(())
}
