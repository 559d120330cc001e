//! Transfers to and from the caller's streams.

use std::io;
use std::time::Duration;

use starttls::ftp::{self, Once, RateLimit, Verify};
use starttls::transport::block;

use crate::Component;
use crate::bindings::wasi::io::streams::{InputStream, OutputStream, StreamError};
use crate::error;
use crate::exports::ftp::{SessionBorrow, TransferReceipt};
use crate::exports::ftp_io::{DownloadOptions, Guest, UploadOptions, Verification};
use crate::exports::types::Error;
use crate::facts::moment;
use crate::ftp::Files;

impl Guest for Component {
    fn retrieve_to(
        session: SessionBorrow<'_>,
        path: Vec<u8>,
        offset: u64,
        sink: &OutputStream,
    ) -> Result<TransferReceipt, Error> {
        let mut sink = Sink(sink);
        let receipt = session.get::<Files>().0.with(|client| {
            block(async {
                client.start_download(&path, offset).await?;
                client.receive_all(&mut sink).await
            })
        })?;
        io::Write::flush(&mut sink).map_err(|error| error::stream_failed(&error))?;
        Ok(receipt.into())
    }

    fn store_from(
        session: SessionBorrow<'_>,
        path: Vec<u8>,
        offset: u64,
        source: &InputStream,
    ) -> Result<TransferReceipt, Error> {
        let receipt = session.get::<Files>().0.with(|client| {
            block(async {
                client.start_upload(&path, offset).await?;
                client.transmit_all(&mut Source(source)).await
            })
        })?;
        Ok(receipt.into())
    }

    fn download_into(
        session: SessionBorrow<'_>,
        path: Vec<u8>,
        how: DownloadOptions,
        sink: &OutputStream,
    ) -> Result<TransferReceipt, Error> {
        let DownloadOptions { offset, verify, rate_limit, retries, backoff } = how;
        let how = ftp::Download {
            verify: verify.into(),
            rate_limit: rate_limit.map(RateLimit::new),
            retries,
            backoff: Duration::from_nanos(backoff),
            ..ftp::Download::default()
        };
        let mut sink = Sink(sink);
        let files = session.get::<Files>();
        let receipt = files.0.with(|client| block(client.download_into(&path, &mut sink, offset, &how, None)))?;
        Ok(receipt.into())
    }

    fn upload_from(
        session: SessionBorrow<'_>,
        path: Vec<u8>,
        how: UploadOptions,
        source: &InputStream,
    ) -> Result<TransferReceipt, Error> {
        let UploadOptions { verify, rate_limit, part, replace, modified } = how;
        let how = ftp::Upload {
            verify: verify.into(),
            rate_limit: rate_limit.map(RateLimit::new),
            part,
            replace,
            modified: modified.map(moment).transpose()?,
            ..ftp::Upload::default()
        };
        let mut source = Once(Source(source));
        let files = session.get::<Files>();
        let receipt = files.0.with(|client| block(client.upload_from(&mut source, &path, &how, None)))?;
        Ok(receipt.into())
    }
}

impl From<Verification> for Verify {
    fn from(verification: Verification) -> Self {
        match verification {
            Verification::None => Self::None,
            Verification::Size => Self::Size,
            Verification::Hash => Self::Hash,
            Verification::Best => Self::Best,
        }
    }
}

/// The caller's output stream as a writer.
struct Sink<'a>(&'a OutputStream);

impl io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        loop {
            let room = self.0.check_write().map_err(|error| failed(error, io::ErrorKind::BrokenPipe))?;
            let room = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
            if room == 0 {
                self.0.subscribe().block();
                continue;
            }
            self.0.write(&bytes[..room]).map_err(|error| failed(error, io::ErrorKind::BrokenPipe))?;
            return Ok(room);
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.blocking_flush().map_err(|error| failed(error, io::ErrorKind::BrokenPipe))
    }
}

/// The caller's input stream as a reader.
struct Source<'a>(&'a InputStream);

impl io::Read for Source<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            match self.0.blocking_read(into.len() as u64) {
                // A host may wake up for nothing.
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => {
                    into[..bytes.len()].copy_from_slice(&bytes);
                    return Ok(bytes.len());
                }
                Err(StreamError::Closed) => return Ok(0),
                Err(error) => return Err(failed(error, io::ErrorKind::Other)),
            }
        }
    }
}

fn failed(error: StreamError, closed: io::ErrorKind) -> io::Error {
    match error {
        StreamError::LastOperationFailed(error) => io::Error::other(error.to_debug_string()),
        StreamError::Closed => io::Error::new(closed, "the stream is closed"),
    }
}
