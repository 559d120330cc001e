//! A connection whose bytes the caller moves.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/self_signed.rs"]
#[allow(unreachable_pub)]
mod self_signed;

use std::io::{Read, Write};

use rustls::ServerConnection;
use self_signed::SelfSigned;
use starttls::tls::TlsConfig;
use starttls::{ErrorKind, Machine, MachineState, TlsFault};

fn pair() -> (Machine, ServerConnection) {
    let identity = SelfSigned::new(&["host.example"]);
    let tls = TlsConfig::new().ca_pem(identity.pem.as_bytes()).unwrap();
    (Machine::new("host.example", tls).unwrap(), ServerConnection::new(identity.server).unwrap())
}

/// Moves bytes both ways, in pieces, until neither side has any.
fn exchange(machine: &mut Machine, server: &mut ServerConnection, step: usize) -> starttls::Result<()> {
    loop {
        let up = machine.transmit();
        let mut wire = up.as_slice();
        while !wire.is_empty() {
            server.read_tls(&mut wire).unwrap();
            let _ = server.process_new_packets();
        }
        let mut down = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut down).unwrap();
        }
        for piece in down.chunks(step) {
            machine.receive(piece)?;
        }
        if up.is_empty() && down.is_empty() {
            return Ok(());
        }
    }
}

fn heard(server: &mut ServerConnection) -> Vec<u8> {
    let mut heard = Vec::new();
    let _ = server.reader().read_to_end(&mut heard);
    heard
}

#[test]
fn clear_text_then_tls_then_the_end() {
    for step in [1, 100, usize::MAX] {
        let (mut machine, mut server) = pair();
        assert_eq!(machine.state().unwrap(), MachineState::Clear);
        assert_eq!(machine.read(10).unwrap(), None);
        machine.receive(b"hel").unwrap();
        machine.receive(b"lo").unwrap();
        assert_eq!(machine.read(10).unwrap().unwrap(), b"hello");
        machine.write(b"begin").unwrap();
        assert_eq!(machine.transmit(), b"begin");
        assert!(machine.tls().is_none());

        machine.start_tls().unwrap();
        assert_eq!(machine.state().unwrap(), MachineState::Handshaking);
        for error in [machine.write(b"x").unwrap_err(), machine.read(1).unwrap_err(), machine.start_tls().unwrap_err()]
        {
            assert!(matches!(error.kind(), ErrorKind::InvalidState(_)), "{error}");
        }
        // What the server says at once comes with the last of its handshake.
        server.writer().write_all(b"early").unwrap();
        exchange(&mut machine, &mut server, step).unwrap();
        assert_eq!(machine.state().unwrap(), MachineState::Secure);
        assert_eq!(machine.tls().unwrap().server_name, "host.example");
        let mut early = Vec::new();
        while let Some(piece) = machine.read(2).unwrap() {
            early.extend(piece);
        }
        assert_eq!(early, b"early", "in steps of {step}");

        let noise = vec![7; 300_000];
        machine.write(&noise).unwrap();
        let mut received = Vec::new();
        let wire = machine.transmit();
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            server.read_tls(&mut wire).unwrap();
            server.process_new_packets().unwrap();
            received.extend(heard(&mut server));
        }
        assert_eq!(received, noise);

        machine.shutdown().unwrap();
        let error = machine.write(b"x").unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidState(_)), "{error}");
        server.send_close_notify();
        exchange(&mut machine, &mut server, step).unwrap();
        assert_eq!(machine.read(10).unwrap().unwrap(), b"");
        assert_eq!(server.reader().read(&mut [0]).unwrap(), 0); // close_notify, or it would be an error
    }
}

#[test]
fn what_nobody_read_ends_it() {
    let (mut machine, _) = pair();
    machine.receive(b"go\r\ninjected").unwrap();
    let error = machine.start_tls().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::BytesBeforeHandshake { count: 12, .. }), "{error}");
    assert!(machine.state().is_err());
    assert_eq!(machine.transmit(), b"");
    let error = machine.write(b"secret").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidState(_)), "{error}");
}

#[test]
fn a_certificate_that_is_not_believed_is_told_and_the_peer_hears_of_it() {
    let (mut machine, _) = pair();
    let (_, mut stranger) = pair();
    machine.start_tls().unwrap();
    let error = exchange(&mut machine, &mut stranger, usize::MAX).unwrap_err();
    // Both names are the same: only the signature tells them apart.
    assert!(matches!(error.kind(), ErrorKind::Tls(TlsFault::BadCertificate(_))), "{error}");
    assert!(!machine.transmit().is_empty(), "an alert");
}

#[test]
fn ends_are_told_apart() {
    let (mut machine, mut server) = pair();
    machine.start_tls().unwrap();
    exchange(&mut machine, &mut server, usize::MAX).unwrap();
    server.writer().write_all(b"part").unwrap();
    exchange(&mut machine, &mut server, usize::MAX).unwrap();
    machine.receive_eof().unwrap();
    assert_eq!(machine.read(10).unwrap().unwrap(), b"part");
    let error = machine.read(10).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Truncated), "{error}");

    let (mut machine, _) = pair();
    machine.receive(b"all").unwrap();
    machine.receive_eof().unwrap();
    assert_eq!(machine.read(10).unwrap().unwrap(), b"all");
    assert_eq!(machine.read(10).unwrap().unwrap(), b"");

    let (mut machine, _) = pair();
    machine.start_tls().unwrap();
    assert!(machine.receive_eof().is_err());
}

#[test]
fn a_name_that_is_none_is_refused() {
    assert!(Machine::new("", TlsConfig::new()).is_err());
    assert!(Machine::new("a b", TlsConfig::new()).is_err());
}

/// New keys in the middle (RFC 8446 §4.6.3), asked for by the server: both directions go on.
#[test]
fn keys_change_on_the_way() {
    let (mut machine, mut server) = pair();
    machine.start_tls().unwrap();
    exchange(&mut machine, &mut server, usize::MAX).unwrap();
    for round in 0..3 {
        server.writer().write_all(b"old").unwrap();
        server.refresh_traffic_keys().unwrap();
        server.writer().write_all(b"new").unwrap();
        exchange(&mut machine, &mut server, 7).unwrap();
        let mut said = Vec::new();
        while let Some(piece) = machine.read(100).unwrap() {
            said.extend(piece);
        }
        assert_eq!(said, b"oldnew", "round {round}");
        machine.write(b"answer").unwrap();
        exchange(&mut machine, &mut server, 7).unwrap();
        assert_eq!(heard(&mut server), b"answer", "round {round}");
    }
}
