//! One entry of a listing. There may be a million: it is the core's own, and what is asked of it is made when it is asked.

use std::time::SystemTime;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};
use pyo3::{IntoPyObjectExt, intern};
use starttls::ftp::{Dialect, Encoding, EntryKind, TimePrecision, Told};

use crate::value::{from_timestamp, timestamp};

/// One entry of a directory on the server.
#[pyclass(frozen, module = "starttls._native", name = "Entry")]
pub(crate) struct Entry(pub(crate) starttls::ftp::Entry);

const KINDS: [EntryKind; 4] = [EntryKind::File, EntryKind::Directory, EntryKind::Symlink, EntryKind::Other];
const PRECISIONS: [TimePrecision; 3] = [TimePrecision::Day, TimePrecision::Minute, TimePrecision::Second];

#[pymethods]
impl Entry {
    #[new]
    #[pyo3(signature = (raw_name, r#type, size=None, modified=None, permissions=None, raw_target=None, *, owner=None,
        group=None, facts=None, time_precision=None, is_time_utc=false, dialect="mlsd", encoding="utf-8",
        fallback_encoding=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments")]
    fn new(
        raw_name: &[u8],
        r#type: &str,
        size: Option<u64>,
        modified: Option<f64>,
        permissions: Option<&str>,
        raw_target: Option<&[u8]>,
        owner: Option<&str>,
        group: Option<&str>,
        facts: Option<&Bound<'_, PyDict>>,
        time_precision: Option<&str>,
        is_time_utc: bool,
        dialect: &str,
        encoding: &str,
        fallback_encoding: Option<&str>,
    ) -> PyResult<Self> {
        let wrong = |what: &str, value: &str| PyValueError::new_err(format!("{value:?} is no {what}"));
        let kind = KINDS.into_iter().find(|kind| kind.as_str() == r#type);
        let facts: Vec<(String, String)> = facts.map_or(Ok(Vec::new()), |facts| {
            facts.iter().map(|(name, value)| Ok((name.extract()?, value.extract()?))).collect::<PyResult<_>>()
        })?;
        let facts: Vec<_> = facts.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let precision = PRECISIONS.into_iter().find(|precision| Some(precision.as_str()) == time_precision);
        let told = Told {
            size,
            modified: modified.and_then(from_timestamp),
            precision: precision.or(modified.map(|_| TimePrecision::Second)),
            is_utc: is_time_utc,
            target: raw_target.unwrap_or_default(),
            permissions: permissions.unwrap_or_default().as_bytes(),
            owner: owner.unwrap_or_default().as_bytes(),
            group: group.unwrap_or_default().as_bytes(),
            facts: &facts,
            dialect: Dialect::named(dialect).ok_or_else(|| wrong("dialect", dialect))?,
        };
        let kind = kind.ok_or_else(|| wrong("type of entry", r#type))?;
        let made = starttls::ftp::Entry::assemble(raw_name, kind, told, chosen(encoding, fallback_encoding)?);
        made.map(Self)
            .ok_or_else(|| PyValueError::new_err("an entry has a name, and facts have no spaces or semicolons"))
    }

    /// The name as the server sent it.
    #[getter]
    fn raw_name<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.raw_name())
    }

    /// The name as text.
    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        decode(py, self.0.encoding(), self.0.raw_name())
    }

    /// What it is.
    #[getter]
    fn r#type<'py>(&self, py: Python<'py>) -> &Bound<'py, PyString> {
        match self.0.kind {
            EntryKind::File => intern!(py, "file"),
            EntryKind::Directory => intern!(py, "directory"),
            EntryKind::Symlink => intern!(py, "symlink"),
            EntryKind::Other => intern!(py, "other"),
        }
    }

    /// Size in bytes, if told.
    #[getter]
    fn size(&self) -> Option<u64> {
        self.0.size
    }

    /// When it was last modified, in UTC.
    #[getter]
    fn modified<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.modified.map(|time| datetime(py, time)).transpose()
    }

    /// How exactly that is told.
    #[getter]
    fn time_precision(&self) -> Option<&'static str> {
        self.0.time_precision().map(TimePrecision::as_str)
    }

    /// Whether that is in UTC for certain.
    #[getter]
    fn is_time_utc(&self) -> bool {
        self.0.is_time_utc()
    }

    /// The permissions as the server wrote them.
    #[getter]
    fn permissions(&self) -> Option<std::borrow::Cow<'_, str>> {
        self.0.permissions()
    }

    /// Where a symbolic link points.
    #[getter]
    fn target<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        self.0.target().map(|target| decode(py, self.0.encoding(), target)).transpose()
    }

    /// The same as the server sent it.
    #[getter]
    fn raw_target<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.target().map(|target| PyBytes::new(py, target))
    }

    /// The owner as the server names it.
    #[getter]
    fn owner(&self) -> Option<std::borrow::Cow<'_, str>> {
        self.0.owner()
    }

    /// The group as the server names it.
    #[getter]
    fn group(&self) -> Option<std::borrow::Cow<'_, str>> {
        self.0.group()
    }

    /// The permission bits of Unix.
    #[getter]
    fn mode(&self) -> Option<u32> {
        self.0.mode()
    }

    /// MLSD's `perm`.
    #[getter]
    fn perm(&self) -> Option<std::borrow::Cow<'_, str>> {
        self.0.perm()
    }

    /// MLSD's `unique`.
    #[getter]
    fn unique(&self) -> Option<std::borrow::Cow<'_, str>> {
        self.0.unique()
    }

    /// MLSD's `create`.
    #[getter]
    fn created<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.created().map(|time| datetime(py, time)).transpose()
    }

    /// MLSD's `media-type`.
    #[getter]
    fn media_type(&self) -> Option<std::borrow::Cow<'_, str>> {
        self.0.media_type()
    }

    /// MLSD's `charset`.
    #[getter]
    fn charset(&self) -> Option<std::borrow::Cow<'_, str>> {
        self.0.charset()
    }

    /// MLSD's `lang`.
    #[getter]
    fn lang(&self) -> Option<std::borrow::Cow<'_, str>> {
        self.0.lang()
    }

    /// All facts, by their names in lower case.
    #[getter]
    fn facts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let facts = PyDict::new(py);
        for (name, value) in self.0.facts() {
            facts.set_item(name.to_ascii_lowercase(), value)?;
        }
        Ok(facts)
    }

    /// The form of the listing it came in.
    #[getter]
    fn dialect(&self) -> &'static str {
        self.0.dialect().as_str()
    }

    /// Whether it is a file.
    fn is_file(&self) -> bool {
        self.0.kind == EntryKind::File
    }

    /// Whether it is a directory.
    fn is_dir(&self) -> bool {
        self.0.kind == EntryKind::Directory
    }

    /// Whether it is a symbolic link.
    fn is_symlink(&self) -> bool {
        self.0.kind == EntryKind::Symlink
    }

    /// Whether the name can be one of a local file.
    fn is_safe_name(&self) -> bool {
        self.0.is_safe_name()
    }

    /// As dictionaries, strings, numbers and `None`.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let all = PyDict::new(py);
        let moment = |time: Option<SystemTime>| {
            let time = time.map(|time| datetime(py, time)).transpose()?;
            time.map(|time| time.call_method0(intern!(py, "isoformat"))).transpose()
        };
        all.set_item("name", self.name(py)?)?;
        all.set_item("raw_name", self.raw_name(py).call_method0(intern!(py, "hex"))?)?;
        all.set_item("type", self.r#type(py))?;
        all.set_item("size", self.size())?;
        all.set_item("modified", moment(self.0.modified)?)?;
        all.set_item("time_precision", self.time_precision())?;
        all.set_item("permissions", self.permissions())?;
        all.set_item("target", self.target(py)?)?;
        all.set_item("owner", self.owner())?;
        all.set_item("group", self.group())?;
        all.set_item("mode", self.mode())?;
        all.set_item("unique", self.unique())?;
        all.set_item("created", moment(self.0.created())?)?;
        all.set_item("facts", self.facts(py)?)?;
        Ok(all)
    }

    /// `to_dict` as JSON, in one line.
    fn to_json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("json")?.call_method1("dumps", (self.to_dict(py)?,))
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        match other.cast::<Self>() {
            Ok(other) => {
                let (ours, theirs) = (self.state(py)?, other.get().state(py)?);
                ours.eq(theirs)?.into_py_any(py)
            }
            Err(_) => Ok(py.NotImplemented()),
        }
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        (self.raw_name(py), self.r#type(py), self.size()).into_pyobject(py)?.hash()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let name: String = py.import("builtins")?.call_method1("ascii", (self.name(py)?,))?.extract()?;
        let size = self.0.size.map_or("None".into(), |size| size.to_string());
        let modified: String = match self.modified(py)? {
            Some(time) => time.call_method0(intern!(py, "isoformat"))?.extract()?,
            None => "None".into(),
        };
        Ok(format!("<Entry {name} type={} size={size} modified={modified}>", self.0.kind.as_str()))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let class = py.get_type::<Self>().getattr("_restored")?;
        Ok((class, self.state(py)?))
    }

    #[staticmethod]
    #[pyo3(signature = (plain, named, /))]
    fn _restored<'py>(
        py: Python<'py>,
        plain: Bound<'py, PyTuple>,
        named: Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyAny>> {
        py.get_type::<Self>().call(plain, Some(&named))
    }
}

impl Entry {
    /// The arguments that make an equal one.
    fn state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let it = &self.0;
        let modified = it.modified.map(timestamp);
        let plain = (self.raw_name(py), self.r#type(py), it.size, modified, it.permissions(), self.raw_target(py));
        let named = PyDict::new(py);
        named.set_item("owner", it.owner())?;
        named.set_item("group", it.group())?;
        named.set_item("facts", self.facts(py)?)?;
        named.set_item("time_precision", self.time_precision())?;
        named.set_item("is_time_utc", it.is_time_utc())?;
        named.set_item("dialect", self.dialect())?;
        named.set_item("encoding", it.encoding().name())?;
        named.set_item("fallback_encoding", it.encoding().fallback_name())?;
        (plain.into_pyobject(py)?, named).into_pyobject(py)
    }
}

/// A name as text: in its encoding, else in the fall-back, else with surrogate escapes in UTF-8, which lose nothing.
pub(crate) fn decode<'py>(py: Python<'py>, encoding: Encoding, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    match encoding.decode_exactly(bytes) {
        Some(text) => Ok(PyString::new(py, &text)),
        None => {
            let bytes = PyBytes::new(py, bytes);
            let text = bytes.call_method1(intern!(py, "decode"), ("utf-8", "surrogateescape"))?;
            Ok(text.cast_into::<PyString>()?)
        }
    }
}

/// The encoding of these names.
pub(crate) fn chosen(label: &str, fallback: Option<&str>) -> PyResult<Encoding> {
    let wrong = |error: starttls::Error| PyValueError::new_err(error.to_string());
    let encoding = Encoding::for_label(label).map_err(wrong)?;
    fallback.map_or(Ok(encoding), |label| encoding.with_fallback(label).map_err(wrong))
}

fn datetime(py: Python<'_>, time: SystemTime) -> PyResult<Bound<'_, PyAny>> {
    let module = py.import(intern!(py, "datetime"))?;
    let utc = module.getattr(intern!(py, "UTC"))?;
    module.getattr(intern!(py, "datetime"))?.call_method1(intern!(py, "fromtimestamp"), (timestamp(time), utc))
}
