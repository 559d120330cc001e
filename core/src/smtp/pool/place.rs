//! Places for sessions, and the queue for them.

use std::sync::Arc;
use std::task::{Poll, Waker};

use super::Shared;
use crate::error::{Error, Result};
use crate::transport::Transport;

/// A turn in the queue for a place.
pub(super) struct Ticket<'p, T: Transport> {
    shared: &'p Arc<Shared<T>>,
    number: Option<u64>,
}

impl<'p, T: Transport> Ticket<'p, T> {
    pub(super) fn new(shared: &'p Arc<Shared<T>>) -> Self {
        Self { shared, number: None }
    }

    pub(super) fn poll(&mut self, waker: &Waker) -> Poll<Result<Place<T>>> {
        let mut state = self.shared.lock();
        if state.closed {
            return Poll::Ready(Err(Error::invalid_state("this pool is closed")));
        }
        let number = *self.number.get_or_insert_with(|| {
            state.last_ticket += 1;
            state.last_ticket
        });
        let first = state.queue.front().is_none_or(|(first, _)| *first == number);
        if first && state.taken < self.shared.settings.connections.max(1) {
            state.taken += 1;
            return Poll::Ready(Ok(Place { shared: self.shared.clone() }));
        }
        match state.queue.iter_mut().find(|(waiting, _)| *waiting == number) {
            Some((_, stored)) => stored.clone_from(waker),
            None => state.queue.push_back((number, waker.clone())),
        }
        Poll::Pending
    }
}

impl<T: Transport> Drop for Ticket<'_, T> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let mut state = self.shared.lock();
            state.queue.retain(|(waiting, _)| *waiting != number);
            // Who is first now may have missed a call that was for us.
            state.wake_next();
        }
    }
}

/// One of the pool's places; free again when it is dropped.
pub(super) struct Place<T: Transport> {
    pub(super) shared: Arc<Shared<T>>,
}

impl<T: Transport> Drop for Place<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.taken -= 1;
        state.wake_next();
    }
}
