//! The fields of a header: names, and bodies as they are folded (RFC 5322 §2.2).

use std::borrow::Cow;

/// What some editors put before the first character.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The part that a field has in the envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    From,
    Sender,
    To,
    Cc,
    Bcc,
    /// None, but it tells blocks of `Resent-` fields apart.
    ResentDate,
    /// The same.
    ResentMessageId,
}

/// A field with all its lines, or whatever else has a line in a header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    /// Everything, line ends included.
    pub(super) raw: &'a [u8],
    /// What stands before the colon, without space around it.
    pub(super) name: &'a [u8],
    body: Option<&'a [u8]>,
    is_first: bool,
    pub(super) part: Option<Part>,
    pub(super) resent: bool,
}

impl<'a> Field<'a> {
    fn new(raw: &'a [u8], is_first: bool) -> Self {
        let colon = memchr::memchr(b':', raw);
        let (name, body) = colon.map_or((raw, None), |at| (&raw[..at], Some(&raw[at + 1..])));
        let name = name.trim_ascii();
        let resent = name.len() > 7 && name[..7].eq_ignore_ascii_case(b"Resent-");
        let part = part(if resent { &name[7..] } else { name }, resent);
        Self { raw, name, body, is_first, part, resent }
    }

    /// Whether it does not go out.
    pub(super) fn is_hidden(&self) -> bool {
        // Bytes that no name has do not hide it: some readers drop them.
        let visible = |name: &'a [u8]| {
            let is_visible = |byte: &u8| (33..127).contains(byte);
            let from = name.iter().position(is_visible).unwrap_or(name.len());
            let to = name.iter().rposition(is_visible).map_or(from, |at| at + 1);
            &name[from..to]
        };
        self.part == Some(Part::Bcc)
            || [&b"bcc"[..], b"resent-bcc"].iter().any(|blind| visible(self.name).eq_ignore_ascii_case(blind))
            || self.is_mbox_line()
    }

    /// `From ada@example.org Sat Jan  1 …`
    fn is_mbox_line(&self) -> bool {
        self.is_first && self.raw.starts_with(b"From ") && !self.has_name()
    }

    /// Whether it is neither a field nor the blank line nor what goes without saying.
    pub(super) fn is_nonsense(&self) -> bool {
        let is_blank = matches!(self.raw, b"\r" | b"\n" | b"\r\n");
        !(is_blank || self.is_mbox_line() || self.has_name() && !matches!(self.raw[0], b' ' | b'\t'))
    }

    fn has_name(&self) -> bool {
        self.body.is_some() && !self.name.is_empty() && self.name.iter().all(|byte| (33..127).contains(byte))
    }

    /// The body in one line.
    pub(super) fn unfolded(&self) -> Cow<'a, [u8]> {
        let body = self.body.unwrap_or_default();
        let body = body.strip_suffix(b"\n").unwrap_or(body);
        let body = body.strip_suffix(b"\r").unwrap_or(body);
        if memchr::memchr2(b'\r', b'\n', body).is_none() {
            return Cow::Borrowed(body);
        }
        Cow::Owned(body.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect())
    }
}

fn part(name: &[u8], resent: bool) -> Option<Part> {
    let names: [(&[u8], Part); 7] = [
        (b"From", Part::From),
        (b"Sender", Part::Sender),
        (b"To", Part::To),
        (b"Cc", Part::Cc),
        (b"Bcc", Part::Bcc),
        (b"Date", Part::ResentDate),
        (b"Message-ID", Part::ResentMessageId),
    ];
    let known = if resent { &names[..] } else { &names[..5] };
    known.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, part)| *part)
}

/// The bytes behind a byte order mark, if there is one.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// The fields of a header, and its blank line as the last of them. Together they are all its bytes.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    is_first: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn of(header: &'a [u8]) -> Self {
        Self { rest: header, is_first: true }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let mut end = 0;
        loop {
            end += match memchr::memchr2(b'\r', b'\n', &self.rest[end..]) {
                Some(at) if self.rest[end + at..].starts_with(b"\r\n") => at + 2,
                Some(at) => at + 1,
                None => self.rest.len() - end,
            };
            // A line that begins with space goes on with the field before it.
            if !matches!(self.rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (raw, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(Field::new(raw, std::mem::take(&mut self.is_first)))
    }
}
