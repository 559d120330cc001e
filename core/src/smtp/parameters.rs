//! What can be asked for beside the addresses: the parameters of MAIL and RCPT (RFC 5321 §4.1.1.11).

use std::time::{Duration, SystemTime};

use super::address::Mailbox;
use crate::error::{Error, Result};
use crate::moment::timestamp;

/// What the message's bytes are like (RFC 6152, RFC 3030).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BodyKind {
    /// ASCII in lines of at most 998 bytes.
    #[default]
    SevenBit,
    /// Bytes above 127 too, in lines: declared as 8BITMIME where the server offers it.
    EightBit,
    /// Any bytes, lines of any length: needs BINARYMIME and CHUNKING, and is refused without them.
    Binary,
}

impl BodyKind {
    /// That of text, with bytes above 127 or without.
    pub fn of_text(has_eight_bit: bool) -> Self {
        if has_eight_bit { Self::EightBit } else { Self::SevenBit }
    }
}

/// When the sender of a message is told what became of it for one recipient (RFC 3461 §4.1). All false is NEVER.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Notify {
    /// When it was delivered.
    pub success: bool,
    /// When it cannot be.
    pub failure: bool,
    /// When it takes long.
    pub delay: bool,
}

impl Notify {
    /// Not at all.
    pub const NEVER: Self = Self { success: false, failure: false, delay: false };

    pub(super) fn words(self) -> &'static str {
        match (self.success, self.failure, self.delay) {
            (false, false, false) => "NEVER",
            (true, false, false) => "SUCCESS",
            (false, true, false) => "FAILURE",
            (false, false, true) => "DELAY",
            (true, true, false) => "SUCCESS,FAILURE",
            (true, false, true) => "SUCCESS,DELAY",
            (false, true, true) => "FAILURE,DELAY",
            (true, true, true) => "SUCCESS,FAILURE,DELAY",
        }
    }
}

impl std::str::FromStr for Notify {
    type Err = Error;

    /// `never`, or some of `success`, `failure`, `delay` with commas between.
    fn from_str(text: &str) -> Result<Self> {
        let mut notify = Self::NEVER;
        if text.eq_ignore_ascii_case("never") {
            return Ok(notify);
        }
        for word in text.split(',') {
            match word.trim().to_ascii_lowercase().as_str() {
                "success" => notify.success = true,
                "failure" => notify.failure = true,
                "delay" => notify.delay = true,
                _ => {
                    let why = format!("{word:?} is none of never, success, failure, delay (RFC 3461 §4.1)");
                    return Err(Error::invalid_argument(why));
                }
            }
        }
        Ok(notify)
    }
}

/// How much of the message a failure notice repeats (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Return {
    /// All of it.
    Full,
    /// Its header alone.
    Headers,
}

/// What happens when a message cannot be delivered in time (RFC 2852 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LateAction {
    /// It comes back.
    Return,
    /// Its sender is told, and it stays under way.
    Notify,
}

/// Delivery by a certain time (RFC 2852).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeliverBy {
    /// Seconds from now. Zero and less only with [`LateAction::Notify`].
    pub seconds: i32,
    /// What happens then.
    pub late: LateAction,
    /// Whether each server on the way tells the sender that it passed the message on.
    pub trace: bool,
}

/// How long the server keeps the message before it goes on (FUTURERELEASE, RFC 4865).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hold {
    /// So long from now; whole seconds count.
    For(Duration),
    /// Until then; whole seconds count.
    Until(SystemTime),
}

/// Who put the message into the system first (`AUTH=` of MAIL, RFC 4954 §5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Submitter {
    /// Nobody who is known: `<>`.
    Unknown,
    /// This one.
    Mailbox(Mailbox),
}

/// A parameter that this crate has no type for: keyword and value are checked, what they mean is between the caller and
/// the server.
///
/// ```
/// use starttls::smtp::Parameter;
/// assert!(Parameter::new("XFROB", Some("1")).is_ok());
/// assert!(Parameter::new("XFROB", Some("1 RET=FULL")).is_err());
/// assert!(Parameter::new("SIZE", Some("1")).is_err()); // has a type
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Parameter {
    keyword: String,
    value: Option<String>,
}

/// Those that have a type of their own.
const TYPED: [&str; 14] = [
    "SIZE",
    "BODY",
    "SMTPUTF8",
    "RET",
    "ENVID",
    "NOTIFY",
    "ORCPT",
    "AUTH",
    "BY",
    "MT-PRIORITY",
    "HOLDFOR",
    "HOLDUNTIL",
    "REQUIRETLS",
    "PRDR",
];

impl Parameter {
    /// A parameter, with a value or without (RFC 5321 §4.1.2, esmtp-param).
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a keyword that is none, one that has a type in this
    /// crate, and a value with spaces, control characters, `=` or bytes above 126.
    pub fn new(keyword: &str, value: Option<&str>) -> Result<Self> {
        let bad = |why: &str| Err(Error::invalid_argument(format!("the parameter {keyword:?} {why}")));
        let fits = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        if keyword.is_empty() || keyword.starts_with('-') || !keyword.bytes().all(fits) {
            return bad("has no keyword's form (RFC 5321 §4.1.2)");
        }
        let keyword = keyword.to_ascii_uppercase();
        if TYPED.contains(&keyword.as_str()) {
            return bad("has a field of its own");
        }
        let printable = |c: u8| (33..=126).contains(&c) && c != b'=';
        if value.is_some_and(|value| value.is_empty() || !value.bytes().all(printable)) {
            return bad("has a value that is no esmtp-value (RFC 5321 §4.1.2)");
        }
        Ok(Self { keyword, value: value.map(str::to_owned) })
    }

    /// In upper case.
    pub fn keyword(&self) -> &str {
        &self.keyword
    }

    /// As given.
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }
}

/// `xtext` (RFC 3461 §4): printable ASCII but for `+` and `=`, everything else as `+XX`.
pub(super) fn xtext(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (33..=126).contains(&byte) && byte != b'+' && byte != b'=' {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "+{byte:02X}");
        }
    }
    out
}

/// `unitext` (RFC 6533 §3): as it is but for what a parameter cannot carry, which becomes `\x{HEX}`.
pub(super) fn unitext(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if !c.is_ascii() || (c.is_ascii_graphic() && !matches!(c, '\\' | '+' | '=')) {
            out.push(c);
        } else {
            let _ = write!(out, "\\x{{{:02X}}}", c as u32);
        }
    }
    out
}

/// A time of release (RFC 4865 §4.2).
pub(super) fn release(at: SystemTime) -> Result<String> {
    // The format has four digits for the year.
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_800);
    if at < SystemTime::UNIX_EPOCH || at >= end {
        return Err(Error::invalid_argument("a message is held until a time between 1970 and 9999"));
    }
    Ok(timestamp(at))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn text_that_parameters_carry() {
        assert_eq!(xtext("a+b=c d@ü"), "a+2Bb+3Dc+20d@+C3+BC");
        assert_eq!(unitext("ü\\ +x"), "ü\\x{5C}\\x{20}\\x{2B}x");
    }

    #[test]
    fn releases() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(release(at(253_402_300_799)).unwrap(), "9999-12-31T23:59:59Z");
        assert!(release(at(253_402_300_800)).is_err());
        assert!(release(SystemTime::UNIX_EPOCH - Duration::from_secs(1)).is_err());
    }

    #[test]
    fn notify_words() {
        assert_eq!("success, delay".parse::<Notify>().unwrap().words(), "SUCCESS,DELAY");
        assert_eq!("NEVER".parse::<Notify>().unwrap().words(), "NEVER");
        assert!("never,success".parse::<Notify>().is_err());
    }
}
