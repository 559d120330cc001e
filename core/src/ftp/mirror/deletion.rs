//! What the source does not have: it goes last, and only if all of the source is known.

use std::sync::MutexGuard;

use super::job::{Job, Task};
use super::place::Place;
use super::report::FileAction;
use super::run::{Run, Shared};
use crate::error::{Error, Result};
use crate::ftp::EntryKind;
use crate::ftp::client::Client;
use crate::transport::Transport;

impl Run<'_> {
    /// To be deleted at the end, with what is in it.
    pub(super) fn condemn(&self, place: Place, kind: EntryKind) {
        if kind == EntryKind::Directory {
            self.crew.add_fruitful([Job::new(Task::Prune(place.clone()))]);
        }
        self.lock().deletions.push((place, kind));
    }

    /// What is in a directory that goes.
    pub(super) async fn prune<T: Transport>(&self, client: &mut Client<T>, place: &Place) -> Result<()> {
        let nodes = match (&self.local, self.down()) {
            (Some(local), true) => local.list(place, 1 << 20).map_err(Error::local)?,
            _ => self.remote.list(client, place).await?,
        };
        let accepts = self.rules().accepts;
        for node in nodes {
            let inner = if accepts(&node.name).is_ok() { Some(place.join(&node.name)) } else { None };
            let is_directory = node.kind == EntryKind::Directory;
            match inner.filter(|inner| self.mirror.filter.includes(inner.as_bytes(), is_directory)) {
                Some(inner) if inner.depth() <= self.mirror.max_depth => self.condemn(inner, node.kind),
                _ => drop(self.lock().protected.insert(place.clone())),
            }
        }
        Ok(())
    }

    pub(super) async fn delete<T: Transport>(
        &self,
        client: &mut Client<T>,
        place: &Place,
        is_directory: bool,
    ) -> Result<()> {
        if let (true, Some(local), Some((parent, name))) = (self.down(), &self.local, place.split()) {
            return local.remove(&parent, name, is_directory).map_err(Error::local);
        }
        let path = self.remote.path(place);
        let deleted = if is_directory { client.rmdir(&path).await } else { client.remove(&path).await };
        deleted.map(drop)
    }

    /// Everything is done: what comes next. False: nothing.
    pub(super) fn advance(&self, seen: &mut usize) -> bool {
        let mut shared = self.lock();
        if shared.ended.is_some() {
            return false;
        }
        if shared.phase > *seen {
            *seen = shared.phase;
            return true;
        }
        shared.phase += 1;
        *seen = shared.phase;
        match shared.phase {
            1 => self.begin_deletions(shared),
            2 => {
                let mut directories: Vec<_> =
                    std::mem::take(&mut shared.deletions).into_iter().map(|(place, _)| place).collect();
                // The last one goes first.
                directories.sort_by_key(|place| place.depth());
                if !directories.is_empty() {
                    self.crew.add([Job::new(Task::DeleteDirectories(directories))]);
                }
                true
            }
            3 => {
                let deferred = std::mem::take(&mut shared.deferred);
                drop(shared);
                for (directory, step) in deferred {
                    self.schedule(&directory, vec![step]);
                }
                true
            }
            _ => false,
        }
    }

    /// The whole source is known now, and what it does not have: the files go, if everything is in order.
    fn begin_deletions(&self, mut shared: MutexGuard<'_, Shared>) -> bool {
        let deletions = std::mem::take(&mut shared.deletions);
        let protected = std::mem::take(&mut shared.protected);
        if deletions.is_empty() {
            return true;
        }
        let too_many = self.mirror.max_delete.filter(|most| deletions.len() as u64 > *most);
        let too_many = too_many.map(|most| format!("{} deletions, and at most {most} are allowed", deletions.len()));
        if let Some(why) = shared.doubt.take().or(too_many) {
            shared.report.deletions_refused = Some(why);
            let deferred = std::mem::take(&mut shared.deferred);
            drop(shared);
            for (directory, step) in deferred {
                let (place, kind) = step.subject(&directory.place);
                self.tell_failure(&place, kind, Some("what is in its way was not deleted"), None);
            }
            return true;
        }
        // What must stay keeps the directories above it.
        let stays = |place: &Place| protected.iter().any(|kept| kept.is_in(place));
        let (directories, files): (Vec<_>, Vec<_>) =
            deletions.into_iter().partition(|(_, kind)| *kind == EntryKind::Directory);
        let (kept, gone): (Vec<_>, Vec<_>) = directories.into_iter().partition(|(place, _)| stays(place));
        let dry = self.mirror.dry_run;
        if !dry {
            shared.deletions = gone.clone();
            self.crew.add(files.iter().map(|(place, kind)| Job::new(Task::Delete(place.clone(), *kind))));
        }
        drop(shared);
        for (place, kind) in kept {
            let why = Some("something in it is excluded");
            self.tell_of(&place, kind, FileAction::Skipped, None, why, None);
        }
        if dry {
            files.iter().chain(&gone).for_each(|(place, kind)| self.report(place, *kind, FileAction::Deleted, None));
        }
        true
    }
}
