//! Protocols of lines: IMAP, POP3, ManageSieve, NNTP.

use super::clear::{Clear, begins, refused, strange, turned_away};
use crate::error::{Error, Result};
use crate::transport::Stream;

/// The tag of the only command said in clear text.
const TAG: &str = "A1";

/// RFC 9051 §6.2.1: a greeting, a command, lines about anything, and the answer with the command's tag.
pub(super) async fn imap<S: Stream>(clear: &mut Clear<'_, S>) -> Result<Vec<u8>> {
    let greeting = clear.line().await?;
    if begins(&greeting, b"* BYE") {
        return Err(turned_away(&greeting));
    }
    if begins(&greeting, b"* PREAUTH") {
        // RFC 9051 §11.1: TLS cannot begin any more, which suits whoever made this greeting of another.
        let why = "the server takes us for logged in before TLS (PREAUTH)";
        return Err(Error::violation(why).advise("somebody may be in between; use implicit TLS"));
    }
    if !begins(&greeting, b"* OK") {
        return Err(strange("a greeting of IMAP", &greeting));
    }
    clear.say_line(&format!("{TAG} STARTTLS")).await?;
    loop {
        let line = clear.line().await?;
        if let Some(answer) = line.strip_prefix(TAG.as_bytes()).and_then(|rest| rest.strip_prefix(b" ")) {
            return match answer {
                answer if begins(answer, b"OK") => Ok(greeting),
                answer if begins(answer, b"NO") || begins(answer, b"BAD") => Err(refused(answer)),
                _ => Err(strange("the answer to STARTTLS", &line)),
            };
        }
        if begins(&line, b"* BYE") {
            return Err(turned_away(&line));
        }
        if !line.starts_with(b"* ") {
            return Err(strange("the answer to STARTTLS", &line));
        }
    }
}

/// RFC 2595 §4.
pub(super) async fn pop3<S: Stream>(clear: &mut Clear<'_, S>) -> Result<Vec<u8>> {
    let greeting = clear.line().await?;
    match &greeting {
        line if begins(line, b"+OK") => {}
        line if begins(line, b"-ERR") => return Err(turned_away(line)),
        line => return Err(strange("a greeting of POP3", line)),
    }
    clear.say_line("STLS").await?;
    match clear.line().await? {
        line if begins(&line, b"+OK") => Ok(greeting),
        line if begins(&line, b"-ERR") => Err(refused(&line)),
        line => Err(strange("the answer to STLS", &line)),
    }
}

/// RFC 5804 §1.7, §2.2: capabilities in lines, and OK behind them. The same comes again after the handshake, for the
/// caller to read.
pub(super) async fn sieve<S: Stream>(clear: &mut Clear<'_, S>) -> Result<Vec<u8>> {
    let mut greeting = Vec::new();
    let mut offered = false;
    loop {
        let line = clear.line().await?;
        greeting.extend_from_slice(&line);
        greeting.extend_from_slice(b"\r\n");
        match &line {
            line if line.starts_with(b"\"") => offered |= line.eq_ignore_ascii_case(b"\"STARTTLS\""),
            line if begins(line, b"OK") => break,
            line if begins(line, b"NO") || begins(line, b"BYE") => return Err(turned_away(line)),
            line => return Err(strange("a greeting of ManageSieve", line)),
        }
    }
    if !offered {
        return Err(refused(b"no \"STARTTLS\" among its capabilities"));
    }
    clear.say_line("STARTTLS").await?;
    match clear.line().await? {
        line if begins(&line, b"OK") => Ok(greeting),
        line if begins(&line, b"NO") || begins(&line, b"BYE") => Err(refused(&line)),
        line => Err(strange("the answer to STARTTLS", &line)),
    }
}

/// RFC 4642 §2.2, RFC 3977 §5.1.
pub(super) async fn nntp<S: Stream>(clear: &mut Clear<'_, S>) -> Result<Vec<u8>> {
    let greeting = clear.line().await?;
    match &greeting {
        line if begins(line, b"200") || begins(line, b"201") => {}
        line if begins(line, b"400") || begins(line, b"502") => return Err(turned_away(line)),
        line => return Err(strange("a greeting of NNTP", line)),
    }
    clear.say_line("STARTTLS").await?;
    match clear.line().await? {
        line if begins(&line, b"382") => Ok(greeting),
        // 483, 500, 502, 580 and whatever else begins as a refusal does (RFC 3977 §3.2).
        line if matches!(
            line.as_slice(),
            [b'4' | b'5', b'0'..=b'9', b'0'..=b'9'] | [b'4' | b'5', b'0'..=b'9', b'0'..=b'9', b' ', ..]
        ) =>
        {
            Err(refused(&line))
        }
        line => Err(strange("the answer to STARTTLS", &line)),
    }
}
