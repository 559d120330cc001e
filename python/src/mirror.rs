//! Mirrors: what is asked for, and the stories of files.

use std::io;
use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use starttls::ftp::mirror::{Compare, FileReport, Filter, Mirror, MirrorReport, Symlinks};
use starttls::ftp::{Client, Direction};
use starttls::transport::Transport;

use crate::error::{self, Failure, Hint};
use crate::value::Value;

/// A mirror, and who is told of each file.
pub(crate) struct Mirroring {
    mirror: Mirror,
    on_file: Option<Py<PyAny>>,
}

/// A mirror that is done, and the stories of files that nobody was told.
pub(crate) struct Mirrored {
    report: MirrorReport,
    files: Vec<FileReport>,
}

impl Mirroring {
    #[expect(clippy::too_many_arguments, reason = "keyword arguments")]
    pub(crate) fn new(
        py: Python<'_>,
        remote: &[u8],
        local: PathBuf,
        upload: bool,
        rules: Vec<(bool, String)>,
        compare: &str,
        symlinks: &str,
        (delete, max_delete, dry_run): (bool, Option<u64>, bool),
        parallel: usize,
        (in_place, keep_times): (bool, bool),
        on_file: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let base = if upload { Mirror::upload(local, remote) } else { Mirror::download(remote, local) };
        let filter = rules.iter().try_fold(Filter::new(), |filter, (include, pattern)| {
            if *include { filter.include(pattern) } else { filter.exclude(pattern) }
        });
        let compare = Compare::ALL.into_iter().find(|it| it.as_str() == compare);
        let symlinks = Symlinks::ALL.into_iter().find(|it| it.as_str() == symlinks);
        let (Some(compare), Some(symlinks)) = (compare, symlinks) else {
            let why =
                "compare is 'size+time', 'size', 'newer', 'hash' or 'always'; symlinks 'skip', 'follow' or 'copy'";
            return Err(error::argument(py, why));
        };
        let mirror = Mirror {
            filter: filter.map_err(|why| error::core(py, &why, Hint::None))?,
            compare,
            symlinks,
            delete,
            max_delete,
            dry_run,
            parallel,
            in_place,
            keep_times,
            ..base
        };
        Ok(Self { mirror, on_file })
    }

    /// What the server must have, or must make.
    pub(crate) fn hint(&self) -> Hint {
        if self.mirror.direction == Direction::Down { Hint::Existing } else { Hint::New }
    }

    pub(crate) async fn perform<T: Transport + Clone + 'static>(
        self,
        client: &mut Client<T>,
    ) -> Result<Value, Failure> {
        let Self { mirror, on_file } = self;
        let mut files = Vec::new();
        let mut tell = |story: FileReport| {
            let Some(on_file) = &on_file else {
                files.push(story);
                return Ok(());
            };
            Python::attach(|py| on_file.call1(py, (file(py, &story)?,)).map(drop)).map_err(io::Error::other)
        };
        let report = client.mirror(&mirror, &mut tell).await?;
        Ok(Value::Mirrored(Box::new(Mirrored { report, files })))
    }
}

impl Mirrored {
    pub(crate) fn into_python(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        let Self { report, files } = self;
        let files = PyTuple::new(py, files.iter().map(|it| file(py, it)).collect::<PyResult<Vec<_>>>()?)?;
        let MirrorReport { created, updated, deleted, unchanged, skipped, failed, bytes, sessions, .. } = report;
        let counts = (created, updated, deleted, unchanged, skipped, failed, bytes, sessions);
        let rest = (report.deletions_refused, report.dry_run, files);
        let all = counts.into_pyobject(py)?.add(rest.into_pyobject(py)?)?;
        module(py)?.getattr("MirrorReport")?.call1(all.cast_into::<PyTuple>()?)
    }
}

fn module(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import("starttls._mirror")
}

fn file<'py>(py: Python<'py>, it: &FileReport) -> PyResult<Bound<'py, PyAny>> {
    let error = it.error.as_ref().map(|why| error::core(py, why, Hint::Existing).into_value(py));
    let story = (PyBytes::new(py, &it.path), it.kind.as_str(), it.action.as_str(), it.size, it.reason, error);
    module(py)?.getattr("FileReport")?.call1(story)
}
