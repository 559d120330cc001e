//! The client's side of a session, over any transport, and the words in which results are told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use starttls::reply::Reply;
use starttls::smtp::{self, Outcome, ServerMemory};
use starttls::tls::TlsConfig;
use starttls::trace::Trace;
use starttls::transport::Transport;
use starttls::url::Url;
use starttls::{Error, ErrorKind, Options, TlsFault, ftp};

use crate::script::{Script, Task};
use crate::wishes;

/// The events of a session, as they happen.
#[derive(Clone, Debug, Default)]
pub struct Events(Arc<Mutex<Vec<String>>>);

impl Events {
    /// Where a client sends them.
    pub fn trace(&self) -> Trace {
        let events = self.0.clone();
        Trace::new(move |event| events.lock().unwrap_or_else(PoisonError::into_inner).push(event.to_string()))
    }

    /// Those so far.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The results so far: a future that is dropped in the middle leaves those of the operations before.
pub type Results = Arc<Mutex<Vec<String>>>;

/// Does everything the script asks of its client. After a failure it goes on with the same session: what a failed
/// session answers is part of what is tested.
pub async fn play<T: Transport>(
    transport: T,
    script: &Script,
    port: u16,
    tls: TlsConfig,
    events: &Events,
    results: &Results,
) {
    // A port is another server each time.
    play_knowing(ServerMemory::new(), transport, script, port, tls, events, results).await;
}

/// [`play`], with what is known of servers.
pub async fn play_knowing<T: Transport>(
    memory: ServerMemory,
    transport: T,
    script: &Script,
    port: u16,
    tls: TlsConfig,
    events: &Events,
    results: &Results,
) {
    let tell = |result: String| results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
    let url = match Url::parse(&script.url(port)) {
        Ok(url) => url,
        Err(error) => return tell(describe(&error)),
    };
    let options = Options {
        security: url.security,
        tls,
        timeouts: starttls::Timeouts::all(Duration::from_secs(script.timeout)),
        trace: events.trace(),
        ..Options::default()
    };
    let mut tasks = script.client.iter();
    if tasks.next().is_none_or(|task| task.verb != "connect") {
        return tell("a session begins with connect".into());
    }
    if script.is_smtp() {
        let settings = match wishes::settings(&script.settings, url.lmtp) {
            Ok(settings) => smtp::Settings { memory, ..settings },
            Err(error) => return tell(describe(&error)),
        };
        match smtp::Client::connect_with(transport, &url.endpoint, options, &settings).await {
            Err(error) => tell(describe(&error)),
            Ok(mut client) => {
                tell("ok".into());
                for task in tasks {
                    if task.verb == "quit" {
                        client.quit().await;
                        return tell("ok".into());
                    }
                    tell(mail(&mut client, task).await.unwrap_or_else(|error| describe(&error)));
                }
            }
        }
    } else {
        let settings = match wishes::file_settings(&script.settings) {
            Ok(settings) => settings,
            Err(error) => return tell(describe(&error)),
        };
        match ftp::Client::connect_with(transport, &url.endpoint, options, &settings).await {
            Err(error) => tell(describe(&error)),
            Ok(mut client) => {
                tell("ok".into());
                for task in tasks {
                    if task.verb == "quit" {
                        client.quit().await;
                        return tell("ok".into());
                    }
                    tell(file(&mut client, task).await.unwrap_or_else(|error| describe(&error)));
                }
            }
        }
    }
}

fn text(task: &Task, index: usize) -> String {
    String::from_utf8_lossy(bytes(task, index)).into_owned()
}

fn bytes(task: &Task, index: usize) -> &[u8] {
    task.arguments.get(index).map(Vec::as_slice).unwrap_or_default()
}

/// With whom and how a mail session logs in.
fn credentials(task: &Task) -> Result<smtp::Credentials, Error> {
    let some = |index| task.arguments.get(index).map(|_| text(task, index));
    let (credentials, options) = match task.verb.as_str() {
        "login" => (smtp::Credentials::password(text(task, 0), text(task, 1)), 2),
        "login-token" => (smtp::Credentials::token(text(task, 0), text(task, 1)), 2),
        "login-external" => (smtp::Credentials::external(some(0).as_deref()), 1),
        _ => (smtp::Credentials::anonymous(text(task, 0)), 1),
    };
    let credentials = match some(options) {
        Some(name) => credentials.with_mechanism(name.parse()?),
        None => credentials,
    };
    Ok(match some(options + 1) {
        Some(authzid) => credentials.with_authzid(authzid),
        None => credentials,
    })
}

async fn mail<T: Transport>(client: &mut smtp::Client<T>, task: &Task) -> Result<String, Error> {
    match task.verb.as_str() {
        "login" | "login-token" | "login-external" | "login-anonymous" => client.login(&credentials(task)?).await?,
        "login-info" => {
            let Some(login) = client.login_info() else { return Ok("none".into()) };
            let binding = login.binding.map(|binding| format!(" {binding}")).unwrap_or_default();
            return Ok(format!("{}{binding}", login.mechanism));
        }
        "noop" => drop(client.noop().await?),
        "rset" => drop(client.rset().await?),
        "send" => {
            let words: Vec<_> = (3..task.arguments.len()).map(|index| text(task, index)).collect();
            let envelope = wishes::envelope(&text(task, 0), &text(task, 1), &words)?;
            return Ok(delivery(&client.send(&envelope, bytes(task, 2)).await?));
        }
        "send-many" => {
            let message = |group: &[Vec<u8>]| {
                let word = |index: usize| String::from_utf8_lossy(&group[index]).into_owned();
                let envelope = smtp::Envelope::new(&word(0), word(1).split(','))?;
                Ok::<_, Error>((envelope, smtp::MemoryBody::new(group[2].clone())))
            };
            let messages = task.arguments.chunks_exact(3).map(message).collect::<Result<Vec<_>, _>>()?;
            let mut reports = client.send_many(messages);
            let mut results = Vec::new();
            while let Some(report) = reports.next().await {
                results.push(report.map_or_else(|error| describe(&error), |report| delivery(&report)));
            }
            return Ok(results.join(" ; "));
        }
        "vrfy" => return Ok(answer(&client.vrfy(&text(task, 0)).await?)),
        "expn" => return Ok(answer(&client.expn(&text(task, 0)).await?)),
        "help" => {
            let topic = task.arguments.first().map(|_| text(task, 0));
            return Ok(answer(&client.help(topic.as_deref()).await?));
        }
        "etrn" => return Ok(answer(&client.etrn(&text(task, 0)).await?)),
        "xclient" => {
            let words: Vec<_> = (0..task.arguments.len()).map(|index| text(task, index)).collect();
            let attributes: Vec<_> = words.iter().map(|word| wishes::split_parameter(word)).collect();
            client.xclient(&attributes).await?;
        }
        verb => return Ok(format!("unknown verb {verb}")),
    }
    Ok("ok".into())
}

fn delivery(report: &smtp::DeliveryReport) -> String {
    let mut line = report.outcome().as_str().to_owned();
    if report.outcome() == Outcome::Unknown {
        let why = report.error().map(kind).unwrap_or_default();
        return format!("{line} {why}");
    }
    if let Some(id) = report.queue_id() {
        line.push_str(&format!(" id={id}"));
    }
    for (mailbox, reply) in report.refused() {
        let code = reply.map_or_else(|| "none".into(), |reply| reply.code().to_string());
        line.push_str(&format!(" {mailbox}={code}"));
    }
    line
}

/// A reply's code, and how many lines it has.
fn answer(reply: &Reply) -> String {
    format!("{} {}", reply.code(), reply.lines().count())
}

async fn file<T: Transport>(client: &mut ftp::Client<T>, task: &Task) -> Result<String, Error> {
    let path = bytes(task, 0);
    match task.verb.as_str() {
        "login" => client.login(&ftp::Credentials::password(text(task, 0), text(task, 1))).await?,
        "login-account" => {
            let credentials = ftp::Credentials::password(text(task, 0), text(task, 1)).account(text(task, 2));
            client.login(&credentials).await?;
        }
        "clear-data" => client.settings().data_protection = ftp::DataProtection::Clear,
        "accept-missing-close-notify" => client.settings().accept_missing_close_notify = true,
        "noop" => drop(client.noop().await?),
        "relogin" => {
            client.reinitialize().await?;
            client.login(&ftp::Credentials::password(text(task, 0), text(task, 1))).await?;
        }
        "account" => drop(client.account(&text(task, 0)).await?),
        "status" => return Ok(answer(&client.status(path).await?)),
        "system" => return Ok(answer(&client.system().await?)),
        "help" => return Ok(answer(&client.help(&text(task, 0)).await?)),
        "language" => return Ok(answer(&client.language(&text(task, 0)).await?)),
        "site" => return Ok(answer(&client.site(path).await?)),
        "quote" => return Ok(answer(&client.quote(path).await?)),
        "chmod" => {
            let mode = u32::from_str_radix(&text(task, 1), 8).unwrap_or_default();
            drop(client.chmod(path, mode).await?);
        }
        "set-modified" => drop(client.set_modified(path, seconds(task, 1)).await?),
        "set-created" => drop(client.set_created(path, seconds(task, 1)).await?),
        "set-fact" => drop(client.set_facts(path, &[(&text(task, 1), &text(task, 2))]).await?),
        "available" => return Ok(client.available(path).await?.to_string()),
        "allocate" => drop(client.allocate(text(task, 0).parse().unwrap_or_default()).await?),
        "makedirs" => client.makedirs(path).await?,
        "remove-tree" => {
            let gone = client.remove_tree(path).await?;
            let left = gone.left.iter().map(|left| format!(" {}: {}", left.path.escape_ascii(), describe(&left.error)));
            return Ok(format!("{} {}{}", gone.files, gone.directories, left.collect::<String>()));
        }
        "get-text" => {
            client.start_download_text(path).await?;
            let mut content = Vec::new();
            let receipt = client.receive_all(&mut content).await?;
            let right = content == bytes(task, 1);
            return Ok(receipt_line(&receipt) + if right { "" } else { " with wrong content" });
        }
        "put-text" => {
            client.start_upload_text(path).await?;
            return Ok(receipt_line(&client.transmit_all(&mut bytes(task, 1)).await?));
        }
        "put-unique" => {
            let name = client.start_upload_unique(path).await?;
            let receipt = client.transmit_all(&mut bytes(task, 1)).await?;
            let name = name.map_or_else(|| "untold".into(), |name| name.escape_ascii().to_string());
            return Ok(format!("{} {name}", receipt_line(&receipt)));
        }
        "hash" => {
            let algorithm = task.arguments.get(1).map(|_| text(task, 1).parse()).transpose()?;
            let byte = |index| text(task, index).parse::<u64>().unwrap_or_default();
            let range = task.arguments.get(3).map(|_| byte(2)..byte(3));
            let digest = client.hash(path, algorithm, range).await?;
            return Ok(format!("{} {digest}", digest.algorithm));
        }
        "remove" => drop(client.remove(path).await?),
        "rename" => drop(client.rename(path, bytes(task, 1)).await?),
        "mkdir" => drop(client.mkdir(path).await?),
        "rmdir" => drop(client.rmdir(path).await?),
        "cwd" => drop(client.cwd(path).await?),
        "pwd" => return Ok(client.pwd().await?.escape_ascii().to_string()),
        "stat" => return Ok(entry(&client.stat(path).await?)),
        "names" => {
            let names = client.names(path).await?;
            if names.is_empty() {
                return Ok("empty".into());
            }
            return Ok(names.iter().map(|name| name.escape_ascii().to_string()).collect::<Vec<_>>().join(", "));
        }
        "exists" => return Ok(if client.exists(path).await? { "yes" } else { "no" }.into()),
        "count" => {
            client.list(path).await?;
            let mut count = 0;
            loop {
                match client.next_entries().await?.len() {
                    0 => break,
                    more => count += more,
                }
            }
            return Ok(format!("{count}, {} unknown", client.listing_report().unparsed));
        }
        "list" => {
            let entries = client.entries(path).await?;
            return Ok(if entries.is_empty() {
                "empty".into()
            } else {
                entries.iter().map(entry).collect::<Vec<_>>().join(", ")
            });
        }
        "get" => {
            let mut content = Vec::new();
            let receipt = client.get(path, &mut content).await?;
            let right = content == bytes(task, 1);
            return Ok(receipt_line(&receipt) + if right { "" } else { " with wrong content" });
        }
        "get-from" => {
            let offset = text(task, 1).parse().unwrap_or_default();
            client.start_download(path, offset).await?;
            let mut content = Vec::new();
            let receipt = client.receive_all(&mut content).await?;
            let right = content == bytes(task, 2);
            return Ok(receipt_line(&receipt) + if right { "" } else { " with wrong content" });
        }
        "get-part" => {
            let number = |index| text(task, index).parse().unwrap_or_default();
            let how = ftp::Download { end: Some(number(2)), ..ftp::Download::default() };
            let mut content = Vec::new();
            let receipt = client.download_into(path, &mut content, number(1), &how, None).await?;
            let right = content == bytes(task, 3);
            return Ok(receipt_line(&receipt) + if right { "" } else { " with wrong content" });
        }
        "put" => return Ok(receipt_line(&client.put(path, &mut bytes(task, 1)).await?)),
        "put-from" => {
            let offset = text(task, 1).parse().unwrap_or_default();
            client.start_upload(path, offset).await?;
            return Ok(receipt_line(&client.transmit_all(&mut bytes(task, 2)).await?));
        }
        verb => return Ok(format!("unknown verb {verb}")),
    }
    Ok("ok".into())
}

/// Seconds since 1970.
fn seconds(task: &Task, index: usize) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(text(task, index).parse().unwrap_or_default())
}

fn receipt_line(receipt: &ftp::TransferReceipt) -> String {
    format!("{} {}", receipt.status.as_str(), receipt.size)
}

fn entry(entry: &ftp::Entry) -> String {
    let size = entry.size.map(|size| format!(" {size}")).unwrap_or_default();
    format!("{} {}{size}", entry.kind.as_str(), entry.raw_name().escape_ascii())
}

/// An error in the corpus' words: `error KIND at PHASE CODE`.
pub fn describe(error: &Error) -> String {
    let phase = error.phase().map(|phase| format!(" at {phase}")).unwrap_or_default();
    let code = error.reply().map(|reply| format!(" {}", reply.code())).unwrap_or_default();
    format!("error {}{phase}{code}", kind(error))
}

/// The kind of an error in one word.
fn kind(error: &Error) -> &'static str {
    use ErrorKind as K;
    match error.kind() {
        K::AccessDenied => "access-denied",
        K::NameUnresolvable => "name-unresolvable",
        K::ConnectionRefused => "connection-refused",
        K::Unreachable => "unreachable",
        K::TimedOut => "timed-out",
        K::ClosedByPeer => "closed-by-peer",
        K::Truncated => "truncated",
        K::UpgradeNotOffered => "upgrade-not-offered",
        K::BytesBeforeHandshake { .. } => "bytes-before-handshake",
        K::Unsolicited(_) => "unsolicited",
        K::Tls(fault) => tls_kind(fault),
        K::SizeMismatch { .. } => "size-mismatch",
        K::Rejected => "rejected",
        K::ProtocolViolation(_) => "protocol-violation",
        K::LimitExceeded(_) => "limit-exceeded",
        K::InvalidArgument(_) => "invalid-argument",
        K::Unsupported(_) => "unsupported",
        K::InvalidState(_) => "invalid-state",
        K::NotOffered(_) => "not-offered",
        K::Downgraded(_) => "downgraded",
        K::Local(_) => "local",
        K::Interrupted => "interrupted",
        _ => "other",
    }
}

fn tls_kind(fault: &TlsFault) -> &'static str {
    use TlsFault as T;
    match fault {
        T::CertificateExpired => "tls/certificate-expired",
        T::CertificateNotYetValid => "tls/certificate-not-yet-valid",
        T::UnknownIssuer => "tls/unknown-issuer",
        T::NameMismatch { .. } => "tls/name-mismatch",
        T::WrongUsage => "tls/wrong-usage",
        T::TlsaMismatch => "tls/tlsa-mismatch",
        T::AlertReceived { .. } => "tls/alert-received",
        T::NothingInCommon(_) => "tls/nothing-in-common",
        T::PlaintextInsideTls(_) => "tls/plaintext-inside-tls",
        T::PeerMisbehaved(_) => "tls/peer-misbehaved",
        T::NotResumed => "tls/not-resumed",
        T::Configuration(_) => "tls/configuration",
        _ => "tls/other",
    }
}
