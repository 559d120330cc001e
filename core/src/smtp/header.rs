//! The header of a message, as far as it concerns the envelope (RFC 5322 §3.6).

mod reader;

use std::borrow::Cow;
use std::collections::HashSet;

use self::reader::End;
pub use self::reader::HeaderReader;
use super::address::Mailbox;
use super::address_list;
use super::envelope::Envelope;
use super::fields::{self, Field, Fields, Part};
use crate::error::{Error, Result};

/// The most bytes that a header may have: it is looked through before anything is sent.
pub const HEADER_LIMIT: usize = 1024 * 1024;

/// The header of a message: what stands before the first blank line, and that line.
///
/// It tells who sends the message to whom, and how it is shown: without `Bcc`, whatever the server. CRLF, LF and CR all
/// end a line, since all three do once the message is on the wire.
///
/// ```
/// use starttls::smtp::Header;
/// let message = b"From: Ada <ada@example.org>\r\nTo: bob@example.net\r\nBcc: eve@example.com\r\n\r\nHello.\r\n";
/// let header = Header::of(message)?;
/// assert_eq!(header.sender()?.as_str(), "ada@example.org");
/// assert_eq!(header.recipients()?.len(), 2);
/// assert_eq!(&*header.shown(), b"From: Ada <ada@example.org>\r\nTo: bob@example.net\r\n\r\n");
/// # Ok::<(), starttls::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    bytes: &'a [u8],
}

impl<'a> Header<'a> {
    /// The header that `message` begins with. If there is no blank line, the message is a header and nothing else.
    ///
    /// # Errors
    /// [`LimitExceeded`](crate::ErrorKind::LimitExceeded) if it is longer than [`HEADER_LIMIT`].
    pub fn of(message: &'a [u8]) -> Result<Self> {
        let start = &message[..message.len().min(HEADER_LIMIT + 1)];
        let end = End::default().find(start).unwrap_or(start.len());
        if end > HEADER_LIMIT {
            return Err(too_long());
        }
        Ok(Self { bytes: &message[..end] })
    }

    /// The header as it is, its blank line included.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The reverse-path: the mailbox of `Sender`, else the first one of `From`; of the `Resent-` fields if the message
    /// was resent (RFC 5322 §3.6.6).
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if there is none, more than one such field, or something
    /// that is no address; as [`recipients`](Header::recipients), too.
    pub fn sender(&self) -> Result<Mailbox> {
        Addressing::of(self.bytes)?.sender()
    }

    /// The forward-paths: everybody in `To`, `Cc` and `Bcc`, each once; of the `Resent-` fields if the message was
    /// resent (RFC 5322 §3.6.6), the latest block of them if that happened more than once.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if there is nobody, something that is no address, a line
    /// that is no field, or blocks of `Resent-` fields that cannot be told apart.
    pub fn recipients(&self) -> Result<Vec<Mailbox>> {
        Addressing::of(self.bytes)?.recipients()
    }

    /// The envelope: [`sender`](Header::sender) and [`recipients`](Header::recipients), and whether the header
    /// [needs SMTPUTF8](Header::needs_utf8).
    ///
    /// # Errors
    /// Theirs.
    pub fn envelope(&self) -> Result<Envelope> {
        self.envelope_unless(None, None::<&[&str]>)
    }

    /// [`envelope`](Header::envelope), where a sender (empty for the null reverse-path) or recipients that are given take
    /// the place of those in the header, which is not asked for them then.
    ///
    /// # Errors
    /// Those of [`Envelope::new`] for what is given, and of [`envelope`](Header::envelope) for the rest.
    pub fn envelope_unless<R: AsRef<str>>(&self, sender: Option<&str>, recipients: Option<&[R]>) -> Result<Envelope> {
        let says = match (sender, recipients) {
            (Some(_), Some(_)) => None,
            _ => Some(Addressing::of(self.bytes)?),
        };
        let found = says.as_ref().filter(|_| sender.is_none()).map(Addressing::sender).transpose()?;
        let sender = found.as_ref().map_or(sender.unwrap_or_default(), Mailbox::as_str);
        let mut envelope = match (recipients, &says) {
            (None, Some(says)) => Envelope::new(sender, says.recipients()?.iter().map(Mailbox::as_str)),
            (given, _) => Envelope::new(sender, given.unwrap_or_default()),
        }?;
        envelope.utf8 = self.needs_utf8();
        Ok(envelope)
    }

    /// The header as it goes out: without `Bcc` and `Resent-Bcc`, folded lines and all, and without what is no part of a
    /// message: a byte order mark, and the `From ` line of mbox files and patches.
    pub fn shown(&self) -> Cow<'a, [u8]> {
        let bytes = fields::without_mark(self.bytes);
        let mut kept: Option<Vec<u8>> = None;
        let mut at = 0;
        for field in Fields::of(bytes) {
            if field.is_hidden() {
                kept.get_or_insert_with(|| bytes[..at].to_vec());
            } else if let Some(kept) = &mut kept {
                kept.extend_from_slice(field.raw);
            }
            at += field.raw.len();
        }
        kept.map_or(Cow::Borrowed(bytes), Cow::Owned)
    }

    /// Whether what is shown of it is UTF-8 beyond ASCII (RFC 6532). Other bytes above 127 are no reason: no extension
    /// makes them right.
    pub fn needs_utf8(&self) -> bool {
        if self.bytes.is_ascii() {
            return false;
        }
        let shown = self.shown();
        !shown.is_ascii() && std::str::from_utf8(&shown).is_ok()
    }
}

fn too_long() -> Error {
    Error::limit(format!("the message's header is longer than {HEADER_LIMIT} bytes"))
}

fn mailboxes(field: &Field<'_>) -> Result<Vec<Mailbox>> {
    let name = String::from_utf8_lossy(field.name);
    let value = field.unfolded();
    let text = std::str::from_utf8(&value)
        .map_err(|_| Error::invalid_argument(format!("{name} has addresses that are no UTF-8")))?;
    address_list::mailboxes(text).map_err(|why| {
        let shown: String = text.trim().chars().take(200).collect();
        Error::invalid_argument(format!("{name} has something that is no address: {shown:?}: {why}"))
    })
}

/// The fields that say who sends the message to whom now.
struct Addressing<'a> {
    fields: Vec<Field<'a>>,
    resent: bool,
}

impl<'a> Addressing<'a> {
    fn of(header: &'a [u8]) -> Result<Self> {
        let (mut original, mut resent) = (Vec::new(), Vec::new());
        for (index, field) in Fields::of(fields::without_mark(header)).enumerate() {
            if field.is_nonsense() {
                let line: String = String::from_utf8_lossy(field.raw).trim().chars().take(60).collect();
                let why = format!("the message's header has a line that is no field: {line:?}");
                return Err(Error::invalid_argument(why));
            }
            if field.part.is_some() {
                if field.resent { resent.push((index, field)) } else { original.push(field) }
            }
        }
        if resent.is_empty() {
            return Ok(Self { fields: original, resent: false });
        }
        Ok(Self { fields: latest(resent)?, resent: true })
    }

    fn sender(&self) -> Result<Mailbox> {
        for (part, name) in [(Part::Sender, "Sender"), (Part::From, "From")] {
            let mut fields = self.fields.iter().filter(|field| field.part == Some(part));
            let Some(field) = fields.next() else { continue };
            if fields.next().is_some() {
                return Err(Error::invalid_argument(format!("the message has more than one {}{name}", self.prefix())));
            }
            if let Some(first) = mailboxes(field)?.into_iter().next() {
                return Ok(first);
            }
        }
        Err(Error::invalid_argument(format!("the message has no {}From: its sender must be given", self.prefix())))
    }

    fn recipients(&self) -> Result<Vec<Mailbox>> {
        let mut found = Vec::new();
        for part in [Part::To, Part::Cc, Part::Bcc] {
            for field in self.fields.iter().filter(|field| field.part == Some(part)) {
                found.append(&mut mailboxes(field)?);
            }
        }
        if found.is_empty() {
            let why = format!("the message has no {}To, Cc or Bcc: its recipients must be given", self.prefix());
            return Err(Error::invalid_argument(why));
        }
        let mut seen = HashSet::with_capacity(found.len());
        let is_new: Vec<bool> = found.iter().map(|mailbox| seen.insert(mailbox.as_str())).collect();
        let mut is_new = is_new.into_iter();
        found.retain(|_| is_new.next().unwrap_or(true));
        Ok(found)
    }

    fn prefix(&self) -> &'static str {
        if self.resent { "Resent-" } else { "" }
    }
}

/// The block of `Resent-` fields that was put on last, which is on top. Each field is in a block at most once.
fn latest<'a>(resent: Vec<(usize, Field<'a>)>) -> Result<Vec<Field<'a>>> {
    let parts: HashSet<_> = resent.iter().map(|(_, field)| field.part).collect();
    if parts.len() == resent.len() {
        return Ok(resent.into_iter().map(|(_, field)| field).collect());
    }
    // Other fields part the blocks, or the one that begins them does.
    let mut block: Vec<Field<'a>> = Vec::new();
    let mut after = None;
    for (index, field) in resent {
        if after.is_some_and(|after| after != index) || block.first().is_some_and(|first| first.part == field.part) {
            return Ok(block);
        }
        if block.iter().any(|before| before.part == field.part) {
            break;
        }
        block.push(field);
        after = Some(index + 1);
    }
    let why = "the message was resent more than once, and its Resent- fields cannot be told apart";
    Err(Error::invalid_argument(why).advise("give the sender and the recipients"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn addressed(header: &str) -> (String, Vec<String>) {
        let header = Header::of(header.as_bytes()).unwrap();
        let recipients = header.recipients().unwrap();
        (header.sender().unwrap().to_string(), recipients.iter().map(Mailbox::to_string).collect())
    }

    fn refused(header: &str) -> String {
        let header = Header::of(header.as_bytes()).unwrap();
        header.envelope().unwrap_err().to_string()
    }

    #[test]
    fn sender_and_recipients() {
        let header = "From: \"Ann, the first\" <a@x>\r\nto : b@x, Carol\r\n <c@x>\r\nCC:Team: d@x, e@x;\r\n";
        assert_eq!(addressed(header), ("a@x".into(), ["b@x", "c@x", "d@x", "e@x"].map(Into::into).into()));
        assert_eq!(addressed(&format!("Sender: s@x\r\n{header}")).0, "s@x");
        assert_eq!(addressed("From: a@x, o@x\nTo: b@x, b@x\nTo: c@x\nBcc: b@x\n").1, ["b@x", "c@x"]);
        assert_eq!(addressed("From: a@x\rBcc: c@x\r\rTo: d@x").1, ["c@x"]);
        assert_eq!(addressed("\u{feff}From: a@x\nTo: b@x\n").0, "a@x");
        assert_eq!(addressed("From a@x Sat Jan  1 00:00:00 2000\nFrom: a@x\nTo: b@x\n").0, "a@x");
    }

    #[test]
    fn nothing_is_guessed() {
        for (header, why) in [
            ("To: b@x\r\n", "no From"),
            ("From:\r\nTo: b@x\r\n", "no From"),
            ("From: a@x\r\n", "no To, Cc or Bcc"),
            ("From: a@x\r\nTo: undisclosed-recipients:;\r\n", "no To, Cc or Bcc"),
            ("From: a@x\r\nFrom: c@x\r\nTo: b@x\r\n", "more than one From"),
            ("From: a@x\r\nTo: nobody\r\n", "To has something that is no address: \"nobody\""),
            ("From: a@x\r\nHello Bob,\r\nTo: b@x\r\n", "no field: \"Hello Bob,\""),
            (" From: a@x\r\nTo: b@x\r\n", "no field"),
            ("From: a@x\r\nFrom a@x Sat Jan  1 00:00:00 2000\r\nTo: b@x\r\n", "no field"),
            ("Fr\u{f6}m: a@x\r\nTo: b@x\r\n", "no field"),
            ("Resent-Date: now\r\nFrom: a@x\r\nTo: b@x\r\n", "no Resent-From"),
        ] {
            assert!(refused(header).contains(why), "{header:?}: {}", refused(header));
        }
        let latin = Header::of(b"From: \xfc@x\r\n\r\n").unwrap().sender().unwrap_err();
        assert!(latin.to_string().contains("no UTF-8"));
    }

    #[test]
    fn what_is_given_is_taken() {
        let header = Header::of(b"From: a@x\nTo: b@x\n").unwrap();
        let told = |sender, recipients: Option<&[&str]>| {
            let envelope = header.envelope_unless(sender, recipients).unwrap();
            let sender = envelope.sender.map_or(String::new(), |sender| sender.to_string());
            (sender, envelope.recipients.iter().map(|r| r.mailbox.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(told(None, None), ("a@x".into(), vec!["b@x".into()]));
        assert_eq!(told(Some(""), None), (String::new(), vec!["b@x".into()]));
        assert_eq!(told(None, Some(&["c@x", "d@x"])), ("a@x".into(), vec!["c@x".into(), "d@x".into()]));
        // Then the header may be any.
        let header = Header::of(b"Hello\nTo: nobody\n").unwrap();
        assert!(header.envelope_unless(Some("a@x"), Some(&["b@x"])).is_ok());
        assert!(header.envelope_unless(Some("a@x"), Some(&["b@x> NOTIFY=NEVER"])).is_err());
        assert!(header.envelope_unless(Some("a@x"), None::<&[&str]>).is_err());
    }

    #[test]
    fn the_latest_block_of_resent_fields() {
        let original = "From: a@x\nTo: b@x\nBcc: c@x\n";
        let one = "Resent-From: r@x\nResent-To: t@x\nResent-Bcc: u@x\n";
        assert_eq!(addressed(&format!("{original}{one}")), ("r@x".into(), vec!["t@x".into(), "u@x".into()]));
        // Anywhere, as long as there is one.
        let apart = "Resent-To: t@x\nTo: b@x\nResent-From: r@x\nFrom: a@x\n";
        assert_eq!(addressed(apart), ("r@x".into(), vec!["t@x".into()]));
        let older = "Resent-From: o@x\nResent-To: p@x\nResent-Cc: q@x\n";
        for (first, second, rest) in [(one, older, original), (one, "Received: x\n", older)] {
            assert_eq!(addressed(&format!("{first}{second}{rest}")).1, ["t@x", "u@x"]);
        }
        let unordered = "Resent-Date: 2\nResent-From: r@x\nResent-To: t@x\nResent-Cc: q@x\nResent-To: p@x\n";
        assert!(refused(&format!("{unordered}{original}")).contains("resent more than once"));
    }

    #[test]
    fn what_is_shown() {
        for (header, shown) in [
            ("A: b\r\nBCC : x@y,\r\n z@y\r\nBccx: 1\r\n\r\n", "A: b\r\nBccx: 1\r\n\r\n"),
            ("bcc: x", ""),
            ("\n", "\n"),
            ("A: b\rResent-Bcc: c\r d\rE: f\r\r", "A: b\rE: f\r\r"),
            ("\u{feff}Bcc: x@y\nTo: b@x\n\n", "To: b@x\n\n"),
            ("\u{feff}To: b@x\n\n", "To: b@x\n\n"),
            ("To: b@x\n\u{a0}Bcc\u{a0}: x@y\n\n", "To: b@x\n\n"),
            ("Bcc\0: x@y\nTo: b@x\n", "To: b@x\n"),
            (" Bcc: x@y\nTo: b@x\n", "To: b@x\n"),
            ("From a@x Sat Jan  1 00:00:00 2000\nTo: b@x\n", "To: b@x\n"),
            ("From : a@x\n", "From : a@x\n"),
            ("Subject: x\n Bcc: no field\n", "Subject: x\n Bcc: no field\n"),
        ] {
            assert_eq!(Header::of(header.as_bytes()).unwrap().shown(), shown.as_bytes(), "{header:?}");
        }
    }

    #[test]
    fn utf8_is_needed_for_what_is_shown() {
        for (header, needed) in [
            (&b"To: a\n\n\xc3\xbc"[..], false),
            (b"To: \xc3\xbc\n\n", true),
            (b"To: \xfc\n\n", false),
            (b"To: a\nBcc: \xc3\xbc\n\n", false),
            (b"\xef\xbb\xbfTo: a\n\n", false),
        ] {
            assert_eq!(Header::of(header).unwrap().needs_utf8(), needed, "{header:?}");
        }
    }
}
