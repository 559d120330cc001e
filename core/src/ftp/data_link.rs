//! A data connection as a transfer sees it: content in, content out, however it is coded on the way.

use std::time::Duration;

use super::Direction;
use super::deflate::{Deflater, Inflater};
use crate::error::{ErrorKind, Result};
use crate::link::{Channel, Fill, Link};
use crate::transport::Stream;

/// A data connection and its coding.
pub(super) struct DataLink<S> {
    link: Link<S>,
    coding: Coding,
    /// The content broke off in the middle of its coding.
    broken_off: bool,
}

enum Coding {
    /// MODE S: bytes as they are.
    None,
    /// MODE Z, a download.
    Inflate(Box<Inflater>),
    /// MODE Z, an upload.
    Deflate(Box<Deflater>),
}

impl<S: Stream> DataLink<S> {
    pub(super) fn new(link: Link<S>, direction: Direction, compressed: bool) -> Self {
        let coding = match direction {
            _ if !compressed => Coding::None,
            Direction::Down => Coding::Inflate(Box::new(Inflater::new())),
            Direction::Up => Coding::Deflate(Box::new(Deflater::new())),
        };
        Self { link, coding, broken_off: false }
    }

    /// Hands the next piece of content to `sink`.
    ///
    /// # Errors
    /// The connection's; those of the coding.
    pub(super) async fn pull(&mut self, sink: &mut (dyn FnMut(&[u8]) + Send)) -> Result<Fill> {
        let Coding::Inflate(inflater) = &mut self.coding else { return self.link.pull(sink).await };
        loop {
            // What came before, first: a read may bring a thousand times its size.
            if inflater.piece(sink)? {
                return Ok(Fill::More);
            }
            let filled = match self.link.pull(&mut |bytes| inflater.feed(bytes)).await {
                Err(error) if matches!(error.kind(), ErrorKind::Truncated) => {
                    self.broken_off = inflater.finish().is_err();
                    return Err(error);
                }
                filled => filled?,
            };
            if filled == Fill::Closed {
                let finished = inflater.finish();
                self.broken_off = finished.is_err();
                return finished.map(|()| Fill::Closed);
            }
        }
    }

    /// Whether the content broke off: no caller's leniency about the connection's end makes it whole.
    pub(super) fn is_broken_off(&self) -> bool {
        self.broken_off
    }

    /// Sends content.
    ///
    /// # Errors
    /// The connection's.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        let Coding::Deflate(deflater) = &mut self.coding else { return self.link.write(bytes).await };
        while !bytes.is_empty() {
            let (taken, made) = deflater.push(bytes)?;
            self.link.write(made).await?;
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    /// Ends our direction.
    ///
    /// # Errors
    /// The connection's.
    pub(super) async fn close(&mut self) -> Result<()> {
        if let Coding::Deflate(deflater) = &mut self.coding {
            while let Some(made) = deflater.finish() {
                self.link.write(made).await?;
            }
        }
        self.coding = Coding::None;
        self.link.close().await
    }

    pub(super) fn set_deadline(&mut self, within: Duration) {
        self.link.set_deadline(within);
    }
}
