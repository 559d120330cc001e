//! Command lines: the verbs' spelling, and nothing else.
//!
//! Paths are bytes, as they are on the server; [`Line`] refuses those that a command cannot carry.

use std::net::{SocketAddr, SocketAddrV4};
use std::ops::Range;
use std::time::SystemTime;

use crate::error::{Error, Result};
use crate::line::Line;
use crate::moment::timestamp;

macro_rules! bare {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub(super) fn $name() -> Line { Line::new($text) })*
    };
}

bare! {
    auth_tls = "AUTH TLS";
    auth_ssl = "AUTH SSL";
    /// No protection buffer: TLS has records of its own (RFC 4217 §8).
    pbsz = "PBSZ 0";
    prot_private = "PROT P";
    prot_clear = "PROT C";
    feat = "FEAT";
    opts_utf8 = "OPTS UTF8 ON";
    /// Lines that end in CRLF on the wire (RFC 959 §3.1.1.1).
    type_ascii = "TYPE A";
    /// Image: bytes as they are.
    type_image = "TYPE I";
    /// Deflate on data connections (draft-preston-ftpext-deflate).
    mode_deflate = "MODE Z";
    mode_stream = "MODE S";
    epsv = "EPSV";
    pasv = "PASV";
    /// PASV, and be the client of the TLS handshake.
    cpsv = "CPSV";
    pwd = "PWD";
    abor = "ABOR";
    syst = "SYST";
    cdup = "CDUP";
    noop = "NOOP";
    rein = "REIN";
    quit = "QUIT";
    /// The whole file again (draft-bryan-ftp-range).
    rang_none = "RANG 1 0";
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
    hash = "HASH ";
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

/// Gives a file the time of its last modification (MFMT, draft-somers-ftp-mfxx).
pub(super) fn mfmt(time: SystemTime, path: &[u8]) -> Result<Line> {
    with_time("MFMT ", time, path)
}

/// Gives a file the time it was made (MFCT, draft-somers-ftp-mfxx).
pub(super) fn mfct(time: SystemTime, path: &[u8]) -> Result<Line> {
    with_time("MFCT ", time, path)
}

/// The same as older servers have it: MDTM with a time before the path.
pub(super) fn mdtm_set(time: SystemTime, path: &[u8]) -> Result<Line> {
    with_time("MDTM ", time, path)
}

/// Sets facts of a file (MFF, draft-somers-ftp-mfxx): `unix.mode=0644;`.
pub(super) fn mff(facts: &str, path: &[u8]) -> Result<Line> {
    Line::new("MFF ").argument("the facts", facts)?.literal(" ").argument("the path", path)
}

/// The time of the last access and modification and of the making, by a command that many servers have.
pub(super) fn site_utime(time: SystemTime, path: &[u8]) -> Result<Line> {
    let digits: String = timestamp(time).chars().filter(char::is_ascii_digit).collect();
    let line = Line::new("SITE UTIME ").argument("the path", path)?;
    let line = [0, 1, 2].iter().try_fold(line, |line, _| line.literal(" ").argument("the time", &digits))?;
    Ok(line.literal(" UTC"))
}

pub(super) fn site_chmod(mode: u32, path: &[u8]) -> Result<Line> {
    Line::new("SITE CHMOD ").argument("the mode", format!("{mode:03o}"))?.literal(" ").argument("the path", path)
}

/// Whether to be the client of the data connection's TLS handshake.
pub(super) fn sscn(client: bool) -> Line {
    Line::new(if client { "SSCN ON" } else { "SSCN OFF" })
}

/// Room for an upload (RFC 959 §4.1.3).
pub(super) fn allo(size: u64) -> Line {
    Line::new("ALLO ").number(size)
}

/// How much room there is (draft-peterson-streamlined-ftp-command-extensions).
pub(super) fn avbl(path: &[u8]) -> Result<Line> {
    optional("AVBL", "the path", path)
}

/// Store under a name that the server chooses; some take a wish for it.
pub(super) fn stou(wish: &[u8]) -> Result<Line> {
    optional("STOU", "the path", wish)
}

fn with_time(verb: &'static str, time: SystemTime, path: &[u8]) -> Result<Line> {
    let digits: String = timestamp(time).chars().filter(char::is_ascii_digit).collect();
    Line::new(verb).argument("the time", digits)?.literal(" ").argument("the path", path)
}

/// Where we listen (RFC 2428 §2); a zone is nobody's business but ours.
pub(super) fn eprt(address: SocketAddr) -> Line {
    let family = if address.is_ipv4() { 1 } else { 2 };
    Line::new("EPRT |")
        .number(family)
        .literal("|")
        .shown(address.ip())
        .literal("|")
        .number(address.port().into())
        .literal("|")
}

/// Where we listen (RFC 959 §4.1.2).
pub(super) fn port(address: SocketAddrV4) -> Line {
    let [a, b, c, d] = address.ip().octets();
    let [high, low] = address.port().to_be_bytes();
    Line::new("PORT ").shown(format_args!("{a},{b},{c},{d},{high},{low}"))
}

/// Which of a server's virtual hosts is meant (RFC 7151).
pub(super) fn host(name: &str) -> Result<Line> {
    Line::new("HOST ").argument("the virtual host", name)
}

/// Who we say we are.
pub(super) fn clnt(name: &str) -> Result<Line> {
    Line::new("CLNT ").argument("the client's name", name)
}

/// The language of replies (RFC 2640 §4); an empty one is the server's own.
pub(super) fn lang(tag: &str) -> Result<Line> {
    optional("LANG", "the language", tag.as_bytes())
}

/// About a file, a directory or the session.
pub(super) fn stat(path: &[u8]) -> Result<Line> {
    optional("STAT", "the path", path)
}

pub(super) fn help(topic: &str) -> Result<Line> {
    optional("HELP", "the topic", topic.as_bytes())
}

/// Where the next transfer begins, in bytes (RFC 3659 §5).
pub(super) fn rest(offset: u64) -> Line {
    Line::new("REST ").number(offset)
}

/// A listing of `path`, or of the current directory.
pub(super) fn mlsd(path: &[u8]) -> Result<Line> {
    optional("MLSD", "the path", path)
}

/// A listing for people, of `path` or of the current directory.
pub(super) fn list(path: &[u8]) -> Result<Line> {
    optional("LIST", "the path", path)
}

/// The same with options in front of the path.
pub(super) fn list_with(options: &str, path: &[u8]) -> Result<Line> {
    let line = Line::new("LIST ").argument("the options of LIST", options)?;
    if path.is_empty() { Ok(line) } else { line.literal(" ").argument("the path", path) }
}

/// The names in `path`, or in the current directory.
pub(super) fn nlst(path: &[u8]) -> Result<Line> {
    optional("NLST", "the path", path)
}

/// Which facts MLSD and MLST tell.
pub(super) fn opts_mlst(facts: &str) -> Result<Line> {
    Line::new("OPTS MLST ").argument("a fact", facts)
}

fn optional(verb: &'static str, what: &str, argument: &[u8]) -> Result<Line> {
    let line = Line::new(verb);
    if argument.is_empty() { Ok(line) } else { line.literal(" ").argument(what, argument) }
}

/// Which part of a file the next command is about: both ends belong to it (draft-bryan-ftp-range).
pub(super) fn rang(range: &Range<u64>) -> Line {
    Line::new("RANG ").number(range.start).literal(" ").number(range.end.saturating_sub(1))
}

/// What HASH computes from now on (draft-bryan-ftpext-hash).
pub(super) fn opts_hash(algorithm: &'static str) -> Line {
    Line::new("OPTS HASH ").literal(algorithm)
}

/// XMD5 and its kind: the path in quotes where it has spaces and the verb knows them, then where the part begins and the
/// byte behind it.
pub(super) fn older_hash(verb: &'static str, path: &[u8], quotes: bool, range: Option<&Range<u64>>) -> Result<Line> {
    let quoted = quotes && path.contains(&b' ');
    if quotes && path.contains(&b'"') && (quoted || path.starts_with(b"\"")) {
        return Err(Error::invalid_argument("this command has no way to say a path with quotation marks"));
    }
    let line = Line::new(verb).literal(if quoted { " \"" } else { " " }).argument("the path", path)?;
    let line = if quoted { line.literal("\"") } else { line };
    Ok(match range {
        Some(range) => line.literal(" ").number(range.start).literal(" ").number(range.end),
        None => line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let port_of = |text: &str| port(text.parse().expect("an address")).to_string();
        let eprt_of = |text: &str| eprt(text.parse().expect("an address")).to_string();
        assert_eq!(port_of("192.0.2.1:258"), "PORT 192,0,2,1,1,2");
        assert_eq!(eprt_of("192.0.2.1:65535"), "EPRT |1|192.0.2.1|65535|");
        assert_eq!(eprt_of("[2001:db8::1]:1"), "EPRT |2|2001:db8::1|1|");
        assert_eq!(eprt_of("[fe80::1%7]:21"), "EPRT |2|fe80::1|21|");
    }
}
