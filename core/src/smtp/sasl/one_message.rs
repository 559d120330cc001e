//! The mechanisms in which the client says one thing, and that is all: PLAIN, EXTERNAL, ANONYMOUS.

use super::{Challenge, Exchange, Message};
use crate::error::{Error, Result};

/// What the client has to say, until it was said.
pub(super) struct OneMessage(Option<Message>);

impl OneMessage {
    /// PLAIN (RFC 4616): `authzid NUL authcid NUL password`, as they are; to prepare them is the server's part (§2).
    pub(super) fn plain(authzid: &str, user: &str, password: &str) -> Self {
        Self(Some(Message::new([authzid, user, password].join("\0").into_bytes())))
    }

    /// EXTERNAL (RFC 4422 appendix A): who we act as; empty to be whom the connection proves.
    pub(super) fn external(authzid: &str) -> Self {
        Self(Some(Message::new(authzid.as_bytes().to_vec())))
    }

    /// ANONYMOUS (RFC 4505): a word for the server's log.
    ///
    /// # Errors
    /// More than 255 characters are no trace, nor are control characters.
    pub(super) fn anonymous(trace: &str) -> Result<Self> {
        if trace.chars().count() > 255 || trace.chars().any(char::is_control) {
            let why = "the trace is longer than 255 characters or has control characters";
            return Err(Error::invalid_argument(why));
        }
        Ok(Self(Some(Message::new(trace.as_bytes().to_vec()))))
    }
}

impl Exchange for OneMessage {
    fn initial(&mut self) -> Option<Message> {
        self.0.take()
    }

    fn answer(&mut self, challenge: Challenge<'_>) -> Result<Message> {
        challenge.is_too_much()
    }

    fn is_complete(&self) -> bool {
        self.0.is_none()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said() {
        // RFC 4616 §4, RFC 4505 §4.
        for (mut exchange, message) in [
            (OneMessage::plain("", "tim", "tanstaaftanstaaf"), "\0tim\0tanstaaftanstaaf"),
            (OneMessage::plain("Ursel", "Kurt", "xipj3plmq"), "Ursel\0Kurt\0xipj3plmq"),
            (OneMessage::external("fred@example.com"), "fred@example.com"),
            (OneMessage::anonymous("sirhc").unwrap(), "sirhc"),
        ] {
            assert!(!exchange.is_complete());
            assert_eq!(**exchange.initial().unwrap(), *message.as_bytes());
            assert!(exchange.is_complete());
            assert!(exchange.answer(Challenge("")).is_err());
        }
        assert!(OneMessage::anonymous(&"é".repeat(255)).is_ok());
        assert!(OneMessage::anonymous(&"é".repeat(256)).is_err());
        assert!(OneMessage::anonymous("a\tb").is_err());
    }
}
