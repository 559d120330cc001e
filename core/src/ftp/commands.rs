//! Command lines: the verbs' spelling, and nothing else.
//!
//! Paths are bytes, as they are on the server; [`Line`] refuses those that a command cannot carry.

use crate::error::Result;
use crate::line::Line;

macro_rules! bare {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub(super) fn $name() -> Line { Line::new($text) })*
    };
}

bare! {
    auth_tls = "AUTH TLS";
    /// No protection buffer: TLS has records of its own (RFC 4217 §8).
    pbsz = "PBSZ 0";
    prot_private = "PROT P";
    prot_clear = "PROT C";
    feat = "FEAT";
    opts_utf8 = "OPTS UTF8 ON";
    /// Image: bytes as they are.
    type_image = "TYPE I";
    epsv = "EPSV";
    pasv = "PASV";
    pwd = "PWD";
    cdup = "CDUP";
    noop = "NOOP";
    quit = "QUIT";
}

macro_rules! with_path {
    ($($name:ident = $text:literal;)*) => {
        $(pub(super) fn $name(path: &[u8]) -> Result<Line> { Line::new($text).argument("the path", path) })*
    };
}

with_path! {
    retr = "RETR ";
    stor = "STOR ";
    appe = "APPE ";
    size = "SIZE ";
    mdtm = "MDTM ";
    dele = "DELE ";
    rnfr = "RNFR ";
    rnto = "RNTO ";
    mkd = "MKD ";
    rmd = "RMD ";
    cwd = "CWD ";
    mlst = "MLST ";
}

pub(super) fn user(name: &str) -> Result<Line> {
    Line::new("USER ").argument("the user name", name)
}

pub(super) fn pass(password: &str) -> Result<Line> {
    Line::new("PASS ").secret("the password", password)
}

pub(super) fn acct(account: &str) -> Result<Line> {
    Line::new("ACCT ").secret("the account", account)
}

/// Where the next transfer begins, in bytes (RFC 3659 §5).
pub(super) fn rest(offset: u64) -> Line {
    Line::new("REST ").number(offset)
}

/// A listing of `path`, or of the current directory.
pub(super) fn mlsd(path: &[u8]) -> Result<Line> {
    optional("MLSD", path)
}

/// A listing for people, of `path` or of the current directory.
pub(super) fn list(path: &[u8]) -> Result<Line> {
    optional("LIST", path)
}

fn optional(verb: &'static str, path: &[u8]) -> Result<Line> {
    let line = Line::new(verb);
    if path.is_empty() { Ok(line) } else { line.literal(" ").argument("the path", path) }
}
