//! One connection of a client that speaks HTTP/1: its requests, one after the other.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Body as _;
use hyper::{Method, StatusCode, Version};
use tokio::net::TcpStream;

use super::answer::Answer;
use super::body::Body;
use super::client::{Client, Waits};
use super::fields::Fields;
use super::flight::Flight;
use super::h1::{
    ClientWire, Next, Presence, Refusal, RequestHead, ResponseFraming, Stays, write_last_chunk,
    write_response,
};
use super::page::Page;
use super::request::{Request, RequestBody};
use super::{forward, h2, listen, tunnel};

/// A client that waits for `100 Continue` gets it from here after this long: a backend that has no word for it would wait
/// for the body, and the client for the word (RFC 9110 §10.1.1).
const LEAVE: Duration = Duration::from_secs(1);
/// So much of a response is put together before it is written, if it is there: long bodies cost half as many writes as with a
/// tenth of it.
const BATCH: usize = 384 * 1024;
/// A response that is longer may still be on its way when its client goes on.
const SHORT: u64 = 16 * 1024;
/// A client that has more to say than is read of it is heard to its end, so that it hears why: a socket that is closed with
/// something unread is reset, and the answer may be lost with it (RFC 9112 §9.6). It may be silent for so long.
const LINGER: Duration = Duration::from_secs(1);
/// And speak for so long in all (nginx's `lingering_time`).
const LINGER_MAX: Duration = Duration::from_secs(30);

/// What follows a response.
enum After {
    /// Another request.
    Next,
    /// Nothing. Everything was read that was sent.
    End,
    /// Nothing, but the client may still be sending.
    Linger,
    /// Not HTTP.
    Switched(Box<tunnel::Switched>),
}

/// Answers requests on one connection until it ends.
pub(super) async fn serve(client: Rc<Client>, stream: TcpStream) {
    if !listen::NODELAY_INHERITED {
        // Where it does not work, small responses only take longer.
        let _ = stream.set_nodelay(true);
    }
    let mut work = pin!(work(&client, ClientWire::new(stream)));
    client.obeying(|cx| work.as_mut().poll(cx)).await;
}

async fn work(client: &Rc<Client>, wire: Rc<ClientWire>) {
    let mut first = true;
    loop {
        let next = poll_fn(|cx| poll_next(client, &wire, first, cx)).await;
        first = false;
        let after = match next {
            Next::Head(head) => answer(client, &wire, head).await,
            Next::Refused(refusal) => refuse(client, &wire, refusal).await,
            Next::Foreign => After::Linger,
            Next::End => return,
            Next::Preface => {
                if let Some(parts) = wire.into_parts() {
                    h2::serve(client, parts).await;
                }
                return;
            }
        };
        match after {
            After::Next => {}
            After::End => return,
            After::Linger => return linger(client, &wire).await,
            After::Switched(switched) => {
                // Nobody else holds it: the answer came, and with it went the request.
                if let Some(parts) = wire.into_parts() {
                    tunnel::open(&client.worker, *switched, parts);
                }
                return;
            }
        }
    }
}

/// Waits for the next request.
fn poll_next(client: &Client, wire: &ClientWire, first: bool, cx: &mut Context<'_>) -> Poll<Next> {
    if let Poll::Ready(next) = wire.poll_next(cx, first) {
        client.waits_for(Waits::Nothing);
        return Poll::Ready(next);
    }
    if client.is_too_slow() {
        return Poll::Ready(Next::Refused(Refusal {
            status: StatusCode::REQUEST_TIMEOUT,
            why: "its head did not come in time (`timeouts.client_head`)",
        }));
    }
    match wire.has_begun() {
        true => client.waits_for(Waits::Head),
        false if client.is_finishing() => return Poll::Ready(Next::End),
        false => {
            client.waits_for(Waits::Request);
            if client.shall_rest() {
                wire.rest();
            }
        }
    }
    Poll::Pending
}

/// Answers what is no request.
async fn refuse(client: &Rc<Client>, wire: &Rc<ClientWire>, refusal: Refusal) -> After {
    let flight = Flight::refused(client.clone());
    let answer = Page::refused(refusal).answer(None, flight);
    let how = How {
        method: Method::GET,
        version: Version::HTTP_11,
        persists: false,
        has_body: true,
    };
    match respond(client, wire, how, answer).await {
        After::Next | After::End | After::Linger => After::Linger,
        switched @ After::Switched(_) => switched,
    }
}

/// What of a request decides how it can be answered.
struct How {
    method: Method,
    version: Version,
    persists: bool,
    has_body: bool,
}

/// Has a request answered, and writes the answer.
async fn answer(client: &Rc<Client>, wire: &Rc<ClientWire>, head: RequestHead) -> After {
    let how = How {
        method: head.method.clone(),
        version: head.version,
        persists: head.persists,
        has_body: !wire.is_read(),
    };
    let waits_for_leave = head.expects;
    let request = Request {
        method: head.method,
        target: head.target,
        version: head.version,
        fields: head.fields,
        body: wire.body().map(RequestBody::H1),
        interim: Some(wire.clone()),
    };
    let answer = {
        let mut answer = pin!(forward::handle(client, request));
        let mut leave = waits_for_leave.then(|| Box::pin(tokio::time::sleep(LEAVE)));
        poll_fn(|cx| {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(Some(answer));
            }
            if let Some(time) = &mut leave
                && time.as_mut().poll(cx).is_ready()
            {
                leave = None;
                if wire.waits_for_leave() {
                    wire.interim(StatusCode::CONTINUE, b"Continue", &Fields::default());
                }
            }
            let broken = matches!(wire.poll_flush(cx), Poll::Ready(Err(_)));
            match broken || is_gone(client, wire, cx) {
                true => Poll::Ready(None),
                false => Poll::Pending,
            }
        })
        .await
    };
    match answer {
        Some(answer) => respond(client, wire, how, answer).await,
        None => After::End,
    }
}

/// Writes an answer.
async fn respond(client: &Client, wire: &Rc<ClientWire>, how: How, answer: Answer) -> After {
    wire.begin_answer();
    let Answer {
        status,
        reason,
        fields,
        body,
        closes,
        switched,
    } = answer;
    let framing = ResponseFraming::of(&how.method, how.version, status, body.length());
    let closes = closes
        || !how.persists
        || client.is_finishing()
        || !wire.is_read()
        || framing == ResponseFraming::UntilClose;
    let stays = match closes {
        _ if switched.is_some() => Stays::Switched,
        true => Stays::Closed,
        false if how.version == Version::HTTP_10 => Stays::OpenTold,
        false => Stays::Open,
    };
    let usual = || Bytes::from_static(status.canonical_reason().unwrap_or_default().as_bytes());
    let reason = reason.unwrap_or_else(usual);
    wire.write(|wire| {
        let date = client.worker.clock.date();
        let status = (status, &reason[..]);
        wire.append(|out| write_response(out, status, &fields, &date, framing, stays));
    });
    drop(fields);
    if framing == ResponseFraming::UntilClose {
        // Until it is whole, the end of the connection must not say that it is.
        wire.set_abortive(true);
    }
    let before = wire.written();
    let mut sending = Sending {
        body,
        framing,
        end: None,
    };
    let end = poll_fn(|cx| sending.poll(client, wire, cx)).await;
    drop(sending);
    match end {
        End::Gone => return After::End,
        End::Cut => return After::End,
        End::Whole if framing == ResponseFraming::UntilClose => wire.set_abortive(false),
        End::Whole => {}
    }
    // Who said that this was the last request, and had no more to say in it, says nothing that would cut the answer short. A
    // long one may still be on its way when it does.
    let said_all = !how.persists && !how.has_body && wire.is_read() && !wire.has_begun();
    let is_short = wire.written() - before <= SHORT;
    match switched {
        Some(switched) => After::Switched(switched),
        None if !closes => After::Next,
        None if said_all && is_short => After::End,
        None => After::Linger,
    }
}

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The system has all of it.
    Whole,
    /// The backend broke off; the system has what came.
    Cut,
    /// The client has gone.
    Gone,
}

/// A response's body on its way.
struct Sending {
    body: Body,
    framing: ResponseFraming,
    /// How it ends, once that is known.
    end: Option<End>,
}

impl Sending {
    fn poll(&mut self, client: &Client, wire: &ClientWire, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            // What is there is put together, so that a short response is one write.
            let mut waits = false;
            while self.end.is_none() && !waits && wire.unsent() < BATCH {
                match Pin::new(&mut self.body).poll_frame(cx) {
                    Poll::Ready(frame) => self.write(wire, frame),
                    Poll::Pending => waits = true,
                }
            }
            match flush(client, wire, cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(End::Gone),
                Poll::Pending => {
                    self.body.poll_send(cx);
                    return Poll::Pending;
                }
            }
            if let Some(end) = self.end {
                return Poll::Ready(end);
            }
            if waits {
                return match is_gone(client, wire, cx) {
                    true => Poll::Ready(End::Gone),
                    false => Poll::Pending,
                };
            }
        }
    }

    fn write<E>(&mut self, wire: &ClientWire, frame: Option<Result<http_body::Frame<Bytes>, E>>) {
        let framing = self.framing;
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(_)) => {
                self.end = Some(End::Cut);
                return;
            }
            None => {
                if framing == ResponseFraming::Chunked {
                    wire.write(|wire| wire.append(|out| write_last_chunk(out, None)));
                }
                self.end = Some(End::Whole);
                return;
            }
        };
        match (frame.into_data(), framing) {
            // A page of our own, asked for by `HEAD`.
            (_, ResponseFraming::None) => {}
            (Ok(data), ResponseFraming::Chunked) => wire.write(|wire| wire.push_chunk(data)),
            (Ok(data), _) => wire.write(|wire| wire.push(data)),
            (Err(frame), ResponseFraming::Chunked) => {
                let trailers = frame.into_trailers().ok();
                wire.write(|wire| wire.append(|out| write_last_chunk(out, trailers.as_ref())));
                self.end = Some(End::Whole);
            }
            // Trailers have no place after a body with a length.
            (Err(_), _) => {}
        }
    }
}

/// Whether the client has gone, while its request is answered.
fn is_gone(client: &Client, wire: &ClientWire, cx: &mut Context<'_>) -> bool {
    let presence = wire.presence(cx);
    client.set_blind(presence == Presence::Unsure);
    presence == Presence::Gone
}

/// Writes what waits. A client that takes nothing is watched.
fn flush(client: &Client, wire: &ClientWire, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    let before = wire.written();
    let flushed = wire.poll_flush(cx);
    if flushed.is_pending() {
        if wire.written() != before {
            client.waits_for(Waits::Nothing);
        } else if client.is_last_chance() {
            // Not a byte of room: it has read nothing all the while.
            wire.squeeze()?;
            client.waits_for(Waits::Nothing);
        }
        client.waits_for(Waits::Reader);
    } else {
        client.waits_for(Waits::Nothing);
    }
    flushed
}

/// Reads on for a while, so that the answer arrives.
async fn linger(client: &Client, wire: &ClientWire) {
    wire.shut();
    let until = Instant::now() + LINGER_MAX;
    loop {
        let more = poll_fn(|cx| match client.is_finishing() {
            true => Poll::Ready(false),
            false => wire.poll_discard(cx),
        });
        match tokio::time::timeout(LINGER, more).await {
            Ok(true) if Instant::now() < until => {}
            Ok(_) | Err(_) => return,
        }
    }
}
