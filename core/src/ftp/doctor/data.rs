//! Data connections and what comes over them: whether they can be opened, must resume, end in order, and can be read.

use std::time::{Duration, SystemTime};

use super::{Doctor, State, Topic, words};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::ftp::client::Client;
use crate::ftp::credentials::Credentials;
use crate::ftp::receipt::TransferReceipt;
use crate::ftp::{Entry, commands};
use crate::reply::printable;
use crate::tls::{Resumable, Sharing};
use crate::transport::Transport;

/// As much of a listing as is looked at.
const MOST: usize = 1024 * 1024;

/// A file dated later than this from now was dated by another clock.
const FUTURE: Duration = Duration::from_secs(120);

/// A listing as it came.
#[derive(Default)]
struct Listed {
    bytes: Vec<u8>,
    /// `None` if it was not received to its end, or if there is nothing to list.
    receipt: Option<TransferReceipt>,
}

impl<T: Transport + Clone> Doctor<'_, T> {
    /// Whether anything comes over a data connection at all.
    pub(super) async fn data(&mut self, client: &mut Client<T>, credentials: &Credentials) -> bool {
        let before = stock(client);
        let listed = match listing(client).await {
            Ok(listed) => listed,
            Err(error) => {
                self.no_data(&error);
                return false;
            }
        };
        let after = stock(client);
        let resumed = listed.receipt.as_ref().is_some_and(|receipt| receipt.tls_resumed);
        self.data_connection(&listed);
        if client.session.private && listed.receipt.is_some() {
            let must = self.session_reuse(resumed, credentials).await;
            self.tickets(before, after, resumed, must);
        }
        self.listings(client, &listed).await;
        true
    }

    fn data_connection(&mut self, listed: &Listed) {
        let Some(receipt) = &listed.receipt else {
            let what = if listed.bytes.is_empty() { "there is nothing to list" } else { "more than is looked at came" };
            self.find(Topic::DataConnection, State::Good, format!("a listing was sent: {what}"));
            return;
        };
        let resumed = if receipt.tls_resumed { ", its TLS session resumed" } else { "" };
        self.find(Topic::DataConnection, State::Good, format!("a listing of {} bytes came{resumed}", receipt.size));
        if receipt.close_notify {
            self.find(Topic::DataEnd, State::Good, "data connections end with close_notify");
        } else if self.settings.data_protection == crate::ftp::DataProtection::Private && self.diagnosis.tls.is_some() {
            self.find(Topic::DataEnd, State::Problem, "data connections end without close_notify")
                .because("the server closes them without TLS's good-bye, or somebody cuts them")
                .advise(
                    "a download's end is not proven then: update the server, or accept it by name and compare sizes or \
                     checksums",
                );
        }
    }

    fn no_data(&mut self, error: &Error) {
        let reached = !matches!(error.phase(), Some(Phase::Connect));
        let finding = self.failed(Topic::DataConnection, error);
        finding.seen = words::shown(&words::of(error));
        match error.kind() {
            ErrorKind::TimedOut | ErrorKind::ConnectionRefused | ErrorKind::Unreachable if !reached => {
                finding
                    .because(
                        "a firewall closes the server's passive ports, or its translation of addresses leaves them out",
                    )
                    .advise(
                        "the server's administrator should set a range of passive ports and open it, from the control \
                         connection's address on, in every firewall in between",
                    );
            }
            ErrorKind::Rejected if error.reply().is_some_and(|reply| matches!(reply.code().number(), 425 | 522)) => {
                finding.because("the server refused the data connection, which could not resume a TLS session");
                finding.advise("allow TLS 1.2, where one session resumes any number of connections");
            }
            _ => {}
        }
    }

    /// The same listing from a session whose data connections begin TLS anew. Whether the server refuses that.
    async fn session_reuse(&mut self, resumed: bool, credentials: &Credentials) -> bool {
        let outcome = async {
            let mut client = self.begin(credentials).await?;
            if let Some((tls, name)) = &mut client.session.tls {
                *tls = self.options.tls.session_with(name, Sharing::Own)?;
            }
            let outcome = listing(&mut client).await;
            client.quit().await;
            outcome
        };
        let resuming = if resumed { "resumes the session" } else { "does not resume it, though asked to" };
        match outcome.await {
            Ok(_) => {
                let seen = format!(
                    "not required: a data connection with a TLS session of its own is taken, and one {resuming}"
                );
                self.find(Topic::SessionReuse, State::Good, seen);
                false
            }
            Err(error) => {
                let seen =
                    format!("data connections must resume the control connection's TLS session: {}", words::of(&error));
                let finding = self.find(Topic::SessionReuse, State::Notice, seen);
                finding.because(
                    "the server is set to demand it (vsftpd: require_ssl_reuse; ProFTPD: TLSOptions without \
                     NoSessionReuseRequired), so that nobody else can take a data connection",
                );
                finding.advise("none is needed here; clients that cannot resume will fail at the first listing");
                true
            }
        }
    }

    fn tickets(&mut self, before: Stock, after: Stock, resumed: bool, must: bool) {
        let (before, after) = match (before, after) {
            (Stock::Any, _) | (_, Stock::Any) => {
                let seen = "one session of TLS 1.2 resumes any number of data connections";
                self.find(Topic::Tickets, State::Good, seen);
                return;
            }
            (Stock::Tickets(before), Stock::Tickets(after)) => (before, after),
        };
        let more = (after + usize::from(resumed)).saturating_sub(before);
        let seen = format!("TLS 1.3: {before} after login, and {more} more with each listing");
        let finding = self.find(Topic::Tickets, State::Good, seen);
        if must && before == 0 {
            finding.state = State::Problem;
            finding.because("the server demands sessions to be resumed and gives none");
            finding.advise("allow TLS 1.2, or turn the demand off");
        } else if must && more == 0 {
            finding.state = State::Notice;
            finding.because(
                "each data connection takes one and brings none: they run out, and the server would refuse then",
            );
            finding.advise(
                "sessions are renewed in time here, which takes a login each time; TLS 1.2 has sessions that last",
            );
        }
    }

    async fn listings(&mut self, client: &mut Client<T>, listed: &Listed) {
        let machine = client.session.features.machine_listings();
        if listed.receipt.is_none() && !listed.bytes.is_empty() {
            let command = if machine { "MLSD" } else { "LIST" };
            self.find(
                Topic::Listings,
                State::Notice,
                format!("{command}; more than {} KiB in one listing", MOST / 1024),
            )
            .because("the directory is very large, or the server never comes to an end")
            .advise("name a smaller directory to have its listing looked at");
            return;
        }
        let lines = listed.bytes.split(|&b| b == b'\n').map(<[u8]>::trim_ascii_end).filter(|line| is_entry(line));
        let lines: Vec<_> = lines.collect();
        let entries = match client.entries("").await {
            Ok(entries) => entries,
            Err(error) => {
                self.failed(Topic::Listings, &error);
                return;
            }
        };
        let undecoded = lines.iter().filter(|line| std::str::from_utf8(line).is_err()).count();
        if undecoded > 0
            && let Some(finding) = self.diagnosis.findings.iter_mut().find(|finding| finding.topic == Topic::Names)
        {
            finding.state = State::Notice;
            finding.seen.push_str(&format!("; {undecoded} of {} names are not in UTF-8", lines.len()));
            finding.because("they were made by programs with another encoding");
            finding.advise("names are kept as bytes here, so that each can be opened; to read them, name the encoding");
        }
        if machine {
            let facts = self.diagnosis.features.iter().find(|(name, _)| name == "MLST").map(|(_, facts)| facts.clone());
            let facts =
                facts.filter(|facts| !facts.is_empty()).map(|facts| format!(", with {facts}")).unwrap_or_default();
            self.find(Topic::Listings, State::Good, format!("MLSD{facts}"));
        } else {
            self.list(&lines, &entries);
        }
        self.future(&entries, machine);
    }

    fn list(&mut self, lines: &[&[u8]], entries: &[Entry]) {
        let understood = entries.len().min(lines.len());
        let seen = format!("LIST only, for people; {understood} of {} lines are understood", lines.len());
        if understood < lines.len() {
            let odd = lines.iter().find(|line| !entries.iter().any(|entry| contains(line, entry.raw_name())));
            let odd = odd.map(|line| format!(", not \"{}\"", printable(line))).unwrap_or_default();
            self.find(Topic::Listings, State::Problem, seen + &odd)
                .because("the server's lines are of a form that nobody wrote down")
                .advise("let the server offer MLSD (RFC 3659), or tell this project the lines");
        } else {
            self.find(Topic::Listings, State::Notice, seen)
                .because("the server is from before MLSD (RFC 3659), or it is switched off")
                .advise("times are to the minute or day, and in the server's own zone: compare by size or checksum");
        }
    }

    /// A file of the future tells something of the clocks.
    fn future(&mut self, entries: &[Entry], machine: bool) {
        let newest = entries.iter().filter_map(|entry| entry.modified).max();
        let ahead = newest.and_then(|time| time.duration_since(SystemTime::now()).ok()).filter(|&ahead| ahead > FUTURE);
        let Some(ahead) = ahead.filter(|_| machine && !self.examination.write_test) else { return };
        self.find(Topic::Clock, State::Notice, format!("a file was modified {} from now", words::time(ahead)))
            .because("the server's clock is ahead, this machine's is behind, or somebody set that time")
            .advise("the write test tells which");
    }
}

/// What is left to resume.
#[derive(Clone, Copy)]
pub(super) enum Stock {
    /// A session of TLS 1.2, which is used as often as one likes.
    Any,
    /// Tickets of TLS 1.3, each for once.
    Tickets(usize),
}

pub(super) fn stock<T: Transport>(client: &Client<T>) -> Stock {
    match client.session.tls.as_ref().map(|(tls, _)| tls.resumable()) {
        Some(Resumable::Tickets(left)) => Stock::Tickets(left),
        Some(Resumable::Never) => Stock::Tickets(0),
        Some(Resumable::Session) | None => Stock::Any,
    }
}

/// A listing of the current directory as it comes.
async fn listing<T: Transport>(client: &mut Client<T>) -> Result<Listed> {
    let machine = client.session.features.machine_listings();
    let line = if machine { commands::mlsd(b"")? } else { commands::list(b"")? };
    match client.start_listing(&line).await {
        Ok(()) => {}
        // A refusal of the listing, with a data connection that might have been: an empty directory, for some.
        Err(error) if error.reply().is_some_and(|reply| reply.code() == 450) => return Ok(Listed::default()),
        Err(error) => return Err(error),
    }
    let mut bytes = Vec::new();
    while client.receive(&mut |piece| bytes.extend_from_slice(piece)).await? {
        if bytes.len() > MOST {
            client.abort().await;
            return Ok(Listed { bytes, receipt: None });
        }
    }
    let receipt = client.finish().await?;
    Ok(Listed { bytes, receipt: Some(receipt) })
}

/// Whether a line of a listing is about an entry other than the directory itself and its parent.
fn is_entry(line: &[u8]) -> bool {
    let parent = [&b" ."[..], b" .."].iter().any(|end| line.ends_with(end));
    let facts = line.split(|&b| b == b' ').next().unwrap_or_default().to_ascii_lowercase();
    let itself = facts.split(|&b| b == b';').any(|fact| matches!(fact, b"type=cdir" | b"type=pdir"));
    !line.is_empty() && !line.starts_with(b"total ") && !parent && !itself
}

fn contains(line: &[u8], name: &[u8]) -> bool {
    memchr::memmem::find(line, name).is_some()
}

#[cfg(test)]
mod tests {
    use super::is_entry;

    #[test]
    fn lines_that_stand_for_an_entry() {
        for line in
            ["type=file;size=1; a", "-rw-r--r-- 1 0 0 1 Jan 1 2020 a b", "01-01-20  10:00AM  12 x.", "drwx . .a"]
        {
            assert!(is_entry(line.as_bytes()), "{line}");
        }
        for line in
            ["", "total 12", "type=cdir;modify=20200101000000; .", "Type=pdir; ..", "drwxr-xr-x 2 0 0 4096 Jan 1 .."]
        {
            assert!(!is_entry(line.as_bytes()), "{line}");
        }
    }
}
