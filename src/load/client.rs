//! One connection of the load.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{self, HeaderMap};
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::answer::Failure;
use super::plan::{Parts, Target};

/// A connection that is not made in this time will not be: everything is on this machine, or near.
const CONNECT: Duration = Duration::from_secs(5);

/// An open connection, on which one request goes at a time.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// It has answered before: the server may close it at any moment.
    used: bool,
    /// So much of each body is kept.
    pub(super) keep: usize,
}

/// What of an answer counts.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) head: HeaderMap,
    /// Bytes of the body.
    pub(super) length: u64,
    /// The first of them, as many as were to be kept.
    pub(super) body: Vec<u8>,
}

/// A request came to nothing.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) failure: Failure,
    /// The head of an answer that was cut.
    pub(super) head: Option<(u16, HeaderMap)>,
    /// The connection was closed before the request was on its way, as servers may close idle ones: it can be sent again.
    pub(super) unsent: bool,
}

impl From<Failure> for Lost {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            head: None,
            unsent: false,
        }
    }
}

impl Connection {
    /// Connects to the first of the addresses that accepts. Its second half lives as a task of this thread's.
    pub(super) async fn open(target: &Target) -> Result<Self, Failure> {
        let mut last = Failure::Connect;
        for address in &target.addresses {
            let connected = tokio::time::timeout(CONNECT, TcpStream::connect(address)).await;
            let stream = match connected {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    last = match error.kind() {
                        io::ErrorKind::ConnectionRefused => Failure::Refused,
                        io::ErrorKind::ConnectionReset => Failure::Reset,
                        _ => Failure::Connect,
                    };
                    continue;
                }
                Err(_) => {
                    last = Failure::Connect;
                    continue;
                }
            };
            // Without it an answer would be somewhat slower, which is all that a refusal costs.
            let _ = stream.set_nodelay(true);
            let handshake = http1::Builder::new().handshake(TokioIo::new(stream)).await;
            let (sender, connection) = handshake.map_err(|error| of(&error))?;
            // What goes wrong on it, the request on it is told.
            tokio::task::spawn_local(async {
                let _ = connection.await;
            });
            return Ok(Self {
                sender,
                used: false,
                keep: 0,
            });
        }
        Err(last)
    }

    /// It may be used again.
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends a request, and reads its answer to the end.
    pub(super) async fn ask(
        &mut self,
        parts: &Parts,
        cookies: Option<String>,
    ) -> Result<Said, Lost> {
        let mut request = Request::new(Full::new(parts.body.clone()));
        request.method_mut().clone_from(&parts.method);
        request.uri_mut().clone_from(&parts.uri);
        request.headers_mut().clone_from(&parts.head);
        if let Some(value) = cookies.and_then(|text| text.parse().ok()) {
            request.headers_mut().insert(header::COOKIE, value);
        }
        let used = std::mem::replace(&mut self.used, true);
        if let Err(error) = self.sender.ready().await {
            return Err(Lost {
                unsent: used,
                ..of(&error).into()
            });
        }
        let response = self.sender.send_request(request).await;
        let response = response.map_err(|error| Lost {
            unsent: used && error.is_canceled(),
            ..of(&error).into()
        })?;
        read(response, self.keep).await
    }
}

async fn read(response: Response<Incoming>, keep: usize) -> Result<Said, Lost> {
    let (head, mut body) = response.into_parts();
    let mut length = 0;
    let mut kept = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                let data = frame.data_ref().map_or(&[][..], |data| &data[..]);
                length += data.len() as u64;
                let room = keep.saturating_sub(kept.len()).min(data.len());
                kept.extend_from_slice(&data[..room]);
            }
            Err(_) => {
                return Err(Lost {
                    failure: Failure::Cut,
                    head: Some((head.status.as_u16(), head.headers)),
                    unsent: false,
                });
            }
        }
    }
    Ok(Said {
        status: head.status.as_u16(),
        head: head.headers,
        length,
        body: kept,
    })
}

/// What kind of failure this is, before an answer.
fn of(error: &hyper::Error) -> Failure {
    if error.is_parse() {
        return Failure::Bad;
    }
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(one) = source {
        if let Some(io) = one.downcast_ref::<io::Error>()
            && matches!(
                io.kind(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
            )
        {
            return Failure::Reset;
        }
        source = one.source();
    }
    Failure::Closed
}
