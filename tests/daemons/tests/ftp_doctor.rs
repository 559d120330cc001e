//! What examinations find out about real servers, each with what is special about it.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::ffi::OsStrExt;

use starttls::ftp::{self, Credentials, Diagnosis, Examination, State, Topic};
use starttls::tls::TlsConfig;
use starttls::transport::{Blocking, Endpoint, block};
use starttls::{Options, Security};
use starttls_daemons::Daemon;

/// What is true of every server here.
const ALWAYS: [Topic; 8] = [
    Topic::Connection,
    Topic::TlsVersions,
    Topic::Modes,
    Topic::Login,
    Topic::Speed,
    Topic::PassiveMode,
    Topic::DataConnection,
    Topic::SessionReuse,
];

fn options(server: &Daemon) -> Options {
    Options { tls: TlsConfig::new().ca_pem(&server.authority()).unwrap(), ..Options::default() }
}

fn examine(server: &Daemon, examination: &Examination) -> Diagnosis {
    let endpoint = Endpoint { host: server.text("server_name").into(), port: server.port("port") };
    let credentials = Credentials::password(server.text("user"), server.text("password"));
    let network = Blocking::new();
    let settings = ftp::Settings::default();
    block(ftp::doctor(&network, &endpoint, &options(server), &settings, Some(&credentials), examination))
}

/// Everything that can be examined, in the directory that can be written to; nothing may be left behind.
fn whole(name: &str, tls: Option<&str>) -> Diagnosis {
    let server = Daemon::start(name, tls);
    fs::write(server.file("a file.txt"), "hello").unwrap();
    let examination = Examination { directory: server.text("directory").into(), write_test: true };
    let diagnosis = examine(&server, &examination);
    let left: Vec<_> = fs::read_dir(server.file("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["a file.txt"]);
    assert!(diagnosis.error.is_none(), "{diagnosis:#?}");
    assert!(diagnosis.tls.is_some() && diagnosis.greeting.is_some());
    diagnosis
}

fn is(diagnosis: &Diagnosis, topic: Topic, state: State, words: &str) {
    let finding = diagnosis.about(topic).unwrap_or_else(|| panic!("nothing about {topic:?}: {diagnosis:#?}"));
    assert_eq!(finding.state, state, "{finding:?}");
    assert!(finding.seen.contains(words), "{finding:?}");
    assert!(state == State::Good || finding.cause.is_some() || finding.remedy.is_some(), "{finding:?}");
}

fn remedy(diagnosis: &Diagnosis, topic: Topic, words: &str) {
    let finding = diagnosis.about(topic).unwrap();
    let told = [&finding.cause, &finding.remedy].map(|text| text.clone().unwrap_or_default()).join(" ");
    assert!(told.contains(words), "{finding:?}");
}

#[test]
fn vsftpd_demands_that_sessions_are_resumed() {
    for tls in [None, Some("1.2"), Some("1.3")] {
        let found = whole("vsftpd", tls);
        assert!(ALWAYS.iter().all(|topic| found.about(*topic).is_some()), "{found:#?}");
        assert_eq!(found.state(), State::Notice);
        is(&found, Topic::SessionReuse, State::Notice, "data connections must resume");
        is(&found, Topic::SessionReuse, State::Notice, "522");
        remedy(&found, Topic::SessionReuse, "require_ssl_reuse");
        match tls {
            Some("1.2") => {
                is(&found, Topic::TlsVersions, State::Notice, "TLS 1.2 is accepted; TLS 1.3 is refused");
                is(&found, Topic::Tickets, State::Good, "any number");
            }
            Some(_) => is(&found, Topic::TlsVersions, State::Good, "TLS 1.3 is accepted; TLS 1.2 is refused"),
            None => is(&found, Topic::TlsVersions, State::Good, "TLS 1.2 and TLS 1.3 are accepted"),
        }
        if tls != Some("1.2") {
            is(&found, Topic::Tickets, State::Good, "TLS 1.3: 2 after login, and 1 more with each listing");
        }
        is(&found, Topic::Listings, State::Notice, "LIST only, for people; 1 of 1 lines are understood");
        is(&found, Topic::IdleTime, State::Good, "5 min");
        is(&found, Topic::Names, State::Notice, "UTF8 is not offered");
        is(&found, Topic::Checksums, State::Notice, "no command");
        is(&found, Topic::Times, State::Notice, "no command to set them");
        is(&found, Topic::Modes, State::Good, "AUTH SSL");
        is(&found, Topic::DataEnd, State::Good, "close_notify");
        is(&found, Topic::Writing, State::Good, "verified");
        is(&found, Topic::Clock, State::Good, "agrees");
    }
    let lenient = whole("vsftpd-lenient", None);
    is(&lenient, Topic::SessionReuse, State::Good, "not required");
}

#[test]
fn proftpd_too_unless_told_otherwise() {
    let found = whole("proftpd-modules", None);
    is(&found, Topic::SessionReuse, State::Notice, "425");
    is(&found, Topic::Listings, State::Good, "MLSD, with modify*;perm*;size*");
    is(&found, Topic::Checksums, State::Good, "HASH (CRC32;MD5;SHA-1*;SHA-256;SHA-512), XSHA512");
    is(&found, Topic::Compression, State::Good, "MODE Z is offered");
    is(&found, Topic::Writing, State::Good, "its SHA-256 agrees; the file is deleted");
    is(&found, Topic::Times, State::Good, "set by MFMT, MFF");
    is(&found, Topic::Resuming, State::Good, "RANG is");
    is(&found, Topic::Names, State::Good, "OPTS UTF8 ON accepted");
    is(&found, Topic::IdleTime, State::Good, "does not tell");
    is(&whole("proftpd-lenient", None), Topic::SessionReuse, State::Good, "not required");
}

#[test]
fn pure_ftpd_resumes_nothing_and_asks_for_nothing() {
    let found = whole("pureftpd", Some("1.3"));
    is(&found, Topic::SessionReuse, State::Good, "does not resume it");
    is(&found, Topic::Tickets, State::Good, "0 after login");
    is(&found, Topic::IdleTime, State::Good, "15 min");
    is(&found, Topic::Names, State::Good, "always on; OPTS UTF8 ON is answered");
    is(&found, Topic::Modes, State::Good, "AUTH TLS on port");
    assert!(!found.about(Topic::Modes).unwrap().seen.contains("SSL"));
}

#[test]
fn over_ipv6_there_is_no_pasv_to_speak_of() {
    for name in ["vsftpd-ipv6", "proftpd-ipv6", "pureftpd-ipv6", "pyftpdlib-ipv6"] {
        let found = whole(name, None);
        is(&found, Topic::PassiveMode, State::Good, "EPSV works");
        assert!(!found.about(Topic::PassiveMode).unwrap().seen.contains("PASV tells"));
    }
}

#[test]
fn odd_servers_are_seen_through() {
    let nat = whole("pyftpdlib-nat", None);
    is(&nat, Topic::PassiveMode, State::Notice, "PASV tells 10.1.2.3");
    remedy(&nat, Topic::PassiveMode, "translation of addresses (NAT)");
    remedy(&nat, Topic::PassiveMode, "connections go to 127.0.0.1");

    let old = whole("pyftpdlib-old", None);
    is(&old, Topic::PassiveMode, State::Notice, "EPSV is refused");
    is(&old, Topic::Listings, State::Notice, "LIST only");
    is(&old, Topic::Resuming, State::Notice, "REST STREAM is not offered, SIZE is not");
    is(&old, Topic::Writing, State::Notice, "complete");
    assert!(old.about(Topic::Clock).is_none(), "nothing tells the time");

    let cut = whole("pyftpdlib-cut", None);
    is(&cut, Topic::DataEnd, State::Problem, "without close_notify");
    is(&cut, Topic::Writing, State::Good, "ends uploads without close_notify");
    assert_eq!(cut.state(), State::Problem);

    let zone = whole("pyftpdlib-zone", None);
    is(&zone, Topic::Clock, State::Notice, "2 h ahead");
    remedy(&zone, Topic::Clock, "local time");

    let firewalled = whole("pyftpdlib-firewalled", None);
    is(&firewalled, Topic::DataConnection, State::Problem, "connection refused");
    remedy(&firewalled, Topic::DataConnection, "range of passive ports");
    assert!(firewalled.about(Topic::Writing).is_none(), "nothing could be written");

    let lines = whole("pyftpdlib-lines", None);
    is(&lines, Topic::Listings, State::Problem, "0 of 1 lines are understood, not \"~a file.txt~\"");
}

#[test]
fn names_in_another_encoding_are_counted() {
    let server = Daemon::start("proftpd", None);
    fs::write(server.file("").join(std::ffi::OsStr::from_bytes(b"caf\xe9")), "x").unwrap();
    fs::write(server.file("tea"), "x").unwrap();
    let examination = Examination { directory: server.text("directory").into(), ..Examination::default() };
    is(&examine(&server, &examination), Topic::Names, State::Notice, "1 of 2 names are not in UTF-8");
}

#[test]
fn it_writes_nothing_unless_asked_to() {
    let server = Daemon::start("vsftpd", None);
    let before = fs::metadata(server.file("")).unwrap().modified().unwrap();
    let found = examine(&server, &Examination { directory: server.text("directory").into(), write_test: false });
    assert_eq!(fs::metadata(server.file("")).unwrap().modified().unwrap(), before);
    assert!(found.about(Topic::Writing).is_none() && found.about(Topic::Clock).is_none());
    // Where nobody may write, the test says so; the root is such a place.
    let found = examine(&server, &Examination { directory: Vec::new(), write_test: true });
    is(&found, Topic::Writing, State::Notice, "553");
}

#[test]
fn servers_that_are_not_trusted_are_told_nothing() {
    let server = Daemon::start("pyftpdlib", None);
    let endpoint = Endpoint { host: "localhost".into(), port: server.port("port") };
    let credentials = Credentials::password(server.text("user"), server.text("password"));
    let nobody = Options { tls: TlsConfig::new().pin_spki_sha256([1; 32]), ..options(&server) };
    let elsewhere = Options { server_name: Some("elsewhere.example".into()), ..options(&server) };
    for (options, words) in [(nobody, "not trusted"), (elsewhere, "not for elsewhere.example")] {
        let examination = Examination::default();
        let settings = ftp::Settings::default();
        let network = Blocking::new();
        let found = block(ftp::doctor(&network, &endpoint, &options, &settings, Some(&credentials), &examination));
        is(&found, Topic::Certificate, State::Problem, words);
        is(&found, Topic::TlsVersions, State::Good, "TLS 1.2 and TLS 1.3");
        assert!(found.error.is_some() && found.about(Topic::Login).is_none());
        assert!(found.features.iter().any(|(name, _)| name == "UTF8"));
    }
}

#[test]
fn a_login_that_is_refused_and_a_port_of_another_kind() {
    let server = Daemon::start("proftpd", None);
    let explicit = Endpoint { host: "localhost".into(), port: server.port("port") };
    let implicit = Endpoint { host: "localhost".into(), port: server.port("implicit_port") };
    let (network, settings, examination) = (Blocking::new(), ftp::Settings::default(), Examination::default());
    let wrong = Credentials::password(server.text("user"), "wrong-password");
    let upgrade = options(&server);
    let found = block(ftp::doctor(&network, &explicit, &upgrade, &settings, Some(&wrong), &examination));
    is(&found, Topic::Login, State::Problem, "530");
    assert!(found.error.is_some() && !format!("{found:?}").contains("wrong-password"));

    // The doors are mixed up: it says which URL would do.
    let at_once = Options { security: Security::Implicit, ..upgrade.clone() };
    let found = block(ftp::doctor(&network, &explicit, &at_once, &settings, None, &examination));
    is(&found, Topic::Modes, State::Problem, "clear text where a TLS record was due");
    remedy(&found, Topic::Modes, &format!("ftp://localhost:{}", explicit.port));
    let found = block(ftp::doctor(&network, &implicit, &upgrade, &settings, None, &examination));
    is(&found, Topic::Connection, State::Problem, "timed out");
    remedy(&found, Topic::Connection, &format!("ftps://localhost:{}", implicit.port));

    let nobody = Endpoint { host: "localhost".into(), port: 1 };
    let found = block(ftp::doctor(&network, &nobody, &upgrade, &settings, None, &examination));
    is(&found, Topic::Connection, State::Problem, "connection refused");
    assert_eq!(found.findings.len(), 1);
}
