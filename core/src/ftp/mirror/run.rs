//! The work: what a crew of sessions does with a heap of directories and files.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::job::{Directory, Job, Task};
use super::local::LocalTree;
use super::place::Place;
use super::plan::Step;
use super::remote::RemoteTree;
use super::report::{FileAction, FileReport, MirrorReport};
use super::transfer::Buffer;
use super::zone::Zone;
use super::{Compare, Mirror};
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

/// What the workers share.
pub(super) struct Shared {
    pub(super) report: MirrorReport,
    pub(super) entries: u64,
    pub(super) phase: usize,
    /// Not all of the source is known, or nothing is in it: nothing is deleted.
    pub(super) doubt: Option<String>,
    pub(super) deletions: Vec<(Place, EntryKind)>,
    /// What is not deleted, and what it is in.
    pub(super) protected: BTreeSet<Place>,
    /// What can be done when deletions have made room.
    pub(super) deferred: Vec<(Directory, Step)>,
    /// What ended everything.
    pub(super) ended: Option<Error>,
    /// Why the last session ended.
    pub(super) last: Option<Error>,
}

pub(super) struct Run<'m> {
    pub(super) mirror: &'m Mirror,
    /// `None`: it is not there, and need not be (a dry run).
    pub(super) local: Option<LocalTree>,
    pub(super) remote: RemoteTree,
    pub(super) crew: Crew<Job>,
    pub(super) shared: Mutex<Shared>,
    pub(super) tell: Mutex<&'m mut Tell<'m>>,
    /// The clock of the server's listings.
    pub(super) zone: Zone,
    pub(super) sessions: AtomicUsize,
    pub(super) exact_times: bool,
    pub(super) keeps_times: bool,
}

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
            zone: Zone::default(),
            sessions: AtomicUsize::new(0),
            exact_times,
            keeps_times,
        })
    }
}

impl Run<'_> {
    pub(super) fn down(&self) -> bool {
        self.mirror.direction == Direction::Down
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
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
            let is_lost = client.is_lost();
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

    pub(super) fn end(&self, error: Error) {
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
                        Err(error) if client.is_lost() => return Err(error),
                        Err(error) => self.tell_failure(place, EntryKind::Directory, None, Some(error)),
                    }
                    places.pop();
                }
                Ok(())
            }
            Task::Tidy(directory, name) => {
                // It is in nobody's way if it stays.
                match self.delete(client, &directory.join(name), false).await {
                    Err(error) if client.is_lost() => Err(error),
                    _ => Ok(()),
                }
            }
        }
    }
}

/// Whether a data connection failed in a way that the next one need not.
fn may_pass(error: &Error) -> bool {
    error.is_transient() && matches!(error.phase(), Some(Phase::Data | Phase::Connect | Phase::Handshake))
}

pub(super) fn done(replaces: bool) -> FileAction {
    if replaces { FileAction::Updated } else { FileAction::Created }
}
