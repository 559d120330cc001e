//! Who sends to whom, how, and what the server must know of a message before it comes.

use super::address::Mailbox;
use super::lines::LineEnds;
use super::parameters::{BodyKind, DeliverBy, Hold, Notify, Parameter, Return, Submitter};
use crate::error::{Error, Result};

/// One forward-path, and what is asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recipient {
    /// Who.
    pub mailbox: Mailbox,
    /// When the sender is told what became of the message for this one (DSN, RFC 3461 §4.1).
    pub notify: Option<Notify>,
    /// The address that the sender wrote, if this is another one (ORCPT, RFC 3461 §4.2): notices name it.
    pub original: Option<Mailbox>,
    /// Anything else.
    pub parameters: Vec<Parameter>,
}

impl From<Mailbox> for Recipient {
    fn from(mailbox: Mailbox) -> Self {
        Self { mailbox, notify: None, original: None, parameters: Vec::new() }
    }
}

impl std::str::FromStr for Recipient {
    type Err = Error;

    fn from_str(address: &str) -> Result<Self> {
        address.parse::<Mailbox>().map(Self::from)
    }
}

/// Whether a message goes out if the server refuses some of its recipients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RecipientPolicy {
    /// It goes to those who were accepted.
    #[default]
    Any,
    /// It goes to all or to none: the body is sent only when every recipient was accepted, and PRDR is not asked for. With
    /// LMTP, whose verdicts come after the body, it is as `Any`.
    All,
}

/// What happens to a request that the server has no extension for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NotOffered {
    /// The message is not sent.
    #[default]
    Refuse,
    /// It is sent without the request. Only notices (DSN), DELIVERBY, MT-PRIORITY and `AUTH=` can be dropped: without
    /// the others the message would be another one, go at another time, or over clear text.
    Drop,
}

/// Who sends to whom, how, and what the server must know of the message before it comes.
///
/// ```
/// use starttls::smtp::{Envelope, Notify};
/// let mut envelope = Envelope::new("ada@example.org", ["bob@example.net", "eve@example.net"])?;
/// envelope.envelope_id = Some("order-17".into());
/// envelope.recipients[1].notify = Some(Notify { success: true, failure: true, delay: false });
/// # Ok::<(), starttls::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The reverse-path; `None` is the null reverse-path `<>` of notifications.
    pub sender: Option<Mailbox>,
    /// The forward-paths, in the order in which they are asked for. At least one.
    pub recipients: Vec<Recipient>,
    /// What happens if some of them are refused.
    pub recipient_policy: RecipientPolicy,
    /// The message's size in bytes, if known: declared where the server offers SIZE (RFC 1870), and held against the
    /// server's limit before anything is sent.
    pub size: Option<u64>,
    /// What its bytes are like.
    pub body: BodyKind,
    /// What becomes of line ends other than CRLF.
    pub line_ends: LineEnds,
    /// Whether the message's header has UTF-8 (RFC 6531). Addresses that need it are seen without this.
    pub utf8: bool,
    /// How much of the message a failure notice repeats (RET, RFC 3461 §4.3).
    pub dsn_return: Option<Return>,
    /// A name for this sending that notices repeat (ENVID, RFC 3461 §4.4): at most 100 characters.
    pub envelope_id: Option<String>,
    /// Delivery by a certain time (RFC 2852).
    pub deliver_by: Option<DeliverBy>,
    /// -9 to 9, 0 is normal (MT-PRIORITY, RFC 6710).
    pub priority: Option<i8>,
    /// How long the server keeps it first (FUTURERELEASE, RFC 4865).
    pub hold: Option<Hold>,
    /// Whether every hop must use TLS with a verified certificate, or return the message (REQUIRETLS, RFC 8689).
    pub require_tls: bool,
    /// Who submitted it first (`AUTH=`, RFC 4954 §5), for relays.
    pub submitter: Option<Submitter>,
    /// Anything else that MAIL can say.
    pub parameters: Vec<Parameter>,
    /// What happens to those of the above that the server does not offer.
    pub not_offered: NotOffered,
}

impl Envelope {
    /// An envelope from a sender and recipients.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for an address that is none, or no recipient.
    pub fn new<R: AsRef<str>>(sender: &str, recipients: impl IntoIterator<Item = R>) -> Result<Self> {
        let sender = if sender.is_empty() { None } else { Some(sender.parse()?) };
        let recipients = recipients.into_iter().map(|r| r.as_ref().parse()).collect::<Result<Vec<_>>>()?;
        if recipients.is_empty() {
            return Err(no_recipient());
        }
        Ok(Self::from_mailboxes(sender, recipients))
    }

    /// An envelope from addresses that were read already.
    pub fn from_mailboxes(sender: Option<Mailbox>, recipients: Vec<Recipient>) -> Self {
        Self {
            sender,
            recipients,
            recipient_policy: RecipientPolicy::Any,
            size: None,
            body: BodyKind::SevenBit,
            line_ends: LineEnds::Normalise,
            utf8: false,
            dsn_return: None,
            envelope_id: None,
            deliver_by: None,
            priority: None,
            hold: None,
            require_tls: false,
            submitter: None,
            parameters: Vec::new(),
            not_offered: NotOffered::Refuse,
        }
    }

    /// Whether an address, or the message's header, needs SMTPUTF8.
    pub(super) fn needs_utf8(&self) -> bool {
        let recipients = self.recipients.iter().map(|recipient| &recipient.mailbox);
        self.utf8 || self.sender.iter().chain(recipients).any(|mailbox| !mailbox.local_part().is_ascii())
    }
}

pub(super) fn no_recipient() -> Error {
    Error::invalid_argument("a message needs at least one recipient")
}
