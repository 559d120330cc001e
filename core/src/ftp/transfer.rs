//! Transfers: a data connection, and what flows on it. How they end is told in [`ending`](super::ending).
//!
//! ```text
//!   start    [renew] EPSV ─ TCP ─ [REST] ─ RETR … ─ 150 ═ data handshake
//!   receive  … until close_notify          transmit …
//! ```

use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::client::Client;
use super::commands;
use super::data_link::DataLink;
use super::extent::Extent;
use super::lines::LineEnds;
use super::receipt::{Status, TransferReceipt};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::line::Line;
use crate::link::{Channel, Fill, Link};
use crate::reply::Reply;
use crate::transport::{Stream, Transport};

pub use crate::trace::Direction;

/// What local files and readers are read and written in.
pub(super) const PIECE: usize = 256 * 1024;

/// Numbers of transfers, so that readers know their own.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// A transfer under way.
pub(super) struct Transfer<S> {
    /// `None` once it is closed.
    pub(super) data: Option<DataLink<S>>,
    pub(super) direction: Direction,
    /// The path of an upload, for the look at its size afterwards.
    pub(super) uploaded: Option<Vec<u8>>,
    pub(super) extent: Extent,
    pub(super) size: u64,
    /// What the server says the size is, with or without the offset: servers differ.
    pub(super) announced: Option<u64>,
    /// The reply that began a download.
    opening: Option<Reply>,
    pub(super) tls_resumed: bool,
    pub(super) compressed: bool,
    pub(super) end: End,
    /// When something was last said on the control connection.
    last_sign: Instant,
    /// Whether our close_notify went out.
    pub(super) ended: bool,
    /// When its first command went out.
    pub(super) began: Instant,
    /// Lines instead of bytes.
    pub(super) lines: Option<LineEnds>,
    /// Which one it is.
    number: u64,
    /// Whether an upload's end is the file's.
    pub(super) ends_the_file: bool,
    /// Whether it is given up for another one, since its reader can begin again.
    may_be_stopped: bool,
}

impl<S: Stream> Transfer<S> {
    pub(super) fn new(data: Link<S>, direction: Direction, extent: Extent, compressed: bool) -> Self {
        Self {
            tls_resumed: data.tls().is_some_and(|tls| tls.resumed),
            data: Some(DataLink::new(data, direction, compressed)),
            compressed,
            direction,
            uploaded: None,
            lines: None,
            extent,
            size: 0,
            announced: None,
            opening: None,
            end: End::Open,
            last_sign: Instant::now(),
            ended: false,
            began: Instant::now(),
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            may_be_stopped: false,
            ends_the_file: false,
        }
    }

    /// The receipt of a download that is ended here, with the reply that began it.
    pub(super) fn receipt_so_far(&self) -> Option<TransferReceipt> {
        Some(TransferReceipt {
            status: Status::Complete,
            size: self.size,
            offset: self.extent.offset,
            tls_resumed: self.tls_resumed,
            close_notify: false,
            close_notify_sent: false,
            compressed: self.compressed,
            reply: self.opening.clone()?,
            digest: None,
            attempts: 1,
            duration: self.began.elapsed(),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// More may come.
    Open,
    /// The peer ended in order.
    Orderly,
    /// Without close_notify.
    Cut,
}

impl<T: Transport> Client<T> {
    /// Downloads a file into a writer.
    ///
    /// # Errors
    /// Those of [`Client::start_download`], [`Client::receive`] and [`Client::finish`];
    /// [`Local`](ErrorKind::Local) if the writer fails.
    pub async fn get(&mut self, path: impl AsRef<[u8]>, into: &mut (dyn Write + Send)) -> Result<TransferReceipt> {
        self.start_download(path, 0).await?;
        self.receive_all(into).await
    }

    /// The rest of a download that was started, into a writer, and its end.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn receive_all(&mut self, into: &mut (dyn Write + Send)) -> Result<TransferReceipt> {
        let mut failed = None;
        while self
            .receive(&mut |bytes| {
                failed = failed.take().or_else(|| into.write_all(bytes).err());
            })
            .await?
        {
            if let Some(error) = failed.take() {
                self.abort().await;
                return Err(self.explain(Error::local(error).during(Phase::Data)));
            }
        }
        self.finish().await
    }

    /// Uploads everything a reader gives.
    ///
    /// # Errors
    /// Those of [`Client::start_upload`], [`Client::transmit`] and [`Client::finish`]. If the reader fails, that is
    /// [`Local`](ErrorKind::Local), and the remote file is cut short.
    pub async fn put(&mut self, path: impl AsRef<[u8]>, from: &mut (dyn Read + Send)) -> Result<TransferReceipt> {
        self.start_upload(path, 0).await?;
        self.transmit_all(from).await
    }

    /// Everything a reader gives, into an upload that was started, and its end.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub async fn transmit_all(&mut self, from: &mut (dyn Read + Send)) -> Result<TransferReceipt> {
        let mut piece = vec![0; PIECE];
        loop {
            match from.read(&mut piece) {
                Ok(0) => return self.finish().await,
                Ok(n) => self.transmit(&piece[..n]).await?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.abort().await;
                    let error = Error::local(error).during(Phase::Data).advise("the remote file is cut short");
                    return Err(self.explain(error));
                }
            }
        }
    }

    /// Begins a download at `offset` bytes. Then [`Client::receive`] to its end, and [`Client::finish`].
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) if the server has no such file or cannot begin at an offset; what can go wrong
    /// with the data connection.
    pub async fn start_download(&mut self, path: impl AsRef<[u8]>, offset: u64) -> Result<()> {
        let line = commands::retr(path.as_ref())?;
        self.start_retr(&line, Extent::from(offset)).await
    }

    pub(super) async fn start_retr(&mut self, line: &Line, extent: Extent) -> Result<()> {
        let reply = self.start(line, Direction::Down, extent).await?;
        if let Some(transfer) = &mut self.transfer {
            transfer.announced = announced_size(&reply);
            transfer.opening = Some(reply);
        }
        Ok(())
    }

    /// Begins an upload at `offset` bytes: 0 replaces the remote file. What stands behind an upload into the middle is kept
    /// by most servers, and cut off by some. Then [`Client::transmit`] and
    /// [`Client::finish`].
    ///
    /// # Errors
    /// As [`Client::start_download`].
    pub async fn start_upload(&mut self, path: impl AsRef<[u8]>, offset: u64) -> Result<()> {
        let line = commands::stor(path.as_ref())?;
        self.start(&line, Direction::Up, Extent::from(offset)).await?;
        if let Some(transfer) = &mut self.transfer {
            transfer.uploaded = Some(path.as_ref().to_vec());
        }
        Ok(())
    }

    /// Begins an upload that is added to the end of the remote file (APPE).
    ///
    /// # Errors
    /// As [`Client::start_download`].
    pub async fn start_append(&mut self, path: impl AsRef<[u8]>) -> Result<()> {
        let line = commands::appe(path.as_ref())?;
        self.start(&line, Direction::Up, Extent::WHOLE).await.map(drop)
    }

    pub(super) async fn start_listing(&mut self, line: &Line) -> Result<()> {
        self.start(line, Direction::Down, Extent::WHOLE).await.map(drop)
    }

    /// Hands the next piece of a download to `sink`; `false` at its end. Whether the end is a good one is told by
    /// [`Client::finish`].
    ///
    /// # Errors
    /// The data connection's, with the server's words if it says any.
    pub async fn receive(&mut self, sink: &mut (dyn FnMut(&[u8]) + Send)) -> Result<bool> {
        self.keep_alive().await?;
        let context = &self.session.dialogue.context;
        let within = context.within(context.timeouts.stall);
        let transfer = self.under_way(Direction::Down)?;
        if transfer.end != End::Open {
            return Ok(false);
        }
        let data = transfer.data.as_mut().expect("an open transfer has its connection");
        data.set_deadline(within);
        let (size, lines) = (&mut transfer.size, &mut transfer.lines);
        let outcome = data
            .pull(&mut |bytes| {
                *size += bytes.len() as u64;
                match lines {
                    None => sink(bytes),
                    Some(lines) => sink(lines.received(bytes)),
                }
            })
            .await;
        let ended = !matches!(outcome, Ok(Fill::More));
        if let Some(lines) = transfer.lines.as_mut().filter(|_| ended) {
            sink(lines.end());
        }
        match outcome {
            Ok(Fill::More) => return Ok(true),
            Ok(Fill::Closed) => transfer.end = End::Orderly,
            Err(error) if matches!(error.kind(), ErrorKind::Truncated) && !data.is_broken_off() => {
                transfer.end = End::Cut;
            }
            Err(error) => {
                self.transfer = None;
                return Err(self.broken(error, Direction::Down).await);
            }
        }
        Ok(false)
    }

    /// Sends the next piece of an upload.
    ///
    /// # Errors
    /// The data connection's, with the server's words if it says any: quota, disk full.
    pub async fn transmit(&mut self, bytes: &[u8]) -> Result<()> {
        self.keep_alive().await?;
        let context = &self.session.dialogue.context;
        let within = context.within(context.timeouts.stall);
        self.under_way(Direction::Up)?;
        // Taken out meanwhile: a cancelled write drops it, and the reply that is still owed ends the session.
        let Some(mut transfer) = self.transfer.take() else { return Err(self.explain(no_transfer())) };
        let data = transfer.data.as_mut().expect("an open transfer has its connection");
        data.set_deadline(within);
        let bytes = match &mut transfer.lines {
            None => bytes,
            Some(lines) => lines.sent(bytes),
        };
        match data.write(bytes).await {
            Ok(()) => {
                transfer.size += bytes.len() as u64;
                self.transfer = Some(transfer);
                Ok(())
            }
            Err(error) => {
                drop(transfer);
                Err(self.broken(error, Direction::Up).await)
            }
        }
    }

    /// Which transfer is under way.
    pub(super) fn transfer_number(&self) -> Option<u64> {
        self.transfer.as_ref().filter(|_| !self.abandoned).map(|transfer| transfer.number)
    }

    /// What the upload under way ends with is the file's end.
    pub(super) fn ends_the_file(&mut self) {
        if let Some(transfer) = &mut self.transfer {
            transfer.ends_the_file = true;
        }
    }

    /// The download under way may be given up for another one.
    pub(super) fn may_be_stopped(&mut self) {
        if let Some(transfer) = &mut self.transfer {
            transfer.may_be_stopped = true;
        }
    }

    /// Gives up a download that may be.
    pub(super) async fn stop_reading(&mut self) {
        if self.transfer.as_ref().is_some_and(|transfer| transfer.may_be_stopped) {
            self.abort().await;
        }
    }

    /// The size of the file being downloaded, where the server tells it.
    pub fn transfer_size(&self) -> Option<u64> {
        self.transfer.as_ref().and_then(|transfer| transfer.announced)
    }

    pub(super) fn under_way(&mut self, direction: Direction) -> Result<&mut Transfer<T::Stream>> {
        if self.abandoned || self.transfer.as_ref().is_none_or(|transfer| transfer.direction != direction) {
            return Err(self.explain(no_transfer()));
        }
        Ok(self.transfer.as_mut().expect("looked at above"))
    }

    /// A sign of life on the control connection, where one was asked for and is due.
    async fn keep_alive(&mut self) -> Result<()> {
        let Some(every) = self.settings.keep_alive.filter(|_| !self.known.one_at_a_time) else { return Ok(()) };
        let due = self.transfer.as_mut().is_some_and(|transfer| transfer.last_sign.elapsed() >= every);
        if due {
            self.session.dialogue.send(&commands::noop())?;
            self.session.dialogue.flush().await?;
            self.beside.noops += 1;
            if let Some(transfer) = &mut self.transfer {
                transfer.last_sign = Instant::now();
            }
        }
        Ok(())
    }
}

pub(super) fn no_transfer() -> Error {
    Error::invalid_state("no such transfer is under way on this session")
}

/// The size in `150 Opening BINARY mode data connection for a.bin (1234 bytes).`, which most servers tell.
fn announced_size(reply: &Reply) -> Option<u64> {
    let text = reply.text();
    let before = &text[..text.rfind(" bytes")?];
    let digits = &before[before.rfind('(')? + 1..];
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}
