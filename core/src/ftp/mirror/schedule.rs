//! Directories: what is in both trees, and what comes of it.

use super::Symlinks;
use super::job::{Directory, FileTask, Job, Task};
use super::place::{self, Place};
use super::plan::{self, Rules, Step};
use super::report::FileAction;
use super::run::{Run, done};
use crate::error::{Error, Result};
use crate::ftp::EntryKind;
use crate::ftp::client::Client;
use crate::transport::Transport;

impl Run<'_> {
    pub(super) async fn directory<T: Transport>(
        &self,
        client: &mut Client<T>,
        directory: &mut Directory,
    ) -> Result<()> {
        let (down, dry) = (self.down(), self.mirror.dry_run);
        if !directory.exists && !down && !dry {
            match client.mkdir(self.remote.path(&directory.place)).await {
                Ok(_) => {}
                // A first attempt may have made it before its session ended.
                Err(error) if client.is_lost() => return Err(error),
                Err(error) => {
                    if client.entries(self.remote.path(&directory.place)).await.is_err() {
                        return Err(error);
                    }
                }
            }
        }
        let remote_at = if down { &directory.source } else { &directory.place };
        let local_at = if down { &directory.place } else { &directory.source };
        let there = if down { true } else { directory.exists };
        let remote = if there { self.remote.list(client, remote_at).await? } else { Vec::new() };
        if there && down && client.listing_report().unparsed > 0 {
            self.lock().doubt.get_or_insert_with(|| "a line of a listing could not be read".into());
        }
        let remote: Vec<_> = remote.into_iter().map(|node| self.zone.in_utc(node)).collect();
        let limit = usize::try_from(self.mirror.max_entries).unwrap_or(usize::MAX);
        let local = match &self.local {
            Some(local) if !down || directory.exists => local.list(local_at, limit).map_err(Error::local)?,
            _ => Vec::new(),
        };
        let (source, destination) = if down { (remote, local) } else { (local, remote) };
        if directory.place == Place::default() && source.is_empty() && !destination.is_empty() {
            self.lock().doubt.get_or_insert_with(|| "the source is empty".into());
        }
        {
            let mut shared = self.lock();
            shared.entries = shared.entries.saturating_add(source.len() as u64);
            if shared.entries > self.mirror.max_entries {
                drop(shared);
                self.end(Error::limit(format!("a tree of more than {} entries", self.mirror.max_entries)));
                return Ok(());
            }
        }
        let steps = plan::steps(&directory.place.prefix(), source, destination, &self.rules());
        self.schedule(directory, steps);
        Ok(())
    }

    pub(super) fn rules(&self) -> Rules<'_> {
        Rules {
            filter: &self.mirror.filter,
            compare: self.mirror.compare,
            symlinks: self.mirror.symlinks,
            delete: self.mirror.delete,
            keeps_times: self.keeps_times,
            exact_times: self.exact_times,
            folds_case: self.mirror.case_insensitive,
            accepts: if self.down() { place::here } else { place::on_server },
        }
    }

    /// Turns steps into reports and jobs.
    pub(super) fn schedule(&self, directory: &Directory, steps: Vec<Step>) {
        let (mut directories, mut files) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Enter { name, exists } => {
                    let (place, source) = (directory.place.join(&name), directory.source.join(&name));
                    let via = directory.via.clone();
                    directories.extend(self.enter(directory, Directory { place, source, exists, via }));
                }
                Step::Transfer(file) => files.push(FileTask::new(directory, file)),
                Step::Ask { file, there, what } => {
                    files.push(FileTask { question: Some((there, what)), ..FileTask::new(directory, file) });
                }
                Step::Link(file) => {
                    if self.mirror.symlinks == Symlinks::Copy {
                        self.copy_link(directory, &file);
                    } else {
                        let link = Some((directory.source.clone(), directory.via.clone()));
                        files.push(FileTask { link, ..FileTask::new(directory, file) });
                    }
                }
                Step::Keep(node) => {
                    self.report(&directory.place.join(&node.name), node.kind, FileAction::Unchanged, node.size);
                }
                Step::Skip { node, why } => self.left_out(directory, &node, FileAction::Skipped, why),
                Step::Fail { node, why } => self.left_out(directory, &node, FileAction::Failed, why),
                Step::Replace { there, then } => {
                    self.condemn(directory.place.join(&there.name), there.kind);
                    self.lock().deferred.push((directory.clone(), *then));
                }
                Step::Delete(node) => self.condemn(directory.place.join(&node.name), node.kind),
                Step::Tidy(name) if !self.mirror.dry_run => {
                    self.crew.add([Job::new(Task::Tidy(directory.place.clone(), name))]);
                }
                Step::Tidy(_) => {}
            }
        }
        // The first directory is the first one on top of the heap.
        directories.reverse();
        self.crew.add_fruitful(directories.into_iter().map(|directory| Job::new(Task::Directory(directory))));
        self.crew.add(files.into_iter().map(|file| Job::new(Task::File(Box::new(file)))));
    }

    /// A directory to go on in, made here if it is not there.
    pub(super) fn enter(&self, above: &Directory, directory: Directory) -> Option<Directory> {
        let kind = EntryKind::Directory;
        if directory.place.depth() > self.mirror.max_depth {
            self.tell_failure(&directory.place, kind, Some("deeper than directories may be"), None);
            self.lock().doubt.get_or_insert_with(|| "not all of the source was looked at".into());
            return None;
        }
        if directory.exists {
            return Some(directory);
        }
        if let (true, false, Some(local)) = (self.down(), self.mirror.dry_run, &self.local) {
            let name = directory.place.split().map(|(_, name)| name.to_vec()).unwrap_or_default();
            if let Err(error) = local.make_directory(&above.place, &name) {
                self.tell_failure(&directory.place, kind, None, Some(Error::local(error)));
                return None;
            }
        }
        self.report(&directory.place, kind, FileAction::Created, None);
        Some(directory)
    }

    fn copy_link(&self, directory: &Directory, file: &plan::File) {
        let (node, place) = (&file.node, directory.place.join(&file.node.name));
        let Some(target) = node.target.as_deref().filter(|_| self.down()) else {
            return self.left_out(directory, node, FileAction::Skipped, "links cannot be made there");
        };
        if target.starts_with(b"/") || directory.source.resolve(target).is_none() || target.contains(&b'\\') {
            return self.left_out(directory, node, FileAction::Skipped, "a link that leads out of the tree");
        }
        let made = match &self.local {
            Some(local) if !self.mirror.dry_run => local.link(&directory.place, &node.name, target),
            _ => Ok(()),
        };
        match made {
            Ok(()) => self.report(&place, node.kind, done(file.replaces), None),
            Err(error) => self.tell_failure(&place, node.kind, None, Some(Error::local(error))),
        }
    }
}
