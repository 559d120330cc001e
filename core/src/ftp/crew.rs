//! Work that several sessions share: a heap of jobs, and who waits for one.
//!
//! ```text
//!   add ─▶ ┌ fruitful: jobs that make more jobs, the last first ┐
//!   add ─▶ └ plain:    the first first                          ┘ ─ next ─▶ Turn ─ done
//!                                                                            └── dropped undone: back in the heap
//! ```
//!
//! It knows no session, no thread and no clock. Who waits is woken through its waker when there is a job, or when the last
//! job is done: so threads, tokio and asyncio have one crew (see `Transport::side_by_side`).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// Jobs, and those who do them.
pub(super) struct Crew<J> {
    state: Mutex<State<J>>,
    /// How many plain jobs may wait before they come before fruitful ones: more would only take memory.
    enough: usize,
}

struct State<J> {
    fruitful: Vec<J>,
    plain: VecDeque<J>,
    /// Jobs under way, which may make more.
    busy: usize,
    waiting: Vec<Waker>,
    ended: bool,
}

impl<J> State<J> {
    fn take(&mut self, enough: usize) -> Option<(J, bool)> {
        if self.ended {
            return None;
        }
        let plain = |state: &mut Self| state.plain.pop_front().map(|job| (job, false));
        let job = if self.plain.len() >= enough { plain(self) } else { None };
        let job = job.or_else(|| self.fruitful.pop().map(|job| (job, true))).or_else(|| plain(self));
        self.busy += usize::from(job.is_some());
        job
    }

    fn is_over(&self) -> bool {
        self.ended || self.busy == 0 && self.fruitful.is_empty() && self.plain.is_empty()
    }
}

impl<J> Crew<J> {
    /// Nothing to do yet. While `enough` plain jobs wait, no fruitful one is handed out.
    pub(super) fn new(enough: usize) -> Self {
        let state = State { fruitful: Vec::new(), plain: VecDeque::new(), busy: 0, waiting: Vec::new(), ended: false };
        Self { state: Mutex::new(state), enough }
    }

    /// More to do.
    pub(super) fn add(&self, jobs: impl IntoIterator<Item = J>) {
        let mut state = self.lock();
        state.plain.extend(jobs);
        wake(state);
    }

    /// More to do, which will make more to do.
    pub(super) fn add_fruitful(&self, jobs: impl IntoIterator<Item = J>) {
        let mut state = self.lock();
        state.fruitful.extend(jobs);
        wake(state);
    }

    /// The next job; waits while there is none but may come one. `None`: everything is done, or it was ended.
    pub(super) async fn next(&self) -> Option<Turn<'_, J>> {
        poll_fn(|cx| {
            let mut state = self.lock();
            if let Some((job, fruitful)) = state.take(self.enough) {
                return Poll::Ready(Some(Turn { crew: self, job: Some(job), fruitful }));
            }
            if state.is_over() {
                return Poll::Ready(None);
            }
            if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.waiting.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// Whether there is, or may be, more to do.
    pub(super) fn goes_on(&self) -> bool {
        !self.lock().is_over()
    }

    /// Hands out nothing more.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        wake(state);
    }

    /// What nobody did.
    pub(super) fn left_over(&self) -> Vec<J> {
        let mut state = self.lock();
        let mut left = std::mem::take(&mut state.fruitful);
        left.extend(std::mem::take(&mut state.plain));
        left
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes all who wait, without the lock.
fn wake<J>(mut state: MutexGuard<'_, State<J>>) {
    let waiting = std::mem::take(&mut state.waiting);
    drop(state);
    waiting.into_iter().for_each(Waker::wake);
}

/// A job under way. Dropped undone, it is somebody else's: sessions end, futures are dropped.
pub(super) struct Turn<'c, J> {
    crew: &'c Crew<J>,
    job: Option<J>,
    fruitful: bool,
}

impl<J> Turn<'_, J> {
    /// What is to be done.
    pub(super) fn job(&mut self) -> &mut J {
        self.job.as_mut().expect("a turn has its job until it is done")
    }

    /// It is done, or will never be; what it made is in the heap.
    pub(super) fn done(mut self) {
        self.job = None;
    }
}

impl<J> Drop for Turn<'_, J> {
    fn drop(&mut self) {
        let mut state = self.crew.lock();
        state.busy -= 1;
        match self.job.take() {
            Some(job) if self.fruitful => state.fruitful.push(job),
            Some(job) => state.plain.push_front(job),
            None if !state.is_over() => return,
            None => {}
        }
        wake(state);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::Crew;
    use crate::transport::{Blocking, Host, Transport, block};

    /// Jobs are depths of a tree: each fruitful one makes three of the next, the last ones plain ones.
    async fn work(crew: &Crew<usize>, done: &AtomicUsize, lose: usize) {
        while let Some(mut turn) = crew.next().await {
            let depth = *turn.job();
            if done.fetch_add(1, Ordering::Relaxed) % 7 == lose {
                continue;
            }
            match depth {
                0 => {}
                1 => crew.add([0; 3]),
                more => crew.add_fruitful([more - 1; 3]),
            }
            turn.done();
        }
    }

    fn all(transport: &impl Transport, workers: usize, lose: usize) -> usize {
        let (crew, done) = (Crew::new(5), AtomicUsize::new(0));
        crew.add_fruitful([5]);
        block(transport.side_by_side((0..workers).map(|_| work(&crew, &done, lose)).collect()));
        assert!(!crew.goes_on() && crew.left_over().is_empty());
        done.into_inner()
    }

    #[test]
    fn all_jobs_are_done_once_by_threads_and_by_tasks() {
        let hosted = Host::default().transport();
        for workers in [1, 2, 8] {
            let nodes = (0..=5).map(|depth| 3_usize.pow(depth)).sum::<usize>();
            assert_eq!(all(&Blocking::new(), workers, 7), nodes);
            assert_eq!(all(&hosted, workers, 7), nodes);
            // What was dropped undone is done by somebody: every seventh turn is lost.
            assert!(all(&Blocking::new(), workers, 3) > nodes);
            assert!(all(&hosted, workers, 3) > nodes);
        }
    }

    #[test]
    fn an_end_is_heard_by_those_who_wait() {
        let crew = Crew::new(1);
        crew.add([1]);
        let work = || {
            let crew = &crew;
            async move {
                while let Some(turn) = crew.next().await {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                    crew.end();
                    drop(turn);
                }
            }
        };
        block(Blocking::new().side_by_side(vec![work(), work()]));
        assert_eq!(crew.left_over(), [1]);
    }
}
