//! MySQL's SSLRequest (Client/Server Protocol, "Connection Phase").

use super::clear::{Clear, refused, strange, turned_away};
use crate::error::{Error, Result};
use crate::transport::Stream;

/// Capability flags.
const CLIENT_LONG_PASSWORD: u32 = 1;
const CLIENT_PROTOCOL_41: u32 = 0x200;
const CLIENT_SSL: u32 = 0x800;
const CLIENT_SECURE_CONNECTION: u32 = 0x8000;
const CLIENT_PLUGIN_AUTH: u32 = 0x8_0000;

/// The largest packet that we would take: 16 MiB, as the reference client says.
const MAX_PACKET: u32 = 1 << 24;

/// utf8mb4_general_ci.
const CHARACTER_SET: u8 = 45;

/// Gives the greeting, without its packet header: the caller's login is made of its random bytes, and its packet has the
/// sequence number 2.
pub(super) async fn ask<S: Stream>(clear: &mut Clear<'_, S>) -> Result<Vec<u8>> {
    let header = clear.exact(4).await?;
    let length = usize::from(header[0]) | usize::from(header[1]) << 8 | usize::from(header[2]) << 16;
    if header[3] != 0 || length == 0 {
        return Err(strange("a greeting of MySQL", &header));
    }
    if length > 4096 {
        return Err(Error::limit(format!("a greeting of {length} bytes")));
    }
    let greeting = clear.exact(length).await?;
    match greeting[0] {
        10 => {}
        // ERR: too many connections, a host that is not let in.
        0xff => return Err(turned_away(greeting.get(3..).unwrap_or_default())),
        _ => return Err(strange("a greeting of MySQL's protocol 10", &greeting)),
    }
    let offered = capabilities(&greeting).ok_or_else(|| strange("a greeting of MySQL's protocol 10", &greeting))?;
    if offered & CLIENT_SSL == 0 {
        return Err(refused(b"no CLIENT_SSL among its capabilities"));
    }
    let wanted = CLIENT_LONG_PASSWORD | CLIENT_PROTOCOL_41 | CLIENT_SSL | CLIENT_SECURE_CONNECTION | CLIENT_PLUGIN_AUTH;
    let mut packet = vec![32, 0, 0, 1];
    packet.extend_from_slice(&wanted.to_le_bytes());
    packet.extend_from_slice(&MAX_PACKET.to_le_bytes());
    packet.push(CHARACTER_SET);
    packet.extend_from_slice(&[0; 23]);
    clear.say("SSLRequest", &packet).await?;
    Ok(greeting)
}

/// The lower half of the capability flags: behind the version's text, the thread's number, eight random bytes and a zero.
fn capabilities(greeting: &[u8]) -> Option<u32> {
    let end = memchr::memchr(0, greeting)?;
    let flags = greeting.get(end + 1 + 4 + 8 + 1..)?.get(..2)?;
    Some(u32::from(u16::from_le_bytes([flags[0], flags[1]])))
}
