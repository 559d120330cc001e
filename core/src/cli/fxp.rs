//! `starttls fxp`: a file from one server to another, without the way through here.

use std::path::PathBuf;

use clap::Args;
use starttls::ftp::{Refusal, fxp};
use starttls::transport::block;
use starttls::url::Protocol;
use starttls::{Error, ErrorKind};

use crate::common::{Common, Target};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Report, note};
use crate::progress::bytes_for_people;
use crate::view;

/// Copy a file from one server to another, which connect to each other (FXP)
///
/// Both servers must allow it, and one of them must be able to be the TLS client of the other (SSCN, CPSV). Sizes are
/// compared afterwards, and digests where both compute the same. All flags are about both servers, but --user and the
/// password, which are the source's: the target's user is in its URL, and its password is told to it alone.
#[derive(Args, Debug)]
pub(crate) struct Fxp {
    /// ftp://[USER@]HOST[:PORT]/PATH or ftps://… of the file
    source: String,
    /// ftp://USER@HOST[:PORT]/PATH or ftps://… of the copy; one that ends in / keeps its name
    target: String,
    /// The password for the target is the first line of this file [or: the variable STARTTLS_TARGET_PASSWORD, --netrc]
    #[arg(long, value_name = "FILE")]
    target_password_file: Option<PathBuf>,
    /// Let the servers send the file in CLEAR TEXT: everybody between them can read and change it
    #[arg(long)]
    clear: bool,
    /// Do not compare digests afterwards: sizes alone
    #[arg(long)]
    no_compare: bool,
}

impl Fxp {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        let source = common.target(&self.source, Protocol::Ftp)?;
        let mut target = common.target(&self.target, Protocol::Ftp)?;
        let name = source.url.path.rsplit(|&b| b == b'/').next().unwrap_or_default();
        if name.is_empty() {
            return Err(Failure::usage("the source's URL names no file"));
        }
        if target.url.path.is_empty() || target.url.path.ends_with(b"/") {
            target.url.path.extend_from_slice(name);
        }
        let credentials = common.ftp_credentials_of_target(&target.url, self.target_password_file.as_deref())?;
        if self.clear {
            note("WARNING: --clear: everybody between the servers can read and change the file");
        }
        let options = fxp::Options { clear: self.clear, compare: !self.no_compare, ..fxp::Options::default() };
        let receipt = block(async {
            let mut from = source.ftp(common).await?;
            let mut to = target.ftp_as(common, &credentials).await?;
            let copied = fxp::copy(&mut from, &source.url.path, &mut to, &target.url.path, &options).await;
            let receipt = copied.map_err(|error| failed(&source, &target, error))?;
            from.quit().await;
            to.quit().await;
            Ok::<_, Failure>(receipt)
        })?;
        let mut json = view::json(&receipt);
        json["error"] = serde_json::Value::Null;
        let mut text = format!("{} -> {}: ", source.url, target.url);
        text.push_str(&receipt.size.map_or_else(|| "copied".into(), bytes_for_people));
        text.push_str(&format!(", {}", receipt.status.as_str()));
        if let Some(digest) = &receipt.digest {
            text.push_str(&format!(" by {}", digest.algorithm));
        }
        Ok(Report::note(json, view::printable(&text)))
    }
}

/// Whose error it is, only its peer tells.
fn failed(source: &Target, target: &Target, error: Error) -> Failure {
    let is_of = |it: &Target| error.peer() == Some(it.url.endpoint.to_string().as_str());
    let theirs = is_of(target) && !is_of(source);
    let (whose, missing) = if theirs { (target, Exit::CantCreate) } else { (source, Exit::NoInput) };
    let exit = if Refusal::of(&error) == Some(Refusal::NotFound) { missing } else { Exit::Unavailable };
    let is_a_pair_without_tls = matches!(error.kind(), ErrorKind::InvalidState(_));
    let failure = whose.failure(error, exit);
    if is_a_pair_without_tls {
        return failure.advise("send it through here: `starttls get SOURCE - | starttls put - TARGET`; or see --clear");
    }
    failure
}
