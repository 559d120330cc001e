//! One file: from its beginning, or from where an earlier run stopped, until it has its name.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::time::{Duration, SystemTime};

use super::local::LocalTree;
use super::place::Place;
use super::plan::{self, Moment};
use super::remote::RemoteTree;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::ftp::client::Client;
use crate::ftp::hash::{Digest, Hasher};
use crate::ftp::overlap::{OVERLAP, Overlap};
use crate::ftp::transfer::PIECE;
use crate::transport::Transport;

/// A file of which less was begun is begun again: going on costs round trips.
const WORTH_GOING_ON: u64 = 1024 * 1024;

/// A file on its way.
pub(super) struct Move<'m> {
    pub(super) local: &'m LocalTree,
    pub(super) remote: &'m RemoteTree,
    /// The source.
    pub(super) from: &'m Place,
    /// The directory it goes to.
    pub(super) directory: &'m Place,
    pub(super) file: &'m plan::File,
    /// The time it is to have.
    pub(super) modified: Option<SystemTime>,
    pub(super) in_place: bool,
}

/// What a worker keeps from one file to the next.
#[derive(Default)]
pub(super) struct Buffer(Vec<u8>);

impl Move<'_> {
    /// From the server. The bytes that were transferred now.
    pub(super) async fn download<T: Transport>(&self, client: &mut Client<T>, buffer: &mut Buffer) -> Result<u64> {
        let plan::File { node, part, .. } = self.file;
        let path = self.remote.path(self.from);
        let mut file = self.local.write(self.directory, part).map_err(local)?;
        let outcome = self.fetch(client, &path, &mut file, buffer).await;
        match outcome {
            Ok(size) => {
                self.local.commit(self.directory, &file, part, &node.name, self.modified).map_err(local)?;
                Ok(size)
            }
            Err(error) => {
                // What was cut off is continued by the next attempt. What was never begun, or is not what it should be, is
                // in nobody's way.
                let begun = file.metadata().is_ok_and(|metadata| metadata.len() >= WORTH_GOING_ON);
                if !begun || matches!(error.kind(), ErrorKind::Rejected | ErrorKind::SizeMismatch { .. }) {
                    let _ = self.local.remove(self.directory, part, false);
                }
                Err(error)
            }
        }
    }

    async fn fetch<T: Transport>(
        &self,
        client: &mut Client<T>,
        path: &[u8],
        file: &mut File,
        Buffer(buffer): &mut Buffer,
    ) -> Result<u64> {
        let metadata = file.metadata().map_err(local)?;
        let begun = metadata.len();
        // The source changed since: what there is, is of another file.
        let changed =
            metadata.modified().map_or(true, |written| self.file.node.modified.is_none_or(|m| m.time > written));
        let longer = self.file.node.size.is_some_and(|size| size > begun);
        let can = begun >= WORTH_GOING_ON && longer && !changed && client.features().offers("REST");
        let offset = if can { begun - OVERLAP } else { 0 };
        let mut overlap = Overlap::with(Vec::new());
        if offset > 0 {
            overlap = Overlap::with(tail(file, offset).map_err(local)?);
        } else if begun > 0 {
            file.set_len(0).map_err(local)?;
        }
        match client.start_download(path, offset).await {
            Err(error) if offset > 0 && client.is_only_refused(&error) => {
                overlap = Overlap::with(Vec::new());
                file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).map_err(local)?;
                client.start_download(path, 0).await?;
            }
            started => started?,
        }
        let mut received = 0;
        buffer.clear();
        loop {
            let mut outcome = Ok(());
            let take = &mut |bytes: &[u8]| {
                if outcome.is_ok() {
                    outcome = overlap.compare(bytes).map(|fresh| buffer.extend_from_slice(fresh));
                }
            };
            let more = client.receive(take).await?;
            if outcome.is_err() || (!more && !overlap.is_over()) {
                // It is another file: this one is begun anew, by whoever tries again.
                client.abort().await;
                file.set_len(0).map_err(local)?;
                return Err(Error::new(ErrorKind::Truncated).during(Phase::Data));
            }
            if buffer.len() >= PIECE {
                if let Err(error) = file.write_all(buffer) {
                    client.abort().await;
                    return Err(local(error));
                }
                received += buffer.len() as u64;
                buffer.clear();
            }
            if !more {
                break;
            }
        }
        if let Err(error) = file.write_all(buffer) {
            client.abort().await;
            return Err(local(error));
        }
        received += buffer.len() as u64;
        client.finish().await?;
        Ok(received)
    }

    /// To the server. The bytes that were transferred now, and whether the time was kept.
    pub(super) async fn upload<T: Transport>(
        &self,
        client: &mut Client<T>,
        Buffer(buffer): &mut Buffer,
    ) -> Result<(u64, bool)> {
        let plan::File { node, part, begun, replaces } = self.file;
        let mut file = self.open().map_err(local)?;
        let before = file.metadata().map_err(local)?;
        let to = self.remote.path(&self.directory.join(&node.name));
        let part = if self.in_place { to.clone() } else { self.remote.path(&self.directory.join(part)) };
        let begun = begun.as_ref().filter(|_| !self.in_place);
        let offset = self.goes_on_at(client, &part, &mut file, begun, &before).await?;
        file.seek(SeekFrom::Start(offset)).map_err(local)?;
        buffer.resize(PIECE, 0);
        // The first piece is there before anything is said: a file that cannot be read costs nothing.
        let mut filled = fill(&mut file, buffer).map_err(local)?;
        client.start_upload(&part, offset).await?;
        let mut size = 0;
        while filled > 0 {
            client.transmit(&buffer[..filled]).await?;
            size += filled as u64;
            filled = match fill(&mut file, buffer) {
                Ok(filled) => filled,
                Err(error) => {
                    client.abort().await;
                    return Err(local(error));
                }
            };
        }
        client.finish().await?;
        let after = file.metadata().map_err(local)?;
        if after.len() != offset + size || after.modified().ok() != before.modified().ok() {
            return Err(local(io::Error::other("the file changed while it was read")));
        }
        let kept = self.remote.commit(client, (&part, &to), (self.modified, *replaces)).await?;
        Ok((size, kept))
    }

    /// Where an upload that was begun is continued: only if the source is older, and the end of what is there is its own.
    async fn goes_on_at<T: Transport>(
        &self,
        client: &mut Client<T>,
        path: &[u8],
        file: &mut File,
        begun: Option<&plan::Node>,
        source: &std::fs::Metadata,
    ) -> Result<u64> {
        let there = begun.and_then(|begun| begun.size.zip(begun.modified));
        let Some((size, Moment { time, .. })) = there else { return Ok(0) };
        let changed = source.modified().map_or(true, |modified| modified > time + Duration::from_secs(60));
        if size < WORTH_GOING_ON || size > source.len() || changed || !client.features().offers("REST") {
            return Ok(0);
        }
        let at = size - OVERLAP;
        let mut own = vec![0; OVERLAP as usize];
        file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut own)).map_err(local)?;
        match client.compare_end(path, at, own).await {
            Ok(()) => Ok(size),
            Err(error) if client.is_lost() => Err(error),
            Err(_) => Ok(0),
        }
    }

    fn open(&self) -> io::Result<File> {
        let (directory, name) = self.from.split().ok_or(io::ErrorKind::IsADirectory)?;
        self.local.read(&directory, name)
    }
}

/// Whether a file here has the digest that the server tells of its own.
pub(super) fn has_digest(file: &mut File, digest: &Digest, Buffer(buffer): &mut Buffer) -> io::Result<bool> {
    let mut hasher = Hasher::new(digest.algorithm);
    buffer.resize(PIECE, 0);
    loop {
        match fill(file, buffer)? {
            0 => return Ok(hasher.finish().value == digest.value),
            filled => hasher.update(&buffer[..filled]),
        }
    }
}

fn local(error: io::Error) -> Error {
    Error::local(error)
}

/// As much as there is room for, unless the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What there is behind the offset; the file then stands at its end.
fn tail(file: &mut File, offset: u64) -> io::Result<Vec<u8>> {
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(offset))?;
    file.read_to_end(&mut tail)?;
    Ok(tail)
}
