//! How a transfer ends: in order, given up, or broken; and the receipt, which is the conjunction of all signs.
//!
//! ```text
//!   download   the peer's close_notify, ours, close, then wait for 226 (the other order costs a delayed acknowledgement)
//!   upload     close_notify, half-close, read to the peer's end (closing with bytes unread would reset the connection
//!              and lose what is under way), close, then wait for 226
//! ```

use std::time::Duration;

use super::client::Client;
use super::extent::Extent;
use super::passive;
use super::receipt::{Status, TransferReceipt};
use super::transfer::{Direction, End, Transfer, no_transfer};
use crate::error::{Error, ErrorKind, Phase, Result, TlsFault};
use crate::link::Fill;
use crate::reply::Reply;
use crate::trace::{self, Event};
use crate::transport::Transport;

/// How long the peer may take to end a data connection after an upload. Some never do.
const LINGER: Duration = Duration::from_secs(3);

impl<T: Transport> Client<T> {
    /// Ends a transfer and judges it: success is the conjunction of all signs.
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) by the final reply; [`Truncated`](ErrorKind::Truncated) without close_notify,
    /// unless that was accepted beforehand; [`SizeMismatch`](ErrorKind::SizeMismatch).
    pub async fn finish(&mut self) -> Result<TransferReceipt> {
        let ours = if self.abandoned { None } else { self.transfer.take() };
        let Some(mut transfer) = ours else { return Err(self.explain(no_transfer())) };
        if transfer.direction == Direction::Down && transfer.end == End::Open {
            self.transfer = Some(transfer);
            let why = "the download is not at its end yet: receive the rest, or abort it";
            return Err(self.explain(Error::invalid_state(why)));
        }
        match transfer.direction {
            Direction::Down => self.end_download(&mut transfer).await,
            Direction::Up => {
                if let Err(error) = self.end_upload(&mut transfer).await {
                    return Err(self.broken(error, Direction::Up).await);
                }
            }
        }
        transfer.data = None;
        self.trace_end(&transfer);
        if !self.is_proven(&transfer) && !self.settings.accept_missing_close_notify {
            // A cut is a failure of the network, which may be gone on with, whatever it makes of the size, and whatever the
            // server makes of it.
            return Err(self.broken(Error::new(ErrorKind::Truncated), Direction::Down).await);
        }
        // What was said before the end of an upload is no verdict on all of it, unless it is a no.
        let early = transfer.direction == Direction::Up && self.speaks_of_the_end();
        let within = self.session.dialogue.context.timeouts.finish;
        let reply = self.verdict(within, false).await?;
        if !reply.code().is_completion() {
            return Err(self.blame(Error::rejected(reply).during(Phase::Data), transfer.direction));
        }
        if early {
            self.session.dialogue.end("the server called an upload complete before its end");
            let error = Error::violation("the upload was called complete before its end").with_reply(reply);
            return Err(self.blame(error.during(Phase::Data), Direction::Up));
        }
        self.judge(transfer, reply).await
    }

    /// Gives a transfer up: closes the data connection, asks the server to stop (ABOR), and hears it out: up to the answer
    /// to a question that no reply about a transfer could be (PWD). If that does not come, the session is replaced when it
    /// is used next, as after [`Client::abandon`].
    pub async fn abort(&mut self) {
        let Some(transfer) = self.transfer.take() else { return };
        self.abandoned = false;
        self.mark_cut();
        let beside = std::mem::take(&mut self.beside);
        self.trace_end(&transfer);
        let heard = self.stop(transfer.data, transfer.direction).await;
        if beside.ahead {
            let passive = heard.iter().find(|reply| reply.code() == 229);
            self.next_port = passive.and_then(|reply| passive::epsv_port(reply).ok());
        }
    }

    /// It is the peer's to know that all of it was read; the file is whole without that.
    async fn end_download(&mut self, transfer: &mut Transfer<T::Stream>) {
        if transfer.end != End::Orderly {
            return;
        }
        if let Some(data) = &mut transfer.data {
            let context = &self.session.dialogue.context;
            data.set_deadline(context.within(LINGER.min(context.timeouts.finish)));
            transfer.ended = data.close().await.is_ok();
        }
    }

    async fn end_upload(&mut self, transfer: &mut Transfer<T::Stream>) -> Result<()> {
        let context = &self.session.dialogue.context;
        let data = transfer.data.as_mut().expect("an open transfer has its connection");
        data.set_deadline(context.within(context.timeouts.stall));
        data.close().await?;
        transfer.ended = true;
        transfer.end = End::Cut;
        if self.known.lingers {
            return Ok(());
        }
        data.set_deadline(context.within(LINGER.min(context.timeouts.finish)));
        loop {
            match data.pull(&mut |_| ()).await {
                // Nothing belongs here, and nothing is made of it.
                Ok(Fill::More) => {}
                Ok(Fill::Closed) => {
                    transfer.end = End::Orderly;
                    return Ok(());
                }
                Err(error) => {
                    // What the file is worth is for the final reply to say.
                    if matches!(error.kind(), ErrorKind::TimedOut) {
                        self.learn(|known| known.lingers = true);
                    }
                    return if matches!(error.kind(), ErrorKind::Interrupted) { Err(error) } else { Ok(()) };
                }
            }
        }
    }

    /// Whether all of it came: of uploads the server says so, and of downloads, under TLS, its close_notify.
    fn is_proven(&self, transfer: &Transfer<T::Stream>) -> bool {
        transfer.direction == Direction::Up || !self.session.private || transfer.end == End::Orderly
    }

    async fn judge(&mut self, transfer: Transfer<T::Stream>, reply: Reply) -> Result<TransferReceipt> {
        let proven = self.is_proven(&transfer);
        let reply = self.session.dialogue.context.scrub_reply(reply);
        let Transfer { direction, uploaded, size, announced, tls_resumed, end, ended, began, ends_the_file, .. } =
            transfer;
        let Extent { offset, end: until } = transfer.extent;
        if until.is_some_and(|until| offset + size > until) {
            self.learn(|known| known.no_ranges = true);
            let error = Error::violation("the server sent more than the part that it was asked for");
            return Err(self.explain(error.with_reply(reply).during(Phase::Data)));
        }
        let expected = match (&uploaded, announced) {
            // Of a part, servers tell its size or the file's. All of it is what was asked for; less is a file's end.
            (None, _) if until.is_some() => until.filter(|&until| offset + size == until),
            (None, Some(announced)) => Some(announced),
            (Some(path), _) if self.settings.verify_uploads && self.session.features.offers("SIZE") => {
                self.told_size(path).await?
            }
            _ => None,
        };
        let secure = self.session.private;
        if let Some(expected) = expected {
            let whole = offset + size;
            let agrees = match direction {
                Direction::Down => expected == whole || expected == size,
                // Of what is written into the middle, the rest may stand behind it.
                _ => expected == whole || (expected > whole && offset > 0 && !ends_the_file),
            };
            if !agrees {
                let short = direction == Direction::Up && secure && end != End::Orderly && !self.known.lingers;
                let error = if short && expected < whole {
                    // Neither did the server say that it had read to our end: it was cut on its way there.
                    Error::new(ErrorKind::Truncated).advise(format!("the server has {expected} of {whole} bytes"))
                } else {
                    Error::new(ErrorKind::SizeMismatch { expected, transferred: whole })
                };
                return Err(self.explain(error.with_reply(reply).during(Phase::Data)));
            }
        }
        let status = match (proven, expected) {
            (false, _) => Status::Unproven,
            (true, Some(_)) => Status::Verified,
            (true, None) => Status::Complete,
        };
        Ok(TransferReceipt {
            status,
            size,
            offset,
            tls_resumed,
            close_notify: secure && end == End::Orderly,
            close_notify_sent: secure && ended,
            compressed: transfer.compressed,
            reply,
            digest: None,
            attempts: 1,
            duration: began.elapsed(),
        })
    }

    /// The data connection broke: what the server has to say about it comes on the control connection.
    pub(super) async fn broken(&mut self, error: Error, direction: Direction) -> Error {
        let error = error.during(Phase::Data);
        self.mark_cut();
        if matches!(error.kind(), ErrorKind::Interrupted) {
            self.forsake("a transfer was interrupted");
            return self.explain(error);
        }
        let error = match self.verdict(self.last_words(), true).await {
            Ok(reply) if reply.code().is_negative() && !is_ours(&error) => {
                Error::rejected(reply).during(error.phase().unwrap_or(Phase::Data))
            }
            Ok(reply) if reply.code().is_preliminary() => error,
            Ok(reply) => error.with_reply(reply),
            Err(_) => {
                self.forsake("a transfer failed and the server did not say why");
                error
            }
        };
        self.blame(error, direction)
    }

    fn blame(&self, error: Error, direction: Direction) -> Error {
        let error = match direction {
            Direction::Up => error.advise("the remote file may be empty or cut short now"),
            Direction::Down => error,
        };
        self.explain(error)
    }

    /// TLS stacks make a session unusable whose connection was cut, and a TLS 1.2 session is the one that later data
    /// connections would resume. Tickets (TLS 1.3) are for one connection each.
    pub(super) fn mark_cut(&mut self) {
        self.cut |= self.tls().is_some_and(|tls| tls.version == "TLSv1.2");
    }

    fn trace_end(&self, transfer: &Transfer<T::Stream>) {
        let trace = &self.session.dialogue.context.trace;
        trace.emit(|| Event::Data { direction: transfer.direction, bytes: transfer.size });
        trace.emit(|| Event::Closed { channel: trace::Channel::Data });
    }
}

/// Whether we refused the peer: that the server then says no is the consequence, not the news.
fn is_ours(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Tls(fault) => !matches!(fault, TlsFault::AlertReceived { .. } | TlsFault::PeerMisbehaved(_)),
        _ => false,
    }
}
