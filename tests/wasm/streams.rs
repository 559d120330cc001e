//! Transfers to and from streams that the host gives.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use starttls_tests::daemon::Daemon;
use starttls_tests::embedding::exports::ftp::{TransferReceipt, TransferStatus};
use starttls_tests::embedding::exports::ftp_io::{DownloadOptions, UploadOptions, Verification};
use starttls_tests::embedding::exports::types::{Endpoint, Error, ErrorCode, Security};
use starttls_tests::embedding::{Opening, Sandbox};
use wasmtime::component::Resource;
use wasmtime_wasi::p2::pipe::{ClosedOutputStream, MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream};

use crate::files::Files;
use crate::hostile::within;
use crate::{assert_same, endpoint, noise, open_files, read, sandbox};

fn input(sandbox: &mut Sandbox, bytes: Vec<u8>) -> Resource<DynInputStream> {
    let stream: DynInputStream = Box::new(MemoryInputPipe::new(bytes));
    sandbox.store.data_mut().table.push(stream).expect("room")
}

fn output(sandbox: &mut Sandbox, stream: DynOutputStream) -> Resource<DynOutputStream> {
    sandbox.store.data_mut().table.push(stream).expect("room")
}

#[test]
fn files_go_between_server_and_streams() {
    let server = Daemon::start("vsftpd", None);
    let mut files = Files::open(&server, Security::Upgrade);
    for length in [0, 1, 16 * 1024 + 1, 4_000_000] {
        let bytes = noise(length);
        let source = input(&mut files.sandbox, bytes.clone());
        let pipe = MemoryOutputPipe::new(length + 1);
        let sink = output(&mut files.sandbox, Box::new(pipe.clone()));
        let Sandbox { store, client } = &mut files.sandbox;
        let io = client.starttls_client_ftp_io();
        let stored = io.call_store_from(&mut *store, files.session, b"stream", 0, source);
        assert_eq!(stored.expect("no trap").expect("a receipt").size, length as u64);
        assert_same("stored", &bytes, &read(&server.file("stream")));
        let retrieved = io.call_retrieve_to(&mut *store, files.session, b"stream", 0, sink);
        assert_eq!(retrieved.expect("no trap").expect("a receipt").size, length as u64);
        assert_same("retrieved", &bytes, &pipe.contents());
    }
}

#[test]
fn a_stream_that_takes_nothing_is_a_local_error() {
    let server = Daemon::start("vsftpd", None);
    let mut files = Files::open(&server, Security::Upgrade);
    fs::write(server.file("some"), noise(1_000_000)).expect("written");
    let sink = output(&mut files.sandbox, Box::new(ClosedOutputStream));
    let Sandbox { store, client } = &mut files.sandbox;
    let outcome = client.starttls_client_ftp_io().call_retrieve_to(&mut *store, files.session, b"some", 0, sink);
    let error = outcome.expect("no trap").expect_err("an error");
    assert!(matches!(error.code, ErrorCode::Local(_)), "{error:?}");
}

const NOTHING_MORE: DownloadOptions =
    DownloadOptions { offset: 0, verify: Verification::None, rate_limit: None, retries: 0, backoff: 1_000_000 };

fn up(verify: Verification) -> UploadOptions {
    UploadOptions { verify, rate_limit: None, part: None, replace: false, modified: None }
}

fn download_into(files: &mut Files, name: &str, how: DownloadOptions) -> (Result<TransferReceipt, Error>, Vec<u8>) {
    let pipe = MemoryOutputPipe::new(1 << 24);
    let sink = output(&mut files.sandbox, Box::new(pipe.clone()));
    let Sandbox { store, client } = &mut files.sandbox;
    let io = client.starttls_client_ftp_io();
    let outcome = io.call_download_into(store, files.session, name.as_bytes(), how, sink).expect("no trap");
    (outcome, pipe.contents().to_vec())
}

fn upload_from(files: &mut Files, name: &str, how: &UploadOptions, bytes: &[u8]) -> Result<TransferReceipt, Error> {
    let source = input(&mut files.sandbox, bytes.to_vec());
    let Sandbox { store, client } = &mut files.sandbox;
    let io = client.starttls_client_ftp_io();
    io.call_upload_from(store, files.session, name.as_bytes(), how, source).expect("no trap")
}

#[test]
fn whole_files_are_proven() {
    let server = Daemon::start("proftpd-modules", None);
    let mut files = Files::of(&server);
    let bytes = noise(1_000_000);
    let modified = 1_600_000_000;
    let how = UploadOptions {
        part: Some(".part".into()),
        modified: Some(modified * 1_000_000_000),
        ..up(Verification::Hash)
    };
    let receipt = upload_from(&mut files, "whole", &how, &bytes).expect("a receipt");
    assert_eq!((receipt.status, receipt.size), (TransferStatus::Verified, 1_000_000));
    assert_eq!(receipt.digest.expect("a digest").algorithm, "SHA-256");
    assert_same("under its name", &bytes, &read(&server.file("whole")));
    assert!(!server.file("whole.part").exists());
    let stored = fs::metadata(server.file("whole")).and_then(|it| it.modified()).expect("a time");
    assert_eq!(stored.duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs(), modified as u64);
    let how = DownloadOptions { verify: Verification::Hash, ..NOTHING_MORE };
    let (receipt, arrived) = download_into(&mut files, "whole", how);
    assert_same("downloaded", &bytes, &arrived);
    let receipt = receipt.expect("a receipt");
    assert!(receipt.digest.is_some() && receipt.status == TransferStatus::Verified, "{receipt:?}");
    // A digest is of the whole.
    let how = DownloadOptions { offset: 5, verify: Verification::Hash, ..NOTHING_MORE };
    let error = download_into(&mut files, "whole", how).0.expect_err("a part");
    assert!(matches!(error.code, ErrorCode::InvalidArgument(_)), "{error:?}");
    let (receipt, rest) = download_into(&mut files, "whole", DownloadOptions { offset: 999_000, ..NOTHING_MORE });
    assert_eq!((receipt.expect("a receipt").offset, rest.as_slice()), (999_000, &bytes[999_000..]));
}

#[test]
fn a_server_without_digests_is_told_apart_before_anything_is_sent() {
    let server = Daemon::start("vsftpd", None);
    let mut files = Files::of(&server);
    let error = upload_from(&mut files, "never", &up(Verification::Hash), b"content").expect_err("no digests");
    assert!(matches!(error.code, ErrorCode::NotOffered(_)), "{error:?}");
    assert!(!server.file("never").exists());
    upload_from(&mut files, "best", &up(Verification::Best), b"content").expect("a receipt");
}

#[test]
fn a_cut_is_gone_on_with_in_a_stream() {
    // The first cut ends the transfer, the second one the session, too.
    let bytes = noise(2_000_000);
    let server = Daemon::start("pyftpdlib-breaks", None);
    fs::write(server.file("some"), &bytes).expect("written");
    let mut files = Files::of(&server);
    let (receipt, arrived) = download_into(&mut files, "some", DownloadOptions { retries: 3, ..NOTHING_MORE });
    let receipt = receipt.expect("a receipt");
    assert_same("in three pieces", &bytes, &arrived);
    assert_eq!((receipt.attempts, receipt.offset, receipt.size), (3, 0, 2_000_000));

    let server = Daemon::start("pyftpdlib-breaks", None);
    fs::write(server.file("some"), &bytes).expect("written");
    let (outcome, arrived) = download_into(&mut Files::of(&server), "some", NOTHING_MORE);
    let error = outcome.expect_err("cut");
    assert!(matches!(error.code, ErrorCode::Rejected | ErrorCode::Truncated | ErrorCode::ClosedByPeer), "{error:?}");
    assert!(arrived.len() < bytes.len() && bytes.starts_with(&arrived));
}

#[test]
fn a_rate_limit_is_kept() {
    let server = Daemon::start("vsftpd", None);
    let mut files = Files::of(&server);
    let bytes = noise(400_000);
    let how = UploadOptions { rate_limit: Some(400_000), ..up(Verification::Size) };
    let receipt = upload_from(&mut files, "slow", &how, &bytes).expect("a receipt");
    assert!((700_000_000..20_000_000_000).contains(&receipt.duration), "{receipt:?}");
    let how = DownloadOptions { rate_limit: Some(400_000), ..NOTHING_MORE };
    let (receipt, arrived) = download_into(&mut files, "slow", how);
    assert_same("slowly", &bytes, &arrived);
    let receipt = receipt.expect("a receipt");
    assert!((700_000_000..20_000_000_000).contains(&receipt.duration), "{receipt:?}");
}

#[test]
fn a_stream_that_fails_ends_a_whole_file_too() {
    let server = Daemon::start("vsftpd", None);
    let mut files = Files::of(&server);
    fs::write(server.file("some"), noise(1_000_000)).expect("written");
    let sink = output(&mut files.sandbox, Box::new(ClosedOutputStream));
    let Sandbox { store, client } = &mut files.sandbox;
    let how = DownloadOptions { retries: 5, backoff: 60_000_000_000, ..NOTHING_MORE };
    let outcome = client.starttls_client_ftp_io().call_download_into(&mut *store, files.session, b"some", how, sink);
    let error = outcome.expect("no trap").expect_err("an error");
    assert!(matches!(error.code, ErrorCode::Local(_)), "{error:?}");
}

/// Waits, beside a transfer, for a moment in the middle of it. Neither files nor pipes in memory tell when they change: they
/// are looked at, up to a deadline.
fn eventually(mut is_so: impl FnMut() -> bool + Send + 'static) -> JoinHandle<bool> {
    let deadline = Instant::now() + Duration::from_secs(20);
    std::thread::spawn(move || {
        while Instant::now() < deadline {
            if is_so() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    })
}

#[test]
fn progress_is_what_a_stream_has_taken_or_given() {
    let server = Daemon::start("vsftpd", None);
    let mut files = Files::of(&server);
    let bytes = noise(400_000);
    // Some of it is on the server while there is more in the stream.
    let source = MemoryInputPipe::new(bytes.clone());
    let (given, there) = (source.clone(), server.file("some"));
    let midway = eventually(move || fs::metadata(&there).is_ok_and(|it| it.len() > 0) && !given.is_empty());
    let stream: DynInputStream = Box::new(source);
    let source = files.sandbox.store.data_mut().table.push(stream).expect("room");
    let how = UploadOptions { rate_limit: Some(200_000), ..up(Verification::Size) };
    let Sandbox { store, client } = &mut files.sandbox;
    let io = client.starttls_client_ftp_io();
    let stored = io.call_upload_from(&mut *store, files.session, b"some", &how, source);
    assert_eq!(stored.expect("no trap").expect("a receipt").size, 400_000);
    assert!(midway.join().expect("a look"), "all of it was taken before any of it was sent");
    assert_same("stored", &bytes, &read(&server.file("some")));
    // And the other way: some of it is in the stream before all of it is.
    let pipe = MemoryOutputPipe::new(1 << 20);
    let taken = pipe.clone();
    let midway = eventually(move || (1..400_000).contains(&taken.contents().len()));
    let sink = output(&mut files.sandbox, Box::new(pipe.clone()));
    let how = DownloadOptions { rate_limit: Some(200_000), ..NOTHING_MORE };
    let Sandbox { store, client } = &mut files.sandbox;
    let io = client.starttls_client_ftp_io();
    let retrieved = io.call_download_into(&mut *store, files.session, b"some", how, sink);
    assert_eq!(retrieved.expect("no trap").expect("a receipt").size, 400_000);
    assert!(midway.join().expect("a look"), "nothing was written before everything had come");
    assert_same("retrieved", &bytes, &pipe.contents());
}

#[test]
fn a_stream_that_takes_no_more_ends_a_download_there() {
    let server = Daemon::start("vsftpd", None);
    let mut files = Files::of(&server);
    let bytes = noise(3_000_000);
    fs::write(server.file("some"), &bytes).expect("written");
    let pipe = MemoryOutputPipe::new(500_000);
    let sink = output(&mut files.sandbox, Box::new(pipe.clone()));
    let Sandbox { store, client } = &mut files.sandbox;
    let how = DownloadOptions { retries: 5, backoff: 60_000_000_000, ..NOTHING_MORE };
    let outcome = client.starttls_client_ftp_io().call_download_into(&mut *store, files.session, b"some", how, sink);
    let error = outcome.expect("no trap").expect_err("an error");
    assert!(matches!(error.code, ErrorCode::Local(_)), "{error:?}");
    assert_same("up to there", &bytes[..500_000], &pipe.contents());
    // The session goes on.
    let (receipt, arrived) = download_into(&mut files, "some", NOTHING_MORE);
    assert_eq!(receipt.expect("a receipt").attempts, 1);
    assert_same("afterwards", &bytes, &arrived);
}

/// A server in clear text that takes a little of each upload and is gone then, for as many sessions as there are. What it
/// was told, session by session, ends with one in which nothing is said.
fn goes_away() -> (Endpoint, JoinHandle<Vec<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let thread = std::thread::spawn(move || {
        let mut sessions: Vec<Vec<String>> = Vec::new();
        while sessions.last().is_none_or(|heard| !heard.is_empty()) {
            sessions.push(session(&listener.accept().expect("a connection").0));
        }
        sessions
    });
    (endpoint("127.0.0.1", port), thread)
}

fn session(mut socket: &TcpStream) -> Vec<String> {
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("an option");
    let lines = BufReader::new(socket.try_clone().expect("a socket")).lines();
    let mut say = |text: &str| drop(socket.write_all(format!("{text}\r\n").as_bytes()));
    let data = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = data.local_addr().expect("an address").port();
    let mut heard = Vec::new();
    say("220 hi");
    for line in lines.map_while(Result::ok) {
        heard.push(line.clone());
        match line.split(' ').next().unwrap_or_default() {
            "USER" => say("331 who?"),
            "PASS" => say("230 hello"),
            "FEAT" => say("211-Features\r\n SIZE\r\n REST STREAM\r\n211 End"),
            "EPSV" => say(&format!("229 here (|||{port}|)")),
            "SIZE" => say("213 50000"),
            "STOR" => {
                let (mut upload, _) = data.accept().expect("a connection");
                say("150 go on");
                upload.read_exact(&mut [0; 50_000]).expect("content");
                break;
            }
            _ => say("200 fine"),
        }
    }
    heard
}

#[test]
fn an_upload_that_is_cut_is_not_begun_again() {
    let (to, server) = goes_away();
    let mut sandbox = sandbox();
    let opening = Opening { security: Some(Security::Plaintext), ..within(Duration::from_secs(10)) };
    let session = open_files(&mut sandbox, &to, &opening).expect("a session");
    let Sandbox { store, client } = &mut sandbox;
    let login = client.starttls_client_ftp().session().call_login(store, session, "anonymous", "guest@");
    login.expect("no trap").expect("a login");
    let mut files = Files { sandbox, session };
    // A stream gives each byte once: what went with the connection cannot be said again.
    let how = UploadOptions { part: Some(".part".into()), ..up(Verification::None) };
    let error = upload_from(&mut files, "some", &how, &noise(3_000_000)).expect_err("the server is gone");
    assert!(matches!(error.code, ErrorCode::ClosedByPeer | ErrorCode::Truncated), "{error:?}");
    assert!(error.retryable, "whoever has all of it may try again: {error:?}");
    drop(files);
    drop(TcpStream::connect((to.host.as_str(), to.port)));
    let heard = server.join().expect("the server");
    assert_eq!(heard.len(), 2, "{heard:?}");
    let transfers: Vec<_> = heard[0].iter().filter(|line| line.starts_with("STOR") || line.starts_with("RN")).collect();
    assert_eq!(transfers, ["STOR some.part"], "nothing has its name that is not whole");
}
