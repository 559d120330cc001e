//! Transfers to and from streams that the host gives.

use std::fs;
use std::time::SystemTime;

use starttls_tests::daemon::Daemon;
use starttls_tests::embedding::Sandbox;
use starttls_tests::embedding::exports::ftp::{TransferReceipt, TransferStatus};
use starttls_tests::embedding::exports::ftp_io::{DownloadOptions, UploadOptions, Verification};
use starttls_tests::embedding::exports::types::{Error, ErrorCode, Security};
use wasmtime::component::Resource;
use wasmtime_wasi::p2::pipe::{ClosedOutputStream, MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream};

use crate::files::Files;
use crate::{assert_same, noise, read};

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
