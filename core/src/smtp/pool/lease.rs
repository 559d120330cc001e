//! A session that is handed out: kept, asked, replaced, given back.

use std::time::{Duration, Instant};

use super::place::Place;
use super::{Idle, Shared};
use crate::error::Result;
use crate::smtp::client::Client;
use crate::transport::Transport;

/// How long a good-bye may take: nobody waits for it gladly.
const GOODBYE: Duration = Duration::from_secs(5);

/// How long a session may have been idle and still be taken to be alive when a message leaves in one flight with its
/// envelope: if the server had ended it, what became of the message would be unknown.
const FRESH: Duration = Duration::from_secs(1);

/// A session in its place. Dropped in the middle of anything, its connection closes.
pub(super) struct Lease<T: Transport> {
    // Before the place: a connection is gone when its place is free.
    pub(super) client: Option<Client<T>>,
    place: Place<T>,
    sent: usize,
    /// It carried messages before.
    pub(super) kept: bool,
    /// And for so long none.
    idle: Duration,
}

impl<T: Transport + Clone> Lease<T> {
    /// No session yet.
    pub(super) fn of(place: Place<T>) -> Self {
        Self { place, client: None, sent: 0, kept: false, idle: Duration::ZERO }
    }

    pub(super) fn client(&mut self) -> &mut Client<T> {
        self.client.as_mut().expect("a lease has its client until it is given back")
    }

    /// The session that was used last; those that were idle for too long are closed.
    pub(super) async fn take_idle(&mut self) {
        let (found, old) = {
            let mut state = self.place.shared.lock();
            let limit = self.place.shared.settings.idle;
            let fresh = state.idle.iter().take_while(|idle| idle.since.elapsed() >= limit).count();
            let old: Vec<_> = state.idle.drain(..fresh).collect();
            (state.idle.pop_back(), old)
        };
        if let Some(Idle { client, sent, since }) = found {
            (self.client, self.sent, self.kept, self.idle) = (Some(client), sent, true, since.elapsed());
        }
        for Idle { client, .. } in old {
            quit(client).await;
        }
    }

    /// Whether a message may be gone before it is known that the session was.
    pub(super) fn may_swallow(&mut self) -> bool {
        let abilities = self.client().abilities();
        let at_once = abilities.pipelining && abilities.chunking;
        self.kept && at_once && self.idle >= FRESH
    }

    /// Whether a kept session goes on; if not, it is replaced.
    pub(super) async fn ask(&mut self) -> Result<()> {
        if !self.kept {
            return Ok(());
        }
        match self.client().rset().await {
            Ok(_) => Ok(()),
            Err(error) if error.is_end_of_session() => self.renew().await,
            Err(error) => Err(error),
        }
    }

    /// A new session.
    pub(super) async fn renew(&mut self) -> Result<()> {
        (self.client, self.sent, self.kept) = (None, 0, false);
        let Shared { transport, settings, .. } = &*self.place.shared;
        let options = settings.options.clone();
        let routes = &settings.routes;
        let mut client = Client::connect_any(transport.clone(), routes, options, &settings.settings).await?;
        if let Some(credentials) = &settings.credentials {
            client.login(credentials).await?;
        }
        self.client = Some(client);
        Ok(())
    }

    /// After a message.
    pub(super) async fn give_back(mut self) {
        let Some(client) = self.client.take().filter(|client| !client.is_closed()) else { return };
        let sent = self.sent + 1;
        let most = self.place.shared.settings.messages;
        // One message may have taken several transactions.
        let used_up = !client.takes_more();
        let kept = {
            let mut state = self.place.shared.lock();
            if state.closed || used_up || sent >= most {
                Some(client)
            } else {
                state.idle.push_back(Idle { client, sent, since: Instant::now() });
                None
            }
        };
        if let Some(client) = kept {
            quit(client).await;
        }
    }
}

pub(super) async fn quit<T: Transport>(mut client: Client<T>) {
    let timeouts = &mut client.dialogue.context.timeouts;
    timeouts.reply = timeouts.reply.min(GOODBYE);
    client.quit().await;
}
