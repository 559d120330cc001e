//! LDAP's StartTLS (RFC 4511 §4.14): one extended operation, and its result.

use super::clear::{Clear, refused, strange};
use crate::error::{Error, Result};
use crate::transport::Stream;

/// Message 1, an ExtendedRequest with the name 1.3.6.1.4.1.1466.20037, in BER.
const START_TLS: [u8; 31] = *b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";

/// The most that a result may hold: a code, a name and a few words.
const MOST: usize = 16 * 1024;

pub(super) async fn ask<S: Stream>(clear: &mut Clear<'_, S>) -> Result<Vec<u8>> {
    clear.say("StartTLS", &START_TLS).await?;
    let head = clear.exact(2).await?;
    if head[0] != 0x30 {
        return Err(strange("a message of LDAP", &head));
    }
    let length = match head[1] {
        short @ 0..=0x7f => usize::from(short),
        long @ 0x81..=0x84 => {
            let digits = clear.exact(usize::from(long & 0x7f)).await?;
            digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit))
        }
        _ => return Err(Error::violation("a message of LDAP without a length")),
    };
    if length > MOST {
        return Err(Error::limit(format!("an answer of {length} bytes to StartTLS")));
    }
    let message = clear.exact(length).await?;
    match result(&message) {
        Some((0, _)) => Ok(Vec::new()),
        Some((code, words)) => {
            let words = String::from_utf8_lossy(words);
            Err(refused(format!("result {code}{}{words}", if words.is_empty() { "" } else { ": " }).as_bytes()))
        }
        None => Err(strange("the answer to StartTLS", &message)),
    }
}

/// The resultCode of an ExtendedResponse to message 1, and its diagnosticMessage.
fn result(message: &[u8]) -> Option<(u8, &[u8])> {
    let (id, rest) = element(message, 0x02)?;
    let (response, _) = element(rest, 0x78)?;
    let (code, rest) = element(response, 0x0a)?;
    let (_matched, rest) = element(rest, 0x04)?;
    let (words, _) = element(rest, 0x04)?;
    // Message 0 is the server's own: a notice of disconnection (§4.4.1), which is a refusal, too.
    match (id, code) {
        ([0 | 1], [0]) if id == [0] => None,
        ([0 | 1], [code]) => Some((*code, words)),
        _ => None,
    }
}

/// The content of the BER element with this tag at the beginning of `bytes`, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let [found, first, rest @ ..] = bytes else { return None };
    let (length, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit)), rest)
        }
        _ => return None,
    };
    (*found == tag).then(|| rest.split_at_checked(length))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_to_their_end() {
        let success = b"\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00";
        assert_eq!(result(success), Some((0, &b""[..])));
        let refusal = b"\x02\x01\x01\x78\x09\x0a\x01\x35\x04\x00\x04\x02no";
        assert_eq!(result(refusal), Some((0x35, &b"no"[..])));
        let long = b"\x02\x01\x01\x78\x81\x09\x0a\x01\x35\x04\x00\x04\x02no";
        assert_eq!(result(long), Some((0x35, &b"no"[..])));
        for cut in 0..success.len() {
            assert_eq!(result(&success[..cut]), None, "cut at {cut}");
        }
        let notice_of_success = b"\x02\x01\x00\x78\x07\x0a\x01\x00\x04\x00\x04\x00";
        assert_eq!(result(notice_of_success), None);
        let other_message = b"\x02\x01\x02\x78\x07\x0a\x01\x00\x04\x00\x04\x00";
        assert_eq!(result(other_message), None);
        assert_eq!(element(b"\x04\x84\xff\xff\xff\xff", 0x04), None);
    }
}
