//! HTTP CONNECT: a tunnel (RFC 9110 §9.3.6), asked for in HTTP/1.1, with Basic credentials (RFC 7617) from the start.

use std::io;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use zeroize::Zeroizing;

use super::Wire;
use crate::transport::Stream;

/// The longest answer, interim ones (1xx) included.
const LIMIT: usize = 16 * 1024;

pub(super) async fn connect<S: Stream>(
    wire: &mut Wire<'_, S>,
    host: &str,
    port: u16,
    login: Option<&(String, Zeroizing<String>)>,
) -> io::Result<()> {
    let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut request = Zeroizing::new(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n"));
    if let Some((user, password)) = login {
        let word = Zeroizing::new(format!("{user}:{}", password.as_str()));
        request.push_str("Proxy-Authorization: Basic ");
        request.push_str(&Zeroizing::new(BASE64_STANDARD.encode(word.as_bytes())));
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    wire.write(request.as_bytes()).await?;
    let mut budget = LIMIT;
    let status = loop {
        match header(wire, &mut budget).await? {
            100..=199 => {}
            status => break status,
        }
    };
    use io::ErrorKind as K;
    let says = format!("status {status}");
    Err(match status {
        // Whatever lengths the header tells, there is no content (RFC 9110 §9.3.6): the tunnel begins here.
        200..=299 => return Ok(()),
        // 407 it should be; 401 is what some say.
        401 | 407 if login.is_none() => wire.refused("it wants a user and a password: give them in its URL"),
        401 | 407 => wire.refused("it does not accept the user and the password in its URL"),
        403 => wire.target(K::PermissionDenied, &format!("{says}: it does not allow this connection")),
        502 | 503 => wire.target(K::HostUnreachable, &format!("{says}: it cannot connect")),
        504 => wire.target(K::TimedOut, &format!("{says}: the target does not answer")),
        _ => wire.refused(&says),
    })
}

/// Reads one header, to its empty line and no further; its status.
async fn header<S: Stream>(wire: &mut Wire<'_, S>, budget: &mut usize) -> io::Result<u16> {
    let mut status = Vec::new();
    let (mut first, mut empty) = (true, true);
    loop {
        let mut byte = [0];
        wire.read(&mut byte).await?;
        *budget = budget.checked_sub(1).ok_or_else(|| wire.refused("its answer does not end"))?;
        match byte[0] {
            b'\n' if empty && !first => break,
            b'\n' => (first, empty) = (false, true),
            b'\r' => {}
            byte => {
                empty = false;
                if first {
                    status.push(byte);
                }
            }
        }
        // Whoever does not speak HTTP is not listened to until the budget ends.
        let expected = b"HTTP/1.";
        if first && !expected.starts_with(&status[..status.len().min(expected.len())]) {
            return Err(wire.refused("it does not speak HTTP"));
        }
    }
    let code = match &status[..] {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9', b' ', code @ ..] => code,
        _ => return Err(wire.refused("it does not speak HTTP/1")),
    };
    match code {
        [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9']
        | [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', ..] => {
            Ok([a, b, c].iter().fold(0, |sum, digit| sum * 10 + u16::from(**digit - b'0')))
        }
        _ => Err(wire.refused("its answer has no status")),
    }
}
