//! What is asked for a message beside its sender and its recipients.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use starttls::smtp::{self, Mailbox, Parameter, SendOptions};

use crate::exports::smtp::{
    BodyKind, DsnReturn, GuestSendOptions, Hold, LateAction, LineEnds, NotOffered, Notify, RecipientPolicy,
};
use crate::exports::types::Error;

/// What is asked for.
#[derive(Default)]
pub(crate) struct Asked(RefCell<SendOptions>);

impl Asked {
    pub(crate) fn ask(&self, envelope: &mut smtp::Envelope) {
        self.0.borrow().ask(envelope);
    }
}

fn address(text: Option<&String>) -> Result<Option<Mailbox>, Error> {
    Ok(text.map(|text| text.parse()).transpose()?)
}

impl GuestSendOptions for Asked {
    fn new() -> Self {
        Self::default()
    }

    fn set_recipient_policy(&self, policy: RecipientPolicy) {
        self.0.borrow_mut().recipient_policy = match policy {
            RecipientPolicy::Any => smtp::RecipientPolicy::Any,
            RecipientPolicy::All => smtp::RecipientPolicy::All,
        };
    }

    fn set_line_ends(&self, ends: LineEnds) {
        self.0.borrow_mut().line_ends = match ends {
            LineEnds::Normalise => smtp::LineEnds::Normalise,
            LineEnds::Strict => smtp::LineEnds::Strict,
            LineEnds::Preserve => smtp::LineEnds::Preserve,
        };
    }

    fn set_body(&self, kind: BodyKind) {
        self.0.borrow_mut().body = Some(match kind {
            BodyKind::SevenBit => smtp::BodyKind::SevenBit,
            BodyKind::EightBit => smtp::BodyKind::EightBit,
            BodyKind::Binary => smtp::BodyKind::Binary,
        });
    }

    fn set_dsn_return(&self, what: DsnReturn) {
        self.0.borrow_mut().dsn_return = Some(match what {
            DsnReturn::Full => smtp::Return::Full,
            DsnReturn::Headers => smtp::Return::Headers,
        });
    }

    fn set_envelope_id(&self, id: String) {
        self.0.borrow_mut().envelope_id = Some(id);
    }

    fn set_notify(&self, recipient: Option<String>, when: Notify) -> Result<(), Error> {
        let Notify { success, failure, delay } = when;
        let notify = smtp::Notify { success, failure, delay };
        self.0.borrow_mut().notify.push((address(recipient.as_ref())?, notify));
        Ok(())
    }

    fn set_original_recipient(&self, recipient: Option<String>, original: String) -> Result<(), Error> {
        self.0.borrow_mut().original.push((address(recipient.as_ref())?, original.parse()?));
        Ok(())
    }

    fn set_deliver_by(&self, seconds: i32, late: LateAction, trace: bool) {
        let late = match late {
            LateAction::Bounce => smtp::LateAction::Return,
            LateAction::Tell => smtp::LateAction::Notify,
        };
        self.0.borrow_mut().deliver_by = Some(smtp::DeliverBy { seconds, late, trace });
    }

    fn set_priority(&self, priority: i8) {
        self.0.borrow_mut().priority = Some(priority);
    }

    fn set_hold(&self, hold: Hold) {
        self.0.borrow_mut().hold = Some(match hold {
            Hold::Span(nanoseconds) => smtp::Hold::For(Duration::from_nanos(nanoseconds)),
            // What is before 1970 is past, however long.
            Hold::Until(at) => {
                let since = Duration::from_nanos(u64::try_from(at).unwrap_or_default());
                smtp::Hold::Until(SystemTime::UNIX_EPOCH + since)
            }
        });
    }

    fn set_require_tls(&self, required: bool) {
        self.0.borrow_mut().require_tls = required;
    }

    fn set_submitter(&self, submitter: Option<String>) -> Result<(), Error> {
        let submitter = address(submitter.as_ref())?;
        self.0.borrow_mut().submitter = Some(submitter.map_or(smtp::Submitter::Unknown, smtp::Submitter::Mailbox));
        Ok(())
    }

    fn add_parameter(&self, keyword: String, value: Option<String>) -> Result<(), Error> {
        self.0.borrow_mut().parameters.push(Parameter::new(&keyword, value.as_deref())?);
        Ok(())
    }

    fn add_recipient_parameter(
        &self,
        recipient: Option<String>,
        keyword: String,
        value: Option<String>,
    ) -> Result<(), Error> {
        let parameter = Parameter::new(&keyword, value.as_deref())?;
        self.0.borrow_mut().recipient_parameters.push((address(recipient.as_ref())?, parameter));
        Ok(())
    }

    fn set_not_offered(&self, choice: NotOffered) {
        self.0.borrow_mut().not_offered = match choice {
            NotOffered::Refuse => smtp::NotOffered::Refuse,
            NotOffered::Drop => smtp::NotOffered::Drop,
        };
    }
}
