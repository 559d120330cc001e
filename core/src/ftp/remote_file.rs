//! A file on the server, read at any place.
//!
//! ```text
//!   seek_to      only says where; nothing is sent
//!   read         goes on with the download under way; a little ahead: reads what is between, and drops it
//!                elsewhere: gives that one up, and begins another there (REST)
//!   close        gives up what is under way; the session goes on
//! ```

use std::collections::VecDeque;
use std::io::{Read, SeekFrom};

use super::client::Client;
use super::receipt::TransferReceipt;
use crate::error::{Error, Result};
use crate::transport::Transport;

/// What is read and dropped rather than giving a download up for another one, in bytes.
const AHEAD: u64 = 256 * 1024;

/// A file on the server, to be read. It holds no session: each call is given the one it is about, and that can do nothing
/// else while a download is under way. Another file may take its turn in between; this one begins again then.
#[derive(Debug)]
pub struct RemoteFile {
    path: Vec<u8>,
    /// Where the next byte is read.
    at: u64,
    size: Option<u64>,
    /// Which of the session's transfers is ours, and where in the file it is.
    under_way: Option<(u64, u64)>,
    /// What came and was not read, from where the transfer is on backwards.
    came: VecDeque<u8>,
    /// The end of the file was reached, there.
    end: Option<u64>,
    receipt: Option<TransferReceipt>,
}

impl RemoteFile {
    /// A file, to be read from its beginning. Nothing is sent.
    pub fn new(path: impl AsRef<[u8]>) -> Self {
        Self {
            path: path.as_ref().to_vec(),
            at: 0,
            size: None,
            under_way: None,
            came: VecDeque::new(),
            end: None,
            receipt: None,
        }
    }

    /// Begins the download here and now, so that a file that is not there is an error now.
    ///
    /// # Errors
    /// Those of [`Client::start_download`].
    pub async fn begin<T: Transport>(&mut self, client: &mut Client<T>) -> Result<()> {
        self.go_to(client).await
    }

    /// Where the next byte is read.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// From now on it is read there.
    pub fn seek_to(&mut self, at: u64) {
        self.at = at;
    }

    /// [`RemoteFile::seek_to`] by any reckoning; the new position. Only one from the end asks the server, once.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a place before the beginning; those of
    /// [`RemoteFile::size`].
    pub async fn seek<T: Transport>(&mut self, client: &mut Client<T>, to: SeekFrom) -> Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.size(client).await?.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| Error::invalid_argument("no file begins before its beginning"))?;
        Ok(self.at)
    }

    /// The file's size in bytes. A download under way is given up for the question, unless the answer is known.
    ///
    /// # Errors
    /// Those of [`Client::size`].
    pub async fn size<T: Transport>(&mut self, client: &mut Client<T>) -> Result<u64> {
        if let Some(size) = self.size {
            return Ok(size);
        }
        self.close(client).await;
        let size = client.size(&self.path).await?;
        self.size = Some(size);
        Ok(size)
    }

    /// The next bytes, at least one of them; 0 is the end of the file, which is a good one.
    ///
    /// # Errors
    /// Those of [`Client::start_download`], [`Client::receive`] and [`Client::finish`].
    pub async fn read<T: Transport>(&mut self, client: &mut Client<T>, into: &mut [u8]) -> Result<usize> {
        // Where the download under way leads to the end, its end is heard.
        let near = self.distance(client).is_some();
        let beyond = self.end.or(self.size).is_some_and(|end| self.at > end || (self.at == end && !near));
        if into.is_empty() || beyond {
            return Ok(0);
        }
        self.go_to(client).await?;
        while self.came.is_empty() {
            if !self.receive(client).await? {
                return Ok(0);
            }
        }
        let count = self.came.read(into).map_err(Error::local)?;
        self.at += count as u64;
        Ok(count)
    }

    /// Gives up what is under way; the file can be read again. If the server does not take that well, the session is
    /// replaced when it is used next (see [`Client::abandon`]).
    pub async fn close<T: Transport>(&mut self, client: &mut Client<T>) {
        self.came.clear();
        let ours = self.under_way.take();
        if ours.is_some_and(|(transfer, _)| client.transfer_number() == Some(transfer)) {
            client.abort().await;
        }
    }

    /// The receipt of the download that came to the end of the file last, if one did.
    pub fn receipt(&self) -> Option<&TransferReceipt> {
        self.receipt.as_ref()
    }

    /// How far ahead of the download under way our place is, if that is ours and not too far.
    fn distance<T: Transport>(&self, client: &Client<T>) -> Option<u64> {
        let (_, there) = self.under_way.filter(|(transfer, _)| client.transfer_number() == Some(*transfer))?;
        let distance = self.at.checked_sub(there - self.came.len() as u64)?;
        (distance <= AHEAD).then_some(distance)
    }

    /// Makes the next byte that comes the one at our place.
    async fn go_to<T: Transport>(&mut self, client: &mut Client<T>) -> Result<()> {
        if let Some(distance) = self.distance(client) {
            return self.skip(client, distance).await;
        }
        self.close(client).await;
        client.stop_reading().await;
        client.start_download(&self.path, self.at).await?;
        client.may_be_stopped();
        if self.at == 0 {
            self.size = client.transfer_size().or(self.size);
        }
        self.under_way = client.transfer_number().map(|transfer| (transfer, self.at));
        Ok(())
    }

    async fn skip<T: Transport>(&mut self, client: &mut Client<T>, mut left: u64) -> Result<()> {
        while left > 0 {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(self.came.len());
            self.came.drain(..count);
            left -= count as u64;
            if left > 0 && !self.receive(client).await? {
                break;
            }
        }
        Ok(())
    }

    /// What comes next; `false` at the end of the file.
    async fn receive<T: Transport>(&mut self, client: &mut Client<T>) -> Result<bool> {
        let Some((transfer, mut there)) = self.under_way else { return Ok(false) };
        let came = &mut self.came;
        let more = client
            .receive(&mut |bytes| {
                came.extend(bytes);
                there += bytes.len() as u64;
            })
            .await?;
        self.under_way = Some((transfer, there));
        if more || !self.came.is_empty() {
            return Ok(true);
        }
        self.under_way = None;
        let receipt = client.finish().await?;
        self.end = Some(there);
        self.receipt = Some(receipt);
        Ok(false)
    }
}
