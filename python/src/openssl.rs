//! Python's own OpenSSL under the core: an `ssl.SSLContext` is taken as it is, and drives TLS from memory to memory.
//!
//! Nothing of a context is read but what reports must tell. So whatever it does, it does here: authorities, client
//! certificates, engines, subclasses with a verification of their own.

mod fault;
mod store;
mod suite;

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use starttls::tls::{
    Backend, BackendSession, Engine, Outgoing, Progress, Resumable, ServerName, TlsConfig, TlsInfo, VerifiedBy,
};
use starttls::{Error, Result};

use self::store::{MOST_TICKETS, Store};
use crate::error;

/// The configuration for an `ssl.SSLContext`; `None` if it is something else. The module `ssl` is not imported for that:
/// who has a context did so.
pub(crate) fn config(it: &Bound<'_, PyAny>) -> PyResult<Option<TlsConfig>> {
    let py = it.py();
    let modules = py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?;
    let Some(ssl) = modules.get_item("ssl")? else { return Ok(None) };
    if !it.is_instance(&ssl.getattr("SSLContext")?)? {
        return Ok(None);
    }
    if it.getattr("protocol")?.eq(ssl.getattr("PROTOCOL_TLS_SERVER")?)? {
        let why = "tls= is an SSLContext for servers: make it with ssl.create_default_context() or PROTOCOL_TLS_CLIENT";
        return Err(error::argument(py, why));
    }
    let context = Context {
        want_read: ssl.getattr("SSLWantReadError")?.unbind(),
        zero_return: ssl.getattr("SSLZeroReturnError")?.unbind(),
        ssl: ssl.unbind(),
        it: it.clone().unbind(),
    };
    Ok(Some(TlsConfig::with_backend(Arc::new(Shared(Arc::new(context))))))
}

/// A context, and what is needed of the module beside it.
struct Context {
    it: Py<PyAny>,
    ssl: Py<PyAny>,
    want_read: Py<PyAny>,
    zero_return: Py<PyAny>,
}

impl Context {
    /// Whether it has both the chain and the name checked.
    fn verifies(&self, py: Python<'_>) -> PyResult<bool> {
        let it = self.it.bind(py);
        let none = self.ssl.bind(py).getattr("CERT_NONE")?;
        Ok(it.getattr("check_hostname")?.is_truthy()? && it.getattr("verify_mode")?.ne(none)?)
    }

    fn memory<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.ssl.bind(py).call_method0(intern!(py, "MemoryBIO"))
    }
}

#[derive(Clone)]
struct Shared(Arc<Context>);

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SSLContext")
    }
}

impl Backend for Shared {
    fn session(&self) -> Result<Arc<dyn BackendSession>> {
        Ok(Arc::new(Session { context: self.clone(), store: Arc::default() }))
    }

    fn accepts_any_certificate(&self) -> bool {
        Python::attach(|py| !self.0.verifies(py).unwrap_or(false))
    }
}

struct Session {
    context: Shared,
    store: Arc<Store>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("resumable", &self.store.resumable()).finish_non_exhaustive()
    }
}

impl BackendSession for Session {
    fn engine(&self, name: &ServerName, resumes: bool) -> Result<Box<dyn Engine>> {
        let store = resumes.then(|| self.store.clone());
        Python::attach(|py| match OpenSsl::new(py, self.context.0.clone(), store, name.to_string()) {
            Ok(engine) => Ok(Box::new(engine) as _),
            Err(error) => Err(fault::of_settings(py, error, &self.context.0.ssl)),
        })
    }

    fn resumable(&self) -> Resumable {
        self.store.resumable()
    }
}

/// A record's header (RFC 8446 §5.1).
const HEADER: usize = 5;

/// The longest record, with what TLS 1.2 may add to its content (RFC 5246 §6.2.3).
const LONGEST: usize = HEADER + 16 * 1024 + 2048;

/// The most content a record carries: one read empties it.
const CONTENT: usize = 16 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was said.
    Silent,
    Handshaking,
    Open,
    PeerClosed,
    /// Nobody knows where an exception left it.
    Broken,
}

/// One connection's `ssl.SSLObject` between two `ssl.MemoryBIO`.
///
/// Records go in one by one. So neither of the two ever holds more than one, nothing waits in them unread, and every
/// ticket is seen, also where several come together.
struct OpenSsl {
    object: Py<PyAny>,
    incoming: Py<PyAny>,
    outgoing: Py<PyAny>,
    context: Arc<Context>,
    store: Option<Arc<Store>>,
    name: String,
    verified: bool,
    stage: Stage,
    has_tickets: bool,
    /// The session last used or kept.
    last_session: Vec<u8>,
    /// How often there was a look for a new one: servers can send many messages that bring none.
    looks: usize,
    /// What was decrypted, until Python is left: whoever takes it may wait for others who need Python.
    plain: Vec<u8>,
}

impl OpenSsl {
    fn new(py: Python<'_>, context: Arc<Context>, store: Option<Arc<Store>>, name: String) -> PyResult<Self> {
        let verified = context.verifies(py)?;
        let (incoming, outgoing) = (context.memory(py)?, context.memory(py)?);
        let options = PyDict::new(py);
        options.set_item("server_hostname", &name)?;
        let mut last_session = Vec::new();
        if let Some(session) = store.as_ref().and_then(|store| store.take(py)) {
            last_session = session.getattr(py, "id")?.extract(py)?;
            options.set_item("session", session)?;
        }
        let object = context.it.bind(py).call_method("wrap_bio", (&incoming, &outgoing), Some(&options))?.unbind();
        let (incoming, outgoing) = (incoming.unbind(), outgoing.unbind());
        let (stage, has_tickets, looks, plain) = (Stage::Silent, false, 0, Vec::new());
        Ok(Self {
            object,
            incoming,
            outgoing,
            context,
            store,
            name,
            verified,
            stage,
            has_tickets,
            last_session,
            looks,
            plain,
        })
    }

    fn progress(&self) -> Result<Progress> {
        match self.stage {
            Stage::Silent | Stage::Handshaking => Ok(Progress::Handshaking),
            Stage::Open => Ok(Progress::Traffic),
            Stage::PeerClosed => Ok(Progress::PeerClosed),
            Stage::Broken => {
                Err(Error::local(io::Error::other("this TLS connection was left in the middle of a call")))
            }
        }
    }

    /// Lets OpenSSL have one record, or what is none.
    fn take(&mut self, py: Python<'_>, record: &[u8]) -> PyResult<()> {
        if !record.is_empty() {
            self.incoming.call_method1(py, intern!(py, "write"), (PyBytes::new(py, record),))?;
        }
        if matches!(self.stage, Stage::Silent | Stage::Handshaking) {
            self.stage = Stage::Handshaking;
            if self.waits(py, self.object.call_method0(py, intern!(py, "do_handshake")))?.is_none() {
                return Ok(());
            }
            self.stage = Stage::Open;
            self.has_tickets = self.text(py, "version")?.as_deref() == Some("TLSv1.3");
            // The handshake's last record has nothing else in it. A session of TLS 1.2 is made by the handshake itself.
            return if self.has_tickets { Ok(()) } else { self.keep_session(py) };
        }
        let read = self.object.call_method1(py, intern!(py, "read"), (CONTENT,));
        if read.as_ref().is_err_and(|error| error.matches(py, &self.context.zero_return).unwrap_or(false)) {
            self.stage = Stage::PeerClosed;
            return Ok(());
        }
        match self.waits(py, read)? {
            Some(content) => {
                let content = content.bind(py).cast::<PyBytes>()?.as_bytes();
                if content.is_empty() {
                    self.stage = Stage::PeerClosed;
                }
                self.plain.extend_from_slice(content);
            }
            // It was for OpenSSL itself: perhaps a ticket.
            None if self.has_tickets && self.looks < MOST_TICKETS => {
                self.looks += 1;
                self.keep_session(py)?;
            }
            None => {}
        }
        Ok(())
    }

    /// `None` where OpenSSL waits for more.
    fn waits<T>(&self, py: Python<'_>, outcome: PyResult<T>) -> PyResult<Option<T>> {
        match outcome {
            Ok(it) => Ok(Some(it)),
            Err(error) if error.matches(py, &self.context.want_read)? => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn keep_session(&mut self, py: Python<'_>) -> PyResult<()> {
        let Some(store) = &self.store else { return Ok(()) };
        let session = self.object.getattr(py, intern!(py, "session"))?;
        if session.is_none(py) {
            return Ok(());
        }
        let id: Vec<u8> = session.getattr(py, "id")?.extract(py)?;
        let has_ticket: bool = session.getattr(py, "has_ticket")?.extract(py)?;
        if !self.has_tickets {
            if has_ticket || !id.is_empty() {
                store.set_session(session);
            }
        } else if has_ticket && id != self.last_session {
            let lifetime: u64 = session.getattr(py, "ticket_lifetime_hint")?.extract(py)?;
            store.add_ticket(session, Duration::from_secs(lifetime));
            self.last_session = id;
        }
        Ok(())
    }

    /// Moves what is for the peer to `out`.
    fn drain(&self, py: Python<'_>, out: &mut dyn Outgoing) -> PyResult<()> {
        if self.outgoing.getattr(py, intern!(py, "pending"))?.extract::<usize>(py)? > 0 {
            let records = self.outgoing.call_method0(py, intern!(py, "read"))?;
            let records = records.bind(py).cast::<PyBytes>()?.as_bytes();
            out.spare(records.len())[..records.len()].copy_from_slice(records);
            out.advance(records.len());
        }
        Ok(())
    }

    fn text(&self, py: Python<'_>, method: &str) -> PyResult<Option<String>> {
        self.object.call_method0(py, method)?.extract(py)
    }

    /// What came of a call, as the core has it; what is for the peer goes out in any case.
    fn settle(&mut self, py: Python<'_>, outcome: PyResult<()>, out: &mut dyn Outgoing) -> Result<()> {
        let drained = self.drain(py, out);
        outcome.and(drained).map_err(|error| {
            self.stage = Stage::Broken;
            fault::of(py, error, &self.context.ssl, self.object.bind(py), &self.name)
        })
    }
}

impl Engine for OpenSsl {
    fn process(
        &mut self,
        wire: &mut [u8],
        out: &mut dyn Outgoing,
        plain: &mut dyn FnMut(&[u8]),
    ) -> (usize, Result<Progress>) {
        let mut used = 0;
        let outcome = Python::attach(|py| {
            while !matches!(self.stage, Stage::PeerClosed | Stage::Broken) {
                let record = record(&wire[used..]);
                if record.is_empty() && self.stage != Stage::Silent {
                    break;
                }
                // What is none is left behind, to be looked at.
                let is_record = record.is_empty() || is_record(record);
                used += if is_record { record.len() } else { 0 };
                let taken = self.take(py, record);
                let taken = taken.and_then(|()| if is_record { Ok(()) } else { Err(fault::no_record(py)) });
                if taken.is_err() {
                    return self.settle(py, taken, out);
                }
            }
            self.settle(py, Ok(()), out)
        });
        if !self.plain.is_empty() {
            plain(&self.plain);
            self.plain.clear();
        }
        (used, outcome.and_then(|()| self.progress()))
    }

    fn encrypt(&mut self, _: &mut [u8], bytes: &[u8], out: &mut dyn Outgoing) -> Result<()> {
        self.progress()?;
        Python::attach(|py| {
            let mut written = Ok(());
            for piece in bytes.chunks(CONTENT) {
                let mut at = 0;
                while at < piece.len() && written.is_ok() {
                    let rest = PyBytes::new(py, &piece[at..]);
                    match self
                        .object
                        .call_method1(py, intern!(py, "write"), (rest,))
                        .and_then(|n| n.extract::<usize>(py))
                    {
                        Ok(n) => at += n,
                        Err(error) => written = Err(error),
                    }
                }
            }
            self.settle(py, written, out)
        })
    }

    fn close_notify(&mut self, _: &mut [u8], out: &mut dyn Outgoing) -> Result<()> {
        self.progress()?;
        Python::attach(|py| {
            // Having said it, OpenSSL looks for the peer's, which nobody waits for.
            let said = self.waits(py, self.object.call_method0(py, intern!(py, "unwrap"))).map(|_| ());
            self.settle(py, said, out)
        })
    }

    fn info(&self) -> TlsInfo {
        Python::attach(|py| {
            let object = self.object.bind(py);
            let text = |method: &str| self.text(py, method).ok().flatten();
            let cipher = object.call_method0("cipher").and_then(|cipher| cipher.get_item(0)?.extract::<String>());
            let mut info = TlsInfo::default();
            info.version = text("version").unwrap_or_default();
            info.cipher_suite = suite::iana(&cipher.unwrap_or_default());
            // Where this Python tells it.
            info.group = text("group").unwrap_or_default();
            info.alpn = text("selected_alpn_protocol");
            info.resumed = object.getattr("session_reused").and_then(|it| it.is_truthy()).unwrap_or(false);
            info.server_name.clone_from(&self.name);
            info.verified_by = if self.verified { VerifiedBy::Authorities } else { VerifiedBy::Nobody };
            info.chain = chain(object).unwrap_or_default();
            info
        })
    }
}

/// The next record, if it is complete. What cannot be one is taken as it is: OpenSSL says what is wrong with it.
fn record(wire: &[u8]) -> &[u8] {
    let Some(header) = wire.first_chunk::<HEADER>() else { return &[] };
    if is_record(header) { wire.get(..length(header)).unwrap_or_default() } else { wire }
}

/// Whether bytes begin with the header of a record.
fn is_record(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(|header| (20..=24).contains(&header[0]) && length(header) <= LONGEST)
}

fn length(header: &[u8; HEADER]) -> usize {
    HEADER + usize::from(u16::from_be_bytes([header[3], header[4]]))
}

/// The certificates that the peer showed, in DER.
fn chain(object: &Bound<'_, PyAny>) -> PyResult<Vec<Vec<u8>>> {
    let py = object.py();
    // Public since Python 3.13.
    let public = object.call_method0("get_unverified_chain").and_then(|all| all.extract::<Vec<Vec<u8>>>());
    let all = public.or_else(|_| {
        let der = py.import("_ssl")?.getattr("ENCODING_DER")?;
        let all = object.getattr("_sslobj")?.call_method0("get_unverified_chain")?;
        all.try_iter()?.map(|one| one?.call_method1("public_bytes", (&der,))?.extract()).collect()
    });
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Ok(object.call_method1("getpeercert", (true,))?.extract::<Option<Vec<u8>>>()?.into_iter().collect()),
    }
}
