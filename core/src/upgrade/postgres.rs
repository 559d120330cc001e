//! PostgreSQL's SSLRequest (Frontend/Backend Protocol, "Message Flow", "SSL Session Encryption").

use super::clear::{Clear, refused, strange, turned_away};
use crate::error::Result;
use crate::transport::Stream;

/// Its length, and the number that stands for it in the place of a protocol version.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// The server says one byte. It says nothing first, and what it would say behind that byte in clear text is somebody
/// else's: the upgrade finds it.
pub(super) async fn ask<S: Stream>(clear: &mut Clear<'_, S>) -> Result<Vec<u8>> {
    clear.say("SSLRequest", &SSL_REQUEST).await?;
    match clear.exact(1).await?.as_slice() {
        b"S" => Ok(Vec::new()),
        b"N" => Err(refused(b"N: this server has no TLS")),
        // An ErrorResponse, from before the server has looked who asks: its words are not to be believed.
        b"E" => Err(turned_away(b"E: the server reports an error before TLS")),
        other => Err(strange("one byte, S or N,", other)),
    }
}
