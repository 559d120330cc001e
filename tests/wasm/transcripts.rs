//! The corpus of dialogues on the component: the same results and events as on every other face.
//!
//! `tests/transcripts/README.md` describes the files.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use starttls_player::pki::Pki;
use starttls_player::script::{Kind, Script, Task};
use starttls_player::tcp::{Pieces, Server};
use starttls_player::verdict::{Outcome, Rule, judge};
use starttls_tests::daemon::root;
use starttls_tests::embedding::exports::ftp::{DataProtection, Entry, EntryKind, TransferReceipt, TransferStatus};
use starttls_tests::embedding::exports::smtp;
use starttls_tests::embedding::exports::types::{Error, ErrorCode, Phase, Security, Timeouts, TlsFault};
use starttls_tests::embedding::{Opening, Sandbox};
use wasmtime::component::ResourceAny;

use crate::{corpus_connection, corpus_files, corpus_mail, endpoint, open_files, open_mail, sandbox};

fn corpus() -> Vec<Script> {
    let load = |folder: &str| Script::load_all(&root().join("tests").join(folder)).expect("the corpus is readable");
    let mut scripts = load("transcripts");
    scripts.extend(load("hostile"));
    // Nobody listens in wasm: there is no active mode there.
    scripts.retain(|script| !script.settings.iter().any(|word| word == "active"));
    assert!(scripts.len() >= 250, "the corpus has shrunk to {} files", scripts.len());
    scripts
}

fn play_all(pieces: Pieces) {
    let scripts = corpus();
    let next = AtomicUsize::new(0);
    let failures: Vec<String> = thread::scope(|scope| {
        let work = || {
            let mut failures = Vec::new();
            while let Some(script) = scripts.get(next.fetch_add(1, Ordering::Relaxed)) {
                failures.extend(play(script, pieces).into_iter().map(|why| format!("{}: {why}", script.name)));
            }
            failures
        };
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    });
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn the_corpus_whole() {
    play_all(Pieces::Whole);
}

#[test]
fn the_corpus_byte_by_byte() {
    play_all(Pieces::Bytes);
}

fn play(script: &Script, pieces: Pieces) -> Vec<String> {
    let pki = Pki::of(script).expect("a certificate can be made");
    let server = Server::bind().expect("a port is free");
    let ports = server.ports().expect("it is bound");
    let mut client = Client::new(script, &pki);
    let (results, failures, trace) = thread::scope(|scope| {
        let serving = scope.spawn(|| server.serve(script, pki.fresh(), pieces));
        let results = client.play(script, ports.0);
        let trace = client.finish();
        (results, serving.join().expect("no panic").expect("loopback works"), trace)
    });
    let rule = if pieces == Pieces::Whole { Rule::Sockets } else { Rule::Pieces };
    judge(script, &Outcome { results, trace, failures }, ports, rule)
}

/// A sandbox of its own for each session.
struct Client {
    sandbox: Sandbox,
    opening: Opening,
    trace: ResourceAny,
}

impl Client {
    fn new(script: &Script, pki: &Pki) -> Self {
        let mut sandbox = sandbox();
        let trace = sandbox.trace().expect("no trap");
        let each = u64::try_from(Duration::from_secs(script.timeout).as_nanos()).expect("not that long");
        let security = match script.security() {
            starttls::Security::Plaintext => Security::Plaintext,
            starttls::Security::Implicit => Security::Implicit,
            starttls::Security::Upgrade => Security::Upgrade,
        };
        let mut opening = Opening {
            trust: Some(pki.ca_pem.as_bytes().to_vec()),
            tlsa: pki.tlsa.clone(),
            security: Some(security),
            timeouts: Some(Timeouts { connect: each, handshake: each, reply: each, stall: each, finish: each }),
            trace: Some(trace),
            ..Opening::default()
        };
        match script.kind() {
            Kind::Mail => corpus_mail::settings(script, &mut opening),
            Kind::Files => corpus_files::opening(script, &mut opening),
            Kind::Connection => corpus_connection::opening(script, &mut opening),
        }
        Self { sandbox, opening, trace }
    }

    /// The events; the sandbox, with every socket in it, is gone then.
    fn finish(mut self) -> Vec<String> {
        self.sandbox.events(self.trace).expect("no trap")
    }

    fn play(&mut self, script: &Script, port: u16) -> Vec<String> {
        let to = endpoint("127.0.0.1", port);
        let open = match script.kind() {
            Kind::Mail => open_mail,
            Kind::Files => open_files,
            Kind::Connection => return corpus_connection::play(&mut self.sandbox, script, &to, &self.opening),
        };
        let session = match open(&mut self.sandbox, &to, &self.opening) {
            Ok(session) => session,
            Err(error) => return vec![describe(&error)],
        };
        if script.kind() == Kind::Files {
            corpus_files::settings(&mut self.sandbox, session, script);
        }
        let mut results = vec!["ok".to_owned()];
        for task in &script.client[1..] {
            let done = match script.kind() {
                Kind::Mail => self.mail(session, task),
                _ => self.file(session, task),
            };
            results.push(done.unwrap_or_else(|error| describe(&error)));
        }
        results
    }

    fn mail(&mut self, session: ResourceAny, task: &Task) -> Result<String, Box<Error>> {
        let Sandbox { store, client } = &mut self.sandbox;
        let face = client.starttls_client_smtp();
        let face = face.session();
        match task.verb.as_str() {
            "login" | "login-token" | "login-external" | "login-anonymous" => {
                let (credentials, mechanism) = credentials(task);
                face.call_login(store, session, &credentials, mechanism.as_deref()).expect("no trap")?;
            }
            "login-info" => {
                let login = face.call_login_info(store, session).expect("no trap");
                let Some(login) = login else { return Ok("none".into()) };
                return Ok([Some(login.mechanism), login.binding].into_iter().flatten().collect::<Vec<_>>().join(" "));
            }
            "noop" => face.call_noop(store, session).expect("no trap")?,
            "rset" => face.call_reset(store, session).expect("no trap")?,
            "quit" => face.call_quit(store, session).expect("no trap"),
            "send" => return corpus_mail::send(&mut self.sandbox, session, task),
            "send-many" => return corpus_mail::send_many(&mut self.sandbox, session, task),
            "vrfy" | "expn" | "help" | "etrn" => return corpus_mail::ask(&mut self.sandbox, session, task),
            "xclient" => return corpus_mail::xclient(&mut self.sandbox, session, task),
            verb => return Ok(format!("unknown verb {verb}")),
        }
        Ok("ok".into())
    }

    fn file(&mut self, session: ResourceAny, task: &Task) -> Result<String, Box<Error>> {
        let Sandbox { store, client } = &mut self.sandbox;
        let ftp = client.starttls_client_ftp();
        let face = ftp.session();
        let path = bytes(task, 0);
        match task.verb.as_str() {
            "login" => face.call_login(store, session, &text(task, 0), &text(task, 1)).expect("no trap")?,
            "login-account" => {
                let (user, password, account) = (text(task, 0), text(task, 1), text(task, 2));
                face.call_login_with_account(store, session, &user, &password, &account).expect("no trap")?;
            }
            "clear-data" => {
                face.call_set_data_protection(store, session, DataProtection::Clear).expect("no trap")?;
            }
            "accept-missing-close-notify" => {
                face.call_accept_missing_close_notify(store, session, true).expect("no trap")?;
            }
            "noop" => face.call_noop(store, session).expect("no trap")?,
            "quit" => face.call_quit(store, session).expect("no trap"),
            "remove" => face.call_remove(store, session, path).expect("no trap")?,
            "rename" => face.call_rename(store, session, path, bytes(task, 1)).expect("no trap")?,
            "mkdir" => face.call_mkdir(store, session, path).expect("no trap")?,
            "rmdir" => face.call_rmdir(store, session, path).expect("no trap")?,
            "cwd" => face.call_cwd(store, session, path).expect("no trap")?,
            "pwd" => return Ok(face.call_pwd(store, session).expect("no trap")?.escape_ascii().to_string()),
            "stat" => return Ok(entry(&face.call_stat(store, session, path).expect("no trap")?)),
            "names" => {
                let names = face.call_names(store, session, path).expect("no trap")?;
                let names: Vec<_> = names.iter().map(|name| name.escape_ascii().to_string()).collect();
                return Ok(if names.is_empty() { "empty".into() } else { names.join(", ") });
            }
            "exists" => {
                let exists = face.call_exists(store, session, path).expect("no trap")?;
                return Ok(if exists { "yes" } else { "no" }.into());
            }
            "count" => {
                let listing = face.call_open_dir(&mut *store, session, path).expect("no trap")?;
                let mut count = 0;
                let outcome = loop {
                    match ftp.listing().call_next(&mut *store, listing, 100).expect("no trap") {
                        Ok(entries) if entries.is_empty() => break Ok(()),
                        Ok(entries) => count += entries.len(),
                        Err(error) => break Err(error),
                    }
                };
                let unknown = ftp.listing().call_unparsed(&mut *store, listing).expect("no trap");
                listing.resource_drop(store).expect("no trap");
                outcome?;
                return Ok(format!("{count}, {unknown} unknown"));
            }
            "list" => {
                let entries = face.call_list_dir(store, session, path).expect("no trap")?;
                let lines: Vec<_> = entries.iter().map(entry).collect();
                return Ok(if lines.is_empty() { "empty".into() } else { lines.join(", ") });
            }
            "get" | "get-from" => {
                let from = task.verb == "get-from";
                let offset = if from { number(task, 1) } else { 0 };
                let download = face.call_retrieve(&mut *store, session, path, offset).expect("no trap")?;
                return receive(&mut self.sandbox, download, bytes(task, if from { 2 } else { 1 }));
            }
            "get-part" => {
                let (offset, end) = (number(task, 1), number(task, 2));
                let (content, receipt) =
                    face.call_retrieve_part(&mut *store, session, path, offset, end).expect("no trap")?;
                let wrong = if content == bytes(task, 3) { "" } else { " with wrong content" };
                return Ok(transfer(&receipt) + wrong);
            }
            "put" | "put-from" => {
                let from = task.verb == "put-from";
                let offset = if from { number(task, 1) } else { 0 };
                let upload = face.call_store(&mut *store, session, path, offset).expect("no trap")?;
                return transmit(&mut self.sandbox, upload, bytes(task, if from { 2 } else { 1 }));
            }
            _ => return corpus_files::ask(&mut self.sandbox, session, task),
        }
        Ok("ok".into())
    }
}

/// With whom and how a mail session logs in.
fn credentials(task: &Task) -> (smtp::Credentials, Option<String>) {
    let some = |index| task.arguments.get(index).map(|_| text(task, index));
    let account = || smtp::Account { user: text(task, 0), secret: text(task, 1), authzid: some(3) };
    match task.verb.as_str() {
        "login" => (smtp::Credentials::Password(account()), some(2)),
        "login-token" => (smtp::Credentials::Token(account()), some(2)),
        "login-external" => (smtp::Credentials::External(some(0)), None),
        _ => (smtp::Credentials::Anonymous(text(task, 0)), None),
    }
}

pub(crate) fn text(task: &Task, index: usize) -> String {
    String::from_utf8_lossy(bytes(task, index)).into_owned()
}

pub(crate) fn bytes(task: &Task, index: usize) -> &[u8] {
    task.arguments.get(index).map(Vec::as_slice).unwrap_or_default()
}

/// A download to its end, and whether it is the right one.
pub(crate) fn receive(sandbox: &mut Sandbox, download: ResourceAny, right: &[u8]) -> Result<String, Box<Error>> {
    let Sandbox { store, client } = sandbox;
    let face = client.starttls_client_ftp();
    let mut content = Vec::new();
    let receipt = loop {
        match face.download().call_read(&mut *store, download, 8192).expect("no trap") {
            Ok(piece) if piece.is_empty() => break face.download().call_finish(store, download).expect("no trap")?,
            Ok(piece) => content.extend(piece),
            Err(error) => {
                download.resource_drop(store).expect("no trap");
                return Err(error.into());
            }
        }
    };
    Ok(transfer(&receipt) + if content == right { "" } else { " with wrong content" })
}

/// A whole upload.
pub(crate) fn transmit(sandbox: &mut Sandbox, upload: ResourceAny, content: &[u8]) -> Result<String, Box<Error>> {
    let Sandbox { store, client } = sandbox;
    let face = client.starttls_client_ftp();
    for piece in content.chunks(10_000) {
        if let Err(error) = face.upload().call_write(&mut *store, upload, piece).expect("no trap") {
            upload.resource_drop(store).expect("no trap");
            return Err(error.into());
        }
    }
    Ok(transfer(&face.upload().call_finish(store, upload).expect("no trap")?))
}

fn number(task: &Task, index: usize) -> u64 {
    text(task, index).parse().expect("a number")
}

pub(crate) fn delivery(report: &smtp::DeliveryReport) -> String {
    let word = match report.outcome {
        smtp::Outcome::Accepted => "accepted",
        smtp::Outcome::Partial => "partial",
        smtp::Outcome::Refused => "refused",
        smtp::Outcome::Unknown => {
            return format!("unknown {}", report.error.as_ref().map(kind).unwrap_or_default());
        }
    };
    let id = report.queue_id.as_ref().map(|id| format!(" id={id}")).unwrap_or_default();
    let refused = report.recipients.iter().filter(|verdict| !verdict.accepted);
    let refused: String = refused
        .map(|verdict| {
            let code = verdict.reply.as_ref().map_or_else(|| "none".into(), |reply| reply.code.to_string());
            format!(" {}={code}", verdict.recipient)
        })
        .collect();
    format!("{word}{id}{refused}")
}

fn transfer(receipt: &TransferReceipt) -> String {
    let word = match receipt.status {
        TransferStatus::Verified => "verified",
        TransferStatus::Complete => "complete",
        TransferStatus::Unproven => "unproven",
    };
    format!("{word} {}", receipt.size)
}

fn entry(entry: &Entry) -> String {
    let word = match entry.kind {
        EntryKind::File => "file",
        EntryKind::Directory => "directory",
        EntryKind::Symlink => "symlink",
        EntryKind::Other => "other",
    };
    let size = entry.size.map(|size| format!(" {size}")).unwrap_or_default();
    format!("{word} {}{size}", entry.raw_name.escape_ascii())
}

/// An error in the corpus' words: `error KIND at PHASE CODE`.
pub(crate) fn describe(error: &Error) -> String {
    let phase = error.phase.map(|phase| match phase {
        Phase::Resolve => " at resolve",
        Phase::Connect => " at connect",
        Phase::Greeting => " at greeting",
        Phase::Upgrade => " at upgrade",
        Phase::Handshake => " at handshake",
        Phase::Authenticate => " at authenticate",
        Phase::Command => " at command",
        Phase::Data => " at data",
        Phase::Close => " at close",
    });
    let code = error.reply.as_ref().map(|reply| format!(" {}", reply.code)).unwrap_or_default();
    format!("error {}{}{code}", kind(error), phase.unwrap_or_default())
}

fn kind(error: &Error) -> &'static str {
    match &error.code {
        ErrorCode::AccessDenied => "access-denied",
        ErrorCode::NameUnresolvable => "name-unresolvable",
        ErrorCode::ConnectionRefused => "connection-refused",
        ErrorCode::Unreachable => "unreachable",
        ErrorCode::TimedOut => "timed-out",
        ErrorCode::ClosedByPeer => "closed-by-peer",
        ErrorCode::Truncated => "truncated",
        ErrorCode::UpgradeNotOffered => "upgrade-not-offered",
        ErrorCode::BytesBeforeHandshake(_) => "bytes-before-handshake",
        ErrorCode::Unsolicited(_) => "unsolicited",
        ErrorCode::Proxy(_) => "proxy",
        ErrorCode::Tls(fault) => match fault {
            TlsFault::CertificateExpired => "tls/certificate-expired",
            TlsFault::CertificateNotYetValid => "tls/certificate-not-yet-valid",
            TlsFault::UnknownIssuer => "tls/unknown-issuer",
            TlsFault::NameMismatch(_) => "tls/name-mismatch",
            TlsFault::WrongUsage => "tls/wrong-usage",
            TlsFault::TlsaMismatch => "tls/tlsa-mismatch",
            TlsFault::AlertReceived(_) => "tls/alert-received",
            TlsFault::NothingInCommon(_) => "tls/nothing-in-common",
            TlsFault::PlaintextInsideTls(_) => "tls/plaintext-inside-tls",
            TlsFault::PeerMisbehaved(_) => "tls/peer-misbehaved",
            TlsFault::NotResumed => "tls/not-resumed",
            TlsFault::Configuration(_) => "tls/configuration",
            _ => "tls/other",
        },
        ErrorCode::SizeMismatch(_) => "size-mismatch",
        ErrorCode::DigestMismatch(_) => "digest-mismatch",
        ErrorCode::FileChanged(_) => "file-changed",
        ErrorCode::Rejected => "rejected",
        ErrorCode::ProtocolViolation(_) => "protocol-violation",
        ErrorCode::LimitExceeded(_) => "limit-exceeded",
        ErrorCode::InvalidArgument(_) => "invalid-argument",
        ErrorCode::Unsupported(_) => "unsupported",
        ErrorCode::InvalidState(_) => "invalid-state",
        ErrorCode::NotOffered(_) => "not-offered",
        ErrorCode::Downgraded(_) => "downgraded",
        ErrorCode::Local(_) => "local",
        ErrorCode::Other(_) => "other",
    }
}
