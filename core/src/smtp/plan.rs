//! How a message goes to one server: which commands, in which groups, over DATA or BDAT. Made, and every argument of it
//! checked, before the first byte is sent.

use std::collections::HashSet;

use super::commands::{self, Allowed};
use super::envelope::{Envelope, NotOffered, RecipientPolicy, no_recipient};
use super::extensions::Extensions;
use super::lines::LineEnds;
use super::parameters::{BodyKind, Hold};
use crate::error::{Error, Result};
use crate::line::Line;

/// What the server can do, and what is made use of.
#[derive(Debug)]
pub(super) struct Abilities<'a> {
    pub(super) extensions: &'a Extensions,
    /// Several commands in a flight.
    pub(super) pipelining: bool,
    /// BDAT.
    pub(super) chunking: bool,
    /// Bytes of a chunk.
    pub(super) chunk_size: usize,
    /// A verdict for each recipient after the body (RFC 2033).
    pub(super) lmtp: bool,
    /// Whether the connection is under TLS.
    pub(super) secure: bool,
}

/// How a message goes to one server.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) mail: Line,
    /// RCPT for each recipient of the envelope.
    pub(super) recipients: Vec<Line>,
    /// The body goes out only when every recipient was accepted.
    pub(super) all_or_none: bool,
    pub(super) pipelining: bool,
    /// Bytes of a chunk, where the body goes over BDAT.
    pub(super) chunk_size: Option<usize>,
    pub(super) lmtp: bool,
    pub(super) line_ends: LineEnds,
    /// The most recipients of one transaction, and the most domains among them.
    pub(super) recipient_limit: Option<usize>,
    pub(super) domain_limit: Option<usize>,
}

impl Plan {
    pub(super) fn new(envelope: &Envelope, server: &Abilities<'_>) -> Result<Self> {
        if envelope.recipients.is_empty() {
            return Err(no_recipient());
        }
        let limits = server.extensions.limits();
        let all_or_none = envelope.recipient_policy == RecipientPolicy::All && !server.lmtp;
        if let Some(limit) = limits.recipients.filter(|&limit| all_or_none && envelope.recipients.len() > limit) {
            let why = format!("the server takes {limit} recipients at a time: more cannot be all or none");
            return Err(Error::limit(why));
        }
        if let Some(limit) = limits.domains.filter(|&limit| all_or_none && domains(envelope) > limit) {
            let why = format!("the server takes recipients in {limit} domains at a time: more cannot be all or none");
            return Err(Error::limit(why));
        }
        // LMTP's verdicts for each recipient, and PRDR's, are defined for DATA; BDAT is used there for what only it can
        // carry.
        let needs_chunks = envelope.body == BodyKind::Binary || envelope.line_ends == LineEnds::Preserve;
        // Nor is a verdict for each of them anything for who wants all or none.
        let each = !server.lmtp && !all_or_none && envelope.recipients.len() > 1;
        let prdr = server.extensions.offers("PRDR") && each && !needs_chunks;
        let chunks = server.chunking && (needs_chunks || !(server.lmtp || prdr));
        if needs_chunks && !chunks {
            let what = if envelope.body == BodyKind::Binary { "a binary message" } else { "a message as it is" };
            return Err(not_offered(what, "CHUNKING").advise("let line ends be normalised"));
        }
        let allowed = allowed(envelope, server, prdr)?;
        Ok(Self {
            mail: commands::mail(envelope, allowed)?,
            recipients: envelope.recipients.iter().map(|r| commands::rcpt(r, allowed)).collect::<Result<_>>()?,
            all_or_none,
            pipelining: server.pipelining,
            chunk_size: chunks.then_some(server.chunk_size),
            lmtp: server.lmtp,
            line_ends: envelope.line_ends,
            recipient_limit: limits.recipients,
            domain_limit: limits.domains,
        })
    }
}

/// How many domains the recipients are in.
fn domains(envelope: &Envelope) -> usize {
    let domains = envelope.recipients.iter().map(|recipient| recipient.mailbox.domain().to_ascii_lowercase());
    domains.collect::<HashSet<_>>().len()
}

/// What the message asks for, held against what the server offers.
fn allowed(envelope: &Envelope, server: &Abilities<'_>, prdr: bool) -> Result<Allowed> {
    let extensions = server.extensions;
    if let (Some(size), Some(limit)) = (envelope.size, extensions.size_limit())
        && size > limit
    {
        return Err(Error::limit(format!("the message has {size} bytes and the server takes at most {limit}")));
    }
    let utf8 = envelope.needs_utf8();
    if utf8 && !extensions.offers("SMTPUTF8") {
        return Err(not_offered("an address or the header", "SMTPUTF8"));
    }
    if envelope.body == BodyKind::Binary && !extensions.offers("BINARYMIME") {
        return Err(not_offered("a binary message", "BINARYMIME"));
    }
    if envelope.require_tls && !(server.secure && extensions.offers("REQUIRETLS")) {
        return Err(not_offered("TLS on every hop", "REQUIRETLS"));
    }
    hold(envelope, extensions)?;
    let optional = |asked: bool, what: &str, keyword: &str| match (asked, extensions.offers(keyword)) {
        (true, false) if envelope.not_offered == NotOffered::Refuse => Err(not_offered(what, keyword)),
        (asked, offered) => Ok(asked && offered),
    };
    let notices = envelope.dsn_return.is_some()
        || envelope.envelope_id.is_some()
        || envelope.recipients.iter().any(|r| r.notify.is_some() || r.original.is_some());
    let deliver_by = optional(envelope.deliver_by.is_some(), "a time to deliver by", "DELIVERBY")?;
    if let (Some(by), Some(least)) = (envelope.deliver_by, extensions.deliver_by_minimum())
        && deliver_by
        && by.late == super::parameters::LateAction::Return
        && i64::from(by.seconds) < i64::from(least)
    {
        let why = format!("the server delivers within {least} seconds at best, and {} are asked for", by.seconds);
        return Err(Error::limit(why));
    }
    Ok(Allowed {
        size: extensions.offers("SIZE"),
        eight_bit: extensions.offers("8BITMIME"),
        utf8,
        notices: optional(notices, "a notice", "DSN")?,
        deliver_by,
        priority: optional(envelope.priority.is_some(), "a priority", "MT-PRIORITY")?,
        submitter: optional(envelope.submitter.is_some(), "the submitter", "AUTH")?,
        prdr,
    })
}

/// A message that should wait must not go at once.
fn hold(envelope: &Envelope, extensions: &Extensions) -> Result<()> {
    let Some(hold) = envelope.hold else { return Ok(()) };
    if !extensions.offers("FUTURERELEASE") {
        return Err(not_offered("a later release", "FUTURERELEASE"));
    }
    let seconds = match hold {
        Hold::For(time) => time.as_secs(),
        Hold::Until(at) => at.duration_since(std::time::SystemTime::now()).map_or(0, |time| time.as_secs()),
    };
    match extensions.future_release_interval() {
        Some(limit) if seconds > limit => {
            Err(Error::limit(format!("the server holds a message for at most {limit} seconds, not {seconds}")))
        }
        _ => Ok(()),
    }
}

fn not_offered(what: &str, keyword: &str) -> Error {
    Error::not_offered(format!("{what} needs {keyword}, and the server does not offer it"))
}
