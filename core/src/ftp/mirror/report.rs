//! What a mirror did, and did not.

use crate::error::Error;
use crate::ftp::EntryKind;

/// What became of a file, directory or link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileAction {
    /// It was not there.
    Created,
    /// It replaced an older one.
    Updated,
    /// The source does not have it.
    Deleted,
    /// It was as it should be.
    Unchanged,
    /// It was left out: see [`FileReport::reason`].
    Skipped,
    /// It could not be done: see [`FileReport::reason`] and [`FileReport::error`].
    Failed,
}

impl FileAction {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Created, Self::Updated, Self::Deleted, Self::Unchanged, Self::Skipped, Self::Failed];

    /// The action in one lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Unchanged => "unchanged",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

/// What became of one file, directory or link.
#[derive(Debug)]
#[non_exhaustive]
pub struct FileReport {
    /// Where it is below the roots: names with slashes between them.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// What became of it; in a dry run, what would.
    pub action: FileAction,
    /// Bytes transferred now; in a dry run and for what was not transferred, the size, where known.
    pub size: Option<u64>,
    /// Why it was left out, or could not be done.
    pub reason: Option<&'static str>,
    /// What went wrong, where it is more than the reason.
    pub error: Option<Error>,
}

/// What a mirror did altogether.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MirrorReport {
    /// Files, directories and links that were not there.
    pub created: u64,
    /// Files and links that replaced older ones.
    pub updated: u64,
    /// What the source does not have.
    pub deleted: u64,
    /// Files and links that were as they should be.
    pub unchanged: u64,
    /// What was left out.
    pub skipped: u64,
    /// What could not be done.
    pub failed: u64,
    /// Bytes transferred.
    pub bytes: u64,
    /// The most sessions at a time.
    pub sessions: usize,
    /// Why nothing was deleted although there was something to delete.
    pub deletions_refused: Option<String>,
    /// Whether this only tells what would have been done.
    pub dry_run: bool,
}

impl MirrorReport {
    /// Whether the destination is now as it should be.
    pub fn is_complete(&self) -> bool {
        self.failed == 0 && self.deletions_refused.is_none()
    }

    pub(super) fn count(&mut self, action: FileAction) {
        *match action {
            FileAction::Created => &mut self.created,
            FileAction::Updated => &mut self.updated,
            FileAction::Deleted => &mut self.deleted,
            FileAction::Unchanged => &mut self.unchanged,
            FileAction::Skipped => &mut self.skipped,
            FileAction::Failed => &mut self.failed,
        } += 1;
    }
}
