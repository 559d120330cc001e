//! What is asked for a message beside its sender and its recipients, before they are known.

use super::address::Mailbox;
use super::envelope::{Envelope, NotOffered, RecipientPolicy};
use super::lines::LineEnds;
use super::parameters::{BodyKind, DeliverBy, Hold, Notify, Parameter, Return, Submitter};

/// A value for one recipient, or for all; of several that fit, the last counts.
pub type ForRecipients<V> = Vec<(Option<Mailbox>, V)>;

/// What is asked for a message beside its sender and its recipients: the fields of an [`Envelope`] that its header does
/// not tell. One value serves any number of messages.
///
/// ```
/// use starttls::smtp::{Envelope, Notify, SendOptions};
/// let mut options = SendOptions::default();
/// options.envelope_id = Some("order-17".into());
/// options.notify.push((None, Notify { failure: true, ..Notify::NEVER }));
/// options.notify.push((Some("eve@example.net".parse()?), Notify::NEVER));
/// let mut envelope = Envelope::new("ada@example.org", ["bob@example.net", "eve@example.net"])?;
/// options.ask(&mut envelope);
/// assert_eq!(envelope.recipients[1].notify, Some(Notify::NEVER));
/// # Ok::<(), starttls::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SendOptions {
    /// See [`Envelope::recipient_policy`].
    pub recipient_policy: RecipientPolicy,
    /// See [`Envelope::line_ends`].
    pub line_ends: LineEnds,
    /// In place of what the envelope says.
    pub body: Option<BodyKind>,
    /// See [`Envelope::dsn_return`].
    pub dsn_return: Option<Return>,
    /// See [`Envelope::envelope_id`].
    pub envelope_id: Option<String>,
    /// See [`Recipient::notify`](super::Recipient::notify).
    pub notify: ForRecipients<Notify>,
    /// See [`Recipient::original`](super::Recipient::original).
    pub original: ForRecipients<Mailbox>,
    /// See [`Envelope::deliver_by`].
    pub deliver_by: Option<DeliverBy>,
    /// See [`Envelope::priority`].
    pub priority: Option<i8>,
    /// See [`Envelope::hold`].
    pub hold: Option<Hold>,
    /// See [`Envelope::require_tls`].
    pub require_tls: bool,
    /// See [`Envelope::submitter`].
    pub submitter: Option<Submitter>,
    /// See [`Envelope::parameters`].
    pub parameters: Vec<Parameter>,
    /// See [`Recipient::parameters`](super::Recipient::parameters); all that fit count.
    pub recipient_parameters: ForRecipients<Parameter>,
    /// See [`Envelope::not_offered`].
    pub not_offered: NotOffered,
}

impl SendOptions {
    /// Asks for it in an envelope.
    pub fn ask(&self, envelope: &mut Envelope) {
        envelope.recipient_policy = self.recipient_policy;
        envelope.line_ends = self.line_ends;
        envelope.body = self.body.unwrap_or(envelope.body);
        envelope.dsn_return = self.dsn_return;
        envelope.envelope_id.clone_from(&self.envelope_id);
        envelope.deliver_by = self.deliver_by;
        envelope.priority = self.priority;
        envelope.hold = self.hold;
        envelope.require_tls = self.require_tls;
        envelope.submitter.clone_from(&self.submitter);
        envelope.parameters.clone_from(&self.parameters);
        envelope.not_offered = self.not_offered;
        for recipient in &mut envelope.recipients {
            recipient.notify = of(&self.notify, &recipient.mailbox).last().copied();
            recipient.original = of(&self.original, &recipient.mailbox).last().cloned();
            recipient.parameters = of(&self.recipient_parameters, &recipient.mailbox).cloned().collect();
        }
    }

    /// An address that something is asked for, and that is no recipient of this envelope.
    pub fn astray(&self, envelope: &Envelope) -> Option<&Mailbox> {
        let notify = self.notify.iter().filter_map(|(address, _)| address.as_ref());
        let original = self.original.iter().filter_map(|(address, _)| address.as_ref());
        let parameters = self.recipient_parameters.iter().filter_map(|(address, _)| address.as_ref());
        let mut addresses = notify.chain(original).chain(parameters);
        addresses.find(|address| envelope.recipients.iter().all(|recipient| recipient.mailbox != **address))
    }
}

/// Those for this recipient, and for all.
fn of<'a, V>(values: &'a ForRecipients<V>, mailbox: &Mailbox) -> impl Iterator<Item = &'a V> {
    let fits = move |(address, _): &&(Option<Mailbox>, V)| address.as_ref().is_none_or(|address| address == mailbox);
    values.iter().filter(fits).map(|(_, value)| value)
}
