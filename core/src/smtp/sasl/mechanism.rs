//! The mechanisms, and which of them is used.

use std::fmt;
use std::str::FromStr;

use super::credentials::Kind;
use super::{Credentials, Mechanism as M};
use crate::error::{Error, Result};
use crate::tls::ChannelBindingType;

/// A SASL mechanism this client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mechanism {
    /// RFC 5802 with SHA-512, bound to the TLS connection.
    ScramSha512Plus,
    /// RFC 7677, bound to the TLS connection.
    ScramSha256Plus,
    /// RFC 5802, bound to the TLS connection.
    ScramSha1Plus,
    /// RFC 5802 with SHA-512.
    ScramSha512,
    /// RFC 7677.
    ScramSha256,
    /// RFC 5802.
    ScramSha1,
    /// RFC 4616: the password itself.
    Plain,
    /// draft-murchison-sasl-login: the password itself; obsolete, and all that some servers offer.
    Login,
    /// RFC 2195: the password's keyed MD5.
    CramMd5,
    /// RFC 7628: an OAuth 2.0 access token.
    OAuthBearer,
    /// The same before it was a standard.
    XOAuth2,
    /// RFC 4422 appendix A: what the connection proves already.
    External,
    /// RFC 4505: nobody.
    Anonymous,
}

/// What a mechanism keeps from whoever answers in the server's place, from the weakest up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strength {
    /// There is nothing to keep.
    Nothing,
    /// Who answers has the secret, or, of CRAM-MD5, what a guess a nanosecond is held against.
    Disclosed,
    /// Who answers has no password, costly guesses only, and must know the password's hash to be believed.
    Mutual,
    /// Besides, a login relayed over two TLS connections fails.
    Bound,
}

impl Mechanism {
    /// Every mechanism; of those for the same credentials, the preferred one first.
    ///
    /// CRAM-MD5 comes last of those for passwords. Under TLS no eavesdropper sees either, so all it could do is to keep
    /// the password from the server itself; to a false one it gives an unsalted MD5 to guess at, and a true one must
    /// store the password in clear for it. Servers that offer it although they store hashes refuse every login by it.
    pub const ALL: [Self; 13] = [
        Self::ScramSha512Plus,
        Self::ScramSha256Plus,
        Self::ScramSha1Plus,
        Self::ScramSha512,
        Self::ScramSha256,
        Self::ScramSha1,
        Self::Plain,
        Self::Login,
        Self::CramMd5,
        Self::OAuthBearer,
        Self::XOAuth2,
        Self::External,
        Self::Anonymous,
    ];

    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ScramSha512Plus => "SCRAM-SHA-512-PLUS",
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::ScramSha1Plus => "SCRAM-SHA-1-PLUS",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::CramMd5 => "CRAM-MD5",
            Self::OAuthBearer => "OAUTHBEARER",
            Self::XOAuth2 => "XOAUTH2",
            Self::External => "EXTERNAL",
            Self::Anonymous => "ANONYMOUS",
        }
    }

    /// What it keeps from whoever answers in the server's place.
    pub fn strength(self) -> Strength {
        match self {
            M::ScramSha512Plus | M::ScramSha256Plus | M::ScramSha1Plus | M::External => Strength::Bound,
            M::ScramSha512 | M::ScramSha256 | M::ScramSha1 => Strength::Mutual,
            M::Plain | M::Login | M::CramMd5 | M::OAuthBearer | M::XOAuth2 => Strength::Disclosed,
            M::Anonymous => Strength::Nothing,
        }
    }

    /// Whether its name ends in `-PLUS`: bound to the TLS connection.
    pub fn is_bound(self) -> bool {
        matches!(self, M::ScramSha512Plus | M::ScramSha256Plus | M::ScramSha1Plus)
    }

    /// Whether it proves what these credentials have.
    fn takes(self, kind: Kind) -> bool {
        match kind {
            Kind::Password => !matches!(self, M::OAuthBearer | M::XOAuth2 | M::External | M::Anonymous),
            Kind::Token => matches!(self, M::OAuthBearer | M::XOAuth2),
            Kind::External => self == M::External,
            Kind::Anonymous => self == M::Anonymous,
        }
    }

    /// Whether it can say who we act as.
    fn carries_authzid(self) -> bool {
        !matches!(self, M::Login | M::CramMd5 | M::Anonymous)
    }

    /// The one for these credentials that is preferred among those offered. `bindable` is whether there is anything to
    /// bind to.
    pub(in crate::smtp) fn choose(credentials: &Credentials, offered: &[&str], bindable: bool) -> Result<Self> {
        let fits = |mechanism: &Self| {
            mechanism.takes(credentials.kind)
                && (bindable || !mechanism.is_bound())
                && (credentials.authzid.is_none() || mechanism.carries_authzid())
        };
        let is_offered = |mechanism: &Self| offered.iter().any(|name| name.eq_ignore_ascii_case(mechanism.name()));
        if let Some(wanted) = credentials.mechanism {
            if !wanted.takes(credentials.kind) || (credentials.authzid.is_some() && !wanted.carries_authzid()) {
                return Err(Error::invalid_argument(format!("{wanted} is no mechanism for these credentials")));
            }
            if !fits(&wanted) {
                return Err(Error::invalid_state(format!("there is nothing to bind {wanted} to on this connection")));
            }
        }
        let wanted = Self::ALL.into_iter().filter(|it| credentials.mechanism.is_none_or(|wanted| wanted == *it));
        let usable: Vec<_> = wanted.filter(fits).collect();
        usable.iter().copied().find(is_offered).ok_or_else(|| {
            let what = if offered.is_empty() { "no login".to_owned() } else { offered.join(", ") };
            let known: Vec<_> = usable.iter().map(|it| it.name()).collect();
            let error = Error::not_offered(format!("the server offers {what}, of {} none", known.join(", ")));
            let takes_tokens = [M::OAuthBearer, M::XOAuth2].iter().any(is_offered);
            match credentials.kind {
                Kind::Password if takes_tokens => error.advise("this server wants a token, not a password"),
                _ => error,
            }
        })
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mechanism {
    type Err = Error;

    /// A registered name, in any case.
    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|mechanism| mechanism.name()).collect();
            Error::invalid_argument(format!("{name:?} is no mechanism known here: {}", known.join(", ")))
        })
    }
}

/// How a session was logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct LoginInfo {
    /// With which mechanism.
    pub mechanism: Mechanism,
    /// What tied it to the TLS connection, if anything.
    pub binding: Option<ChannelBindingType>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn chosen(credentials: &Credentials, offered: &[&str], bindable: bool) -> Option<Mechanism> {
        M::choose(credentials, offered, bindable).ok()
    }

    #[test]
    fn names_read_back() {
        for mechanism in M::ALL {
            assert_eq!(mechanism.name().to_ascii_lowercase().parse::<M>().unwrap(), mechanism);
            assert_eq!(mechanism.is_bound(), mechanism.name().ends_with("-PLUS"));
        }
        assert!("GSSAPI".parse::<M>().unwrap_err().to_string().contains("SCRAM-SHA-256"));
    }

    #[test]
    fn the_preferred_one_that_is_offered() {
        let password = Credentials::password("ada", "pencil");
        let all: Vec<_> = M::ALL.iter().rev().map(|it| it.name()).collect();
        assert_eq!(chosen(&password, &all, true), Some(M::ScramSha512Plus));
        assert_eq!(chosen(&password, &all, false), Some(M::ScramSha512));
        assert_eq!(chosen(&password, &["SCRAM-SHA-512", "SCRAM-SHA-1-PLUS"], true), Some(M::ScramSha1Plus));
        assert_eq!(chosen(&password, &["cram-md5", "login", "plain"], true), Some(M::Plain));
        assert_eq!(chosen(&password, &["CRAM-MD5"], true), Some(M::CramMd5));
        assert_eq!(chosen(&password, &["XOAUTH2", "EXTERNAL", "ANONYMOUS", "GSSAPI"], true), None);
        assert_eq!(chosen(&Credentials::token("ada", "t"), &all, true), Some(M::OAuthBearer));
        assert_eq!(chosen(&Credentials::token("ada", "t"), &["XOAUTH2", "PLAIN"], true), Some(M::XOAuth2));
        assert_eq!(chosen(&Credentials::external(None), &all, false), Some(M::External));
        assert_eq!(chosen(&Credentials::anonymous(""), &all, false), Some(M::Anonymous));
    }

    #[test]
    fn an_insisted_one_is_used_or_nothing() {
        let plain = Credentials::password("ada", "pencil").with_mechanism(M::Plain);
        assert_eq!(chosen(&plain, &["SCRAM-SHA-256", "PLAIN"], true), Some(M::Plain));
        assert_eq!(chosen(&plain, &["SCRAM-SHA-256", "LOGIN"], true), None);
        let bound = Credentials::password("ada", "pencil").with_mechanism(M::ScramSha1Plus);
        assert_eq!(chosen(&bound, &["SCRAM-SHA-1-PLUS"], false), None);
        let misfit = Credentials::token("ada", "t").with_mechanism(M::Plain);
        assert!(matches!(
            M::choose(&misfit, &["PLAIN"], true).unwrap_err().kind(),
            crate::ErrorKind::InvalidArgument(_)
        ));
    }

    #[test]
    fn who_we_act_as_is_said_or_nothing_is() {
        let other = Credentials::password("ada", "pencil").with_authzid("bob");
        assert_eq!(chosen(&other, &["LOGIN", "CRAM-MD5"], true), None);
        assert_eq!(chosen(&other, &["LOGIN", "PLAIN"], true), Some(M::Plain));
    }

    #[test]
    fn preference_never_loses_strength_among_mutual_and_bound() {
        let passwords = M::ALL.into_iter().filter(|it| it.takes(Kind::Password));
        let strengths: Vec<_> = passwords.map(M::strength).collect();
        assert!(strengths.is_sorted_by(|a, b| a >= b));
    }
}
