//! Replies: a three-digit code and one or more lines of text, in SMTP (RFC 5321 §4.2) and FTP (RFC 959 §4.2) alike.
//!
//! ```text
//!   SMTP   250-first         FTP   211-first
//!          250-second               anything, even digits
//!          250 last                211 last
//! ```
//!
//! A reply ends where its grammar says, never at a read's end. `Assembler` takes one complete line at a time.

use std::fmt;

use crate::error::{Error, Result};

/// How the lines of a multi-line reply are told from its last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Every line repeats the code (RFC 5321 §4.2.1).
    Smtp,
    /// Lines between the first and the last are free text (RFC 959 §4.2).
    Ftp,
}

/// A three-digit reply code, 100 to 599.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyCode(u16);

impl ReplyCode {
    /// The number.
    pub fn number(self) -> u16 {
        self.0
    }

    /// 1yz: begun, another reply follows (FTP).
    pub fn is_preliminary(self) -> bool {
        self.0 / 100 == 1
    }

    /// 2yz: done.
    pub fn is_completion(self) -> bool {
        self.0 / 100 == 2
    }

    /// 3yz: accepted so far, go on.
    pub fn is_intermediate(self) -> bool {
        self.0 / 100 == 3
    }

    /// 4yz: no, but the same may work later.
    pub fn is_transient_negative(self) -> bool {
        self.0 / 100 == 4
    }

    /// 5yz: no.
    pub fn is_permanent_negative(self) -> bool {
        self.0 / 100 == 5
    }

    /// 4yz or 5yz: refused, for now or for good.
    pub fn is_negative(self) -> bool {
        self.is_transient_negative() || self.is_permanent_negative()
    }

    /// 421: the service is closing the connection, at any time, about no command.
    pub fn is_closing(self) -> bool {
        self.0 == 421
    }

    /// 530: nothing is done for those who did not log in (RFC 959, RFC 4954 §6).
    pub fn is_login_required(self) -> bool {
        self.0 == 530
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', ..] => {
                Some(Self(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')))
            }
            _ => None,
        }
    }
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.0)
    }
}

impl fmt::Debug for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq<u16> for ReplyCode {
    fn eq(&self, other: &u16) -> bool {
        self.0 == *other
    }
}

/// `class.subject.detail`, the enhanced mail system status code of RFC 3463.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnhancedStatusCode {
    /// 2, 4 or 5: success, persistent transient failure, permanent failure.
    pub class: u8,
    /// What it is about, 0 to 999.
    pub subject: u16,
    /// More precisely, 0 to 999.
    pub detail: u16,
}

impl EnhancedStatusCode {
    /// Reads `class.subject.detail` at the start of a reply's text, followed by a space or the end (RFC 2034 §4).
    fn parse(text: &[u8]) -> Option<Self> {
        let word = text.split(|&b| b == b' ').next()?;
        let mut parts = word.split(|&b| b == b'.').map(|digits| {
            let plain = (1..=3).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
            plain.then(|| digits.iter().fold(0u16, |n, d| n * 10 + u16::from(d - b'0')))
        });
        let (class, subject, detail) = (parts.next()??, parts.next()??, parts.next()??);
        let class = matches!(class, 2 | 4 | 5).then_some(class as u8)?;
        parts.next().is_none().then_some(Self { class, subject, detail })
    }
}

impl fmt::Display for EnhancedStatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// A complete reply.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    code: ReplyCode,
    /// The text of each line: what follows the code and its separator. FTP's free lines are whole. Line feeds stand
    /// between them, since none can be in them.
    text: Vec<u8>,
}

impl Reply {
    /// The three-digit code.
    pub fn code(&self) -> ReplyCode {
        self.code
    }

    /// The text of each line as the server sent it: bytes, without code, separator and line end.
    pub fn raw_lines(&self) -> impl Iterator<Item = &[u8]> {
        self.text.split(|&byte| byte == b'\n')
    }

    /// The text of each line, invalid UTF-8 replaced.
    pub fn lines(&self) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
        self.raw_lines().map(String::from_utf8_lossy)
    }

    /// All lines joined by line feeds, invalid UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// The enhanced status code that begins the first line, if there is one whose class fits the reply code
    /// (RFC 2034 §4).
    pub fn enhanced(&self) -> Option<EnhancedStatusCode> {
        let code = EnhancedStatusCode::parse(self.raw_lines().next()?)?;
        (u16::from(code.class) == self.code.0 / 100).then_some(code)
    }

    /// The same reply with each line's text changed.
    pub(crate) fn map(mut self, change: impl Fn(Vec<u8>) -> Vec<u8>) -> Self {
        self.text = self.raw_lines().map(|line| change(line.to_vec())).collect::<Vec<_>>().join(&b'\n');
        self
    }

    /// The last line's text.
    pub(crate) fn last_line(&self) -> &[u8] {
        self.raw_lines().last().unwrap_or_default()
    }
}

/// `code text` in one line, control characters escaped, for people.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        for (i, line) in self.raw_lines().enumerate() {
            f.write_str(if i == 0 { " " } else { " / " })?;
            f.write_str(&printable(line))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({self})")
    }
}

/// A peer's bytes as one printable line, cut at 200 characters.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    for (i, c) in text.chars().enumerate() {
        if i == 200 {
            out.push('…');
            break;
        }
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// What a reply may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Bytes of a single line, its line end included.
    pub(crate) line: usize,
    /// Lines of one reply.
    pub(crate) lines: usize,
    /// Bytes of one reply.
    pub(crate) bytes: usize,
}

impl Budget {
    /// Far above what servers say (RFC 5321 §4.5.3.1.5 asks for 512 bytes a line), far below what hurts.
    pub(crate) const DEFAULT: Self = Self { line: 8 * 1024, lines: 1024, bytes: 128 * 1024 };
}

/// Puts a reply together, line by line.
#[derive(Debug)]
pub(crate) struct Assembler {
    dialect: Dialect,
    budget: Budget,
    code: Option<ReplyCode>,
    text: Vec<u8>,
    lines: usize,
    bytes: usize,
}

impl Assembler {
    pub(crate) fn new(dialect: Dialect, budget: Budget) -> Self {
        Self { dialect, budget, code: None, text: Vec::new(), lines: 0, bytes: 0 }
    }

    fn add(&mut self, line: &[u8]) {
        if self.lines > 0 {
            self.text.push(b'\n');
        }
        self.text.extend_from_slice(line);
        self.lines += 1;
    }

    /// Takes one line without its line end; `Some` once it was the last one.
    pub(crate) fn push(&mut self, line: &[u8]) -> Result<Option<Reply>> {
        self.bytes += line.len();
        if self.bytes > self.budget.bytes || self.lines >= self.budget.lines {
            return Err(Error::limit(format!(
                "a reply of more than {} lines or {} bytes",
                self.budget.lines, self.budget.bytes
            )));
        }
        let nonsense = || Error::violation(format!("this is no reply: \"{}\"", printable(line)));
        let (code, separator) = match ReplyCode::parse(line) {
            Some(code) => (Some(code), line.get(3).copied()),
            None => (None, None),
        };
        match (self.code, code, separator) {
            // The last line: code and space. A bare code is tolerated (RFC 5321 §4.2).
            (first, Some(code), Some(b' ') | None) if first.is_none_or(|c| c == code) => {
                self.add(line.get(4..).unwrap_or_default());
                self.lines = 0;
                Ok(Some(Reply { code, text: std::mem::take(&mut self.text) }))
            }
            (first, Some(code), Some(b'-')) if first.is_none_or(|c| c == code) => {
                self.code = Some(code);
                self.add(&line[4..]);
                Ok(None)
            }
            (Some(_), _, _) if self.dialect == Dialect::Ftp => {
                self.add(line);
                Ok(None)
            }
            _ => Err(nonsense()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(dialect: Dialect, text: &str) -> Result<Option<Reply>> {
        let mut assembler = Assembler::new(dialect, Budget::DEFAULT);
        let mut last = None;
        for line in text.split('|') {
            assert!(last.is_none(), "a line after the end");
            last = assembler.push(line.as_bytes())?;
        }
        Ok(last)
    }

    #[test]
    fn replies_end_where_their_grammar_says() {
        let reply = read(Dialect::Smtp, "250-one|250-two|250 three").unwrap().unwrap();
        assert_eq!((reply.code().number(), reply.text().as_str()), (250, "one\ntwo\nthree"));
        assert_eq!(read(Dialect::Smtp, "250").unwrap().unwrap().text(), "");
        let feat = read(Dialect::Ftp, "211-Features:| SIZE|250 not the end|2110 nor this|211 End").unwrap().unwrap();
        assert_eq!(feat.lines().count(), 5);
        assert!(read(Dialect::Ftp, "211-Features:| SIZE").unwrap().is_none());
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "2_5 x", "+25 x", "-25 x", "2500 x", "250x", "999 x", "099 x", "550-no|250 yes", "250-a|b"] {
            assert!(read(Dialect::Smtp, bad).is_err(), "{bad}");
        }
        for bad in ["", "x", "25", "250x", "600 x"] {
            assert!(read(Dialect::Ftp, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_reply_has_a_budget() {
        let mut assembler = Assembler::new(Dialect::Ftp, Budget::DEFAULT);
        let error = (0..2_000).find_map(|_| assembler.push(b"211-x").err()).unwrap();
        assert!(error.to_string().contains("limit exceeded"), "{error}");
    }

    #[test]
    fn enhanced_codes_are_typed() {
        let code = |text| read(Dialect::Smtp, text).unwrap().unwrap().enhanced().map(|c| c.to_string());
        assert_eq!(code("250 2.1.0 Ok").as_deref(), Some("2.1.0"));
        assert_eq!(code("550 5.7.26 no").as_deref(), Some("5.7.26"));
        for none in
            ["250 5.1.0 class differs", "250 2.1 x", "250 2.1.0.1 x", "250 2.1.1000 x", "250 2.-1.0 x", "250 hello"]
        {
            assert_eq!(code(none), None, "{none}");
        }
    }
}
