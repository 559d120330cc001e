//! The mechanisms of AUTH (RFC 4422): messages in and out, before Base64. No I/O.

mod cram_md5;
mod credentials;
mod login;
mod mechanism;
mod oauth;
mod one_message;
mod prepare;
mod scram;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use zeroize::Zeroizing;

pub use self::credentials::{Credentials, Token};
pub use self::mechanism::{LoginInfo, Mechanism, Strength};

use self::one_message::OneMessage;
use crate::error::{Error, Result};
use crate::tls::ChannelBinding;
use crate::transport::Endpoint;

/// What one side says: wiped, since most of it is a secret or as good as one.
pub(super) type Message = Zeroizing<Vec<u8>>;

/// One login by one mechanism, from the client's side.
pub(super) trait Exchange: Send {
    /// The initial response, if the client speaks first.
    fn initial(&mut self) -> Option<Message>;

    /// The answer to a challenge. An error ends the exchange: the client cancels it.
    fn answer(&mut self, challenge: Challenge<'_>) -> Result<Message>;

    /// Whether the server may say now that all is well: every proof was given and taken.
    fn is_complete(&self) -> bool;

    /// What the server will say if it is the true one, from which the password could be guessed.
    fn servers_proof(&self) -> Option<&[u8]> {
        None
    }

    /// What the server said about its refusal beside the reply.
    fn detail(&mut self) -> Option<String> {
        None
    }
}

/// What the server says in a 334, as it was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Challenge<'a>(pub(super) &'a str);

impl Challenge<'_> {
    fn decode(self) -> Result<Vec<u8>> {
        BASE64_STANDARD.decode(self.0).map_err(|_| Error::violation("a challenge is no Base64"))
    }

    /// There is nothing left to say to it.
    fn is_too_much<R>(self) -> Result<R> {
        Err(Error::violation("the server asks for more than the mechanism has to say"))
    }
}

/// What the session gives to a mechanism.
pub(super) struct Surroundings<'a> {
    /// Whom we talk to.
    pub(super) server: &'a Endpoint,
    /// What can be bound to.
    pub(super) binding: Option<ChannelBinding>,
    /// Whether the server offers any mechanism that binds.
    pub(super) server_binds: bool,
}

/// Begins the exchange of `mechanism`, which was chosen for `credentials`, whose secret this is.
///
/// # Errors
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for names and passwords that the mechanism cannot say.
pub(super) fn start(
    mechanism: Mechanism,
    credentials: &Credentials,
    secret: &str,
    surroundings: Surroundings<'_>,
) -> Result<Box<dyn Exchange>> {
    let (user, authzid) = (credentials.user(), credentials.authzid.as_deref());
    Ok(match mechanism {
        Mechanism::Plain => Box::new(OneMessage::plain(authzid.unwrap_or_default(), user, secret)),
        Mechanism::Login => Box::new(login::Login::new(user, secret)),
        Mechanism::CramMd5 => Box::new(cram_md5::CramMd5::new(user, secret)),
        // Whose mailbox it is: a token may be good for several.
        Mechanism::OAuthBearer => Box::new(oauth::OAuth::bearer(authzid.unwrap_or(user), secret, surroundings.server)?),
        Mechanism::XOAuth2 => Box::new(oauth::OAuth::x(authzid.unwrap_or(user), secret)?),
        Mechanism::External => Box::new(OneMessage::external(authzid.unwrap_or_default())),
        Mechanism::Anonymous => Box::new(OneMessage::anonymous(user)?),
        Mechanism::ScramSha512Plus
        | Mechanism::ScramSha256Plus
        | Mechanism::ScramSha1Plus
        | Mechanism::ScramSha512
        | Mechanism::ScramSha256
        | Mechanism::ScramSha1 => {
            let (hash, flag) = (scram::Hash::of(mechanism), scram::Flag::new(mechanism, surroundings));
            Box::new(scram::Scram::new(hash, flag, authzid, user, secret)?)
        }
    })
}
