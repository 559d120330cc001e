//! How many sessions there are with a server, of all that share a memory, and how many there may be.
//!
//! A session that somebody opens is counted. One that a mirror, or a download in segments, would open beside it, is opened
//! only if there is room: fewer do the same work.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Refusal;
use super::memory::ServerMemory;
use crate::error::{Error, Result};
use crate::transport::Endpoint;

/// How long a server is believed that had no room: others may leave.
const BELIEVED: Duration = Duration::from_secs(300);

/// The sessions with one server.
#[derive(Clone, Debug, Default)]
pub(super) struct Seats(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    taken: usize,
    /// With so many, there was no room for another one; when that was.
    full: Option<(usize, Instant)>,
}

/// One session's place among them, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat(Seats);

impl Seats {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(memory: &ServerMemory, server: &Endpoint) -> Self {
        let mut seats = Self::default();
        memory.learn(server, |known| seats = known.seats.clone());
        seats
    }
}

impl Seat {
    /// For a session that is wanted, however many there are.
    pub(super) fn take(memory: &ServerMemory, server: &Endpoint) -> Self {
        let seats = Seats::of(memory, server);
        seats.lock().taken += 1;
        Self(seats)
    }

    /// For a further one, if there is room: fewer than `most`, and than there were when the server had none.
    pub(super) fn take_if_free(memory: &ServerMemory, server: &Endpoint, most: usize) -> Result<Self> {
        let seats = Seats::of(memory, server);
        {
            let mut state = seats.lock();
            let full = state.full.filter(|(_, since)| since.elapsed() < BELIEVED).map_or(usize::MAX, |(full, _)| full);
            if state.taken >= most.min(full) {
                let taken = state.taken;
                return Err(Error::limit(format!("{taken} sessions with a server, which has room for no more")));
            }
            state.taken += 1;
        }
        Ok(Self(seats))
    }

    /// The server refused this session: if it has too many, no further ones are tried for a while.
    pub(super) fn refused(&self, error: &Error) {
        if Refusal::of(error) == Some(Refusal::TooManyConnections) {
            let mut state = self.0.lock();
            state.full = Some((state.taken.saturating_sub(1), Instant::now()));
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.lock().taken -= 1;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::reply::{Assembler, Budget, Dialect};

    #[test]
    fn seats_are_shared_and_given_back() {
        let (memory, other) = (ServerMemory::new(), ServerMemory::new());
        let server = Endpoint { host: "files.test".into(), port: 21 };
        let free = |most| Seat::take_if_free(&memory, &server, most);
        let first = Seat::take(&memory, &server);
        let second = free(2).unwrap();
        assert!(free(2).is_err());
        assert!(Seat::take_if_free(&other, &server, 2).is_ok(), "another memory");
        // Who is asked for is there, room or not.
        drop((Seat::take(&memory, &server), second));
        let second = free(2).unwrap();
        // The server's word counts for all.
        let third = free(9).unwrap();
        let reply = |line: &str| Assembler::new(Dialect::Ftp, Budget::DEFAULT).push(line.as_bytes()).unwrap().unwrap();
        third.refused(&Error::rejected(reply("550 no such file")));
        drop((free(9).unwrap(), free(9).unwrap()));
        third.refused(&Error::rejected(reply("421 Too many connections (2) from this IP")));
        drop(third);
        assert!(free(9).is_err());
        drop(second);
        assert!(free(9).is_ok());
        drop(first);
        memory.forget(&server);
        assert_eq!(Seats::of(&memory, &server).lock().taken, 0);
    }
}
