//! Files: whether one is as it should be, and its transfer if it is not.

use std::sync::Arc;
use std::time::Duration;

use super::job::{Directory, FileTask, Job, Task};
use super::place::Place;
use super::plan::{self, Moment, Node, Rules, Verdict};
use super::remote;
use super::report::FileAction;
use super::run::{Run, done};
use super::transfer::{Buffer, Move, has_digest};
use crate::error::{Error, Result};
use crate::ftp::client::Client;
use crate::ftp::{Direction, EntryKind};
use crate::transport::Transport;

impl Run<'_> {
    pub(super) async fn file<T: Transport>(
        &self,
        client: &mut Client<T>,
        task: &mut FileTask,
        buffer: &mut Buffer,
    ) -> Result<()> {
        if let Some((from, via)) = task.link.clone() {
            match self.follow(client, task, &from, &via).await? {
                true => task.link = None,
                false => return Ok(()),
            }
        }
        if let Some((there, question)) = &task.question {
            let same = match question {
                Verdict::AskHash => self.has_same_hash(client, task, buffer).await?,
                _ => self.has_same_time(client, task, there.clone()).await?,
            };
            if same {
                if let (Some(begun), false) = (&task.file.begun, self.mirror.dry_run) {
                    self.crew.add([Job::new(Task::Tidy(task.directory.clone(), begun.name.clone()))]);
                }
                self.report(&task.place(), EntryKind::File, FileAction::Unchanged, task.file.node.size);
                return Ok(());
            }
            task.question = None;
        }
        let action = done(task.file.replaces);
        let Some(local) = self.local.as_ref().filter(|_| !self.mirror.dry_run) else {
            self.report(&task.place(), EntryKind::File, action, task.file.node.size);
            return Ok(());
        };
        let modified = task.file.node.modified.map(|moment| moment.time).filter(|_| self.mirror.keep_times);
        let (directory, from, file) = (&task.directory, &task.source, &task.file);
        let moving =
            Move { local, remote: &self.remote, from, directory, file, modified, in_place: self.mirror.in_place };
        let size = match self.mirror.direction {
            Direction::Down => moving.download(client, buffer).await?,
            _ => moving.upload(client, buffer).await?.0,
        };
        self.report(&task.place(), EntryKind::File, action, Some(size));
        Ok(())
    }

    /// Finds what a link leads to. True: it is a file, to be transferred; else it is dealt with.
    async fn follow<T: Transport>(
        &self,
        client: &mut Client<T>,
        task: &mut FileTask,
        from: &Place,
        via: &Arc<Vec<Place>>,
    ) -> Result<bool> {
        let outside = "a link that leads out of the tree";
        let link = task.source.clone();
        let found = if self.down() {
            let target = task.file.node.target.clone().unwrap_or_default();
            match from.resolve(&target).filter(|_| !target.is_empty() && !target.starts_with(b"/")) {
                None => Err(outside),
                Some(target) => Ok(self.look(client, target).await?),
            }
        } else {
            match self.local.as_ref().map(|local| local.follow(&link)) {
                Some(Ok(Some((target, node)))) => Ok((target, node)),
                Some(Ok(None)) | None => Err(outside),
                Some(Err(error)) => return Err(Error::local(error)),
            }
        };
        let place = task.place();
        let (target, node) = match found {
            Ok(found) => found,
            Err(why) => {
                self.tell_of(&place, EntryKind::Symlink, FileAction::Skipped, None, Some(why), None);
                return Ok(false);
            }
        };
        let node = Node { name: task.file.node.name.clone(), ..self.zone.in_utc(node) };
        match node.kind {
            EntryKind::File => {
                task.source = target;
                task.file.node = node;
                Ok(true)
            }
            EntryKind::Directory => {
                let loops = from.is_in(&target) || via.iter().any(|above| above.is_in(&target));
                if loops {
                    let why = Some("a link to a directory above it");
                    self.tell_of(&place, EntryKind::Symlink, FileAction::Skipped, None, why, None);
                    return Ok(false);
                }
                let via = Arc::new(via.iter().chain([from]).cloned().collect());
                // What stands there may be a directory; making it tells.
                let above = Directory {
                    place: task.directory.clone(),
                    source: from.clone(),
                    exists: true,
                    via: Arc::default(),
                };
                let exists = task.file.replaces;
                let entered = self.enter(&above, Directory { place, source: target, exists, via });
                self.crew.add_fruitful(entered.map(|directory| Job::new(Task::Directory(directory))));
                Ok(false)
            }
            _ => {
                let why = Some("neither file, directory nor link");
                self.tell_of(&place, EntryKind::Symlink, FileAction::Skipped, None, why, None);
                Ok(false)
            }
        }
    }

    /// What is at a place of the server that a link leads to.
    async fn look<T: Transport>(&self, client: &mut Client<T>, at: Place) -> Result<(Place, Node)> {
        let path = self.remote.path(&at);
        if at != Place::default() {
            match client.stat(&path).await {
                Ok(entry) if entry.kind != EntryKind::Symlink => return Ok((at, remote::node(&entry))),
                Err(error) if client.is_lost() => return Err(error),
                _ => {}
            }
        }
        // Where a server tells sizes only, and has none to tell, it is a directory; or listing it says what is wrong.
        let kind = EntryKind::Directory;
        Ok((at, Node { name: Vec::new(), kind, size: None, modified: None, target: None }))
    }

    async fn has_same_time<T: Transport>(
        &self,
        client: &mut Client<T>,
        task: &FileTask,
        mut there: Node,
    ) -> Result<bool> {
        let mut source = task.file.node.clone();
        let (path, vague) = match self.down() {
            true => (self.remote.path(&task.source), &mut source),
            false => (self.remote.path(&task.place()), &mut there),
        };
        match client.modified(&path).await {
            Ok(time) => {
                if let Some(told) = vague.modified.filter(|told| !told.utc && told.within <= Duration::from_secs(60)) {
                    self.zone.learn(told.time, time);
                }
                vague.modified = Some(Moment { time, within: Duration::from_secs(1), utc: true });
            }
            Err(error) if error.reply().is_none() || client.is_lost() => return Err(error),
            // It does not tell: the file is transferred.
            Err(_) => return Ok(false),
        }
        // An upload may have the time of its transfer, where the server takes MFMT for nothing.
        let rules = Rules { exact_times: false, ..self.rules() };
        Ok(plan::compare(&source, &there, &rules) == Verdict::Same)
    }

    async fn has_same_hash<T: Transport>(
        &self,
        client: &mut Client<T>,
        task: &FileTask,
        buffer: &mut Buffer,
    ) -> Result<bool> {
        let (remote, here) =
            if self.down() { (&task.source, task.place()) } else { (&task.place(), task.source.clone()) };
        if task.file.node.size == Some(0) {
            return Ok(true);
        }
        let digest = client.hash(self.remote.path(remote), None, None).await?;
        let (Some(local), Some((directory, name))) = (&self.local, here.split()) else { return Ok(false) };
        let mut file = local.read(&directory, name).map_err(Error::local)?;
        has_digest(&mut file, &digest, buffer).map_err(Error::local)
    }
}
