//! Running the component inside a Rust program, with sockets to granted addresses only.
//!
//! ```text
//!   Host      an engine and a compiled component: made once, used from any thread
//!    └ Sandbox   one instance with its policy: its own memory, its own sockets, no files, no environment
//! ```

mod compose;
mod policy;

use std::path::{Path, PathBuf};

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, ResourceAny, ResourceTable};
use wasmtime::{Config, Engine, Result, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

pub use bindings::exports::starttls::client as exports;
pub use policy::{Grant, GrantError, Policy};

use exports::types::{Security, Timeouts};

/// What wasmtime makes of the component's interface.
#[allow(missing_docs)]
pub mod bindings {
    wasmtime::component::bindgen!({
        path: "../wasm/wit",
        world: "client",
        with: {
            "wasi:io/error": wasmtime_wasi::p2::bindings::io::error,
            "wasi:io/poll": wasmtime_wasi::p2::bindings::sync::io::poll,
            "wasi:io/streams": wasmtime_wasi::p2::bindings::sync::io::streams,
        },
    });
}

/// An engine and a compiled component.
pub struct Host {
    engine: Engine,
    linker: Linker<State>,
    component: Component,
}

/// An interface that a component imports.
#[derive(Clone, Debug)]
pub struct Import {
    /// Its name, with its version.
    pub name: String,
    /// Those of its functions that the component uses.
    pub functions: Vec<String>,
}

/// What the host keeps for one instance.
pub struct State {
    wasi: WasiCtx,
    /// The instance's sockets and streams.
    pub table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl Host {
    /// Compiles a component.
    ///
    /// # Errors
    /// If the file cannot be read or is no component.
    pub fn new(component: &Path) -> Result<Self> {
        Self::compile(|engine| Component::from_file(engine, component))
    }

    /// Compiles a plugin together with the component whose exports it imports. The connections are that component's: the
    /// plugin has those alone that it asks for there, and the policy is about both.
    ///
    /// # Errors
    /// If a file cannot be read or is no component, or the plugin imports nothing of what the other one exports.
    pub fn plugged(plugin: &Path, with: &Path) -> Result<Self> {
        let composed = compose::plug(plugin, with)?;
        Self::compile(|engine| Component::new(engine, composed))
    }

    fn compile(component: impl FnOnce(&Engine) -> Result<Component>) -> Result<Self> {
        let engine = Engine::new(&Config::new())?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
        let component = component(&engine)?;
        Ok(Self { engine, linker, component })
    }

    /// What the component asks its host for.
    pub fn imports(&self) -> Vec<Import> {
        let ty = self.component.component_type();
        let imports = ty.imports(&self.engine).map(|(name, import)| {
            let functions = match import.ty {
                ComponentItem::ComponentInstance(instance) => instance
                    .exports(&self.engine)
                    .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)))
                    .map(|(name, _)| name.to_owned())
                    .collect(),
                _ => Vec::new(),
            };
            Import { name: name.to_owned(), functions }
        });
        imports.collect()
    }

    /// A new instance of the world `client`. It may look up names, and connect where the policy says.
    ///
    /// # Errors
    /// If the component is of another world, or asks for what this host does not have.
    pub fn sandbox(&self, policy: Policy) -> Result<Sandbox> {
        let mut wasi = WasiCtxBuilder::new();
        grant(&mut wasi, policy);
        let mut store = self.store(wasi.build());
        let client = bindings::Client::instantiate(&mut store, &self.component, &self.linker)?;
        Ok(Sandbox { store, client })
    }

    /// Runs a component that is a command, such as the command line compiled for WASI, with this process's standard
    /// streams and these directories, each under its own name. Returns its exit code.
    ///
    /// # Errors
    /// If the component is no command or traps, or a directory cannot be opened.
    pub fn run(&self, policy: Policy, args: &[String], directories: &[PathBuf]) -> Result<u8> {
        use wasmtime_wasi::{FsPerms, I32Exit, p2::bindings::sync::Command};
        let mut wasi = WasiCtxBuilder::new();
        grant(&mut wasi, policy);
        wasi.inherit_stdio().args(args);
        for directory in directories {
            wasi.preopened_dir(directory, directory.to_string_lossy(), FsPerms::ReadWrite)?;
        }
        let mut store = self.store(wasi.build());
        let command = Command::instantiate(&mut store, &self.component, &self.linker)?;
        match command.wasi_cli_run().call_run(&mut store) {
            Ok(outcome) => Ok(u8::from(outcome.is_err())),
            Err(trap) => match trap.downcast_ref::<I32Exit>() {
                Some(exit) => Ok(u8::try_from(exit.0).unwrap_or(1)),
                None => Err(trap),
            },
        }
    }

    fn store(&self, wasi: WasiCtx) -> Store<State> {
        Store::new(&self.engine, State { wasi, table: ResourceTable::new() })
    }
}

/// All that a component gets: TCP where the policy says, and the look-up of names.
fn grant(wasi: &mut WasiCtxBuilder, policy: Policy) {
    wasi.allow_tcp(true).allow_udp(false).allow_ip_name_lookup(true).socket_addr_check(move |address, purpose| {
        let allowed = policy.allows(address, purpose);
        Box::pin(async move { allowed })
    });
}

/// One instance of the component. Its exports are called as `sandbox.client.starttls_client_smtp().session()…`.
pub struct Sandbox {
    /// What every call needs.
    pub store: Store<State>,
    /// The exports.
    pub client: bindings::Client,
}

/// How a session is opened, in the interface's own words.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// PEM text of the authorities to trust; the bundled ones if there are none.
    pub trust: Option<Vec<u8>>,
    /// When the connection becomes TLS; by an upgrade if nothing is said.
    pub security: Option<Security>,
    /// The name in the certificate, where it is not the host.
    pub server_name: Option<String>,
    /// How long each stage may take.
    pub timeouts: Option<Timeouts>,
    /// How long each operation may take in all, in nanoseconds.
    pub total: Option<u64>,
    /// A trace to keep the events in.
    pub trace: Option<ResourceAny>,
    /// No certificate is checked.
    pub insecure: bool,
    /// TLSA records of the server, in presentation format; they decide, if there are any.
    pub tlsa: Vec<String>,
    /// The mail domain's MTA-STS policy.
    pub mta_sts: Option<String>,
    /// A mail server is spoken to in LMTP.
    pub lmtp: bool,
    /// PIPELINING is not made use of.
    pub no_pipelining: bool,
    /// CHUNKING is not made use of.
    pub no_chunking: bool,
    /// TLS is asked for by AUTH SSL.
    pub auth_ssl: bool,
    /// Bytes of a chunk.
    pub chunk_size: Option<u32>,
    /// The proxy to connect through.
    pub proxy: Option<String>,
}

impl Sandbox {
    /// The two resources that a session is opened with: TLS configuration and options.
    ///
    /// # Errors
    /// The component's error if the authorities cannot be used; the host's if it traps.
    pub fn prepare(&mut self, opening: &Opening) -> Result<Result<(ResourceAny, ResourceAny), exports::types::Error>> {
        let (configs, options) = (self.client.starttls_client_tls(), self.client.starttls_client_types());
        let config = configs.client_config().call_constructor(&mut self.store)?;
        if let Some(pem) = &opening.trust
            && let Err(error) = configs.client_config().call_add_trust_anchors(&mut self.store, config, pem)?
        {
            return Ok(Err(error));
        }
        if opening.insecure {
            configs.client_config().call_danger_accept_any_certificate(&mut self.store, config)?;
        }
        if let Err(error) = configs.client_config().call_set_tlsa(&mut self.store, config, &opening.tlsa)? {
            return Ok(Err(error));
        }
        if let Some(policy) = &opening.mta_sts
            && let Err(error) = configs.client_config().call_set_mta_sts(&mut self.store, config, policy)?
        {
            return Ok(Err(error));
        }
        let made = options.options().call_constructor(&mut self.store)?;
        if let Some(security) = opening.security {
            options.options().call_set_security(&mut self.store, made, security)?;
        }
        if let Some(name) = &opening.server_name {
            options.options().call_set_server_name(&mut self.store, made, name)?;
        }
        if let Some(timeouts) = opening.timeouts {
            options.options().call_set_timeouts(&mut self.store, made, timeouts)?;
        }
        options.options().call_set_total_timeout(&mut self.store, made, opening.total)?;
        options.options().call_set_lmtp(&mut self.store, made, opening.lmtp)?;
        options.options().call_set_pipelining(&mut self.store, made, !opening.no_pipelining)?;
        options.options().call_set_chunking(&mut self.store, made, !opening.no_chunking)?;
        options.options().call_set_auth_ssl(&mut self.store, made, opening.auth_ssl)?;
        if let Some(size) = opening.chunk_size {
            options.options().call_set_chunk_size(&mut self.store, made, size)?;
        }
        if let Some(proxy) = &opening.proxy
            && let Err(error) = options.options().call_set_proxy(&mut self.store, made, proxy)?
        {
            return Ok(Err(error));
        }
        if let Some(trace) = opening.trace {
            options.options().call_set_trace(&mut self.store, made, trace)?;
        }
        Ok(Ok((config, made)))
    }

    /// A trace for [`Opening::trace`].
    ///
    /// # Errors
    /// If the component traps.
    pub fn trace(&mut self) -> Result<ResourceAny> {
        self.client.starttls_client_types().trace().call_constructor(&mut self.store)
    }

    /// What has happened since the last call.
    ///
    /// # Errors
    /// If the component traps.
    pub fn events(&mut self, trace: ResourceAny) -> Result<Vec<String>> {
        self.client.starttls_client_types().trace().call_take(&mut self.store, trace)
    }
}
