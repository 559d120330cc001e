//! Connections on their own: over the sandbox's sockets, and with this host moving the bytes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use starttls_tests::daemon::Daemon;
use starttls_tests::embedding::Sandbox;
use starttls_tests::embedding::exports::connection::Protocol;
use starttls_tests::embedding::exports::machine::State;
use starttls_tests::embedding::exports::types::{ErrorCode, Security, TlsFault};
use wasmtime::component::ResourceAny;

use crate::{Opening, endpoint, policy, postfix, sandbox, trusting};

/// Opens a connection.
fn open(sandbox: &mut Sandbox, port: u16, opening: &Opening) -> ResourceAny {
    let (config, options) = sandbox.prepare(opening).expect("no trap").expect("settings");
    let Sandbox { store, client } = sandbox;
    let connection = client.starttls_client_connection().connection();
    connection.call_open(store, &endpoint("127.0.0.1", port), config, options).expect("no trap").expect("a connection")
}

#[test]
fn the_caller_says_when() {
    let mail = postfix();
    let mut sandbox = sandbox();
    let it = open(&mut sandbox, mail.port("port"), &trusting(mail, Security::Upgrade));
    let Sandbox { store, client } = &mut sandbox;
    let connection = client.starttls_client_connection().connection();
    let greeting = connection.call_read_line(&mut *store, it, 512).expect("no trap").expect("a line");
    assert!(greeting.expect("not the end").starts_with(b"220 "));
    connection.call_write(&mut *store, it, b"EHLO client.example\r\n").expect("no trap").expect("sent");
    let offers = connection.call_read_until(&mut *store, it, b"\r\n250 ", 4096).expect("no trap").expect("lines");
    assert!(offers.windows(8).any(|word| word == b"STARTTLS"));
    connection.call_read_line(&mut *store, it, 512).expect("no trap").expect("the last of them");
    assert!(connection.call_tls(&mut *store, it).expect("no trap").is_none());
    connection.call_write(&mut *store, it, b"STARTTLS\r\n").expect("no trap").expect("sent");
    let go = connection.call_read_line(&mut *store, it, 512).expect("no trap").expect("a line");
    assert!(go.expect("not the end").starts_with(b"220 "));
    connection.call_start_tls(&mut *store, it).expect("no trap").expect("a handshake");
    let agreed = connection.call_tls(&mut *store, it).expect("no trap").expect("TLS");
    assert_eq!(agreed.version, "TLSv1.3");
    let (kind, value) = connection.call_channel_binding(&mut *store, it).expect("no trap").expect("a binding");
    assert_eq!((kind.as_str(), value.len()), ("tls-exporter", 32));
    let peer = connection.call_peer(&mut *store, it).expect("no trap").expect("an address");
    assert_eq!((peer.host.as_str(), peer.port), ("127.0.0.1", mail.port("port")));
    connection.call_write(&mut *store, it, b"QUIT\r\n").expect("no trap").expect("sent");
    let bye = connection.call_read_exactly(&mut *store, it, 4).expect("no trap").expect("four bytes");
    assert_eq!(bye, b"221 ");
    connection.call_shutdown(&mut *store, it).expect("no trap").expect("close_notify");
    while !connection.call_read(&mut *store, it, 100).expect("no trap").expect("the rest").is_empty() {}
    let error = connection.call_write(&mut *store, it, b"NOOP\r\n").expect("no trap").expect_err("ended");
    assert!(matches!(error.code, ErrorCode::InvalidState(_)), "{error:?}");
}

#[test]
fn every_recipe_with_a_server_of_its_own() {
    for (name, key, protocol, first) in [
        ("imap", "port", Protocol::Imap, &b"* OK "[..]),
        ("pop3", "port", Protocol::Pop3, b"+OK"),
        ("sieve", "port", Protocol::Sieve, b"\""),
        ("ldap", "port", Protocol::Ldap, b""),
        ("postgres", "port", Protocol::Postgres, b""),
        ("nntp", "port", Protocol::Nntp, b"20"),
        ("xmpp", "port", Protocol::Xmpp, b"<?xml"),
        ("mysql", "port", Protocol::Mysql, b"\x0a"),
    ] {
        let server = Daemon::start(name, None);
        let mut sandbox = sandbox();
        // To XMPP the name is also which of the server's hosts is meant.
        let named = Opening { server_name: Some("localhost".into()), ..trusting(&server, Security::Upgrade) };
        let it = open(&mut sandbox, server.port(key), &named);
        let Sandbox { store, client } = &mut sandbox;
        let connection = client.starttls_client_connection().connection();
        let said = connection.call_upgrade(&mut *store, it, protocol).expect("no trap");
        let said = said.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert!(said.starts_with(first), "{name}: {}", String::from_utf8_lossy(&said));
        assert!(connection.call_tls(&mut *store, it).expect("no trap").is_some(), "{name}");
    }
}

#[test]
fn what_the_policy_does_not_grant_is_not_reached() {
    let mail = postfix();
    let mut sandbox = crate::host().sandbox(policy(&["127.0.0.2:*".into()])).expect("an instance");
    let (config, options) = sandbox.prepare(&trusting(mail, Security::Upgrade)).expect("no trap").expect("settings");
    let Sandbox { store, client } = &mut sandbox;
    let connection = client.starttls_client_connection().connection();
    let to = endpoint("127.0.0.1", mail.port("port"));
    let error = connection.call_open(store, &to, config, options).expect("no trap").expect_err("denied");
    assert!(matches!(error.code, ErrorCode::AccessDenied), "{error:?}");
}

/// A machine and the socket that its host moves bytes over.
struct Pump<'s> {
    sandbox: &'s mut Sandbox,
    machine: ResourceAny,
    socket: TcpStream,
}

impl Pump<'_> {
    fn write(&mut self, bytes: &[u8]) {
        let Sandbox { store, client } = &mut *self.sandbox;
        let machine = client.starttls_client_machine().machine();
        machine.call_write(store, self.machine, bytes).expect("no trap").expect("taken");
        self.transmit();
    }

    fn transmit(&mut self) {
        let Sandbox { store, client } = &mut *self.sandbox;
        let wire = client.starttls_client_machine().machine().call_transmit(store, self.machine).expect("no trap");
        self.socket.write_all(&wire).expect("sent");
    }

    /// Waits for what comes next, and hands it in.
    fn receive(&mut self) {
        let mut wire = [0; 4096];
        let n = self.socket.read(&mut wire).expect("something in time");
        let Sandbox { store, client } = &mut *self.sandbox;
        let machine = client.starttls_client_machine().machine();
        match n {
            0 => machine.call_receive_eof(store, self.machine),
            n => machine.call_receive(store, self.machine, &wire[..n]),
        }
        .expect("no trap")
        .expect("taken");
    }

    /// Everything up to the end of a line that begins so.
    fn until(&mut self, start: &str) -> String {
        let mut text = String::new();
        while !text.ends_with('\n') || !text.lines().last().is_some_and(|line| line.starts_with(start)) {
            let Sandbox { store, client } = &mut *self.sandbox;
            let machine = client.starttls_client_machine().machine();
            match machine.call_read(store, self.machine, 4096).expect("no trap").expect("text") {
                Some(bytes) if bytes.is_empty() => panic!("ended after {text}"),
                Some(bytes) => text.push_str(&String::from_utf8_lossy(&bytes)),
                None => self.receive(),
            }
        }
        text
    }

    fn state(&mut self) -> State {
        let Sandbox { store, client } = &mut *self.sandbox;
        let machine = client.starttls_client_machine().machine();
        machine.call_state(store, self.machine).expect("no trap").expect("a state")
    }
}

/// The sandbox reaches nobody here: this test has the socket.
#[test]
fn the_host_moves_the_bytes() {
    let mail = postfix();
    let mut sandbox = crate::host().sandbox(policy(&[])).expect("an instance");
    let (config, _) = sandbox.prepare(&trusting(mail, Security::Upgrade)).expect("no trap").expect("settings");
    let Sandbox { store, client } = &mut sandbox;
    let machines = client.starttls_client_machine().machine();
    let machine = machines.call_create(&mut *store, config, "localhost").expect("no trap").expect("a machine");
    let socket = TcpStream::connect(("127.0.0.1", mail.port("port"))).expect("a connection");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("an option");
    let mut pump = Pump { sandbox: &mut sandbox, machine, socket };
    pump.until("220 ");
    pump.write(b"EHLO client.example\r\n");
    assert!(pump.until("250 ").contains("STARTTLS"));
    pump.write(b"STARTTLS\r\n");
    pump.until("220 ");
    assert_eq!(pump.state(), State::Clear);
    {
        let Sandbox { store, client } = &mut *pump.sandbox;
        let machines = client.starttls_client_machine().machine();
        machines.call_start_tls(store, machine).expect("no trap").expect("begun");
    }
    while pump.state() == State::Handshaking {
        pump.transmit();
        pump.receive();
    }
    assert_eq!(pump.state(), State::Secure);
    pump.transmit();
    pump.write(b"EHLO client.example\r\n");
    assert!(pump.until("250 ").contains("AUTH"), "offered under TLS alone");
    pump.write(b"QUIT\r\n");
    pump.until("221 ");
}

#[test]
fn a_machine_believes_the_authorities_it_was_given() {
    let mail = postfix();
    let mut sandbox = crate::host().sandbox(policy(&[])).expect("an instance");
    let (config, _) = sandbox.prepare(&Opening::default()).expect("no trap").expect("settings");
    let Sandbox { store, client } = &mut sandbox;
    let machines = client.starttls_client_machine().machine();
    let machine = machines.call_create(&mut *store, config, "localhost").expect("no trap").expect("a machine");
    let mut socket = TcpStream::connect(("127.0.0.1", mail.port("implicit_port"))).expect("a connection");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("an option");
    machines.call_start_tls(&mut *store, machine).expect("no trap").expect("begun");
    let error = loop {
        let wire = machines.call_transmit(&mut *store, machine).expect("no trap");
        socket.write_all(&wire).expect("sent");
        let mut wire = [0; 4096];
        let n = socket.read(&mut wire).expect("something in time");
        assert!(n > 0, "the server waits for us");
        if let Err(error) = machines.call_receive(&mut *store, machine, &wire[..n]).expect("no trap") {
            break error;
        }
    };
    assert!(matches!(error.code, ErrorCode::Tls(TlsFault::UnknownIssuer)), "{error:?}");
    let alert = machines.call_transmit(&mut *store, machine).expect("no trap");
    assert!(!alert.is_empty(), "the peer hears why");
}
