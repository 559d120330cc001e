//! OAuth 2.0 access tokens: OAUTHBEARER (RFC 7628) and the XOAUTH2 that came before it.
//!
//! A server that refuses the token says why in a challenge, a JSON object, and its 535 comes after an answer that means
//! nothing: a lone ^A in the standard, an empty line before it.

use super::prepare::sasl_name;
use super::{Challenge, Exchange, Message};
use crate::error::{Error, Result};
use crate::transport::Endpoint;

pub(super) struct OAuth {
    message: Option<Message>,
    dummy: &'static [u8],
    detail: Option<String>,
}

impl OAuth {
    /// OAUTHBEARER.
    ///
    /// # Errors
    /// Names with ^A cannot be said.
    pub(super) fn bearer(user: &str, token: &str, server: &Endpoint) -> Result<Self> {
        check(user)?;
        let Endpoint { host, port } = server;
        let user = sasl_name(user);
        let gs2 = if user.is_empty() { "n,,".to_owned() } else { format!("n,a={user},") };
        let message = format!("{gs2}\x01host={host}\x01port={port}\x01auth=Bearer {token}\x01\x01");
        Ok(Self { message: Some(Message::new(message.into_bytes())), dummy: b"\x01", detail: None })
    }

    /// XOAUTH2.
    ///
    /// # Errors
    /// Names with ^A cannot be said.
    pub(super) fn x(user: &str, token: &str) -> Result<Self> {
        check(user)?;
        let message = format!("user={user}\x01auth=Bearer {token}\x01\x01");
        Ok(Self { message: Some(Message::new(message.into_bytes())), dummy: b"", detail: None })
    }
}

fn check(user: &str) -> Result<()> {
    if user.contains('\x01') {
        return Err(Error::invalid_argument("the user name has a control character"));
    }
    Ok(())
}

impl Exchange for OAuth {
    fn initial(&mut self) -> Option<Message> {
        self.message.take()
    }

    fn answer(&mut self, challenge: Challenge<'_>) -> Result<Message> {
        if self.detail.is_some() {
            return challenge.is_too_much();
        }
        // Whole: a secret that it repeats is found before it is cut to be shown.
        self.detail = Some(String::from_utf8_lossy(&challenge.decode()?).into_owned());
        Ok(Message::new(self.dummy.to_vec()))
    }

    fn is_complete(&self) -> bool {
        // After a refusal there is no success.
        self.message.is_none() && self.detail.is_none()
    }

    fn detail(&mut self) -> Option<String> {
        self.detail.take()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_7628() {
        let server = Endpoint { host: "server.example.com".into(), port: 587 };
        let bearer = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==";
        let mut exchange = OAuth::bearer("user@example.com", bearer, &server).unwrap();
        let message = "n,a=user@example.com,\x01host=server.example.com\x01port=587\x01\
                       auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";
        assert_eq!(**exchange.initial().unwrap(), *message.as_bytes());
        assert!(exchange.is_complete());
        // §4.3: a refusal, an answer without meaning, and nothing more.
        let refusal = "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NvcGUiOiJleGFtcGxlX3Njb3BlIiwib3BlbmlkLWNvbmZpZ3VyYXRpb24i\
                       OiJodHRwczovL2V4YW1wbGUuY29tLy53ZWxsLWtub3duL29wZW5pZC1jb25maWd1cmF0aW9uIn0=";
        assert_eq!(**exchange.answer(Challenge(refusal)).unwrap(), [1]);
        assert!(!exchange.is_complete());
        assert!(exchange.answer(Challenge(refusal)).is_err());
        let detail = exchange.detail().unwrap();
        for part in ["invalid_token", "example_scope", "https://example.com/.well-known/openid-configuration"] {
            assert!(detail.contains(part), "{detail}");
        }
    }

    #[test]
    fn names_are_escaped_and_checked() {
        let server = Endpoint { host: "h".into(), port: 1 };
        let mut exchange = OAuth::bearer("a=b,c", "t", &server).unwrap();
        assert!(exchange.initial().unwrap().starts_with(b"n,a=a=3Db=2Cc,\x01"));
        assert!(OAuth::bearer("", "t", &server).unwrap().initial().unwrap().starts_with(b"n,,\x01"));
        assert!(OAuth::bearer("a\x01auth=Bearer x", "t", &server).is_err());
        assert!(OAuth::x("a\x01auth=Bearer x", "t").is_err());
    }

    #[test]
    fn xoauth2() {
        let mut exchange = OAuth::x("someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg").unwrap();
        let message = "user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\x01\x01";
        assert_eq!(**exchange.initial().unwrap(), *message.as_bytes());
        assert_eq!(**exchange.answer(Challenge("eyJzdGF0dXMiOiI0MDAifQ==")).unwrap(), [0; 0]);
        assert_eq!(exchange.detail().unwrap(), "{\"status\":\"400\"}");
        assert!(OAuth::x("a", "t").unwrap().answer(Challenge("no base64!")).is_err());
    }
}
