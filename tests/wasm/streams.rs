//! Transfers to and from streams that the host gives.

use std::fs;

use starttls_tests::daemon::Daemon;
use starttls_tests::embedding::Sandbox;
use starttls_tests::embedding::exports::types::{ErrorCode, Security};
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
