//! The world without a network: a component that reaches nobody becomes TLS, and this host moves every byte.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use starttls_tests::daemon::{Daemon, built};
use wasmtime::component::{Component, Linker, ResourceAny, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

mod bindings {
    wasmtime::component::bindgen!({ path: "../wasm/wit", world: "core" });
}

use bindings::Core;
use bindings::exports::starttls::client::machine::State as Doing;

pub(crate) fn path() -> PathBuf {
    built("STARTTLS_COMPONENT_CORE", "wasm32-wasip2/release/starttls_component_core.wasm")
}

/// What the host keeps for one instance.
struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// A machine, and the socket that its host moves bytes over.
struct Pump {
    store: Store<State>,
    core: Core,
    machine: ResourceAny,
    socket: TcpStream,
}

impl Pump {
    fn new(server: &Daemon) -> Self {
        let engine = Engine::default();
        let component = Component::from_file(&engine, path()).expect("a component");
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker).expect("WASI");
        let state = State { wasi: WasiCtxBuilder::new().build(), table: ResourceTable::new() };
        let mut store = Store::new(&engine, state);
        let core = Core::instantiate(&mut store, &component, &linker).expect("an instance");
        let configs = core.starttls_client_tls().client_config();
        let config = configs.call_constructor(&mut store).expect("no trap");
        let authority = server.authority();
        configs.call_add_trust_anchors(&mut store, config, &authority).expect("no trap").expect("an authority");
        let machines = core.starttls_client_machine().machine();
        let machine = machines.call_create(&mut store, config, "localhost").expect("no trap").expect("a machine");
        let socket = TcpStream::connect(("127.0.0.1", server.port("port"))).expect("a connection");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("an option");
        Self { store, core, machine, socket }
    }

    fn say(&mut self, line: &str) {
        let machines = self.core.starttls_client_machine().machine();
        let bytes = format!("{line}\r\n");
        machines.call_write(&mut self.store, self.machine, bytes.as_bytes()).expect("no trap").expect("taken");
        self.transmit();
    }

    fn transmit(&mut self) {
        let machines = self.core.starttls_client_machine().machine();
        let wire = machines.call_transmit(&mut self.store, self.machine).expect("no trap");
        self.socket.write_all(&wire).expect("sent");
    }

    /// Waits for what comes next, and hands it in.
    fn receive(&mut self) {
        let mut wire = [0; 4096];
        let n = self.socket.read(&mut wire).expect("something in time");
        assert!(n > 0, "the server goes on");
        let machines = self.core.starttls_client_machine().machine();
        machines.call_receive(&mut self.store, self.machine, &wire[..n]).expect("no trap").expect("taken");
    }

    /// A line with its end.
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let machines = self.core.starttls_client_machine().machine();
            match machines.call_read(&mut self.store, self.machine, 1).expect("no trap").expect("a byte") {
                Some(byte) if byte.is_empty() => panic!("ended after {}", String::from_utf8_lossy(&line)),
                Some(byte) => line.extend(byte),
                None => self.receive(),
            }
        }
        String::from_utf8(line).expect("text")
    }

    fn doing(&mut self) -> Doing {
        let machines = self.core.starttls_client_machine().machine();
        machines.call_state(&mut self.store, self.machine).expect("no trap").expect("a state")
    }
}

#[test]
fn a_connection_becomes_tls_where_there_is_no_network() {
    let imap = Daemon::start("imap", None);
    let mut pump = Pump::new(&imap);
    assert!(pump.line().starts_with("* OK "));
    pump.say("1 STARTTLS");
    assert!(pump.line().starts_with("1 OK "));
    assert_eq!(pump.doing(), Doing::Clear);
    let machines = pump.core.starttls_client_machine().machine();
    machines.call_start_tls(&mut pump.store, pump.machine).expect("no trap").expect("begun");
    while pump.doing() == Doing::Handshaking {
        pump.transmit();
        pump.receive();
    }
    pump.transmit();
    assert_eq!(pump.doing(), Doing::Secure);
    let machines = pump.core.starttls_client_machine().machine();
    let agreed = machines.call_tls(&mut pump.store, pump.machine).expect("no trap").expect("TLS");
    assert_eq!((agreed.version.as_str(), agreed.server_name.as_str()), ("TLSv1.3", "localhost"));
    pump.say("2 CAPABILITY");
    let offers = pump.line();
    assert!(offers.starts_with("* CAPABILITY IMAP4rev1 ") && offers.contains("AUTH=PLAIN"), "{offers}");
}
