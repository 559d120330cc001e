//! `starttls hash`: a remote file's digest, as the server computes it.

use clap::Args;
use starttls::ErrorKind;
use starttls::ftp::hash::{Algorithm, Digest};
use starttls::transport::block;
use starttls::url::Protocol;

use crate::common::Common;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Report;
use crate::view;

/// Print the digest of a remote file, computed by the server
///
/// The line is that of `sha256sum --tag`, and `sha256sum --check` compares a file here of the same name with it. What is
/// used is HASH, or the older XSHA256, XSHA1, XMD5, XCRC…; a server without any of them is an error.
#[derive(Args, Debug)]
pub(crate) struct Hash {
    /// ftp://[USER@]HOST[:PORT]/PATH or ftps://…
    url: String,
    /// SHA-256, SHA-512, SHA-384, SHA-1, MD5 or CRC32 [default: the first of them that the server has]
    #[arg(short, long, value_name = "NAME", value_parser = algorithm)]
    algorithm: Option<Algorithm>,
}

impl Hash {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        let target = common.target(&self.url, Protocol::Ftp)?;
        let path = &target.url.path;
        let digest = block(async {
            let mut client = target.ftp(common).await?;
            let digest = client.hash(path, self.algorithm, None).await.map_err(|error| match error.kind() {
                ErrorKind::InvalidState(_) => {
                    let failure = target.failure(error, Exit::Unavailable);
                    failure.advise("`starttls probe` shows what it offers; `get` and compare here")
                }
                _ => target.failure(error, Exit::NoInput),
            })?;
            client.quit().await;
            Ok::<_, Failure>(digest)
        })?;
        let mut json = view::json(&digest);
        json["path"] = String::from_utf8_lossy(path).into();
        json["error"] = serde_json::Value::Null;
        Ok(Report { exit: Exit::Ok, json, data: line(&digest, path), notes: Vec::new() })
    }
}

/// `SHA256 (name) = digits`: names of algorithms without the first hyphen, as coreutils and the BSDs write them.
fn line(digest: &Digest, path: &[u8]) -> String {
    let name = path.rsplit(|&b| b == b'/').next().unwrap_or_default();
    let algorithm = digest.algorithm.name().replacen('-', "", 1);
    format!("{algorithm} ({}) = {digest}\n", view::printable(&String::from_utf8_lossy(name)))
}

fn algorithm(name: &str) -> Result<Algorithm, String> {
    name.parse().map_err(|_| format!("known are {}", Algorithm::ALL.map(Algorithm::name).join(", ")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let digest = Digest::from_hex(Algorithm::Sha1, &"0a".repeat(20)).unwrap();
        assert_eq!(line(&digest, b"/a/b c.txt"), format!("SHA1 (b c.txt) = {}\n", "0a".repeat(20)));
    }
}
