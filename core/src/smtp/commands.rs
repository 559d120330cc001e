//! Command lines: the verbs' spelling, and nothing else.

use super::address::Mailbox;
use crate::error::Result;
use crate::line::Line;

pub(super) fn ehlo(name: &str) -> Result<Line> {
    Line::new("EHLO ").argument("the EHLO name", name)
}

pub(super) fn helo(name: &str) -> Result<Line> {
    Line::new("HELO ").argument("the EHLO name", name)
}

pub(super) fn starttls() -> Line {
    Line::new("STARTTLS")
}

/// The parameters of MAIL, each only where the server offers its extension.
#[derive(Default)]
pub(super) struct MailParameters {
    /// RFC 1870.
    pub(super) size: Option<u64>,
    /// RFC 6152.
    pub(super) eight_bit: bool,
    /// RFC 6531.
    pub(super) utf8: bool,
}

pub(super) fn mail(sender: Option<&Mailbox>, parameters: &MailParameters) -> Result<Line> {
    let mut line = Line::new("MAIL FROM:<");
    if let Some(sender) = sender {
        line = line.argument("the sender", sender.as_str())?;
    }
    line = line.literal(">");
    if let Some(size) = parameters.size {
        line = line.literal(" SIZE=").number(size);
    }
    if parameters.eight_bit {
        line = line.literal(" BODY=8BITMIME");
    }
    Ok(if parameters.utf8 { line.literal(" SMTPUTF8") } else { line })
}

pub(super) fn rcpt(recipient: &Mailbox) -> Result<Line> {
    Ok(Line::new("RCPT TO:<").argument("the recipient", recipient.as_str())?.literal(">"))
}

pub(super) fn data() -> Line {
    Line::new("DATA")
}

pub(super) fn rset() -> Line {
    Line::new("RSET")
}

pub(super) fn noop() -> Line {
    Line::new("NOOP")
}

pub(super) fn quit() -> Line {
    Line::new("QUIT")
}
