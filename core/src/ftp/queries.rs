//! What people ask a server beside files: its state, its system, its help, its own commands, and any other command that
//! leaves the session as it is.

use zeroize::Zeroizing;

use super::client::Client;
use super::commands;
use crate::error::{Error, Phase, Result};
use crate::line::Line;
use crate::reply::Reply;
use crate::transport::Transport;

impl<T: Transport> Client<T> {
    /// The state of the session, or what the server knows of a file or directory, in its own words (STAT).
    ///
    /// # Errors
    /// [`Rejected`](crate::ErrorKind::Rejected) if the server does not tell.
    pub async fn status(&mut self, path: impl AsRef<[u8]>) -> Result<Reply> {
        self.command(&commands::stat(path.as_ref())?).await
    }

    /// The system's kind (SYST): `UNIX Type: L8`.
    ///
    /// # Errors
    /// [`Rejected`](crate::ErrorKind::Rejected) if the server does not tell.
    pub async fn system(&mut self) -> Result<Reply> {
        self.command(&commands::syst()).await
    }

    /// What the server has to say of a command, or at large if `topic` is empty (HELP).
    ///
    /// # Errors
    /// [`Rejected`](crate::ErrorKind::Rejected) if the server does not tell.
    pub async fn help(&mut self, topic: &str) -> Result<Reply> {
        self.command(&commands::help(topic)?).await
    }

    /// The language of replies from now on (LANG, RFC 2640 §4); the server's own if `tag` is empty. A session that takes
    /// this one's place is told so, too.
    ///
    /// # Errors
    /// [`Rejected`](crate::ErrorKind::Rejected) if the server does not have it.
    pub async fn language(&mut self, tag: &str) -> Result<Reply> {
        let reply = self.command(&commands::lang(tag)?).await?;
        self.told.language = Some(tag.to_owned());
        Ok(reply)
    }

    /// The account, for servers that ask for one for some operations only (ACCT, RFC 959 §4.1.1). A session that takes this
    /// one's place is told it, too.
    ///
    /// # Errors
    /// [`Rejected`](crate::ErrorKind::Rejected) if the server does not accept it;
    /// [`InvalidState`](crate::ErrorKind::InvalidState) in clear text.
    pub async fn account(&mut self, account: &str) -> Result<Reply> {
        let line = commands::acct(account)?;
        self.idle().await?;
        if self.session.tls.is_none() {
            return Err(self.explain(Error::invalid_state("an account is not sent in clear text")));
        }
        self.session.dialogue.context.keep_secret(account.as_bytes());
        let reply = self.session.expect(&line).await?;
        self.told.account = Some(Zeroizing::new(account.to_owned()));
        Ok(reply)
    }

    /// A command of the server's own (SITE): `UMASK 022`. What stands behind its first word is not shown in traces,
    /// unless the word is known to carry no secret.
    ///
    /// What it sets holds for the connection, and nobody but the server knows what that is: a session that takes this one's
    /// place, because of what was cancelled or lost ([`Client::abandon`]) or before the server's tickets run out, is not told
    /// again, nor are further sessions.
    ///
    /// # Errors
    /// [`Rejected`](crate::ErrorKind::Rejected); [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for text with CR,
    /// LF or NUL.
    pub async fn site(&mut self, text: impl AsRef<[u8]>) -> Result<Reply> {
        self.command(&spoken(Line::new("SITE "), text.as_ref())?).await
    }

    /// Any other command with one reply, as it is: `STAT -l`, `AVBL`, `XCUP`. What stands behind the verb is not shown in
    /// traces, unless the verb is known to carry no secret. What it sets holds for the connection, as with
    /// [`Client::site`].
    ///
    /// # Errors
    /// [`Rejected`](crate::ErrorKind::Rejected); [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for text with CR,
    /// LF or NUL, and for commands that have methods of their own because the session would not be the same behind them:
    /// logins, protection, transfers, and what prepares those.
    pub async fn quote(&mut self, command: impl AsRef<[u8]>) -> Result<Reply> {
        let command = command.as_ref();
        let (verb, argument) = split(command);
        let verb = String::from_utf8_lossy(verb).to_ascii_uppercase();
        if verb.is_empty() || !verb.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Error::invalid_argument("a command begins with its verb: letters and digits"));
        }
        let option = String::from_utf8_lossy(split(argument).0).to_ascii_uppercase();
        if OWN.contains(&&*verb) || (verb == "OPTS" && option == "HASH") {
            let why = format!("{verb} is not sent as it is: the session would not be the same behind it");
            return Err(Error::invalid_argument(why));
        }
        let line = if verb == "SITE" { spoken(Line::new("SITE "), argument)? } else { spoken(Line::new(""), command)? };
        self.idle().await?;
        let reply = self.session.dialogue.exchange(&line).await.map_err(|error| error.during(Phase::Command))?;
        match reply.code().number() {
            200..400 => Ok(reply),
            400.. => Err(self.session.refused(reply, Phase::Command)),
            _ => {
                self.session.dialogue.end("a command that was sent as it is began something");
                let error = Error::violation("this command began something (1yz)").with_reply(reply);
                Err(self.explain(error.during(Phase::Command)))
            }
        }
    }
}

/// What is not sent as it is.
const OWN: [&str; 43] = [
    "USER", "PASS", "ACCT", "REIN", "QUIT", "HOST", "AUTH", "ADAT", "CCC", "PBSZ", "PROT", "MIC", "CONF", "ENC",
    "TYPE", "STRU", "MODE", "PORT", "PASV", "EPRT", "EPSV", "LPRT", "LPSV", "SPSV", "CPSV", "SSCN", "REST", "RANG",
    "ALLO", "RETR", "STOR", "STOU", "APPE", "LIST", "NLST", "MLSD", "ABOR", "RNFR", "RNTO", "FEAT", "XAUT", "XRSQ",
    "MACB",
];

/// Words whose arguments are shown.
const HARMLESS: [&str; 37] = [
    "ALLO", "AVBL", "CDUP", "CHGRP", "CHMOD", "CHOWN", "CPFR", "CPTO", "CWD", "DELE", "DF", "DSIZ", "GROUP", "HELP",
    "IDLE", "INDEX", "LANG", "MDTM", "MFCT", "MFF", "MFMT", "MKD", "MKDIR", "MLST", "NOOP", "OPTS", "PWD", "QUOTA",
    "RMD", "RMDIR", "SIZE", "STAT", "SYMLINK", "SYST", "UMASK", "UTIME", "WHO",
];

/// The first word, and what is behind it.
fn split(text: &[u8]) -> (&[u8], &[u8]) {
    let at = text.iter().position(|&b| b == b' ').unwrap_or(text.len());
    (&text[..at], text.get(at + 1..).unwrap_or_default())
}

/// A caller's text, of which no more is shown than can be.
fn spoken(line: Line, text: &[u8]) -> Result<Line> {
    let (word, rest) = split(text);
    if word.is_empty() {
        return Err(Error::invalid_argument("there is nothing to say"));
    }
    let known = String::from_utf8_lossy(word).to_ascii_uppercase();
    if HARMLESS.contains(&&*known) {
        return line.argument("the text", text);
    }
    let line = line.argument("the text", word)?;
    if rest.is_empty() { Ok(line) } else { line.literal(" ").secret("the text", rest) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_site_are_not_shown() {
        let shown = |text: &str| spoken(Line::new("SITE "), text.as_bytes()).map(|line| line.to_string());
        assert_eq!(shown("CHMOD 644 a b").unwrap(), "SITE CHMOD 644 a b");
        assert_eq!(shown("chmod 644 a").unwrap(), "SITE chmod 644 a");
        assert_eq!(shown("PSWD old new").unwrap(), "SITE PSWD ***");
        assert_eq!(shown("ZONE").unwrap(), "SITE ZONE");
        for bad in ["", " x", "a\r\nDELE b", "PSWD a\nb", "PSWD \0"] {
            assert!(shown(bad).is_err(), "{bad:?}");
        }
    }
}
