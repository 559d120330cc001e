//! Futures side by side in one task.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Who waits for all of them.
type Outer = Arc<Mutex<Waker>>;

/// One future's waker. That it was woken is kept, so that only those are polled that have reason to go on, and so that one
/// can wake another whatever the task's own waker does.
struct Turn {
    due: AtomicBool,
    outer: Outer,
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.due.store(true, std::sync::atomic::Ordering::Release);
        self.outer.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
    }
}

enum Lane<F: Future> {
    Running(Pin<Box<F>>, Arc<Turn>),
    Done(Option<F::Output>),
}

/// Polls those that were woken until all are done; their outputs are in order.
pub(super) async fn together<F>(work: Vec<F>) -> Vec<F::Output>
where
    F: Future + Send,
    F::Output: Send,
{
    let outer: Outer = Arc::new(Mutex::new(Waker::noop().clone()));
    let lane = |future| {
        let turn = Turn { due: AtomicBool::new(true), outer: outer.clone() };
        Lane::Running(Box::pin(future), Arc::new(turn))
    };
    let mut lanes: Vec<Lane<F>> = work.into_iter().map(lane).collect();
    poll_fn(|cx| {
        outer.lock().unwrap_or_else(PoisonError::into_inner).clone_from(cx.waker());
        while go_round(&mut lanes) {}
        if lanes.iter().any(|lane| matches!(lane, Lane::Running(..))) { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    let output = |lane| match lane {
        Lane::Done(output) => output,
        Lane::Running(..) => None,
    };
    lanes.into_iter().filter_map(output).collect()
}

/// Polls each that is due. Whether there was any.
fn go_round<F: Future>(lanes: &mut [Lane<F>]) -> bool {
    let mut any = false;
    for lane in lanes {
        let Lane::Running(future, turn) = lane else { continue };
        if !turn.due.swap(false, AcqRel) {
            continue;
        }
        any = true;
        let waker = Waker::from(turn.clone());
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            *lane = Lane::Done(Some(output));
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;

    use super::super::{Blocking, Host, Request, Transport, block};
    use super::*;
    use std::time::Duration;

    /// Ready once `turn` is its own; then it is the next one's.
    async fn take_turns(me: usize, turn: &AtomicUsize, wakers: &Mutex<Vec<Waker>>) -> usize {
        poll_fn(|cx| {
            wakers.lock().unwrap_or_else(PoisonError::into_inner).push(cx.waker().clone());
            if turn.load(Relaxed) == me { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        turn.store(me.wrapping_sub(1), Relaxed);
        wakers.lock().unwrap_or_else(PoisonError::into_inner).drain(..).for_each(Waker::wake);
        me
    }

    #[test]
    fn one_wakes_another_without_a_waker_of_the_task() {
        let (turn, wakers) = (AtomicUsize::new(4), Mutex::default());
        let all = together((0..5).map(|me| take_turns(me, &turn, &wakers)).collect());
        let done = Box::pin(all).as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(done, Poll::Ready(vec![0, 1, 2, 3, 4]));
    }

    #[test]
    #[cfg(not(target_family = "wasm"))]
    fn threads_wait_for_each_other() {
        let (turn, wakers) = (AtomicUsize::new(4), Mutex::default());
        let work = (0..5).map(|me| take_turns(me, &turn, &wakers)).collect();
        assert_eq!(block(Blocking::new().side_by_side(work)), [0, 1, 2, 3, 4]);
    }

    #[test]
    #[cfg(not(target_family = "wasm"))]
    fn an_interrupt_reaches_every_thread() {
        let asked = AtomicUsize::new(0);
        let main = std::thread::current().id();
        let asked = Arc::new(asked);
        let count = asked.clone();
        // As Python's signal handlers: heard once, and on the main thread alone.
        let transport = Blocking::with_interrupt(Arc::new(move || {
            let heard = std::thread::current().id() == main && count.fetch_add(1, Relaxed) == 0;
            if heard { Err(std::io::ErrorKind::Interrupted.into()) } else { Ok(()) }
        }));
        let work = (0..3).map(|_| transport.pause(Duration::from_secs(600))).collect();
        let ended = block(transport.side_by_side(work));
        assert!(ended.iter().all(|end| end.as_ref().is_err_and(|why| why.kind() == std::io::ErrorKind::Interrupted)));
        assert!(block(transport.pause(Duration::from_millis(1))).is_ok(), "the next operation is not stopped");
    }

    #[test]
    fn hosts_measure_pauses() {
        let host = Host::new();
        let transport = host.transport();
        let mut pauses = Box::pin(together((1..=2).map(|s| transport.pause(Duration::from_secs(s))).collect()));
        let mut poll = || pauses.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        assert!(!poll());
        let asked: Vec<_> = std::iter::from_fn(|| host.next_request()).collect();
        let channels: Vec<_> = asked
            .iter()
            .filter_map(|request| match request {
                Request::Sleep { channel, time } => Some((*channel, time.as_secs())),
                _ => None,
            })
            .collect();
        assert_eq!(channels.iter().map(|(_, time)| *time).collect::<Vec<_>>(), [1, 2]);
        host.slept(channels[1].0);
        assert!(!poll());
        assert_eq!(host.next_request(), Some(Request::Close { channel: channels[1].0 }));
        host.slept(channels[0].0);
        assert!(poll());
    }
}
