//! Content: where it comes from and goes to, never held whole, and what happens beside its flow.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyIterator};
use starttls::smtp::dkim::Signer;

use crate::error::{self, Failure};

/// How much is taken of a source at once.
const PIECE: usize = 256 * 1024;

/// How often progress is told and signals are looked at while bytes flow.
const BEAT: Duration = Duration::from_millis(100);

/// Where content comes from.
pub(crate) enum Source {
    /// From memory, without a copy.
    Bytes { all: PyBackedBytes, at: usize },
    /// From a file, read without the interpreter.
    File { file: File, piece: Vec<u8> },
    /// From an iterator of bytes.
    Iterator { iterator: Py<PyIterator>, piece: Option<PyBackedBytes>, used: usize },
}

impl Source {
    /// `bytes`, a path, or an iterable of bytes. A file is opened now, so that one that cannot be read is an error before
    /// anything is sent.
    pub(crate) fn new(from: &Bound<'_, PyAny>, offset: u64) -> PyResult<Self> {
        if let Ok(bytes) = from.cast::<PyBytes>() {
            let at = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.as_bytes().len());
            return Ok(Self::Bytes { all: bytes.clone().into(), at });
        }
        if let Ok(path) = from.extract::<PathBuf>() {
            let opened = File::open(&path).and_then(|mut file| {
                if file.metadata()?.is_dir() {
                    return Err(std::io::ErrorKind::IsADirectory.into());
                }
                std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(offset))?;
                Ok(file)
            });
            let file = opened.map_err(|why| error::local(from.py(), &why, Some(&path)))?;
            return Ok(Self::File { file, piece: Vec::new() });
        }
        Ok(Self::Iterator { iterator: from.try_iter()?.unbind(), piece: None, used: 0 })
    }

    /// How many bytes are still to come, where it is known.
    pub(crate) fn remaining(&self) -> Option<u64> {
        match self {
            Self::Bytes { all, at } => Some((all.len() - at) as u64),
            Self::File { file, .. } => {
                let at = std::io::Seek::stream_position(&mut &*file).ok()?;
                let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
                Some(metadata.len().saturating_sub(at))
            }
            Self::Iterator { .. } => None,
        }
    }

    /// Signs what is still to come: a file is read twice, and what comes in pieces is gathered first.
    pub(crate) fn sign(&mut self, signer: &Signer) -> Result<Vec<u8>, Failure> {
        let mut signing = signer.begin();
        match self {
            Self::Bytes { all, at } => signing.push(&all[*at..])?,
            Self::File { file, .. } if file.metadata().is_ok_and(|metadata| metadata.is_file()) => {
                let start = file.stream_position().map_err(Failure::Local)?;
                while let Some(piece) = self.next()? {
                    signing.push(piece)?;
                }
                if let Self::File { file, .. } = self {
                    file.seek(SeekFrom::Start(start)).map_err(Failure::Local)?;
                }
            }
            _ => {
                let mut gathered = Vec::new();
                while let Some(piece) = self.next()? {
                    gathered.extend_from_slice(piece);
                }
                signing.push(&gathered)?;
                let all = Python::attach(|py| PyBytes::new(py, &gathered).into());
                *self = Self::Bytes { all, at: 0 };
            }
        }
        Ok(signing.finish(SystemTime::now())?)
    }

    /// Where it stands now, for `rewind`.
    pub(crate) fn position(&self) -> u64 {
        match self {
            Self::Bytes { at, .. } => *at as u64,
            Self::File { file, .. } => std::io::Seek::stream_position(&mut &*file).unwrap_or_default(),
            Self::Iterator { .. } => 0,
        }
    }

    /// Goes back to where it stood. False: it can be had only once.
    pub(crate) fn rewind(&mut self, position: u64) -> std::io::Result<bool> {
        match self {
            Self::Bytes { at, .. } => *at = usize::try_from(position).unwrap_or(usize::MAX),
            Self::File { file, .. } => drop(std::io::Seek::seek(file, std::io::SeekFrom::Start(position))?),
            Self::Iterator { .. } => return Ok(false),
        }
        Ok(true)
    }

    /// The next piece; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        match self {
            Self::Bytes { all, at } => {
                let from = *at;
                *at = all.len().min(from + PIECE);
                Ok(Some(&all[from..*at]).filter(|piece| !piece.is_empty()))
            }
            Self::File { file, piece } => {
                piece.resize(PIECE, 0);
                loop {
                    match file.read(piece) {
                        Ok(0) => return Ok(None),
                        Ok(n) => return Ok(Some(&piece[..n])),
                        Err(why) if why.kind() == std::io::ErrorKind::Interrupted => {}
                        Err(why) => return Err(Failure::Local(why)),
                    }
                }
            }
            Self::Iterator { iterator, piece, .. } => {
                *piece = Python::attach(|py| next_bytes(iterator.bind(py))).map_err(Failure::Python)?;
                Ok(piece.as_deref())
            }
        }
    }
}

/// The iterator's next bytes; empty ones are passed over.
fn next_bytes(iterator: &Bound<'_, PyIterator>) -> PyResult<Option<PyBackedBytes>> {
    let mut iterator = iterator.clone();
    loop {
        let Some(piece) = iterator.next().transpose()? else { return Ok(None) };
        let piece: PyBackedBytes = match piece.extract() {
            Ok(piece) => piece,
            Err(_) => {
                let kind = piece.get_type().qualname()?;
                return Err(PyTypeError::new_err(format!("content comes as bytes, not {kind}")));
            }
        };
        if !piece.is_empty() {
            return Ok(Some(piece));
        }
    }
}

/// A callable that takes bytes, as a writer.
pub(crate) struct Writer(pub(crate) Py<PyAny>);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = Python::attach(|py| {
            // Raw files may take less than they are given; others say how much, or nothing.
            let taken = self.0.bind(py).call1((PyBytes::new(py, bytes),))?.extract::<usize>();
            Ok::<_, PyErr>(taken.unwrap_or(bytes.len()).min(bytes.len()))
        });
        taken.map_err(std::io::Error::other)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Who is told how far a transfer is.
pub(crate) struct Told(pub(crate) Option<Py<PyAny>>);

impl Told {
    pub(crate) fn tell(&self, done: u64, total: Option<u64>) -> std::io::Result<()> {
        let Some(progress) = &self.0 else { return Ok(()) };
        let told = Python::attach(|py| progress.call1(py, (done, total)).map(drop));
        told.map_err(std::io::Error::other)
    }
}

impl starttls::ftp::Source for Source {
    fn read_some(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Bytes { all, at } => {
                let count = into.len().min(all.len() - *at);
                into[..count].copy_from_slice(&all[*at..*at + count]);
                *at += count;
                Ok(count)
            }
            Self::File { file, .. } => file.read(into),
            Self::Iterator { iterator, piece, used } => {
                if piece.as_ref().is_none_or(|piece| piece.len() == *used) {
                    *piece = Python::attach(|py| next_bytes(iterator.bind(py))).map_err(std::io::Error::other)?;
                    *used = 0;
                }
                let Some(piece) = piece else { return Ok(0) };
                let count = into.len().min(piece.len() - *used);
                into[..count].copy_from_slice(&piece[*used..*used + count]);
                *used += count;
                Ok(count)
            }
        }
    }

    fn seek_to(&mut self, offset: u64) -> std::io::Result<bool> {
        match self {
            Self::Bytes { all, at } => *at = usize::try_from(offset).unwrap_or(usize::MAX).min(all.len()),
            Self::File { file, .. } => return file.seek_to(offset),
            Self::Iterator { .. } => return Ok(false),
        }
        Ok(true)
    }

    fn length(&self) -> Option<u64> {
        match self {
            Self::Bytes { all, .. } => Some(all.len() as u64),
            Self::File { file, .. } => file.length(),
            Self::Iterator { .. } => None,
        }
    }
}

/// What happens beside the flow: progress is told, and Python's signal handlers run.
pub(crate) struct Pulse {
    progress: Option<Py<PyAny>>,
    done: u64,
    total: Option<u64>,
    last: Instant,
}

impl Pulse {
    pub(crate) fn new(progress: Option<Py<PyAny>>, done: u64, total: Option<u64>) -> Self {
        Self { progress, done, total, last: Instant::now() }
    }

    /// Whether anybody asked for it.
    pub(crate) fn is_wanted(&self) -> bool {
        self.progress.is_some()
    }

    /// How many there will be, if that is known now.
    pub(crate) fn expect(&mut self, total: Option<u64>) {
        self.total = total;
    }

    /// So many more bytes went by.
    pub(crate) fn advance(&mut self, bytes: usize) -> Result<(), Failure> {
        self.done += bytes as u64;
        if self.last.elapsed() < BEAT {
            return Ok(());
        }
        self.last = Instant::now();
        Python::attach(|py| py.check_signals()).map_err(Failure::Abandoned)?;
        self.tell()
    }

    /// All of them did.
    pub(crate) fn tell(&self) -> Result<(), Failure> {
        let Some(progress) = &self.progress else { return Ok(()) };
        Python::attach(|py| progress.call1(py, (self.done, self.total))).map(drop).map_err(Failure::Python)
    }
}
