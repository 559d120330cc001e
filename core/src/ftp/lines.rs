//! Lines instead of bytes (TYPE A, RFC 959 §3.1.1.1): CRLF on the wire, LF here. What arrives is not the file's bytes, so
//! sizes, offsets and digests say nothing about it.

use super::client::Client;
use super::extent::Extent;
use super::{Direction, commands};
use crate::error::Result;
use crate::line::Line;
use crate::reply::Reply;
use crate::transport::Transport;

/// Changes line ends in pieces of any size. What is no line end stays as it is.
#[derive(Debug, Default)]
pub(super) struct LineEnds {
    /// The last byte was a CR. On the way down it is held back: the next one may be its LF.
    cr: bool,
    changed: Vec<u8>,
}

impl LineEnds {
    /// CRLF becomes LF.
    pub(super) fn received(&mut self, bytes: &[u8]) -> &[u8] {
        self.changed.clear();
        for &byte in bytes {
            if self.cr && byte != b'\n' {
                self.changed.push(b'\r');
            }
            self.cr = byte == b'\r';
            if !self.cr {
                self.changed.push(byte);
            }
        }
        &self.changed
    }

    /// What was held back.
    pub(super) fn end(&mut self) -> &[u8] {
        if std::mem::take(&mut self.cr) { b"\r" } else { b"" }
    }

    /// LF becomes CRLF, unless it is the end of one.
    pub(super) fn sent(&mut self, bytes: &[u8]) -> &[u8] {
        self.changed.clear();
        for &byte in bytes {
            if byte == b'\n' && !self.cr {
                self.changed.push(b'\r');
            }
            self.cr = byte == b'\r';
            self.changed.push(byte);
        }
        &self.changed
    }
}

impl<T: Transport> Client<T> {
    /// Begins a download of lines: CRLF on the wire is LF here. Then as after [`Client::start_download`]. Whatever the
    /// server's own line ends are, and its size, is not known here: the receipt is `complete` at most, and its size is that
    /// on the wire.
    ///
    /// # Errors
    /// As [`Client::start_download`].
    pub async fn start_download_text(&mut self, path: impl AsRef<[u8]>) -> Result<()> {
        self.start_lines(&commands::retr(path.as_ref())?, Direction::Down).await
    }

    /// Begins an upload of lines: LF becomes CRLF on the wire, and the server makes its own line ends of that. A CRLF stays
    /// one. Then as after [`Client::start_upload`]; of the receipt the same is to be said as of
    /// [`Client::start_download_text`].
    ///
    /// # Errors
    /// As [`Client::start_download`].
    pub async fn start_upload_text(&mut self, path: impl AsRef<[u8]>) -> Result<()> {
        self.start_lines(&commands::stor(path.as_ref())?, Direction::Up).await
    }

    async fn start_lines(&mut self, line: &Line, direction: Direction) -> Result<()> {
        self.idle().await?;
        self.ensure_resumable().await?;
        if !self.session.ascii {
            // Before it is sent: whoever does not wait for the answer leaves it open what is set.
            self.session.ascii = true;
            self.session.expect(&commands::type_ascii()).await?;
        }
        self.start_as_set(line, direction, Extent::WHOLE).await?;
        if let Some(transfer) = &mut self.transfer {
            transfer.lines = Some(LineEnds::default());
        }
        Ok(())
    }

    /// Begins a transfer of bytes as they are; the server's 150.
    pub(super) async fn start(&mut self, command: &Line, direction: Direction, extent: Extent) -> Result<Reply> {
        self.idle().await?;
        self.image().await?;
        self.start_as_set(command, direction, extent).await
    }

    /// Bytes as they are again, if lines were transferred last.
    pub(super) async fn image(&mut self) -> Result<()> {
        if self.session.ascii {
            self.session.expect(&commands::type_image()).await?;
            self.session.ascii = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One byte after another, with the whole text at hand.
    fn slowly_received(text: &[u8]) -> Vec<u8> {
        let kept = |at: &usize| !(text[*at] == b'\r' && text.get(at + 1) == Some(&b'\n'));
        (0..text.len()).filter(kept).map(|at| text[at]).collect()
    }

    fn slowly_sent(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for (at, &byte) in text.iter().enumerate() {
            if byte == b'\n' && (at == 0 || text[at - 1] != b'\r') {
                out.push(b'\r');
            }
            out.push(byte);
        }
        out
    }

    /// Every text of up to six bytes of these three, cut in two at every place.
    #[test]
    fn line_ends_across_every_split() {
        for length in 0..=6u32 {
            for number in 0..3usize.pow(length) {
                let byte = |place| b"\r\na"[number / 3usize.pow(place) % 3];
                let text: Vec<u8> = (0..length).map(byte).collect();
                for split in 0..=text.len() {
                    let (mut down, mut up) = (LineEnds::default(), LineEnds::default());
                    let (mut received, mut sent) = (Vec::new(), Vec::new());
                    for piece in [&text[..split], &text[split..]] {
                        received.extend_from_slice(down.received(piece));
                        sent.extend_from_slice(up.sent(piece));
                    }
                    received.extend_from_slice(down.end());
                    assert_eq!(received, slowly_received(&text), "{text:?} at {split}");
                    assert_eq!(sent, slowly_sent(&text), "{text:?} at {split}");
                }
            }
        }
    }
}
