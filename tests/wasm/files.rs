//! Files to and from real servers, out of the sandbox.

use std::fs;
use std::time::Instant;

use starttls_tests::daemon::Daemon;
use starttls_tests::embedding::exports::ftp::{EntryKind, TransferReceipt, TransferStatus};
use starttls_tests::embedding::exports::types::{Error, ErrorCode, Security, Timeouts};
use starttls_tests::embedding::{Opening, Sandbox};
use wasmtime::component::ResourceAny;

use crate::{assert_same, endpoint, noise, open_files, read, sandbox, trusting};

/// A session of one sandbox with one server, logged in.
pub(crate) struct Files {
    pub(crate) sandbox: Sandbox,
    pub(crate) session: ResourceAny,
}

impl Files {
    pub(crate) fn open(server: &Daemon, security: Security) -> Self {
        Self::open_with(server, security, &trusting(server, security))
    }

    /// The same, opened so.
    pub(crate) fn open_with(server: &Daemon, security: Security, opening: &Opening) -> Self {
        let mut sandbox = sandbox();
        let port = server.port(if security == Security::Implicit { "implicit_port" } else { "port" });
        let to = endpoint("localhost", port);
        let session = open_files(&mut sandbox, &to, opening).expect("a session");
        let Sandbox { store, client } = &mut sandbox;
        let ftp = client.starttls_client_ftp();
        let login = ftp.session().call_login(&mut *store, session, server.text("user"), server.text("password"));
        login.expect("no trap").expect("a login");
        ftp.session().call_cwd(&mut *store, session, b"/files").expect("no trap").expect("a directory");
        Self { sandbox, session }
    }

    /// The same, by an upgrade.
    pub(crate) fn of(server: &Daemon) -> Self {
        Self::open(server, Security::Upgrade)
    }

    pub(crate) fn upload(&mut self, name: &str, bytes: &[u8]) -> TransferReceipt {
        let Sandbox { store, client } = &mut self.sandbox;
        let ftp = client.starttls_client_ftp();
        let started = ftp.session().call_store(&mut *store, self.session, name.as_bytes(), 0);
        let upload = started.expect("no trap").expect("an upload");
        for piece in bytes.chunks(100_000) {
            ftp.upload().call_write(&mut *store, upload, piece).expect("no trap").expect("written");
        }
        ftp.upload().call_finish(&mut *store, upload).expect("no trap").expect("a receipt")
    }

    pub(crate) fn download(&mut self, name: &str, most: u32, offset: u64) -> Result<(Vec<u8>, TransferReceipt), Error> {
        let Sandbox { store, client } = &mut self.sandbox;
        let ftp = client.starttls_client_ftp();
        let started = ftp.session().call_retrieve(&mut *store, self.session, name.as_bytes(), offset);
        let download = started.expect("no trap")?;
        let mut bytes = Vec::new();
        loop {
            let piece = ftp.download().call_read(&mut *store, download, most).expect("no trap")?;
            assert!(piece.len() <= most as usize);
            if piece.is_empty() {
                break;
            }
            bytes.extend(piece);
        }
        Ok((bytes, ftp.download().call_finish(&mut *store, download).expect("no trap")?))
    }

    fn tls_version(&mut self) -> String {
        let Sandbox { store, client } = &mut self.sandbox;
        let tls = client.starttls_client_ftp().session().call_tls(store, self.session);
        tls.expect("no trap").expect("TLS").version
    }

    fn quit(self) {
        let Self { mut sandbox, session } = self;
        let Sandbox { store, client } = &mut sandbox;
        client.starttls_client_ftp().session().call_quit(store, session).expect("no trap");
    }
}

/// Every size up and down, each compared with what the server stored, and more transfers than a server gives tickets.
fn moves_files(daemon: &str, tls: &str, securities: &[Security]) {
    let server = Daemon::start(daemon, Some(tls));
    for &security in securities {
        let mut files = Files::open(&server, security);
        assert_eq!(files.tls_version(), format!("TLSv{tls}"));
        for length in [0, 1, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 3_000_001] {
            let (name, bytes) = (format!("size-{length}"), noise(length));
            let up = files.upload(&name, &bytes);
            assert_eq!((up.size, up.status), (length as u64, TransferStatus::Verified), "{up:?}");
            assert_same(&name, &bytes, &read(&server.file(&name)));
            let (arrived, down) = files.download(&name, 70_000, 0).expect("a download");
            assert_same(&name, &bytes, &arrived);
            assert_eq!(down.size, length as u64);
            assert!(down.close_notify && down.status != TransferStatus::Unproven, "{down:?}");
            if daemon != "pureftpd" || tls == "1.2" {
                assert!(up.tls_resumed && down.tls_resumed, "{up:?} {down:?}");
            }
        }
        files.quit();
    }
}

const BOTH: [Security; 2] = [Security::Upgrade, Security::Implicit];

#[test]
fn vsftpd_with_tls_1_2() {
    moves_files("vsftpd", "1.2", &BOTH);
}

#[test]
fn vsftpd_with_tls_1_3() {
    moves_files("vsftpd", "1.3", &BOTH);
}

#[test]
fn proftpd_with_tls_1_2() {
    moves_files("proftpd", "1.2", &BOTH);
}

#[test]
fn proftpd_with_tls_1_3() {
    moves_files("proftpd", "1.3", &BOTH);
}

#[test]
fn pureftpd_with_tls_1_2() {
    moves_files("pureftpd", "1.2", &[Security::Upgrade]);
}

#[test]
fn pureftpd_with_tls_1_3() {
    moves_files("pureftpd", "1.3", &[Security::Upgrade]);
}

#[test]
fn a_large_file_both_ways() {
    let server = Daemon::start("vsftpd", None);
    let mut files = Files::open(&server, Security::Upgrade);
    let bytes = noise(16 * 1024 * 1024);
    files.upload("large", &bytes);
    assert_same("large, stored", &bytes, &read(&server.file("large")));
    let (arrived, receipt) = files.download("large", 1 << 20, 0).expect("a download");
    assert_same("large, downloaded", &bytes, &arrived);
    assert!(receipt.tls_resumed);
}

#[test]
fn a_receipt_tells_what_is_known() {
    let server = Daemon::start("proftpd-modules", None);
    let mut files = Files::of(&server);
    let up = files.upload("some", &noise(50_000));
    assert!(up.tls_resumed && up.close_notify_sent && up.digest.is_none(), "{up:?}");
    assert_eq!((up.offset, up.attempts, up.reply.code), (0, 1, 226));
    assert!((1..60_000_000_000).contains(&up.duration), "{up:?}");
    let (_, down) = files.download("some", 1 << 16, 20_000).expect("a download");
    assert_eq!((down.offset, down.size, down.attempts, down.reply.code), (20_000, 30_000, 1, 226));
    assert!(down.close_notify && down.duration > 0, "{down:?}");
}

#[test]
fn a_copy_from_server_to_server() {
    let server = Daemon::start("proftpd-copying", None);
    let bytes = noise(300_000);
    let mut files = Files::of(&server);
    fs::write(server.file("here"), &bytes).expect("written");
    let opening = trusting(&server, Security::Upgrade);
    let to = endpoint("localhost", server.port("port"));
    let other = open_files(&mut files.sandbox, &to, &opening).expect("a session");
    let Sandbox { store, client } = &mut files.sandbox;
    let ftp = client.starttls_client_ftp();
    let calls = ftp.session();
    let login = calls.call_login(&mut *store, other, server.text("user"), server.text("password"));
    login.expect("no trap").expect("a login");
    let copied = calls.call_copy_to(&mut *store, files.session, b"here", other, b"/files/there", false, true);
    let receipt = copied.expect("no trap").expect("a receipt");
    assert!(receipt.protected && receipt.size == Some(300_000), "{receipt:?}");
    assert_eq!(receipt.digest.expect("a digest").algorithm, "SHA-256");
    assert_same("copied", &bytes, &read(&server.file("there")));
    let same = calls.call_copy_to(&mut *store, files.session, b"here", files.session, b"/files/never", false, true);
    let error = same.expect("no trap").expect_err("one session");
    assert!(matches!(error.code, ErrorCode::InvalidState(_)), "{error:?}");
    let missing = calls.call_copy_to(&mut *store, files.session, b"nothing", other, b"/files/never", false, true);
    let error = missing.expect("no trap").expect_err("no such file");
    assert!(matches!(error.code, ErrorCode::Rejected), "{error:?}");
    assert!(!server.file("never").exists());
}

#[test]
fn auth_ssl_by_choice() {
    let server = Daemon::start("proftpd", None);
    let mut sandbox = sandbox();
    let trace = sandbox.trace().expect("a trace");
    let opening = Opening { auth_ssl: true, trace: Some(trace), ..trusting(&server, Security::Upgrade) };
    open_files(&mut sandbox, &endpoint("localhost", server.port("port")), &opening).expect("a session");
    let events = sandbox.events(trace).expect("events");
    assert!(events.iter().any(|event| event == "C: AUTH SSL"), "{events:?}");
}

#[test]
fn a_drip_goes_on_and_ends_with_the_total() {
    let server = Daemon::start("pyftpdlib-drip", None);
    fs::write(server.file("short"), [1; 20]).expect("written");
    fs::write(server.file("long"), [1; 2000]).expect("written");
    let second = 1_000_000_000;
    let timeouts = Timeouts {
        connect: 20 * second,
        handshake: 20 * second,
        reply: 20 * second,
        stall: second,
        finish: 20 * second,
    };
    let opening = Opening { timeouts: Some(timeouts), ..trusting(&server, Security::Upgrade) };
    // Two seconds of drops, none later than the longest pause.
    let mut files = Files::open_with(&server, Security::Upgrade, &opening);
    let (bytes, receipt) = files.download("short", 100, 0).expect("a download");
    assert!(bytes == [1; 20] && receipt.duration > second, "{receipt:?}");
    let mut files = Files::open_with(&server, Security::Upgrade, &Opening { total: Some(2 * second), ..opening });
    let began = Instant::now();
    let error = files.download("long", 100, 0).expect_err("too long in all");
    assert!(matches!(error.code, ErrorCode::TimedOut), "{error:?}");
    assert!((2..10).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[test]
fn names_and_directories() {
    let server = Daemon::start("proftpd", None);
    let mut files = Files::open(&server, Security::Upgrade);
    files.upload("a name with spaces", b"12345");
    let session = files.session;
    let Sandbox { store, client } = &mut files.sandbox;
    let ftp = client.starttls_client_ftp();
    let calls = ftp.session();
    assert_eq!(calls.call_pwd(&mut *store, session).expect("no trap").expect("a path"), b"/files");
    calls.call_mkdir(&mut *store, session, "sub/".trim_end_matches('/').as_bytes()).expect("no trap").expect("made");
    let renamed = calls.call_rename(&mut *store, session, b"a name with spaces", "sub/ü".as_bytes());
    renamed.expect("no trap").expect("renamed");
    let entries = calls.call_list_dir(&mut *store, session, b"").expect("no trap").expect("entries");
    let [sub] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((sub.name.as_str(), sub.kind), ("sub", EntryKind::Directory));
    let inside = calls.call_list_dir(&mut *store, session, b"sub").expect("no trap").expect("entries");
    let [file] = inside.as_slice() else { panic!("{inside:?}") };
    assert_eq!((file.raw_name.as_slice(), file.kind, file.size), ("ü".as_bytes(), EntryKind::File, Some(5)));
    let age = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_nanos() as i64
        - file.modified.expect("a time");
    assert!((0..600_000_000_000).contains(&age), "modified {age} ns ago");
    let known = calls.call_stat(&mut *store, session, "sub/ü".as_bytes()).expect("no trap").expect("an entry");
    assert_eq!((known.kind, known.size), (EntryKind::File, Some(5)));
    calls.call_remove(&mut *store, session, "sub/ü".as_bytes()).expect("no trap").expect("removed");
    let empty = calls.call_list_dir(&mut *store, session, b"sub").expect("no trap").expect("entries");
    assert!(empty.is_empty(), "{empty:?}");
    calls.call_rmdir(&mut *store, session, b"sub").expect("no trap").expect("removed");
    let gone = calls.call_stat(&mut *store, session, b"sub").expect("no trap").expect_err("gone");
    assert!(matches!(gone.code, ErrorCode::Rejected), "{gone:?}");
    for bad in [&b"a\r\nDELE b"[..], b"a\0b"] {
        let error = calls.call_remove(&mut *store, session, bad).expect("no trap").expect_err("an error");
        assert!(matches!(error.code, ErrorCode::InvalidArgument(_)), "{error:?}");
    }
}

#[test]
fn offsets_appending_and_what_is_not_there() {
    let server = Daemon::start("vsftpd", None);
    let mut files = Files::open(&server, Security::Upgrade);
    files.upload("log", b"first ");
    let Sandbox { store, client } = &mut files.sandbox;
    let ftp = client.starttls_client_ftp();
    let upload = ftp.session().call_append(&mut *store, files.session, b"log").expect("no trap").expect("an upload");
    ftp.upload().call_write(&mut *store, upload, b"second").expect("no trap").expect("written");
    ftp.upload().call_finish(&mut *store, upload).expect("no trap").expect("a receipt");
    assert_same("appended", b"first second", &fs::read(server.file("log")).expect("a file"));
    let (rest, receipt) = files.download("log", 3, 6).expect("a download");
    assert_same("from the middle", b"second", &rest);
    assert_eq!((receipt.offset, receipt.size), (6, 6));
    let missing = files.download("nothing", 10, 0).expect_err("an error");
    assert!(matches!(missing.code, ErrorCode::Rejected), "{missing:?}");
    assert!(!missing.retryable);
}

#[test]
fn a_download_given_up_leaves_no_doubt() {
    for daemon in ["vsftpd", "proftpd", "pureftpd"] {
        give_up(daemon);
    }
}

fn give_up(daemon: &str) {
    let server = Daemon::start(daemon, None);
    let mut files = Files::open(&server, Security::Upgrade);
    let bytes = noise(4_000_000);
    fs::write(server.file("big"), &bytes).expect("written");
    {
        let Sandbox { store, client } = &mut files.sandbox;
        let ftp = client.starttls_client_ftp();
        let started = ftp.session().call_retrieve(&mut *store, files.session, b"big", 0);
        let download = started.expect("no trap").expect("a download");
        let empty = ftp.download().call_read(&mut *store, download, 0).expect("no trap").expect_err("an error");
        assert!(matches!(empty.code, ErrorCode::InvalidArgument(_)), "{empty:?}");
        let first = ftp.download().call_read(&mut *store, download, 10).expect("no trap").expect("bytes");
        assert_same("the first bytes", &bytes[..10], &first);
        let busy = ftp.session().call_pwd(&mut *store, files.session).expect("no trap").expect_err("busy");
        assert!(matches!(busy.code, ErrorCode::InvalidState(_)), "{busy:?}");
        let early = ftp.download().call_finish(&mut *store, download).expect("no trap").expect_err("not at its end");
        assert!(matches!(early.code, ErrorCode::InvalidState(_)), "{early:?}");
    }
    // Servers differ in what they answer then: the session goes on or is closed, and never gives another reply's answer.
    let Sandbox { store, client } = &mut files.sandbox;
    let calls = client.starttls_client_ftp();
    let closed = calls.session().call_is_closed(&mut *store, files.session).expect("no trap");
    match calls.session().call_pwd(&mut *store, files.session).expect("no trap") {
        Ok(directory) => assert!(!closed && directory == b"/files", "{directory:?}"),
        Err(error) => assert!(closed && matches!(error.code, ErrorCode::InvalidState(_)), "{error:?}"),
    }
    let (arrived, _) = Files::open(&server, Security::Upgrade).download("big", 1 << 20, 0).expect("a download");
    assert_same("in a new session", &bytes, &arrived);
}
