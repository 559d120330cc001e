//! Names and passwords as SASL compares them.

use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// SASLprep (RFC 4013). `what` names the word in the error.
///
/// # Errors
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if it has characters that may not be, or nothing is left of it.
pub(super) fn saslprep(what: &str, word: &str) -> Result<Zeroizing<String>> {
    let prepared = stringprep::saslprep(word).map_err(|_| {
        Error::invalid_argument(format!("the {what} has characters that SASLprep (RFC 4013) does not allow"))
            .advise("insist on PLAIN, which takes every character, if the server is to see the password")
    })?;
    if prepared.is_empty() {
        return Err(Error::invalid_argument(format!("nothing is left of the {what} after SASLprep (RFC 4013)")));
    }
    Ok(Zeroizing::new(prepared.into_owned()))
}

/// A name where `,` and `=` have a meaning (RFC 5801 §4, RFC 5802 §5.1).
pub(super) fn sasl_name(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_4013() {
        for (word, prepared) in [
            ("I\u{AD}X", "IX"),
            ("user", "user"),
            ("USER", "USER"),
            ("\u{AA}", "a"),
            ("\u{2168}", "IX"),
            ("a\u{A0}b\u{3000}c", "a b c"),
        ] {
            assert_eq!(*saslprep("word", word).unwrap(), prepared, "{word:?}");
        }
        // A control character, a right-to-left letter with digits, one that Unicode 3.2 does not have.
        for bad in ["\u{7}", "\u{627}1", "\u{0221}", "\u{1F511}", "", "\u{AD}"] {
            let error = saslprep("password", bad).unwrap_err().to_string();
            assert!(error.contains("password") && (bad.is_empty() || !error.contains(bad)), "{error}");
        }
    }

    #[test]
    fn separators_in_names() {
        assert_eq!(sasl_name("a=b,c=2C"), "a=3Db=2Cc=3D2C");
    }
}
