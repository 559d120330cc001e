//! The write test: a file of a few bytes, looked at from all sides, and deleted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Doctor, State, Topic, words};
use crate::error::{Error, ErrorKind, Result};
use crate::ftp::client::Client;
use crate::ftp::credentials::Credentials;
use crate::ftp::hash::Hasher;
use crate::ftp::receipt::{Status, TransferReceipt};
use crate::transport::Transport;

/// What the file holds; its line ends tell whether the server leaves bytes alone.
const CONTENT: &[u8] = b"starttls write test\r\nmay be deleted\n\xff\x00";

/// Clocks may differ so much without harm.
const TOLERANCE: Duration = Duration::from_secs(2);

/// Time zones differ by multiples of this.
const QUARTER: u64 = 15 * 60;

/// What became of the file.
struct Written {
    receipt: TransferReceipt,
    /// The server's time of the file, and when it was made by ours.
    modified: Option<SystemTime>,
    between: (SystemTime, SystemTime),
    same: bool,
    /// Whether the server's checksum is ours, and whose it is; `None` if it computes none.
    checksum: Option<(&'static str, bool)>,
}

impl<T: Transport + Clone> Doctor<'_, T> {
    pub(super) async fn write(&mut self, client: &mut Client<T>, credentials: &Credentials) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!(".starttls-{:x}.tmp", since.as_nanos());
        let written = write(client, &name).await;
        // Nothing is left behind, whatever became of the session.
        let mut another = None;
        if client.is_lost() {
            another = self.begin(credentials).await.ok();
        }
        let client = another.as_mut().unwrap_or(client);
        let removed = match &written {
            // Whether it is there is not known, and a refusal then says nothing.
            Err(_) => {
                if !client.is_lost() {
                    let _ = client.remove(&name).await;
                }
                Ok(())
            }
            Ok(_) => client.remove(&name).await.map(drop),
        };
        match written {
            Ok(written) => {
                self.writing(&written, &name, removed);
                self.clock(&written);
            }
            Err(error) => {
                let refused = matches!(error.kind(), ErrorKind::Rejected);
                let finding = self.failed(Topic::Writing, &error);
                finding.seen = words::shown(&words::of(&error));
                if refused {
                    finding.state = State::Notice;
                    finding.because("this user may not write here").advise("give a directory that can be written to");
                }
            }
        }
    }

    fn writing(&mut self, written: &Written, name: &str, removed: Result<()>) {
        let status = written.receipt.status;
        let mut seen = vec![format!("{} bytes were uploaded ({})", written.receipt.size, status.as_str())];
        let mut state = if status == Status::Verified { State::Good } else { State::Notice };
        let mut cause = (status != Status::Verified).then(|| "the server tells no size".to_owned());
        if !written.same {
            state = State::Problem;
            seen.push("other bytes came back".into());
            cause = Some("the server changes line ends or more in binary transfers".into());
        }
        if !written.receipt.close_notify && self.diagnosis.tls.is_some() {
            seen.push("the server ends uploads without close_notify".into());
        }
        if let Some((algorithm, agrees)) = written.checksum {
            seen.push(format!("its {algorithm} {}", if agrees { "agrees" } else { "is another one than ours" }));
            if !agrees {
                state = State::Problem;
                cause = Some("the server computes checksums of something else".into());
            }
        }
        match removed {
            Ok(()) => seen.push("the file is deleted".into()),
            Err(error) => {
                state = State::Problem;
                seen.push(format!("{name} cannot be deleted: {}", words::of(&error)));
                cause = Some("this user may write and not delete".into());
            }
        }
        let finding = self.find(Topic::Writing, state, seen.join("; "));
        if let Some(cause) = cause {
            finding.because(cause);
        }
    }

    fn clock(&mut self, written: &Written) {
        let Some(modified) = written.modified else { return };
        let (from, until) = written.between;
        let (skew, which) = match (modified.duration_since(until), from.duration_since(modified)) {
            (Ok(ahead), _) => (ahead, "ahead of"),
            (_, Ok(behind)) => (behind, "behind"),
            _ => (Duration::ZERO, "with"),
        };
        // MDTM has whole seconds.
        if skew <= TOLERANCE {
            self.find(Topic::Clock, State::Good, "the server's clock agrees with this machine's");
            return;
        }
        let seconds = skew.as_secs();
        let zone = seconds >= QUARTER && (seconds + 30) % QUARTER <= 60;
        let finding = self.find(
            Topic::Clock,
            State::Notice,
            format!("the server's clock is {} {which} this machine's", words::time(skew)),
        );
        finding.because(if zone {
            "the server tells its local time where UTC is due (MDTM, RFC 3659 §3.1)"
        } else {
            "one of the clocks is wrong"
        });
        finding.advise("compare files by size or checksum, or set the clock");
    }
}

async fn write<T: Transport>(client: &mut Client<T>, name: &str) -> Result<Written> {
    if client.size(name).await.is_ok() {
        let why = format!("{name} is there already");
        return Err(Error::invalid_state(why));
    }
    let from = SystemTime::now();
    let receipt = client.put(name, &mut &CONTENT[..]).await?;
    let until = SystemTime::now();
    let modified = client.modified(name).await.ok();
    let mut back = Vec::new();
    client.get(name, &mut back).await?;
    let checksum = client.hash(name, None, None).await.ok().map(|digest| {
        let mut ours = Hasher::new(digest.algorithm);
        ours.update(CONTENT);
        (digest.algorithm.name(), ours.finish() == digest)
    });
    Ok(Written { receipt, modified, between: (from, until), same: back == CONTENT, checksum })
}
