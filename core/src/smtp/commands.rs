//! Command lines: the verbs' spelling, and nothing else.

use super::address::Mailbox;
use super::envelope::{Envelope, Recipient};
use super::parameters::{BodyKind, Hold, LateAction, Parameter, Return, Submitter, release, unitext, xtext};
use crate::error::{Error, Result};
use crate::line::Line;

pub(super) fn ehlo(name: &str) -> Result<Line> {
    Line::new("EHLO ").argument("the EHLO name", name)
}

pub(super) fn helo(name: &str) -> Result<Line> {
    Line::new("HELO ").argument("the EHLO name", name)
}

pub(super) fn lhlo(name: &str) -> Result<Line> {
    Line::new("LHLO ").argument("the LHLO name", name)
}

pub(super) fn starttls() -> Line {
    Line::new("STARTTLS")
}

/// Which parameters MAIL and RCPT may have with this server, and this message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Allowed {
    /// RFC 1870.
    pub(super) size: bool,
    /// RFC 6152.
    pub(super) eight_bit: bool,
    /// Addresses go as UTF-8 (RFC 6531); without, domains go as A-labels.
    pub(super) utf8: bool,
    /// RFC 3461.
    pub(super) notices: bool,
    /// RFC 2852.
    pub(super) deliver_by: bool,
    /// RFC 6710.
    pub(super) priority: bool,
    /// RFC 4954 §5.
    pub(super) submitter: bool,
    /// Each recipient is told of by itself after the body (draft-hall-prdr).
    pub(super) prdr: bool,
}

pub(super) fn mail(envelope: &Envelope, allowed: Allowed) -> Result<Line> {
    let mut line = Line::new("MAIL FROM:<");
    if let Some(sender) = &envelope.sender {
        line = address(line, "the sender", sender, allowed.utf8)?;
    }
    line = line.literal(">");
    if let Some(size) = envelope.size.filter(|_| allowed.size) {
        line = line.literal(" SIZE=").number(size);
    }
    line = match envelope.body {
        BodyKind::Binary => line.literal(" BODY=BINARYMIME"),
        BodyKind::EightBit if allowed.eight_bit => line.literal(" BODY=8BITMIME"),
        _ => line,
    };
    if allowed.utf8 {
        line = line.literal(" SMTPUTF8");
    }
    if allowed.prdr {
        line = line.literal(" PRDR");
    }
    if envelope.require_tls {
        line = line.literal(" REQUIRETLS");
    }
    if allowed.notices {
        line = match envelope.dsn_return {
            None => line,
            Some(Return::Full) => line.literal(" RET=FULL"),
            Some(Return::Headers) => line.literal(" RET=HDRS"),
        };
        if let Some(id) = &envelope.envelope_id {
            if id.is_empty() || id.len() > 100 || !id.bytes().all(|b| (32..=126).contains(&b)) {
                let why = format!("the envelope id {id:?} is not 1 to 100 printable ASCII characters (RFC 3461 §4.4)");
                return Err(Error::invalid_argument(why));
            }
            line = line.literal(" ENVID=").argument("the envelope id", xtext(id))?;
        }
    }
    if let Some(by) = envelope.deliver_by.filter(|_| allowed.deliver_by) {
        if by.seconds.abs() > 999_999_999 || (by.seconds <= 0 && by.late == LateAction::Return) {
            let why = format!("{} seconds is no time to deliver by (RFC 2852 §4)", by.seconds);
            return Err(Error::invalid_argument(why));
        }
        let mode = match by.late {
            LateAction::Return => ";R",
            LateAction::Notify => ";N",
        };
        line = line.literal(" BY=").argument("the time to deliver by", by.seconds.to_string())?.literal(mode);
        if by.trace {
            line = line.literal("T");
        }
    }
    if let Some(priority) = envelope.priority.filter(|_| allowed.priority) {
        if !(-9..=9).contains(&priority) {
            return Err(Error::invalid_argument(format!("the priority {priority} is not between -9 and 9")));
        }
        line = line.literal(" MT-PRIORITY=").argument("the priority", priority.to_string())?;
    }
    line = match envelope.hold {
        None => line,
        Some(Hold::For(time)) => line.literal(" HOLDFOR=").number(time.as_secs()),
        Some(Hold::Until(at)) => line.literal(" HOLDUNTIL=").argument("the time of release", release(at)?)?,
    };
    line = match envelope.submitter.as_ref().filter(|_| allowed.submitter) {
        None => line,
        Some(Submitter::Unknown) => line.literal(" AUTH=<>"),
        Some(Submitter::Mailbox(mailbox)) => {
            line.literal(" AUTH=").argument("the submitter", xtext(mailbox.as_str()))?
        }
    };
    parameters(line, &envelope.parameters)
}

pub(super) fn rcpt(recipient: &Recipient, allowed: Allowed) -> Result<Line> {
    let mut line = Line::new("RCPT TO:<");
    line = address(line, "the recipient", &recipient.mailbox, allowed.utf8)?.literal(">");
    if allowed.notices {
        if let Some(notify) = recipient.notify {
            line = line.literal(" NOTIFY=").literal(notify.words());
        }
        if let Some(original) = &recipient.original {
            let original = original.as_str();
            // RFC 6533 §3: an address beyond ASCII has a type of its own, in two spellings.
            line = match (original.is_ascii(), allowed.utf8) {
                (true, _) => line.literal(" ORCPT=rfc822;").argument("the original recipient", xtext(original))?,
                (_, true) => line.literal(" ORCPT=utf-8;").argument("the original recipient", unitext(original))?,
                _ => {
                    let escaped: String = unitext(original)
                        .chars()
                        .map(|c| if c.is_ascii() { c.to_string() } else { format!("\\x{{{:X}}}", u32::from(c)) })
                        .collect();
                    line.literal(" ORCPT=utf-8;").argument("the original recipient", escaped)?
                }
            };
        }
    }
    parameters(line, &recipient.parameters)
}

fn address(line: Line, what: &str, mailbox: &Mailbox, utf8: bool) -> Result<Line> {
    if utf8 || mailbox.as_str().is_ascii() {
        return line.argument(what, mailbox.as_str());
    }
    line.argument(what, mailbox.with_ascii_domain()?.as_str())
}

fn parameters(mut line: Line, parameters: &[Parameter]) -> Result<Line> {
    for parameter in parameters {
        line = line.literal(" ").argument("a parameter's keyword", parameter.keyword())?;
        if let Some(value) = parameter.value() {
            line = line.literal("=").argument("a parameter's value", value)?;
        }
    }
    Ok(line)
}

pub(super) fn data() -> Line {
    Line::new("DATA")
}

pub(super) fn bdat(size: u64, last: bool) -> Line {
    let line = Line::new("BDAT ").number(size);
    if last { line.literal(" LAST") } else { line }
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

/// VRFY, EXPN or ETRN with what it is about.
pub(super) fn about(verb: &'static str, text: &str) -> Result<Line> {
    if text.trim().is_empty() {
        return Err(Error::invalid_argument("the command needs an argument"));
    }
    let line = Line::new(verb).literal(" ").argument("the argument", text)?;
    Ok(if text.is_ascii() { line } else { line.literal(" SMTPUTF8") })
}

pub(super) fn help(topic: Option<&str>) -> Result<Line> {
    match topic {
        None => Ok(Line::new("HELP")),
        Some(topic) => Line::new("HELP ").argument("the topic", topic),
    }
}

/// XCLIENT with attributes, whose values are xtext.
pub(super) fn xclient(attributes: &[(&str, Option<&str>)]) -> Result<Line> {
    let mut line = Line::new("XCLIENT");
    for (name, value) in attributes {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Error::invalid_argument(format!("{name:?} is no XCLIENT attribute")));
        }
        let value = value.map_or_else(|| "[UNAVAILABLE]".to_owned(), xtext);
        line = line.literal(" ").argument("an attribute", name.to_ascii_uppercase())?.literal("=");
        line = line.argument("an attribute's value", value)?;
    }
    Ok(line)
}
