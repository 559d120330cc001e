//! `starttls chmod`: the permissions of a remote file or directory.

use clap::Args;
use serde_json::json;
use starttls::transport::block;
use starttls::url::Protocol;

use crate::common::Common;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Report;
use crate::view;

/// Change the permissions of a remote file or directory, where the server can (SITE CHMOD)
#[derive(Args, Debug)]
pub(crate) struct Chmod {
    /// The permissions, octal: 640
    #[arg(value_parser = mode)]
    mode: u32,
    /// ftp://[USER@]HOST[:PORT]/PATH or ftps://…
    url: String,
}

impl Chmod {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        let target = common.target(&self.url, Protocol::Ftp)?;
        let path = &target.url.path;
        let reply = block(async {
            let mut client = target.ftp(common).await?;
            let reply = client.chmod(path, self.mode).await.map_err(|error| target.failure(error, Exit::NoInput))?;
            client.quit().await;
            Ok::<_, Failure>(reply)
        })?;
        let (path, mode) = (String::from_utf8_lossy(path), format!("{:04o}", self.mode));
        let json = json!({"changed": path, "mode": mode, "reply": reply, "error": null});
        Ok(Report::note(json, view::printable(&format!("{path}: {mode}"))))
    }
}

/// Octal digits, as `chmod` of the shell takes them.
fn mode(text: &str) -> Result<u32, String> {
    let digits = (1..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let mode = if digits { u32::from_str_radix(text, 8).ok() } else { None };
    mode.ok_or_else(|| "one to four octal digits, such as 640".into())
}

#[cfg(test)]
mod tests {
    use super::mode;

    #[test]
    fn modes() {
        for (text, bits) in [("640", 0o640), ("0644", 0o644), ("7777", 0o7777), ("0", 0)] {
            assert_eq!(mode(text), Ok(bits));
        }
        for bad in ["", "8", "u+x", "0o644", "+644", "00644", "77777", " 644"] {
            assert!(mode(bad).is_err(), "{bad}");
        }
    }
}
