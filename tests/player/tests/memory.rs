//! What a session leaves behind for the next one with the same server: two sessions of the corpus, one after the other.
#![allow(missing_docs, clippy::expect_used)]

use std::path::Path;
use std::thread;

use starttls::smtp::ServerMemory;
use starttls::transport::{Blocking, Endpoint, block};
use starttls_player::client::{Events, Results, play_knowing};
use starttls_player::pki::Pki;
use starttls_player::script::Script;
use starttls_player::tcp::{Pieces, Server};

fn script(name: &str) -> Script {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder");
    let mut script = Script::load(&tests.join(name).with_extension("txt")).expect("it is readable");
    // What a caller would have to say is what is remembered here.
    script.settings.clear();
    script
}

/// Plays the two on one port, asks `between` about the memory, and returns the results of the second one, which the server
/// must have found as it is written.
fn then(first: &str, second: &str, between: impl FnOnce(&ServerMemory, &Endpoint)) -> Vec<String> {
    let scripts = [first, second].map(script);
    let servers = scripts.each_ref().map(|_| Server::bind().expect("a port is free"));
    let port = Server::in_turn(&servers).expect("a port is free");
    let memory = ServerMemory::new();
    let mut between = Some(between);
    let mut told = Vec::new();
    for (server, script) in servers.into_iter().zip(&scripts) {
        let pki = Pki::of(script).expect("a certificate can be made");
        let (events, results) = (Events::default(), Results::default());
        let tls = pki.trust().expect("an authority");
        let failures = thread::scope(|scope| {
            let serving = scope.spawn(|| server.serve(script, pki.fresh(), Pieces::Whole));
            block(play_knowing(memory.clone(), Blocking::new(), script, port, tls, &events, &results));
            serving.join().expect("no panic").expect("loopback works")
        });
        assert_eq!(failures, Vec::<String>::new(), "{}: {:?}", script.name, events.take());
        told = std::mem::take(&mut *results.lock().expect("nobody panicked"));
        if let Some(between) = between.take() {
            between(&memory, &Endpoint { host: "127.0.0.1".into(), port });
        }
    }
    told
}

fn nothing(_: &ServerMemory, _: &Endpoint) {}

#[test]
fn what_broke_is_not_used_again() {
    let sent = ["ok", "accepted id=4F00", "ok"];
    // The second one has the server offer it again.
    assert_eq!(then("transcripts/smtp-bdat-unknown", "transcripts/smtp-no-chunking", nothing), sent);
    assert_eq!(then("transcripts/smtp-pipelining-unanswered", "transcripts/smtp-no-pipelining", nothing), sent);
}

#[test]
fn what_protected_and_is_gone_is_a_downgrade() {
    let stripped = "hostile/a4-smtp-not-offered";
    assert_eq!(then("transcripts/smtp-starttls-plain", stripped, nothing)[0], "error downgraded at upgrade");
    let fewer = "transcripts/smtp-auth-nothing-fitting";
    let told = then("transcripts/smtp-auth-scram-sha-256", fewer, nothing);
    assert_eq!(told[1], "error downgraded at authenticate");
}

#[test]
fn what_is_forgotten_is_asked_anew() {
    let told = then("transcripts/smtp-starttls-plain", "hostile/a4-smtp-not-offered", ServerMemory::forget);
    assert_eq!(told[0], "error upgrade-not-offered at upgrade");
    let told = then("transcripts/smtp-auth-scram-sha-256", "transcripts/smtp-auth-nothing-fitting", |memory, _| {
        memory.clear();
    });
    assert_eq!(told[1], "error not-offered at authenticate");
    let sent = then("transcripts/smtp-bdat-unknown", "transcripts/smtp-bdat", ServerMemory::forget);
    assert_eq!(sent[1], "accepted id=4F00");
}
