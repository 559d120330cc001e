//! What there is to do, and what it is about.

use std::sync::Arc;

use super::place::Place;
use super::plan::{self, Node, Step, Verdict};
use crate::ftp::EntryKind;

/// Something to do.
pub(super) struct Job {
    pub(super) task: Task,
    pub(super) attempts: usize,
}

pub(super) enum Task {
    Directory(Directory),
    File(Box<FileTask>),
    /// A directory that goes: what is in it goes first.
    Prune(Place),
    Delete(Place, EntryKind),
    /// Directories, the deepest first.
    DeleteDirectories(Vec<Place>),
    /// What an earlier run left behind.
    Tidy(Place, Vec<u8>),
}

/// A directory of both trees.
#[derive(Clone)]
pub(super) struct Directory {
    /// Where it is at the destination, and what it is called.
    pub(super) place: Place,
    /// Where it is in the source: elsewhere, if links were followed.
    pub(super) source: Place,
    /// Whether it is at the destination.
    pub(super) exists: bool,
    /// The directories from which links were followed to here.
    pub(super) via: Arc<Vec<Place>>,
}

pub(super) struct FileTask {
    pub(super) directory: Place,
    /// The file in the source.
    pub(super) source: Place,
    pub(super) file: plan::File,
    pub(super) question: Option<(Node, Verdict)>,
    /// A link whose end is to be found first.
    pub(super) link: Option<(Place, Arc<Vec<Place>>)>,
}

impl FileTask {
    pub(super) fn new(directory: &Directory, file: plan::File) -> Self {
        let source = directory.source.join(&file.node.name);
        Self { directory: directory.place.clone(), source, file, question: None, link: None }
    }

    pub(super) fn place(&self) -> Place {
        self.directory.join(&self.file.node.name)
    }
}

impl Job {
    pub(super) fn new(task: Task) -> Self {
        Self { task, attempts: 0 }
    }
}

impl Step {
    /// What it is about.
    pub(super) fn subject(&self, directory: &Place) -> (Place, EntryKind) {
        match self {
            Self::Transfer(file) | Self::Link(file) | Self::Ask { file, .. } => {
                (directory.join(&file.node.name), file.node.kind)
            }
            Self::Enter { name, .. } | Self::Tidy(name) => (directory.join(name), EntryKind::Directory),
            Self::Keep(node) | Self::Delete(node) | Self::Skip { node, .. } | Self::Fail { node, .. } => {
                (directory.join(&node.name), node.kind)
            }
            Self::Replace { there, .. } => (directory.join(&there.name), there.kind),
        }
    }
}
