//! Results become Python's: the one place where a core value is given its class.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use pyo3::{IntoPyObjectExt, intern};
use starttls::ftp::hash::Digest;
use starttls::ftp::{Diagnosis, Entry, Removal, TransferReceipt, fxp};
use starttls::reply::Reply;
use starttls::smtp::{DeliveryReport, LoginInfo};
use starttls::tls::{Certificate, ChannelBindingType, MtaStsVerdict, TlsInfo, TlsWarning, VerifiedBy};

use crate::entry;
use crate::error::{self, Failure, Hint, Interrupted};
use crate::many::Reports;
use crate::mirror::Mirrored;

/// What an operation gives.
pub(crate) enum Value {
    /// Nothing.
    None,
    /// The server's answer.
    Reply(Reply),
    /// The story of a message.
    Report(Box<DeliveryReport>),
    /// The stories of messages, and whether there can be more.
    Reports(Reports),
    /// The story of a transfer.
    Receipt(TransferReceipt),
    /// A directory.
    Entries(Vec<Entry>),
    /// A part of a directory, and how many lines of its listing nothing could be made of so far.
    Listed { entries: Vec<Entry>, unparsed: u64 },
    /// Names.
    Names(Vec<Vec<u8>>),
    /// Yes or no.
    Truth(bool),
    /// A file or directory.
    Entry(Box<Entry>),
    /// What an examination found.
    Diagnosis(Box<Diagnosis>),
    /// The story of a mirror.
    Mirrored(Box<Mirrored>),
    /// A path, or a piece of a file.
    Bytes(Vec<u8>),
    /// Of a file.
    Digest(Digest),
    /// Bytes of room, or of a file.
    Number(u64),
    /// Of a tree.
    Removal(Removal),
    /// The story of a copy from server to server.
    Copied(fxp::Receipt),
    /// The story of an upload, and the name it has on the server.
    Unique(TransferReceipt, Option<Vec<u8>>),
}

impl Value {
    pub(crate) fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(match self {
            Self::None => py.None(),
            Self::Reply(it) => reply(py, &it)?.unbind(),
            Self::Report(it) => report(py, &it, &mut None)?.unbind(),
            Self::Reports(it) => {
                let alive = it.alive;
                let mut agreed = None;
                let all = it.all.into_iter().map(|one| match one {
                    Ok(it) => report(py, &it, &mut agreed),
                    Err(why) => not_sent(py, why),
                });
                (all.collect::<PyResult<Vec<_>>>()?, alive).into_pyobject(py)?.into_any().unbind()
            }
            Self::Receipt(it) => receipt(py, &it)?.unbind(),
            Self::Entries(all) => entries(py, all)?.unbind().into_any(),
            Self::Listed { entries: all, unparsed } => {
                (entries(py, all)?, unparsed).into_pyobject(py)?.into_any().unbind()
            }
            Self::Names(all) => PyList::new(py, all.iter().map(|name| PyBytes::new(py, name)))?.into_any().unbind(),
            Self::Truth(it) => it.into_py_any(py)?,
            Self::Entry(it) => Py::new(py, entry::Entry(*it))?.into_any(),
            Self::Mirrored(it) => it.into_python(py)?.unbind(),
            Self::Diagnosis(it) => diagnosis(py, &it)?.unbind(),
            Self::Bytes(bytes) => PyBytes::new(py, &bytes).into_any().unbind(),
            Self::Number(number) => number.into_pyobject(py)?.into_any().unbind(),
            Self::Copied(it) => {
                let sum = it.digest.as_ref().map(|sum| digest(py, sum)).transpose()?;
                let (from, to) = (reply(py, &it.source)?, reply(py, &it.target)?);
                let story = (it.status.as_str(), it.size, sum, it.protected, from, to);
                class(py, intern!(py, "CopyReceipt"))?.call1(story)?.unbind()
            }
            Self::Removal(it) => {
                let left = it.left.iter().map(|left| {
                    let why = error::core(py, &left.error, Hint::Existing).into_value(py);
                    (PyBytes::new(py, &left.path), why)
                });
                let left = PyTuple::new(py, left.collect::<Vec<_>>())?;
                class(py, intern!(py, "Removal"))?.call1((it.files, it.directories, left))?.unbind()
            }
            Self::Unique(it, name) => {
                let name = name.map(|name| PyBytes::new(py, &name).unbind());
                (receipt(py, &it)?, name).into_pyobject(py)?.into_any().unbind()
            }
            Self::Digest(it) => digest(py, &it)?.unbind(),
        })
    }
}

pub(crate) fn class<'py>(py: Python<'py>, name: &Bound<'py, pyo3::types::PyString>) -> PyResult<Bound<'py, PyAny>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || py.import("starttls._results").map(Bound::unbind))?;
    module.bind(py).getattr(name)
}

pub(crate) fn reply<'py>(py: Python<'py>, it: &Reply) -> PyResult<Bound<'py, PyAny>> {
    let lines = PyTuple::new(py, it.lines().collect::<Vec<_>>())?;
    let enhanced = it.enhanced().map(|code| code.to_string());
    class(py, intern!(py, "Reply"))?.call1((it.code().number(), lines, enhanced))
}

pub(crate) fn login<'py>(py: Python<'py>, it: &LoginInfo) -> PyResult<Bound<'py, PyAny>> {
    let binding = it.binding.map(|binding| binding.as_str());
    class(py, intern!(py, "LoginInfo"))?.call1((it.mechanism.name(), binding))
}

pub(crate) fn tls<'py>(py: Python<'py>, it: &TlsInfo) -> PyResult<Bound<'py, PyAny>> {
    let chain = PyTuple::new(py, it.chain.iter().map(|der| PyBytes::new(py, der)))?;
    let policy = it.mta_sts.map(MtaStsVerdict::as_str);
    let agreed = (&it.version, &it.cipher_suite, &it.group, &it.alpn, it.resumed, &it.server_name, chain);
    let binding = it.binding.map(ChannelBindingType::as_str);
    let ocsp = it.ocsp_response.as_ref().map(|der| PyBytes::new(py, der));
    let believed = (it.verified_by.as_str(), policy, it.pinned, binding, ocsp);
    let all = agreed.into_pyobject(py)?.add(believed.into_pyobject(py)?)?;
    class(py, intern!(py, "TLSInfo"))?.call1(all.cast_into::<PyTuple>()?)
}

/// What TLS agreed on a connection, made once for the reports of all its messages.
type Agreed<'py> = Option<(*const TlsInfo, Bound<'py, PyAny>)>;

fn report<'py>(py: Python<'py>, it: &DeliveryReport, known: &mut Agreed<'py>) -> PyResult<Bound<'py, PyAny>> {
    let accepted = PyTuple::new(py, it.accepted().map(|mailbox| mailbox.as_str()).collect::<Vec<_>>())?;
    let refused = PyDict::new(py);
    for (mailbox, why) in it.refused() {
        refused.set_item(mailbox.as_str(), why.map(|why| reply(py, why)).transpose()?)?;
    }
    let last = it.reply().map(|last| reply(py, last)).transpose()?;
    let tls = match (it.tls(), &*known) {
        (None, _) => None,
        (Some(agreed), Some((same, made))) if std::ptr::eq(Arc::as_ptr(agreed), *same) => Some(made.clone()),
        (Some(agreed), _) => {
            let made = tls(py, agreed)?;
            *known = Some((Arc::as_ptr(agreed), made.clone()));
            Some(made)
        }
    };
    let error = it.error().map(|why| error::core(py, why, Hint::None).into_value(py));
    let story = (it.outcome().as_str(), accepted, refused, last, it.queue_id(), tls, error);
    class(py, intern!(py, "DeliveryReport"))?.call1(story)
}

/// The story of a message that never got as far as a verdict.
fn not_sent(py: Python<'_>, why: Failure) -> PyResult<Bound<'_, PyAny>> {
    let error = why.into_exception(py, Hint::None, &Interrupted::default()).into_value(py);
    let nothing = (py.None(), py.None(), py.None());
    let story = ("not-sent", PyTuple::empty(py), PyDict::new(py), nothing.0, nothing.1, nothing.2, error);
    class(py, intern!(py, "DeliveryReport"))?.call1(story)
}

pub(crate) fn receipt<'py>(py: Python<'py>, it: &TransferReceipt) -> PyResult<Bound<'py, PyAny>> {
    let last = reply(py, &it.reply)?;
    let story = (
        it.status.as_str(),
        it.size,
        it.offset,
        last,
        it.tls_resumed,
        it.close_notify,
        it.close_notify_sent,
        it.digest.as_ref().map(|it| digest(py, it)).transpose()?,
        it.attempts,
        it.duration.as_secs_f64(),
        it.compressed,
    );
    class(py, intern!(py, "TransferReceipt"))?.call1(story)
}

fn digest<'py>(py: Python<'py>, it: &Digest) -> PyResult<Bound<'py, PyAny>> {
    let (start, end) = (it.range.as_ref().map(|range| range.start), it.range.as_ref().map(|range| range.end));
    class(py, intern!(py, "Digest"))?.call1((it.algorithm.name(), PyBytes::new(py, &it.value), start, end))
}

fn entries(py: Python<'_>, all: Vec<Entry>) -> PyResult<Bound<'_, PyList>> {
    PyList::new(py, all.into_iter().map(|it| Bound::new(py, entry::Entry(it))).collect::<PyResult<Vec<_>>>()?)
}

fn diagnosis<'py>(py: Python<'py>, it: &Diagnosis) -> PyResult<Bound<'py, PyAny>> {
    let module = py.import(intern!(py, "starttls._diagnosis"))?;
    let class = module.getattr(intern!(py, "Finding"))?;
    let found = it
        .findings
        .iter()
        .map(|one| class.call1((one.topic.as_str(), one.state.as_str(), &one.seen, &one.cause, &one.remedy)));
    let found = PyTuple::new(py, found.collect::<PyResult<Vec<_>>>()?)?;
    let agreed = it.tls.as_ref().map(|agreed| tls(py, agreed)).transpose()?;
    let greeting = it.greeting.as_ref().map(|greeting| reply(py, greeting)).transpose()?;
    let error = it.error.as_ref().map(|why| error::core(py, why, Hint::None).into_value(py));
    module.getattr(intern!(py, "Diagnosis"))?.call1((found, greeting, agreed, error))
}

/// So many seconds after 1970, if that is a time.
pub(crate) fn from_timestamp(seconds: f64) -> Option<SystemTime> {
    let distance = Duration::try_from_secs_f64(seconds.abs()).ok()?;
    if seconds < 0.0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}

pub(crate) fn timestamp(time: SystemTime) -> f64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}

/// A certificate in DER, for people; `None` if it cannot be read.
#[pyfunction]
pub(crate) fn read_certificate<'py>(py: Python<'py>, der: &[u8]) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Ok(it) = Certificate::from_der(der) else { return Ok(None) };
    let key = PyBytes::new(py, &it.public_key_sha256);
    let (from, until) = (timestamp(it.not_before), timestamp(it.not_after));
    let read = (it.subject, it.issuer, PyTuple::new(py, it.names)?, from, until, it.serial, key);
    class(py, intern!(py, "Certificate"))?.call1(read).map(Some)
}

/// What somebody should look at, as of now, in what TLS agreed on.
#[pyfunction]
#[pyo3(signature = (chain, verified_by, mta_sts))]
pub(crate) fn tls_warnings(chain: Vec<Vec<u8>>, verified_by: &str, mta_sts: Option<&str>) -> Vec<&'static str> {
    let mut agreed = TlsInfo::default();
    agreed.chain = chain;
    agreed.verified_by = VerifiedBy::ALL.into_iter().find(|whose| whose.as_str() == verified_by).unwrap_or_default();
    agreed.mta_sts = [MtaStsVerdict::Violated].into_iter().find(|verdict| Some(verdict.as_str()) == mta_sts);
    agreed.warnings(SystemTime::now()).iter().map(TlsWarning::as_str).collect()
}
