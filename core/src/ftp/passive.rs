//! Where a passive data connection goes: EPSV (RFC 2428) and PASV (RFC 959 §4.1.2).
//!
//! Only the port is taken from the reply. The host is the control connection's peer and nobody else, whatever a 227 says:
//! otherwise a server could make its client connect to machines that only the client can reach.

use std::net::{IpAddr, Ipv4Addr};

use crate::error::{Error, Result};
use crate::reply::Reply;

/// Ports below are those of other services: nobody is sent there but by the server that is there itself.
pub(super) const FIRST_PORT: u16 = 1024;

/// The port of `229 Entering Extended Passive Mode (|||port|)`.
pub(super) fn epsv_port(reply: &Reply) -> Result<u16> {
    let text = reply.last_line();
    let inside = text.iter().position(|&b| b == b'(').and_then(|open| {
        let rest = &text[open + 1..];
        rest.iter().position(|&b| b == b')').map(|close| &rest[..close])
    });
    let parsed = inside.and_then(|inside| {
        let (&delimiter, _) = inside.split_first()?;
        let mut fields = inside.split(|&b| b == delimiter);
        let port = match [fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?] {
            // The first two are network protocol and address, empty or not: ours is the control connection's.
            [[], _, _, port, []] => port,
            _ => return None,
        };
        // A digit could be the port's own.
        let delimits = (33..=126).contains(&delimiter) && !delimiter.is_ascii_digit();
        (fields.next().is_none() && delimits).then_some(port)
    });
    parsed.and_then(number).filter(|&port| port != 0).ok_or_else(|| nonsense("EPSV", reply))
}

/// The port of `227 Entering Passive Mode (h1,h2,h3,h4,p1,p2)`; the parentheses may be missing (RFC 1123 §4.1.2.6).
pub(super) fn pasv_port(reply: &Reply) -> Result<u16> {
    pasv_address(reply).map(|(_, port)| port).filter(|&port| port != 0).ok_or_else(|| nonsense("PASV", reply))
}

/// Where a 227 points, for those who chose to go there from `peer`. Ports below 1024 are other services', at which nobody
/// is pointed (RFC 2577 §3). `None` in place of the host: a server that does not know where it is, for which the control
/// connection's peer stands.
pub(super) fn announced(reply: &Reply, peer: Option<IpAddr>) -> Result<(Option<Ipv4Addr>, u16)> {
    let is_one_host = |ip: Ipv4Addr| !ip.is_multicast() && !ip.is_broadcast();
    let (ip, port) = pasv_address(reply)
        .filter(|&(ip, port)| port >= FIRST_PORT && is_one_host(ip))
        .ok_or_else(|| nonsense("PASV", reply))?;
    let is_itself = ip.is_unspecified() || is_another_place(ip.into(), peer);
    Ok(((!is_itself).then_some(ip), port))
}

/// Whether an address means another machine to a peer at `peer` than it does here: its loopback is not ours, where we reach
/// it elsewhere.
pub(super) fn is_another_place(ip: IpAddr, peer: Option<IpAddr>) -> bool {
    ip.is_loopback() && !peer.is_some_and(|peer| peer.is_loopback())
}

/// The address in a 227, to be told and not to be gone to.
pub(super) fn pasv_address(reply: &Reply) -> Option<(Ipv4Addr, u16)> {
    let text = reply.last_line();
    let is_part = |b: &u8| b.is_ascii_digit() || *b == b',';
    let candidates = text.split(|b| !is_part(b));
    candidates.filter(|run| run.contains(&b',')).find_map(|run| {
        let numbers: Vec<_> = run.split(|&b| b == b',').map(|part| number(part).filter(|&n| n <= 255)).collect();
        match numbers[..] {
            [Some(a), Some(b), Some(c), Some(d), Some(high), Some(low)] => {
                let host = [a, b, c, d].map(|part| u8::try_from(part).unwrap_or_default());
                Some((Ipv4Addr::from(host), high * 256 + low))
            }
            _ => None,
        }
    })
}

fn number(digits: &[u8]) -> Option<u16> {
    let plain = (1..=5).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    if plain { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

fn nonsense(verb: &str, reply: &Reply) -> Error {
    Error::violation(format!("the answer to {verb} names no port from 1 to 65535")).with_reply(reply.clone())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::reply::{Assembler, Budget, Dialect};

    fn reply(line: &str) -> Reply {
        Assembler::new(Dialect::Ftp, Budget::DEFAULT).push(line.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn ports() {
        for (line, port) in [
            ("229 Entering Extended Passive Mode (|||6446|)", 6446),
            ("229 ok (!!!65535!)", 65535),
            ("229 ok (|1|10.0.0.1|21|)", 21),
        ] {
            assert_eq!(epsv_port(&reply(line)).unwrap(), port, "{line}");
        }
        for (line, port) in [
            ("227 Entering Passive Mode (10,0,0,1,4,1).", 1025),
            ("227 Entering Passive Mode 127,0,0,1,255,255", 65535),
            ("227 version 1.2, (1,2,3,4,0,21)", 21),
        ] {
            assert_eq!(pasv_port(&reply(line)).unwrap(), port, "{line}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let digits = "9".repeat(5_000);
        for bad in [
            "229",
            "229 ()",
            "229 (|||)",
            "229 (|||0|)",
            "229 (|||65536|)",
            "229 (|||+21|)",
            "229 (||21|)",
            "229 |||21|",
            "229 (1112111)",
            "229 (11151)",
            "229 (0006446 0)",
            "229 (|||64|46|)",
            "229 (||| 21|)",
            "229 (\u{b7}\u{b7}\u{b7}21\u{b7})",
        ] {
            assert!(epsv_port(&reply(bad)).is_err(), "{bad}");
        }
        assert!(epsv_port(&reply(&format!("229 (|||{digits}|)"))).is_err());
        for bad in [
            "227",
            "227 (1,2,3,4,5)",
            "227 (1,2,3,4,5,6,7)",
            "227 (1,2,3,4,0,0)",
            "227 (1,2,3,4,256,1)",
            "227 (1,2,3,4,,1)",
            "227 (1,2,3,4,4,1,)",
            "227 (1.2.3.4.4.1)",
            "227 (1,2,3,4,-4,1)",
            "227 (1,2,3,4,4;1)",
            "227 (::1,4,1)",
            "227 ([::ffff:1.2.3.4],4,1)",
            "227 (1,2,3,4,65536,1)",
            "227 (1,2,3,4,0000004,1)",
        ] {
            assert!(pasv_port(&reply(bad)).is_err(), "{bad}");
        }
        assert!(pasv_port(&reply(&format!("227 (1,2,3,4,{digits},1)"))).is_err());
    }

    #[test]
    fn where_one_is_sent() {
        let here = |text: &str| Some(text.parse().unwrap());
        for nobody in [
            "227 (224,0,0,1,4,1)",
            "227 (255,255,255,255,4,1)",
            "227 (1,2,3,4,0,0)",
            "227 (1,2,3,4,0,25)",
            "227 (1,2,3,4,3,255)",
            "227",
        ] {
            assert!(announced(&reply(nobody), None).is_err(), "{nobody}");
        }
        let elsewhere = Some(Ipv4Addr::new(1, 2, 3, 4));
        let loopback = Some(Ipv4Addr::new(127, 9, 9, 9));
        for (told, peer, host) in [
            ("227 (1,2,3,4,4,1)", here("192.0.2.1"), elsewhere),
            ("227 (1,2,3,4,4,1)", None, elsewhere),
            ("227 (0,0,0,0,4,1)", here("192.0.2.1"), None),
            ("227 (127,9,9,9,4,1)", here("192.0.2.1"), None),
            ("227 (127,9,9,9,4,1)", None, None),
            ("227 (127,9,9,9,4,1)", here("127.0.0.1"), loopback),
        ] {
            assert_eq!(announced(&reply(told), peer).unwrap(), (host, 1025), "{told} {peer:?}");
        }
    }

    #[test]
    fn loopback_is_told_to_nobody_elsewhere() {
        for (ip, other, is_another) in [
            ("127.0.0.1", Some("127.0.0.2"), false),
            ("127.0.0.1", Some("::1"), false),
            ("192.0.2.1", Some("127.0.0.1"), false),
            ("192.0.2.1", None, false),
            ("127.0.0.1", Some("192.0.2.1"), true),
            ("::1", Some("2001:db8::1"), true),
            ("127.0.0.1", None, true),
        ] {
            let other = other.map(|other| other.parse().unwrap());
            assert_eq!(is_another_place(ip.parse().unwrap(), other), is_another, "{ip} {other:?}");
        }
    }
}
