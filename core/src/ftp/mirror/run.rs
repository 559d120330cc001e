//! The work: what a crew of sessions does with a heap of directories and files.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::local::LocalTree;
use super::place::{self, Place};
use super::plan::{self, Moment, Node, Rules, Step, Verdict};
use super::remote::{self, RemoteTree};
use super::report::{FileAction, FileReport, MirrorReport};
use super::transfer::{Buffer, Move, has_digest};
use super::{Compare, Mirror, Symlinks};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::ftp::client::{Blueprint, Client};
use crate::ftp::crew::Crew;
use crate::ftp::{Direction, EntryKind};
use crate::transport::Transport;

/// How often something is tried in sessions that end.
const ATTEMPTS: usize = 3;

/// While so many files wait, no further directory is listed.
const ENOUGH: usize = 1024;

/// The most sessions that anybody can want.
const MOST_SESSIONS: usize = 64;

/// Told of each file.
type Tell<'t> = dyn FnMut(FileReport) -> io::Result<()> + Send + 't;

/// Something to do.
struct Job {
    task: Task,
    attempts: usize,
}

enum Task {
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
struct Directory {
    /// Where it is at the destination, and what it is called.
    place: Place,
    /// Where it is in the source: elsewhere, if links were followed.
    source: Place,
    /// Whether it is at the destination.
    exists: bool,
    /// The directories from which links were followed to here.
    via: Arc<Vec<Place>>,
}

struct FileTask {
    directory: Place,
    /// The file in the source.
    source: Place,
    file: plan::File,
    question: Option<(Node, Verdict)>,
    /// A link whose end is to be found first.
    link: Option<(Place, Arc<Vec<Place>>)>,
}

/// What the workers share.
struct Shared {
    report: MirrorReport,
    entries: u64,
    phase: usize,
    /// Not all of the source is known, or nothing is in it: nothing is deleted.
    doubt: Option<String>,
    deletions: Vec<(Place, EntryKind)>,
    /// What is not deleted, and what it is in.
    protected: BTreeSet<Place>,
    /// What can be done when deletions have made room.
    deferred: Vec<(Directory, Step)>,
    /// What ended everything.
    ended: Option<Error>,
    /// Why the last session ended.
    last: Option<Error>,
}

struct Run<'m> {
    mirror: &'m Mirror,
    /// `None`: it is not there, and need not be (a dry run).
    local: Option<LocalTree>,
    remote: RemoteTree,
    crew: Crew<Job>,
    shared: Mutex<Shared>,
    tell: Mutex<&'m mut Tell<'m>>,
    /// By how many seconds the server's clock in listings is ahead of UTC, once that is known.
    zone: AtomicI64,
    sessions: AtomicUsize,
    exact_times: bool,
    keeps_times: bool,
}

const UNKNOWN: i64 = i64::MAX;

impl<T: Transport + Clone> Client<T> {
    /// Makes one tree equal to another, and tells of each file what became of it. An error of `tell` ends it.
    ///
    /// What fails is told and counted, and the rest goes on; a session that is lost is opened again, a few times. Times,
    /// `NAME.part` and comparison are such that a mirror that ended early is continued by doing the same again.
    ///
    /// # Errors
    /// [`Local`](ErrorKind::Local) if the local root cannot be used, or `tell` fails; [`Rejected`](ErrorKind::Rejected) if
    /// there is no such directory on the server; [`InvalidState`](ErrorKind::InvalidState) for [`Compare::Hash`] with a
    /// server that computes none; what ends the last session. What was told before is done.
    pub async fn mirror<'t>(
        &mut self,
        mirror: &'t Mirror,
        tell: &'t mut (dyn FnMut(FileReport) -> io::Result<()> + Send + 't),
    ) -> Result<MirrorReport> {
        let run = self.prepare(mirror, tell).await?;
        let size = mirror.parallel.clamp(1, if cfg!(target_family = "wasm") { 1 } else { MOST_SESSIONS });
        let transport = self.transport.clone();
        let blueprint = self.blueprint(run.remote.base.clone());
        let mut own = Some(self);
        let work = (0..size).map(|_| run.worker(own.take(), &blueprint)).collect();
        transport.side_by_side(work).await;
        run.finish()
    }

    async fn prepare<'t>(&mut self, mirror: &'t Mirror, tell: &'t mut Tell<'t>) -> Result<Run<'t>> {
        let down = mirror.direction == Direction::Down;
        let remote = RemoteTree { root: mirror.remote.clone(), base: self.pwd().await? };
        let features = self.features();
        if mirror.compare == Compare::Hash && features.hashes().is_empty() {
            return Err(self.explain(Error::invalid_state("the server does not offer to compute digests")));
        }
        let exact_times = features.offers("MDTM");
        let keeps_times = down || (mirror.keep_times && features.offers("MFMT"));
        let local = match LocalTree::open(&mirror.local, down && !mirror.dry_run) {
            Ok(local) => Some(local),
            Err(error) if down && mirror.dry_run && error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::local(error)),
        };
        let mut exists = local.is_some();
        if !down {
            exists = match mirror.dry_run {
                true => remote.root.is_empty() || remote.is_there(self).await?,
                false => !remote.make_root(self).await?,
            };
        } else if !remote.root.is_empty() && !remote.is_there(self).await? {
            // Said once more, for the server's words.
            self.cwd(&remote.root).await?;
        }
        let crew = Crew::new(ENOUGH);
        let root = Directory { place: Place::default(), source: Place::default(), exists, via: Arc::default() };
        crew.add_fruitful([Job { task: Task::Directory(root), attempts: 0 }]);
        let shared = Shared {
            report: MirrorReport { dry_run: mirror.dry_run, ..MirrorReport::default() },
            entries: 0,
            phase: 0,
            doubt: None,
            deletions: Vec::new(),
            protected: BTreeSet::new(),
            deferred: Vec::new(),
            ended: None,
            last: None,
        };
        Ok(Run {
            mirror,
            local,
            remote,
            crew,
            shared: Mutex::new(shared),
            tell: Mutex::new(tell),
            zone: AtomicI64::new(UNKNOWN),
            sessions: AtomicUsize::new(0),
            exact_times,
            keeps_times,
        })
    }
}

impl Run<'_> {
    fn down(&self) -> bool {
        self.mirror.direction == Direction::Down
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works until nothing is left to do: in the caller's session, or in a further one.
    async fn worker<T: Transport + Clone>(&self, own: Option<&mut Client<T>>, blueprint: &Blueprint<T>) {
        let mut further = None;
        let client = match own {
            Some(client) => client,
            None if !self.crew.goes_on() => return,
            // A server that takes no more sessions gets no more.
            None => match blueprint.open().await {
                Ok(client) => further.insert(client),
                Err(_) => return,
            },
        };
        let sessions = self.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        {
            let report = &mut self.lock().report;
            report.sessions = report.sessions.max(sessions);
        }
        self.work(client).await;
        self.sessions.fetch_sub(1, Ordering::Relaxed);
        if let Some(client) = further {
            client.quit().await;
        }
    }

    async fn work<T: Transport + Clone>(&self, client: &mut Client<T>) {
        let (mut phase, mut lost, mut buffer) = (0, 0, Buffer::default());
        loop {
            let Some(mut turn) = self.crew.next().await else {
                if self.advance(&mut phase) {
                    continue;
                }
                return;
            };
            let error = match self.perform(client, &mut turn.job().task, &mut buffer).await {
                Ok(()) => {
                    lost = 0;
                    turn.done();
                    continue;
                }
                Err(error) => error,
            };
            if matches!(error.kind(), ErrorKind::Interrupted) {
                return self.end(error);
            }
            let is_lost = client.is_closed();
            let why = error.echo();
            turn.job().attempts += 1;
            if turn.job().attempts < ATTEMPTS && (is_lost || may_pass(&error)) {
                drop(turn);
            } else {
                self.failed(&turn.job().task, error);
                turn.done();
            }
            if !is_lost {
                continue;
            }
            lost += 1;
            let again = if lost > ATTEMPTS { Err(why) } else { client.start_over(self.remote.base.clone()).await };
            match again {
                Ok(()) => {}
                // A server that shows another certificate now is not asked again.
                Err(error) if matches!(error.kind(), ErrorKind::Tls(_) | ErrorKind::Interrupted) => {
                    return self.end(error);
                }
                Err(error) => {
                    self.lock().last = Some(error);
                    return;
                }
            }
        }
    }

    fn end(&self, error: Error) {
        self.lock().ended.get_or_insert(error);
        self.crew.end();
    }

    fn finish(self) -> Result<MirrorReport> {
        let left = self.crew.left_over();
        let shared = self.shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        let ended = shared.ended.or(shared.last.filter(|_| !left.is_empty()));
        ended.map_or(Ok(shared.report), Err)
    }

    async fn perform<T: Transport>(&self, client: &mut Client<T>, task: &mut Task, buffer: &mut Buffer) -> Result<()> {
        match task {
            Task::Directory(directory) => self.directory(client, directory).await,
            Task::File(file) => self.file(client, file, buffer).await,
            Task::Prune(place) => self.prune(client, place).await,
            Task::Delete(place, kind) => {
                self.delete(client, place, false).await?;
                self.report(place, *kind, FileAction::Deleted, None);
                Ok(())
            }
            Task::DeleteDirectories(places) => {
                while let Some(place) = places.last() {
                    match self.delete(client, place, true).await {
                        Ok(()) => self.report(place, EntryKind::Directory, FileAction::Deleted, None),
                        Err(error) if client.is_closed() => return Err(error),
                        Err(error) => self.tell_failure(place, EntryKind::Directory, None, Some(error)),
                    }
                    places.pop();
                }
                Ok(())
            }
            Task::Tidy(directory, name) => {
                // It is in nobody's way if it stays.
                match self.delete(client, &directory.join(name), false).await {
                    Err(error) if client.is_closed() => Err(error),
                    _ => Ok(()),
                }
            }
        }
    }

    async fn directory<T: Transport>(&self, client: &mut Client<T>, directory: &mut Directory) -> Result<()> {
        let (down, dry) = (self.down(), self.mirror.dry_run);
        if !directory.exists && !down && !dry {
            match client.mkdir(self.remote.path(&directory.place)).await {
                Ok(_) => {}
                // A first attempt may have made it before its session ended.
                Err(error) if client.is_closed() => return Err(error),
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
        let remote: Vec<_> = remote.into_iter().map(|node| self.in_utc(node)).collect();
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

    fn rules(&self) -> Rules<'_> {
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
    fn schedule(&self, directory: &Directory, steps: Vec<Step>) {
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
    fn enter(&self, above: &Directory, directory: Directory) -> Option<Directory> {
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

    async fn file<T: Transport>(&self, client: &mut Client<T>, task: &mut FileTask, buffer: &mut Buffer) -> Result<()> {
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
        let node = Node { name: task.file.node.name.clone(), ..self.in_utc(node) };
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
                Err(error) if client.is_closed() => return Err(error),
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
                    self.learn_zone(told.time, time);
                }
                vague.modified = Some(Moment { time, within: Duration::from_secs(1), utc: true });
            }
            Err(error) if error.reply().is_none() || client.is_closed() => return Err(error),
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

    /// A listing's time, once it is known by how much the server's clock differs.
    fn in_utc(&self, mut node: Node) -> Node {
        let zone = self.zone.load(Ordering::Relaxed);
        if let (Some(moment), true) = (&mut node.modified, zone != UNKNOWN)
            && !moment.utc
        {
            let shift = Duration::from_secs(zone.unsigned_abs());
            let shifted = if zone > 0 { moment.time.checked_sub(shift) } else { moment.time.checked_add(shift) };
            moment.time = shifted.unwrap_or(moment.time);
            moment.utc = moment.within < Duration::from_secs(3600);
        }
        node
    }

    /// Zones are whole quarters of an hour.
    fn learn_zone(&self, listed: SystemTime, exact: SystemTime) {
        let ahead = match listed.duration_since(exact) {
            Ok(ahead) => i64::try_from(ahead.as_secs()).unwrap_or_default(),
            Err(behind) => -i64::try_from(behind.duration().as_secs()).unwrap_or_default(),
        };
        let zone = (ahead + 450).div_euclid(900) * 900;
        if (ahead - zone).abs() <= 60 && zone.abs() <= 14 * 3600 {
            self.zone.store(zone, Ordering::Relaxed);
        }
    }

    /// To be deleted at the end, with what is in it.
    fn condemn(&self, place: Place, kind: EntryKind) {
        if kind == EntryKind::Directory {
            self.crew.add_fruitful([Job::new(Task::Prune(place.clone()))]);
        }
        self.lock().deletions.push((place, kind));
    }

    /// What is in a directory that goes.
    async fn prune<T: Transport>(&self, client: &mut Client<T>, place: &Place) -> Result<()> {
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

    async fn delete<T: Transport>(&self, client: &mut Client<T>, place: &Place, is_directory: bool) -> Result<()> {
        if let (true, Some(local), Some((parent, name))) = (self.down(), &self.local, place.split()) {
            return local.remove(&parent, name, is_directory).map_err(Error::local);
        }
        let path = self.remote.path(place);
        let deleted = if is_directory { client.rmdir(&path).await } else { client.remove(&path).await };
        deleted.map(drop)
    }

    /// Everything is done: what comes next. False: nothing.
    fn advance(&self, seen: &mut usize) -> bool {
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

    fn left_out(&self, directory: &Directory, node: &Node, action: FileAction, why: &'static str) {
        // The name may be one that no path here can have: it is told as it came.
        let path = [&directory.place.prefix()[..], &node.name].concat();
        self.tell_path(path, node.kind, action, node.size, Some(why), None);
    }

    fn failed(&self, task: &Task, error: Error) {
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

    fn tell_failure(&self, place: &Place, kind: EntryKind, why: Option<&'static str>, error: Option<Error>) {
        self.tell_of(place, kind, FileAction::Failed, None, why, error);
    }

    fn report(&self, place: &Place, kind: EntryKind, action: FileAction, size: Option<u64>) {
        self.tell_of(place, kind, action, size, None, None);
    }

    fn tell_of(
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

impl FileTask {
    fn new(directory: &Directory, file: plan::File) -> Self {
        let source = directory.source.join(&file.node.name);
        Self { directory: directory.place.clone(), source, file, question: None, link: None }
    }

    fn place(&self) -> Place {
        self.directory.join(&self.file.node.name)
    }
}

impl Job {
    fn new(task: Task) -> Self {
        Self { task, attempts: 0 }
    }
}

impl Clone for Directory {
    fn clone(&self) -> Self {
        let Self { place, source, exists, via } = self;
        Self { place: place.clone(), source: source.clone(), exists: *exists, via: via.clone() }
    }
}

impl Step {
    /// What it is about.
    fn subject(&self, directory: &Place) -> (Place, EntryKind) {
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

/// Whether a data connection failed in a way that the next one need not.
fn may_pass(error: &Error) -> bool {
    error.is_transient() && matches!(error.phase(), Some(Phase::Data | Phase::Connect | Phase::Handshake))
}

fn done(replaces: bool) -> FileAction {
    if replaces { FileAction::Updated } else { FileAction::Created }
}
