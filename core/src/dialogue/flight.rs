//! What leaves together: commands and small pieces of content, in one write, and in as few records as they need.

use zeroize::Zeroize as _;

use super::Dialogue;
use crate::error::Result;
use crate::line::Line;
use crate::link::{Channel, FLIGHT};
use crate::trace::Event;

/// The most content of a TLS record.
const RECORD: usize = 16 * 1024;

impl<C: Channel> Dialogue<C> {
    /// Adds a command to the flight.
    pub(crate) fn send(&mut self, line: &Line) -> Result<()> {
        if line.is_secret() {
            // Room at once: a buffer that moves leaves a copy behind.
            self.flight.reserve(line.len() + 2);
            self.flight_is_secret = true;
        }
        line.append_to(&mut self.flight);
        self.context.trace.emit(|| Event::Sent(line.to_string()));
        self.context.owed += 1;
        if self.flight.len() >= FLIGHT { self.launch() } else { Ok(()) }
    }

    /// Where in all that was said the next word stands.
    pub(crate) fn position(&self) -> u64 {
        self.launched + self.flight.len() as u64
    }

    /// Whether what stands before `position` may have left: it is not waiting here any more.
    pub(crate) fn has_launched(&self, position: u64) -> bool {
        self.launched >= position
    }

    /// How much of all that was said may have left.
    pub(crate) fn launched(&self) -> u64 {
        self.launched
    }

    /// Whether what was said after the first `launched` bytes is most of a flight, or more.
    pub(crate) fn is_flight_ready(&self, launched: u64) -> bool {
        self.position() - launched >= FLIGHT as u64 / 4 * 3
    }

    /// Hands the flight to the channel.
    fn launch(&mut self) -> Result<()> {
        if self.flight.is_empty() {
            return Ok(());
        }
        let outcome = self.channel.queue(&self.flight);
        if std::mem::take(&mut self.flight_is_secret) {
            self.flight.as_mut_slice().zeroize();
        }
        self.launched += self.flight.len() as u64;
        self.flight.clear();
        outcome
    }

    /// Sends the flight; its replies have the usual time from now on.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        self.launch()?;
        if self.channel.queued() == 0 {
            return Ok(());
        }
        self.channel.set_deadline(self.context.within(self.context.timeouts.reply));
        let outcome = self.channel.flush().await;
        outcome.map_err(|error| {
            self.context.fail(&error);
            self.context.explain(error)
        })
    }

    /// Content that is part of the conversation (a message body): sent in flights, each with the time of a stall.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.flight.len() + bytes.len() < FLIGHT {
            self.flight.extend_from_slice(bytes);
            return Ok(());
        }
        // The first record is filled up, so that what follows it is cut as if it had come alone.
        let (first, bytes) = bytes.split_at(bytes.len().min(RECORD - self.flight.len() % RECORD));
        self.flight.extend_from_slice(first);
        self.launch()?;
        self.launched += bytes.len() as u64;
        for flight in bytes.chunks(FLIGHT) {
            self.channel.set_deadline(self.context.within(self.context.timeouts.stall));
            self.channel.write(flight).await.map_err(|error| self.context.explain(error))?;
        }
        Ok(())
    }
}
