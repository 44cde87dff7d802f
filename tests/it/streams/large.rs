//! Bodies of gigabytes, both ways and in both framings: every byte arrives, and lbdev's memory does not notice.

use std::io::{BufRead, BufReader, Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::LazyLock;

use anyhow::{Context, Result, bail, ensure};

use crate::harness::Lbdev;
use crate::wait::is_long;

use super::{Answer, memory, open, pid};

/// By how much lbdev's peak memory may grow, in KiB.
const GROWTH: u64 = 16 * 1024;

/// 256 MB, or with `tests/run --long` 2 GB.
fn size() -> u64 {
    if is_long() { 2 << 30 } else { 256 << 20 }
}

/// Byte number i of every body is byte i mod this of what is below: a prime, so that no buffer's size hides a piece that
/// went missing or came twice.
const PERIOD: usize = 1_000_003;
const PIECE: usize = 200_000;

/// One period of noise and the beginning of the next.
static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut noise = vec![0; PERIOD];
    fastrand::Rng::with_seed(4).fill(&mut noise);
    noise.extend_from_within(..PIECE);
    noise
});

/// At most `length` bytes that come at this offset of a body.
fn piece(offset: u64, length: u64) -> &'static [u8] {
    let from = (offset % PERIOD as u64) as usize;
    &NOISE[from..][..length.min(PIECE as u64) as usize]
}

#[derive(Debug, Clone, Copy)]
enum Framing {
    Length(u64),
    Chunked,
}

impl Framing {
    fn field(self) -> String {
        match self {
            Framing::Length(length) => format!("Content-Length: {length}"),
            Framing::Chunked => "Transfer-Encoding: chunked".to_owned(),
        }
    }

    /// As a head has it, in lower case.
    fn read(head: &[String]) -> Result<Framing> {
        for line in head {
            if line == "transfer-encoding: chunked" {
                return Ok(Framing::Chunked);
            }
            if let Some(length) = line.strip_prefix("content-length: ") {
                return Ok(Framing::Length(length.parse()?));
            }
        }
        bail!("no framing in {head:?}")
    }
}

/// Writes a body of `size` bytes.
fn write_body(to: &mut impl Write, size: u64, framing: Framing) -> Result<()> {
    let mut offset = 0;
    while offset < size {
        let bytes = piece(offset, size - offset);
        offset += bytes.len() as u64;
        match framing {
            Framing::Length(_) => to.write_all(bytes)?,
            Framing::Chunked => {
                write!(to, "{:x}\r\n", bytes.len())?;
                to.write_all(bytes)?;
                to.write_all(b"\r\n")?;
            }
        }
    }
    if let Framing::Chunked = framing {
        to.write_all(b"0\r\n\r\n")?;
    }
    Ok(())
}

/// Reads a body to its end and compares each byte. Its length.
fn read_body(from: &mut impl BufRead, framing: Framing) -> Result<u64> {
    let mut offset = 0;
    match framing {
        Framing::Length(length) => compare(from, &mut offset, length)?,
        Framing::Chunked => loop {
            let line = line(from)?;
            let size = u64::from_str_radix(&line, 16).with_context(|| format!("chunk {line:?}"))?;
            compare(from, &mut offset, size)?;
            ensure!(self::line(from)?.is_empty(), "a chunk has no end");
            if size == 0 {
                break;
            }
        },
    }
    Ok(offset)
}

fn compare(from: &mut impl BufRead, offset: &mut u64, mut length: u64) -> Result<()> {
    while length > 0 {
        let read = from.fill_buf()?;
        ensure!(
            !read.is_empty(),
            "it ended at {offset}, {length} before its end"
        );
        let expected = piece(*offset, length.min(read.len() as u64));
        ensure!(
            &read[..expected.len()] == expected,
            "other bytes from {offset} on"
        );
        let count = expected.len();
        from.consume(count);
        *offset += count as u64;
        length -= count as u64;
    }
    Ok(())
}

fn line(from: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    Ok(line
        .strip_suffix("\r\n")
        .context("a line has no end")?
        .to_owned())
}

/// GET `/length/N` and `/chunked/N`: such a body. PUT: how long the body was, if it was as it should be.
fn serve(socket: TcpStream) -> Result<()> {
    let mut to = socket.try_clone()?;
    let mut from = BufReader::with_capacity(PIECE, socket);
    loop {
        let request = line(&mut from)?;
        let mut head = Vec::new();
        loop {
            match line(&mut from)? {
                end if end.is_empty() => break,
                field => head.push(field.to_ascii_lowercase()),
            }
        }
        let target = request.split(' ').nth(1).context("no target")?;
        if request.starts_with("PUT ") {
            let result = read_body(&mut from, Framing::read(&head)?);
            let text = match &result {
                Ok(length) => format!("{length} bytes"),
                Err(error) => format!("{error:#}"),
            };
            write!(
                to,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            )?;
            result?;
            continue;
        }
        let (framing, size) = match target.rsplit_once('/').context("no size")? {
            ("/length", size) => (Framing::Length(size.parse()?), size.parse()?),
            ("/chunked", size) => (Framing::Chunked, size.parse()?),
            // lbdev's question whether anybody is there.
            _ => (Framing::Length(0), 0),
        };
        write!(to, "HTTP/1.1 200 OK\r\n{}\r\n\r\n", framing.field())?;
        write_body(&mut to, size, framing)?;
    }
}

/// The balancer in front of [`serve`].
fn up() -> Result<Lbdev> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let external = listener.local_addr()?.port().to_string();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            // Its end is the end of the connection; whoever is at the other side sees it.
            std::thread::spawn(move || serve(socket));
        }
    });
    let lbdev = Lbdev::new();
    let listen = lbdev.ports.listen().to_string();
    let args = [
        "up",
        "-d",
        "--wait",
        "--external",
        &external,
        "--listen",
        &listen,
    ];
    lbdev.run(&args).ok();
    Ok(lbdev)
}

fn download(port: u16, size: u64, framing: Framing) -> Result<()> {
    let path = match framing {
        Framing::Length(_) => "length",
        Framing::Chunked => "chunked",
    };
    let request = format!("GET /{path}/{size} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let Answer { status, head, body } = Answer::to(port, &request)?;
    ensure!(status == 200, "{head:?}");
    ensure!(body.buffer().len() <= PIECE);
    let framing = Framing::read(&head)?;
    // What has been read beyond the head, and then with a larger buffer.
    let begun = body.buffer().to_vec();
    let rest = body.into_inner();
    let mut whole = BufReader::with_capacity(PIECE, begun.as_slice().chain(rest));
    let length = read_body(&mut whole, framing)?;
    ensure!(length == size, "{length} bytes of {size}");
    Ok(())
}

fn upload(port: u16, size: u64, framing: Framing) -> Result<()> {
    let field = framing.field();
    let mut socket = open(port)?;
    write!(
        socket,
        "PUT / HTTP/1.1\r\nHost: localhost\r\n{field}\r\n\r\n"
    )?;
    write_body(&mut socket, size, framing)?;
    let mut answer = Answer::on(socket, b"")?;
    let length = usize::try_from(answer.length()?)?;
    let text = String::from_utf8(answer.take(length)?)?;
    ensure!(
        answer.status == 200 && text == format!("{size} bytes"),
        "{text}"
    );
    Ok(())
}

fn constant_memory(transfer: fn(u16, u64, Framing) -> Result<()>) -> Result<()> {
    let lbdev = up()?;
    let (port, pid, size) = (lbdev.ports.listen(), pid(&lbdev)?, size());
    // Whatever it takes once it has taken.
    let small = 4 << 20;
    for framing in [Framing::Length(small), Framing::Chunked] {
        transfer(port, small, framing)?;
    }
    let before = memory(pid, "VmHWM")?;
    for framing in [Framing::Length(size), Framing::Chunked] {
        transfer(port, size, framing).with_context(|| format!("{framing:?}"))?;
        // The system counts pages roughly: the peak may be said to be a little lower than before.
        let grown = memory(pid, "VmHWM")?.saturating_sub(before);
        assert!(
            grown < GROWTH,
            "{framing:?}: {grown} KiB more than {before} KiB"
        );
    }
    Ok(())
}

#[test]
fn a_long_download_takes_no_memory() -> Result<()> {
    constant_memory(download)
}

#[test]
fn a_long_upload_takes_no_memory() -> Result<()> {
    constant_memory(upload)
}

/// Both sides' comparison finds what it is there for.
#[test]
fn a_byte_that_changed_is_found() -> Result<()> {
    for framing in [Framing::Length(3_000_000), Framing::Chunked] {
        let mut body = Vec::new();
        write_body(&mut body, 3_000_000, framing)?;
        assert_eq!(read_body(&mut body.as_slice(), framing)?, 3_000_000);
        let short = &body[..body.len() - 1];
        assert!(read_body(&mut &short[..], framing).is_err());
        body[2_500_000] ^= 1;
        assert!(read_body(&mut body.as_slice(), framing).is_err());
    }
    Ok(())
}
