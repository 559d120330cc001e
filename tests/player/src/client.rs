//! The client's side of a session, over any transport, and the words in which results are told.

mod connection;
mod files;
mod mail;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use starttls::reply::Reply;
use starttls::smtp::ServerMemory;
use starttls::tls::TlsConfig;
use starttls::trace::Trace;
use starttls::transport::{Endpoint, Transport};
use starttls::{Error, ErrorKind, Options, TlsFault};

use crate::script::{Kind, Script, Task};

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
    let to = Endpoint { host: "127.0.0.1".into(), port };
    let options = Options {
        security: script.security(),
        tls,
        timeouts: starttls::Timeouts::all(Duration::from_secs(script.timeout)),
        trace: events.trace(),
        ..Options::default()
    };
    if script.client.first().is_none_or(|task| task.verb != "connect") {
        return tell("a session begins with connect".into());
    }
    let opened = match script.kind() {
        Kind::Mail => mail::play(memory, transport, &to, options, script, &tell).await,
        Kind::Files => files::play(transport, &to, options, script, &tell).await,
        Kind::Connection => connection::play(transport, &to, options, script, &tell).await,
    };
    if let Err(error) = opened {
        tell(describe(&error));
    }
}

fn text(task: &Task, index: usize) -> String {
    String::from_utf8_lossy(bytes(task, index)).into_owned()
}

fn bytes(task: &Task, index: usize) -> &[u8] {
    task.arguments.get(index).map(Vec::as_slice).unwrap_or_default()
}

/// A reply's code, and how many lines it has.
fn answer(reply: &Reply) -> String {
    format!("{} {}", reply.code(), reply.lines().count())
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
