//! What is told of files and of what became of them, as the interface's records.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use starttls::ftp;

use crate::error;
use crate::exports::ftp::{Digest, Entry, EntryKind, TimePrecision, TransferReceipt, TransferStatus};
use crate::exports::types::{Error, Timestamp};

impl From<ftp::TransferReceipt> for TransferReceipt {
    fn from(receipt: ftp::TransferReceipt) -> Self {
        Self {
            status: receipt.status.into(),
            size: receipt.size,
            offset: receipt.offset,
            tls_resumed: receipt.tls_resumed,
            close_notify: receipt.close_notify,
            close_notify_sent: receipt.close_notify_sent,
            compressed: receipt.compressed,
            reply: (&receipt.reply).into(),
            digest: receipt.digest.map(Digest::from),
            attempts: receipt.attempts,
            duration: u64::try_from(receipt.duration.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

pub(crate) fn moment(time: Timestamp) -> Result<SystemTime, Error> {
    let nanos = u64::try_from(time).map_err(|_| error::invalid_argument("a server takes times from 1970 on"))?;
    Ok(UNIX_EPOCH + Duration::from_nanos(nanos))
}

impl From<ftp::Status> for TransferStatus {
    fn from(status: ftp::Status) -> Self {
        match status {
            ftp::Status::Verified => Self::Verified,
            ftp::Status::Complete => Self::Complete,
            ftp::Status::Unproven => Self::Unproven,
        }
    }
}

impl From<ftp::hash::Digest> for Digest {
    fn from(digest: ftp::hash::Digest) -> Self {
        Self {
            algorithm: digest.algorithm.name().to_owned(),
            value: digest.value,
            range: digest.range.map(|range| (range.start, range.end)),
        }
    }
}

impl From<ftp::Entry> for Entry {
    fn from(entry: ftp::Entry) -> Self {
        Self {
            name: entry.name().into_owned(),
            raw_name: entry.raw_name().to_vec(),
            kind: match entry.kind {
                ftp::EntryKind::File => EntryKind::File,
                ftp::EntryKind::Directory => EntryKind::Directory,
                ftp::EntryKind::Symlink => EntryKind::Symlink,
                ftp::EntryKind::Other => EntryKind::Other,
            },
            size: entry.size,
            modified: entry.modified.and_then(timestamp),
            precision: entry.time_precision().map(|precision| match precision {
                ftp::TimePrecision::Day => TimePrecision::Day,
                ftp::TimePrecision::Minute => TimePrecision::Minute,
                ftp::TimePrecision::Second => TimePrecision::Second,
            }),
            is_time_utc: entry.is_time_utc(),
            permissions: entry.permissions().map(Cow::into_owned),
            target: entry.target().map(<[u8]>::to_vec),
            owner: entry.owner().map(Cow::into_owned),
            group: entry.group().map(Cow::into_owned),
            mode: entry.mode(),
            created: entry.created().and_then(timestamp),
            unique: entry.unique().map(Cow::into_owned),
            facts: entry.facts().map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
            is_safe_name: entry.is_safe_name(),
        }
    }
}

/// `None` for a time beyond the year 2262, or before 1677: no server means that.
fn timestamp(time: SystemTime) -> Option<Timestamp> {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp::try_from(since.as_nanos()).ok(),
        Err(before) => Timestamp::try_from(before.duration().as_nanos()).ok().map(|nanos| -nanos),
    }
}
