//! The flags of a DKIM signature, and the signature they make.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use starttls::smtp::dkim::Signer;
use zeroize::Zeroizing;

use super::message::Message;
use crate::exit::Exit;
use crate::failure::Failure;

/// How much is read at once.
const PIECE: usize = 64 * 1024;

const HEADING: &str = "DKIM signature";

/// In whose name a message is signed.
#[derive(Args, Debug)]
pub(crate) struct Signature {
    /// Sign the message with this private key (PEM), RSA or Ed25519
    #[arg(long, value_name = "FILE", requires = "dkim_domain", requires = "dkim_selector", help_heading = HEADING)]
    dkim_key: Option<PathBuf>,
    /// In the name of this domain
    #[arg(long, value_name = "DOMAIN", requires = "dkim_key", help_heading = HEADING)]
    dkim_domain: Option<String>,
    /// The key's public half is at SELECTOR._domainkey.DOMAIN
    #[arg(long, value_name = "SELECTOR", requires = "dkim_key", help_heading = HEADING)]
    dkim_selector: Option<String>,
}

impl Signature {
    /// The message with its signature, if there is to be one. For that a regular file is opened and read once more, and
    /// what comes from a pipe is held whole.
    pub(crate) fn sign(
        &self,
        mut message: Message,
        path: &Path,
        open: impl FnOnce() -> Result<Message, Failure>,
    ) -> Result<Message, Failure> {
        let (Some(key), Some(domain), Some(selector)) = (&self.dkim_key, &self.dkim_domain, &self.dkim_selector) else {
            return Ok(message);
        };
        let pem = std::fs::read(key).map_err(|error| Failure::file(Exit::NoInput, key, &error))?;
        let signer = Signer::new(domain, selector, &Zeroizing::new(pem));
        let signer = signer.map_err(|error| Failure::new(Exit::Config, format!("{}: {error}", key.display())))?;
        let is_regular = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
        let (mut signing, mut held) = (signer.begin(), Vec::new());
        let mut piece = Zeroizing::new(vec![0; PIECE]);
        let unsigned = |error| Failure::new(Exit::Data, format!("{}: {error}", path.display()));
        loop {
            match message.read(&mut piece).map_err(|error| Failure::file(Exit::IoError, path, &error))? {
                0 => break,
                n => {
                    signing.push(&piece[..n]).map_err(unsigned)?;
                    if !is_regular {
                        held.extend_from_slice(&piece[..n]);
                    }
                }
            }
        }
        let field = signing.finish(SystemTime::now()).map_err(unsigned)?;
        let message = if is_regular { open()? } else { message.again(held) };
        Ok(message.behind(field))
    }
}
