//! The world over a network of the host's own: here std's sockets, every byte through the host's hands, and no other network.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use starttls_tests::daemon::{Daemon, built};
use wasmtime::component::{Component, HasSelf, Linker, Resource, ResourceAny, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::postfix;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wasm/wit",
        world: "client-over-transport",
        with: { "starttls:client/transport.channel": super::Channel },
    });
}

use bindings::ClientOverTransport;
use bindings::exports::starttls::client::connection::Protocol;
use bindings::exports::starttls::client::smtp::{Account, Credentials, Envelope, Outcome};
use bindings::exports::starttls::client::types::{Endpoint, ErrorCode, TlsFault};
use bindings::starttls::client::transport::{self, Address, Failure, Purpose};

/// A connection that the host made.
#[allow(unreachable_pub, reason = "the bindings export it again")]
pub struct Channel(TcpStream);

/// What the host keeps for one instance.
struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    /// The only port that may be connected to, if there is one.
    allowed: Option<u16>,
    /// What connections were for.
    purposes: Vec<Purpose>,
    /// Bytes that went by.
    moved: usize,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

fn failure(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Failure::TimedOut,
        ErrorKind::ConnectionRefused => Failure::ConnectionRefused,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Failure::ClosedByPeer,
        _ => Failure::Other(error.to_string()),
    }
}

/// Sockets take no time of 0, and none without an end.
fn time(within: u64) -> Option<Duration> {
    Some(Duration::from_nanos(within.clamp(1_000_000, 3_600_000_000_000)))
}

impl transport::Host for State {
    fn connect(&mut self, to: Address, purpose: Purpose, within: u64) -> Result<Resource<Channel>, Failure> {
        if self.allowed.is_some_and(|port| port != to.port) {
            return Err(Failure::AccessDenied);
        }
        let connect = || {
            let mut found = (to.host.as_str(), to.port).to_socket_addrs()?.filter(std::net::SocketAddr::is_ipv4);
            let address = found.next().ok_or(ErrorKind::NotFound)?;
            TcpStream::connect_timeout(&address, time(within).unwrap_or_default())
        };
        let stream = connect().map_err(|error| match error.kind() {
            ErrorKind::NotFound => Failure::NameUnresolvable,
            _ => failure(&error),
        })?;
        stream.set_nodelay(true).map_err(|error| failure(&error))?;
        self.purposes.push(purpose);
        self.table.push(Channel(stream)).map_err(|error| Failure::Other(error.to_string()))
    }
}

impl transport::HostChannel for State {
    fn read(&mut self, channel: Resource<Channel>, max: u32, within: u64) -> Result<Vec<u8>, Failure> {
        let Channel(stream) = self.table.get_mut(&channel).expect("a channel");
        // Pieces as small as a network makes them at its worst.
        let mut bytes = vec![0; (max as usize).min(1000)];
        let read = stream.set_read_timeout(time(within)).and_then(|()| stream.read(&mut bytes));
        bytes.truncate(read.map_err(|error| failure(&error))?);
        self.moved += bytes.len();
        Ok(bytes)
    }

    fn write(&mut self, channel: Resource<Channel>, bytes: Vec<u8>, within: u64) -> Result<u32, Failure> {
        let Channel(stream) = self.table.get_mut(&channel).expect("a channel");
        let piece = &bytes[..bytes.len().min(1000)];
        let sent = stream.set_write_timeout(time(within)).and_then(|()| stream.write(piece));
        let sent = sent.map_err(|error| failure(&error))?;
        self.moved += sent;
        Ok(u32::try_from(sent).expect("a piece"))
    }

    fn shutdown(&mut self, channel: Resource<Channel>) -> Result<(), Failure> {
        let Channel(stream) = self.table.get_mut(&channel).expect("a channel");
        stream.shutdown(Shutdown::Write).map_err(|error| failure(&error))
    }

    fn peer(&mut self, channel: Resource<Channel>) -> Option<Address> {
        let Channel(stream) = self.table.get_mut(&channel).expect("a channel");
        let address = stream.peer_addr().ok()?;
        Some(Address { host: address.ip().to_string(), port: address.port() })
    }

    fn drop(&mut self, channel: Resource<Channel>) -> wasmtime::Result<()> {
        self.table.delete(channel)?;
        Ok(())
    }
}

/// The engine, and the component compiled once.
fn compiled() -> &'static (Engine, Component) {
    static COMPILED: OnceLock<(Engine, Component)> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let engine = Engine::default();
        let component = Component::from_file(&engine, file()).expect("a component");
        (engine, component)
    })
}

fn file() -> PathBuf {
    built("STARTTLS_COMPONENT_OVER_TRANSPORT", "wasm32-wasip2/release/starttls_component_over_transport.wasm")
}

struct Sandbox {
    store: Store<State>,
    client: ClientOverTransport,
}

impl Sandbox {
    fn new(allowed: Option<u16>) -> Self {
        Self::with(allowed, WasiCtxBuilder::new().build())
    }

    /// Of WASI's own network nothing is granted.
    fn with(allowed: Option<u16>, wasi: WasiCtx) -> Self {
        let (engine, component) = compiled();
        let mut linker = Linker::new(engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker).expect("WASI");
        ClientOverTransport::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut State| state).expect("a network");
        let state = State { wasi, table: ResourceTable::new(), allowed, purposes: Vec::new(), moved: 0 };
        let mut store = Store::new(engine, state);
        let client = ClientOverTransport::instantiate(&mut store, component, &linker).expect("an instance");
        Self { store, client }
    }

    /// TLS settings that trust the server's authority, if there is one, and options.
    fn prepare(&mut self, server: Option<&Daemon>) -> (ResourceAny, ResourceAny) {
        let Self { store, client } = self;
        let configs = client.starttls_client_tls().client_config();
        let config = configs.call_constructor(&mut *store).expect("no trap");
        if let Some(server) = server {
            let pem = server.authority();
            configs.call_add_trust_anchors(&mut *store, config, &pem).expect("no trap").expect("an authority");
        }
        let options = client.starttls_client_types().options().call_constructor(&mut *store).expect("no trap");
        (config, options)
    }
}

fn localhost(port: u16) -> Endpoint {
    Endpoint { host: "localhost".into(), port }
}

#[test]
fn nothing_of_the_network_is_imported() {
    let (engine, component) = compiled();
    let ty = component.component_type();
    let names: Vec<_> = ty.imports(engine).map(|(name, _)| name.to_owned()).collect();
    assert!(names.iter().any(|name| name.starts_with("starttls:client/transport")), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("wasi:sockets") || name.contains("wasi:filesystem")), "{names:?}");
}

#[test]
fn a_message_goes_through_the_hosts_hands() {
    let mail = postfix();
    let mut sandbox = Sandbox::new(Some(mail.port("port")));
    let (config, options) = sandbox.prepare(Some(mail));
    let Sandbox { store, client } = &mut sandbox;
    let smtp = client.starttls_client_smtp().session();
    let session = smtp.call_open(&mut *store, &localhost(mail.port("port")), config, options);
    let session = session.expect("no trap").expect("a session");
    let account = Account { user: mail.text("user").into(), secret: mail.text("password").into(), authzid: None };
    let login = smtp.call_login(&mut *store, session, &Credentials::Password(account), None);
    login.expect("no trap").expect("a login");
    let text = crate::mail::message(100_000);
    let envelope = Envelope {
        sender: Some("sender@example.test".into()),
        recipients: vec!["transport@example.test".into()],
        size: None,
        eight_bit: false,
        utf8: false,
    };
    let report = smtp.call_send(&mut *store, session, &envelope, None, &text).expect("no trap").expect("a report");
    assert_eq!(report.outcome, Outcome::Accepted);
    assert_eq!(report.tls.expect("TLS").version, "TLSv1.3");
    assert!(store.data().moved > text.len());
    assert_eq!(store.data().purposes, [Purpose::Control]);
}

#[test]
fn a_file_comes_over_a_connection_of_its_own() {
    let server = Daemon::start("vsftpd", None);
    let content = crate::noise(300_000);
    std::fs::write(server.file("noise.bin"), &content).expect("a file");
    let mut sandbox = Sandbox::new(None);
    let (config, options) = sandbox.prepare(Some(&server));
    let Sandbox { store, client } = &mut sandbox;
    let ftp = client.starttls_client_ftp();
    let session = ftp.session().call_open(&mut *store, &localhost(server.port("port")), config, options);
    let session = session.expect("no trap").expect("a session");
    let login = ftp.session().call_login(&mut *store, session, server.text("user"), server.text("password"));
    login.expect("no trap").expect("a login");
    let download = ftp.session().call_retrieve(&mut *store, session, b"/files/noise.bin", 0);
    let download = download.expect("no trap").expect("a download");
    let mut arrived = Vec::new();
    loop {
        let piece = ftp.download().call_read(&mut *store, download, 65536).expect("no trap").expect("bytes");
        if piece.is_empty() {
            break;
        }
        arrived.extend(piece);
    }
    let receipt = ftp.download().call_finish(&mut *store, download).expect("no trap").expect("a receipt");
    crate::assert_same("the file", &content, &arrived);
    assert!(receipt.tls_resumed, "the data connection resumes the control connection's session");
    assert_eq!(store.data().purposes, [Purpose::Control, Purpose::Data]);
}

#[test]
fn an_upgrade_and_what_the_host_denies() {
    let imap = Daemon::start("imap", None);
    let mut sandbox = Sandbox::new(Some(imap.port("port")));
    let (config, options) = sandbox.prepare(Some(&imap));
    let Sandbox { store, client } = &mut sandbox;
    let connection = client.starttls_client_connection().connection();
    let it = connection.call_open(&mut *store, &localhost(imap.port("port")), config, options);
    let it = it.expect("no trap").expect("a connection");
    let said = connection.call_upgrade(&mut *store, it, Protocol::Imap).expect("no trap").expect("TLS");
    assert!(said.starts_with(b"* OK "));
    connection.call_write(&mut *store, it, b"1 LOGOUT\r\n").expect("no trap").expect("sent");
    let bye = connection.call_read_line(&mut *store, it, 1000).expect("no trap").expect("a line");
    assert!(bye.expect("not the end").starts_with(b"* BYE"));
    let other = localhost(imap.port("port") ^ 1);
    let error = connection.call_open(&mut *store, &other, config, options).expect("no trap").expect_err("denied");
    assert!(matches!(error.code, ErrorCode::AccessDenied), "{error:?}");

    // Without the authority: the certificate is checked in here, whoever moves the bytes.
    let mut sandbox = Sandbox::new(None);
    let (config, options) = sandbox.prepare(None);
    let Sandbox { store, client } = &mut sandbox;
    let connection = client.starttls_client_connection().connection();
    let it = connection.call_open(&mut *store, &localhost(imap.port("port")), config, options);
    let it = it.expect("no trap").expect("a connection");
    let error = connection.call_upgrade(&mut *store, it, Protocol::Imap).expect("no trap").expect_err("a stranger");
    assert!(matches!(error.code, ErrorCode::Tls(TlsFault::UnknownIssuer)), "{error:?}");
}

/// A host that has not been told the time.
struct Beginning;

impl HostWallClock for Beginning {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

#[test]
fn a_clock_at_its_beginning_is_told() {
    let imap = Daemon::start("imap", None);
    let mut sandbox = Sandbox::with(None, WasiCtxBuilder::new().wall_clock(Beginning).build());
    let (config, options) = sandbox.prepare(Some(&imap));
    let Sandbox { store, client } = &mut sandbox;
    let connection = client.starttls_client_connection().connection();
    let it = connection.call_open(&mut *store, &localhost(imap.port("port")), config, options);
    let it = it.expect("no trap").expect("a connection");
    let error = connection.call_upgrade(&mut *store, it, Protocol::Imap).expect("no trap").expect_err("1970");
    assert!(matches!(error.code, ErrorCode::Tls(TlsFault::CertificateNotYetValid)), "{error:?}");
    assert!(error.message.contains("clock"), "{}", error.message);
}
