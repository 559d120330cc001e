//! What a refusal of a file operation means.
//!
//! FTP has one code for a missing file, a forbidden one and one that is there already (550, RFC 959 §4.2.2). Servers tell
//! them apart in words only, so this reads the words: a best guess, for error classes and exit codes, never for decisions
//! of the dialogue.

use crate::error::{Error, ErrorKind, Phase};

/// Why a server refused an operation on a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such file or directory.
    NotFound,
    /// It is there already.
    Exists,
    /// The user may not.
    PermissionDenied,
    /// The file is unavailable, and the server does not say why; most often it is missing.
    Unavailable,
    /// There are too many connections to the server, or of this user: fewer may do, or later.
    TooManyConnections,
    /// Something else: a quota, a directory that is not empty, a command that is not known.
    Other,
}

impl Refusal {
    /// What the server's refusal means; `None` if the error is none.
    pub fn of(error: &Error) -> Option<Self> {
        let reply = error.reply().filter(|_| matches!(error.kind(), ErrorKind::Rejected))?;
        let text = reply.text().to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        Some(match reply.code().number() {
            // 421 is also said by a server that closes, and 530 by one that does not know the password.
            421 | 430 | 450 | 530
                if says(&["too many", "maximum", "limit"])
                    && says(&["connection", "user", "client", "session", "login"]) =>
            {
                Self::TooManyConnections
            }
            530 | 532 | 553 => Self::PermissionDenied,
            550 if says(&["denied", "permission", "not permitted", "not allowed", "prohibited"]) => {
                Self::PermissionDenied
            }
            550 if says(&["no such", "not found", "not exist", "cannot find", "can't find"]) => Self::NotFound,
            // In a transfer it is about protection: "cannot be opened with this PROT setting".
            521 if error.phase() != Some(Phase::Data) => Self::Exists,
            550 if says(&["exists"]) => Self::Exists,
            550 if says(&["not empty", "is a directory", "not a "]) => Self::Other,
            550 => Self::Unavailable,
            _ => Self::Other,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::reply::{Assembler, Budget, Dialect};

    #[test]
    fn words_of_servers() {
        for (line, refusal) in [
            ("550 Failed to open file.", Refusal::Unavailable),
            ("550 nothing: No such file or directory", Refusal::NotFound),
            ("550 Can't open nothing: No such file or directory", Refusal::NotFound),
            ("550 Permission denied.", Refusal::PermissionDenied),
            ("550 files: File exists", Refusal::Exists),
            ("550 files: Directory not empty", Refusal::Other),
            ("553 Could not create file.", Refusal::PermissionDenied),
            ("452 Disk full", Refusal::Other),
            ("421 There are too many connections from your internet address.", Refusal::TooManyConnections),
            ("421 There are too many connected users, please try later.", Refusal::TooManyConnections),
            ("421 Too many connections (2) from this IP", Refusal::TooManyConnections),
            ("421 50 users (the maximum) are already logged in, sorry", Refusal::TooManyConnections),
            (
                "530 Sorry, the maximum number of clients (2) for this user are already connected.",
                Refusal::TooManyConnections,
            ),
            (
                "530 Sorry, the maximum number of connections (2) for your host are already connected.",
                Refusal::TooManyConnections,
            ),
            ("421 Timeout.", Refusal::Other),
            ("530 Login incorrect.", Refusal::PermissionDenied),
        ] {
            let reply = Assembler::new(Dialect::Ftp, Budget::DEFAULT).push(line.as_bytes()).unwrap().unwrap();
            assert_eq!(Refusal::of(&Error::rejected(reply)), Some(refusal), "{line}");
        }
        assert_eq!(Refusal::of(&Error::violation("x")), None);
    }
}
