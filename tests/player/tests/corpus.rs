//! The whole corpus on the hosted driver in memory and on blocking sockets: the same results and the same events,
//! however the peer's bytes are cut up.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use starttls::tls::TlsConfig;
use starttls::transport::{Blocking, block};
use starttls_player::client::{Events, Results, play};
use starttls_player::memory::{Delivery, PORTS, session};
use starttls_player::pki::{Certificate, Pki};
use starttls_player::script::{Kind, Script};
use starttls_player::tcp::{Pieces, Server};
use starttls_player::verdict::{Outcome, Rule, judge};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("in a folder").join(name)
}

fn corpus() -> Vec<Script> {
    let mut scripts = Script::load_all(&folder("transcripts")).expect("the transcripts are readable");
    scripts.extend(Script::load_all(&folder("hostile")).expect("the hostile dialogues are readable"));
    assert!(scripts.len() >= 250, "the corpus has shrunk to {} files", scripts.len());
    scripts
}

/// A certificate of each kind, made once.
struct Authorities(BTreeMap<String, (Pki, TlsConfig)>);

impl Authorities {
    fn new(scripts: &[Script]) -> Self {
        let mut made = BTreeMap::new();
        for script in scripts {
            made.entry(Self::key(script)).or_insert_with(|| identity(script));
        }
        Self(made)
    }

    fn get(&self, script: &Script) -> &(Pki, TlsConfig) {
        &self.0[&Self::key(script)]
    }

    fn key(script: &Script) -> String {
        format!("{:?} {:?} {:?} {:?}", script.certificate, script.data_certificate, script.tlsa, script.alpn)
    }
}

fn identity(script: &Script) -> (Pki, TlsConfig) {
    let pki = Pki::of(script).expect("a certificate can be made");
    let tls = pki.trust().expect("an authority, and records");
    (pki, tls)
}

/// Plays every script, several at a time, and tells every failure at once.
fn play_all(what: &str, scripts: &[Script], one: impl Fn(&Script) -> Vec<String> + Sync) {
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(2, usize::from).max(4);
    let failures: Vec<String> = thread::scope(|scope| {
        let work = || {
            let mut failures = Vec::new();
            while let Some(script) = scripts.get(next.fetch_add(1, Ordering::Relaxed)) {
                failures.extend(one(script).into_iter().map(|why| format!("{}: {why}", script.name)));
            }
            failures
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    });
    assert!(failures.is_empty(), "{what}: {} failures\n{}", failures.len(), failures.join("\n"));
}

fn in_memory(script: &Script, authorities: &Authorities, delivery: Delivery) -> Vec<String> {
    let (pki, tls) = authorities.get(script);
    let played = session(script, pki.fresh(), tls.clone(), delivery, None);
    let outcome = Outcome { results: played.results, trace: played.trace, failures: played.failures };
    let rule = if delivery == Delivery::Whole { Rule::Exact } else { Rule::Pieces };
    judge(script, &outcome, PORTS, rule)
}

#[test]
fn hosted_whole() {
    let scripts = corpus();
    let authorities = Authorities::new(&scripts);
    play_all("hosted, whole", &scripts, |script| in_memory(script, &authorities, Delivery::Whole));
}

#[test]
fn hosted_byte_by_byte() {
    let scripts = corpus();
    let authorities = Authorities::new(&scripts);
    play_all("hosted, byte by byte", &scripts, |script| in_memory(script, &authorities, Delivery::Bytes));
}

/// The sessions that are split at every byte, and broken at every byte in `faults`.
const SPLIT: [&str; 10] = [
    "smtp-starttls-plain",
    "smtp-auth-login",
    "smtps-implicit-plain",
    "ftp-get",
    "ftp-put",
    "ftp-list-mlsd",
    "imap-upgrade",
    "mysql-upgrade",
    "tcp-words-with-the-handshake",
    "tls-keys-change",
];

#[test]
fn hosted_every_two_way_split() {
    let scripts = corpus();
    let authorities = Authorities::new(&scripts);
    let chosen: Vec<_> = scripts.into_iter().filter(|script| SPLIT.contains(&script.name.as_str())).collect();
    assert_eq!(chosen.len(), SPLIT.len());
    play_all("hosted, every two-way split", &chosen, |script| {
        let (pki, tls) = authorities.get(script);
        let length = session(script, pki.fresh(), tls.clone(), Delivery::Whole, None).delivered;
        (1..length)
            .flat_map(|at| {
                let failures = in_memory(script, &authorities, Delivery::Split(at));
                failures.into_iter().map(move |why| format!("split at {at}: {why}"))
            })
            .collect()
    });
}

fn on_sockets(script: &Script, authorities: &Authorities, pieces: Pieces) -> Vec<String> {
    let (pki, tls) = authorities.get(script);
    let server = Server::bind().expect("a port is free");
    let ports = server.ports().expect("it is bound");
    let config = pki.fresh();
    let (events, results) = (Events::default(), Results::default());
    let failures = thread::scope(|scope| {
        let serving = scope.spawn(|| server.serve(script, config, pieces));
        block(play(Blocking::new(), script, ports.0, tls.clone(), &events, &results));
        serving.join().expect("no panic").expect("loopback works")
    });
    let results = std::mem::take(&mut *results.lock().expect("nobody panicked"));
    let outcome = Outcome { results, trace: events.take(), failures };
    let rule = if pieces == Pieces::Whole { Rule::Sockets } else { Rule::Pieces };
    judge(script, &outcome, ports, rule)
}

#[test]
fn blocking_whole() {
    let scripts = corpus();
    let authorities = Authorities::new(&scripts);
    play_all("blocking, whole", &scripts, |script| on_sockets(script, &authorities, Pieces::Whole));
}

#[test]
fn blocking_byte_by_byte() {
    let scripts = corpus();
    let authorities = Authorities::new(&scripts);
    play_all("blocking, byte by byte", &scripts, |script| on_sockets(script, &authorities, Pieces::Bytes));
}

/// Every boundary attack of the threat table has a file that names it.
#[test]
fn every_row_has_a_file() {
    let scripts = corpus();
    for row in
        "A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14 B1 B2 B3 B5 B6 B7 B8 C1 C2 C3 C4 C5 C6 C7 D1 D2 D3 D4 D5 D6"
            .split(' ')
    {
        assert!(scripts.iter().any(|script| script.rows.iter().any(|named| named == row)), "no file for {row}");
    }
}

/// A connection on its own has files for all of them that do not belong to logins, messages and files.
#[test]
fn every_row_has_a_connection_of_its_own() {
    let scripts = corpus();
    let connections: Vec<_> = scripts.iter().filter(|script| script.kind() == Kind::Connection).collect();
    assert!(connections.len() >= 150, "only {} connections", connections.len());
    for row in "A1 A2 A3 A4 A5 A6 A7 A8 A9 A12 A13 A14 B2 C1 C2 C3 C4 C7".split(' ') {
        assert!(connections.iter().any(|script| script.rows.iter().any(|named| named == row)), "no file for {row}");
    }
}

/// A comparison that could not fail would prove nothing: a changed trace and a changed result are seen.
#[test]
fn a_difference_is_seen() {
    let mut script = Script::load(&folder("transcripts").join("smtp-starttls-plain.txt")).expect("it is readable");
    let pki = Pki::new(Certificate::Good).expect("a certificate can be made");
    let tls = pki.trust().expect("an authority");
    let play = |script: &Script| {
        let played = session(script, pki.fresh(), tls.clone(), Delivery::Whole, None);
        let outcome = Outcome { results: played.results, trace: played.trace, failures: played.failures };
        judge(script, &outcome, PORTS, Rule::Exact)
    };
    assert_eq!(play(&script), Vec::<String>::new());
    let event = std::mem::replace(&mut script.trace[3], "S: something else".into());
    assert!(play(&script)[0].contains("the trace differs at event 4"), "{:?}", play(&script));
    script.trace[3] = event;
    script.client[2].expected = vec!["refused".into()];
    assert!(play(&script)[0].starts_with("send: accepted"), "{:?}", play(&script));
}

/// Nobody listens: the port was free a moment ago.
#[test]
fn nobody_listens() {
    let script = Script::load(&folder("transcripts").join("smtp-starttls-plain.txt")).expect("it is readable");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    drop(listener);
    let (events, results) = (Events::default(), Results::default());
    block(play(Blocking::new(), &script, port, TlsConfig::new(), &events, &results));
    assert_eq!(*results.lock().expect("nobody panicked"), ["error connection-refused at connect"]);
}
