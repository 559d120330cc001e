//! What is told of each file, and counted.

use std::sync::PoisonError;

use super::job::{Directory, Task};
use super::place::Place;
use super::plan::Node;
use super::report::{FileAction, FileReport};
use super::run::Run;
use crate::error::Error;
use crate::ftp::EntryKind;

impl Run<'_> {
    pub(super) fn left_out(&self, directory: &Directory, node: &Node, action: FileAction, why: &'static str) {
        // The name may be one that no path here can have: it is told as it came.
        let path = [&directory.place.prefix()[..], &node.name].concat();
        self.tell_path(path, node.kind, action, node.size, Some(why), None);
    }

    pub(super) fn failed(&self, task: &Task, error: Error) {
        let (place, kind) = match task {
            Task::Directory(directory) => (directory.place.clone(), EntryKind::Directory),
            Task::File(file) => (file.place(), file.file.node.kind),
            Task::Prune(place) => (place.clone(), EntryKind::Directory),
            Task::Delete(place, kind) => (place.clone(), *kind),
            Task::DeleteDirectories(places) => (places.last().cloned().unwrap_or_default(), EntryKind::Directory),
            Task::Tidy(directory, name) => (directory.join(name), EntryKind::File),
        };
        if matches!(task, Task::Directory(_) | Task::Prune(_)) {
            self.lock().doubt.get_or_insert_with(|| "a directory could not be listed".into());
        }
        self.tell_failure(&place, kind, None, Some(error));
    }

    pub(super) fn tell_failure(&self, place: &Place, kind: EntryKind, why: Option<&'static str>, error: Option<Error>) {
        self.tell_of(place, kind, FileAction::Failed, None, why, error);
    }

    pub(super) fn report(&self, place: &Place, kind: EntryKind, action: FileAction, size: Option<u64>) {
        self.tell_of(place, kind, action, size, None, None);
    }

    pub(super) fn tell_of(
        &self,
        place: &Place,
        kind: EntryKind,
        action: FileAction,
        size: Option<u64>,
        reason: Option<&'static str>,
        error: Option<Error>,
    ) {
        self.tell_path(place.as_bytes().to_vec(), kind, action, size, reason, error);
    }

    fn tell_path(
        &self,
        path: Vec<u8>,
        kind: EntryKind,
        action: FileAction,
        size: Option<u64>,
        reason: Option<&'static str>,
        error: Option<Error>,
    ) {
        {
            let report = &mut self.lock().report;
            report.count(action);
            if matches!(action, FileAction::Created | FileAction::Updated) {
                report.bytes += size.unwrap_or(0);
            }
        }
        let story = FileReport { path, kind, action, size, reason, error };
        let told = (self.tell.lock().unwrap_or_else(PoisonError::into_inner))(story);
        if let Err(error) = told {
            self.end(Error::local(error));
        }
    }
}
