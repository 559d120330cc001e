//! SOCKS5: methods, user and password (RFC 1929), CONNECT (RFC 1928 §4).

use std::io;
use std::net::IpAddr;

use zeroize::Zeroizing;

use super::Wire;
use crate::transport::{Endpoint, Stream};

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const LOGIN: u8 = 2;

pub(super) async fn connect<S: Stream>(
    wire: &mut Wire<'_, S>,
    host: &str,
    to: &Endpoint,
    login: Option<&(String, Zeroizing<String>)>,
) -> io::Result<()> {
    // With a login at hand both are offered: the proxy may do without.
    wire.write(if login.is_some() { &[VERSION, 2, NO_LOGIN, LOGIN] } else { &[VERSION, 1, NO_LOGIN] }).await?;
    let mut chosen = [0; 2];
    wire.read(&mut chosen).await?;
    match (chosen, login) {
        ([VERSION, NO_LOGIN], _) => {}
        ([VERSION, LOGIN], Some((user, password))) => log_in(wire, user, password).await?,
        ([VERSION, 0xff], None) => return Err(wire.refused("it wants a user and a password: give them in its URL")),
        ([VERSION, 0xff], Some(_)) => return Err(wire.refused("it takes no user and password")),
        ([VERSION, _], _) => return Err(wire.refused("it chose a method that was not offered")),
        _ => return Err(wire.refused("it does not speak SOCKS5")),
    }
    let mut request = vec![VERSION, 1, 0];
    match to.ip().map(|address| address.ip()) {
        Some(IpAddr::V4(ip)) => {
            request.push(1);
            request.extend(ip.octets());
        }
        Some(IpAddr::V6(ip)) => {
            request.push(4);
            request.extend(ip.octets());
        }
        None => {
            // At most 255 bytes: looked at before.
            request.extend([3, host.len() as u8]);
            request.extend(host.as_bytes());
        }
    }
    request.extend(to.port.to_be_bytes());
    wire.write(&request).await?;
    answer(wire).await
}

async fn log_in<S: Stream>(wire: &mut Wire<'_, S>, user: &str, password: &str) -> io::Result<()> {
    let mut request = Zeroizing::new(vec![1]);
    for word in [user, password] {
        request.push(word.len() as u8);
        request.extend(word.as_bytes());
    }
    wire.write(&request).await?;
    let mut status = [0; 2];
    wire.read(&mut status).await?;
    match status {
        [1, 0] => Ok(()),
        [1, _] => Err(wire.refused("it does not accept the user and the password in its URL")),
        _ => Err(wire.refused("this is no answer to a user and a password")),
    }
}

async fn answer<S: Stream>(wire: &mut Wire<'_, S>) -> io::Result<()> {
    let mut head = [0; 4];
    wire.read(&mut head).await?;
    let [VERSION, reply, _, kind] = head else { return Err(wire.refused("it does not speak SOCKS5")) };
    use io::ErrorKind as K;
    match reply {
        0 => {}
        1 => return Err(wire.refused("it failed to connect, and does not say why")),
        2 => return Err(wire.target(K::PermissionDenied, "its rules do not allow this connection")),
        3 => return Err(wire.target(K::NetworkUnreachable, "the network cannot be reached")),
        4 => return Err(wire.target(K::HostUnreachable, "the host cannot be reached")),
        5 => return Err(wire.target(K::ConnectionRefused, "connection refused")),
        6 => return Err(wire.target(K::TimedOut, "the packets' time to live ended")),
        7 => return Err(wire.refused("it cannot connect")),
        8 => return Err(wire.refused("it does not know this kind of address")),
        _ => return Err(wire.refused("this is no answer of SOCKS5")),
    }
    // The address it connects from, which is of no use: read, since the target's first bytes come behind it.
    let mut rest = [0; 257];
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => {
            wire.read(&mut rest[..1]).await?;
            usize::from(rest[0])
        }
        _ => return Err(wire.refused("its answer has an address of no known kind")),
    };
    wire.read(&mut rest[..length + 2]).await
}
