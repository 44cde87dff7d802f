//! After a switch of protocols: bytes, both ways, until both have ended.

use std::io::Cursor;
use std::rc::Rc;

use bytes::BytesMut;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::worker::Worker;
use crate::pool::Lease;

/// A tunnel's buffer, each way.
const BUFFER: usize = 64 * 1024;

/// Opens the tunnel as soon as the client's end is free. `backend` is its socket and what it has said already. The tunnel
/// counts as in flight until it ends: by itself, or at once when the worker drains.
pub(super) fn open(
    worker: &Rc<Worker>,
    lease: Lease,
    clients: OnUpgrade,
    (stream, said): (TcpStream, BytesMut),
) {
    let mut draining = worker.draining.subscribe();
    tokio::task::spawn_local(async move {
        let _lease = lease;
        let through = async {
            // An end that was never freed has gone: so does the other, as it is dropped.
            let Ok(client) = clients.await else { return };
            let mut client = TokioIo::new(client);
            let (read, write) = stream.into_split();
            let mut backend = tokio::io::join(Cursor::new(said).chain(read), write);
            // A half-close is passed on. An error means that one end is gone, and there is nobody to tell.
            let _ =
                tokio::io::copy_bidirectional_with_sizes(&mut client, &mut backend, BUFFER, BUFFER)
                    .await;
        };
        tokio::select! {
            () = through => {}
            _ = draining.wait_for(|draining| *draining) => {}
        }
    });
}
