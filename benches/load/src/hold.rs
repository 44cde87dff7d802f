//! Connections that are kept open, so that what they cost can be looked at.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use crate::message::{Body, head_length};

/// Opens `count` connections one after the other, each with one request, says `holding`, and lets them go when stdin ends.
#[allow(clippy::print_stdout)]
pub(crate) fn hold(port: u16, count: usize) -> io::Result<()> {
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        request(&stream)?;
        held.push(stream);
    }
    println!("holding");
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn request(mut stream: &TcpStream) -> io::Result<()> {
    stream.write_all(b"GET /b/100 HTTP/1.1\r\nHost: app.localhost\r\n\r\n")?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&buffer[..count]);
        if let Some(length) = head_length(&answer) {
            let body = Body::of(&answer[..length]);
            let mut body = body.ok_or_else(|| io::Error::other("the answer has no framing"))?;
            if body.take(&answer[length..]) {
                return Ok(());
            }
        }
    }
}
