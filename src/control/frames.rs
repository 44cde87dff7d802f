//! What goes over a connection that has become a terminal: frames of one byte that says what it is, two for the length of
//! what follows (most significant first), and that.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::process::terminal::Size;

/// What a connection is upgraded to (RFC 9110 §7.8).
pub const PROTOCOL: &str = "lbdev-terminal";

/// The longest payload.
const LONGEST: usize = u16::MAX as usize;

const DATA: u8 = 0;
const SIZE: u8 = 1;
const NOTE: u8 = 2;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// What the program wrote, or what is typed.
    Data(Vec<u8>),
    /// The window has this size now: only towards lbdev.
    Size(Size),
    /// Something for the person: only from lbdev.
    Note(String),
}

impl Frame {
    /// Writes it; long data as several frames.
    ///
    /// # Errors
    /// When the other end has gone.
    pub async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
        let (kind, payload) = match self {
            Frame::Data(bytes) => (DATA, bytes.clone()),
            Frame::Size(size) => {
                let (columns, rows) = (size.columns.to_be_bytes(), size.rows.to_be_bytes());
                (SIZE, [columns, rows].concat())
            }
            Frame::Note(text) => (NOTE, text.as_bytes().to_vec()),
        };
        for part in payload.chunks(LONGEST) {
            // A chunk is at most as long as that.
            let length = u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes();
            let mut frame = vec![kind, length[0], length[1]];
            frame.extend_from_slice(part);
            to.write_all(&frame).await?;
        }
        to.flush().await
    }

    /// Reads the next one; `None` at the end, also in the middle of one, and for one that makes no sense. Not to be
    /// cancelled: half a frame would be lost.
    pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> Option<Frame> {
        let mut head = [0; 3];
        from.read_exact(&mut head).await.ok()?;
        let [kind, high, low] = head;
        let mut payload = vec![0; usize::from(u16::from_be_bytes([high, low]))];
        from.read_exact(&mut payload).await.ok()?;
        match (kind, payload.as_slice()) {
            (DATA, _) => Some(Frame::Data(payload)),
            (SIZE, &[a, b, c, d]) => Some(Frame::Size(Size {
                columns: u16::from_be_bytes([a, b]),
                rows: u16::from_be_bytes([c, d]),
            })),
            (NOTE, _) => String::from_utf8(payload).ok().map(Frame::Note),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_as_they_go() {
        let size = Size {
            columns: 300,
            rows: 24,
        };
        let all = [
            Frame::Data(b"\x1b[31mx\r\n\xff".to_vec()),
            Frame::Size(size),
            Frame::Note("käse".into()),
        ];
        let mut wire = Vec::new();
        for frame in &all {
            frame.write(&mut wire).await.unwrap();
        }
        let mut rest = wire.as_slice();
        for frame in all {
            assert_eq!(Frame::read(&mut rest).await, Some(frame));
        }
        assert_eq!(Frame::read(&mut rest).await, None);
        // Long data is several, and nonsense is the end.
        let mut wire = Vec::new();
        Frame::Data(vec![7; 150_000])
            .write(&mut wire)
            .await
            .unwrap();
        let (mut rest, mut length) = (wire.as_slice(), 0);
        while let Some(Frame::Data(bytes)) = Frame::read(&mut rest).await {
            length += bytes.len();
        }
        assert_eq!(length, 150_000);
        for nonsense in [
            &[9, 0, 0][..],
            &[1, 0, 1, 5],
            &[0, 0, 9, 1],
            &[2, 0, 1, 0xff],
        ] {
            let mut rest = nonsense;
            assert_eq!(Frame::read(&mut rest).await, None, "{nonsense:?}");
        }
    }
}
