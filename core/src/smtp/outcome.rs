//! What became of a message.

use std::sync::Arc;

use crate::error::Error;
use crate::reply::Reply;
use crate::smtp::{LoginInfo, Mailbox};
use crate::tls::TlsInfo;

/// What became of a message as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The server took responsibility for every recipient.
    Accepted,
    /// For some recipients; see their verdicts.
    Partial,
    /// For none.
    Refused,
    /// The connection was lost after the body was sent and before the server's answer: the message may have been
    /// accepted. Sending again may deliver it twice; nothing here does so by itself.
    Unknown,
}

impl Outcome {
    /// The outcome in one lower-case word, as reports show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Partial => "partial",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// What the server said about one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecipientVerdict {
    /// Who.
    pub recipient: Mailbox,
    /// The reply that decided: to RCPT, or, if that was positive and the message was refused, the one that refused it.
    /// `None` if the connection was lost before the server said anything about this one.
    pub reply: Option<Reply>,
    pub(super) accepted: bool,
}

impl RecipientVerdict {
    /// Whether RCPT, and all that came later, was answered with yes; with [`Outcome::Unknown`], whether it may have
    /// been.
    pub fn is_accepted(&self) -> bool {
        self.accepted
    }
}

/// The whole story of one message. A message is never sent twice by this crate.
#[derive(Debug)]
#[must_use = "a refused message is told here, not as an error"]
pub struct DeliveryReport {
    pub(super) outcome: Outcome,
    pub(super) recipients: Vec<RecipientVerdict>,
    pub(super) reply: Option<Reply>,
    pub(super) error: Option<Error>,
    pub(super) tls: Option<Arc<TlsInfo>>,
    pub(super) login: Option<LoginInfo>,
}

impl DeliveryReport {
    /// What became of the message.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// A verdict for each recipient, in the envelope's order.
    pub fn recipients(&self) -> &[RecipientVerdict] {
        &self.recipients
    }

    /// The recipients that the server took responsibility for; with [`Outcome::Unknown`], those it may have.
    pub fn accepted(&self) -> impl Iterator<Item = &Mailbox> {
        self.recipients.iter().filter(|verdict| verdict.is_accepted()).map(|verdict| &verdict.recipient)
    }

    /// The recipients that the server refused, each with its reply; those without one were never asked for, since the
    /// connection was lost between two transactions of one message.
    pub fn refused(&self) -> impl Iterator<Item = (&Mailbox, Option<&Reply>)> {
        let refused = self.recipients.iter().filter(|verdict| !verdict.is_accepted());
        refused.map(|verdict| (&verdict.recipient, verdict.reply.as_ref()))
    }

    /// The server's last word on the message; `None` if none came.
    pub fn reply(&self) -> Option<&Reply> {
        self.reply.as_ref()
    }

    /// Why the outcome is unknown, why some recipients were never asked for, or a refusal with what to do about it, where
    /// that is known.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// The server's own name for the message, where its last reply says one.
    pub fn queue_id(&self) -> Option<String> {
        self.reply.as_ref().filter(|reply| reply.code().is_completion()).and_then(queue_id)
    }

    /// How the session that carried it was logged in: by which mechanism, bound to the TLS connection or not.
    pub fn login(&self) -> Option<LoginInfo> {
        self.login
    }

    /// What TLS agreed on the connection that carried it.
    pub fn tls(&self) -> Option<&Arc<TlsInfo>> {
        self.tls.as_ref()
    }
}

/// `queued as ID` (Postfix and others), `id=ID` (Exim), `ID Message accepted for delivery` (Sendmail), `<address> ID Saved`
/// (Dovecot).
fn queue_id(reply: &Reply) -> Option<String> {
    let text = reply.text();
    let clean = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        (!word.is_empty()).then(|| word.to_owned())
    };
    if let Some((_, after)) = text.split_once("queued as ") {
        return clean(after.split_whitespace().next()?);
    }
    let words: Vec<_> = text.split_whitespace().collect();
    if let Some(id) = words.iter().find_map(|word| word.strip_prefix("id=")) {
        return clean(id);
    }
    if let [_, .., id, "Saved"] = words[..] {
        return clean(id);
    }
    let at = words.windows(2).position(|pair| pair == ["Message", "accepted"])?;
    clean(words.get(at.checked_sub(1)?)?)
}
