//! A message as Python has it: its header is looked through, the rest flows by.

use std::io;
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyIterator, PyString};
use starttls::smtp::dkim::Signer;
use starttls::smtp::{self, Body, BodyKind, Envelope, Header, Mailbox};

use crate::body::{Pulse, Source};
use crate::error::{self, Failure, Hint};
use crate::wishes::Wishes;

/// Who sends it to whom: as given, else as the header says.
pub(crate) struct Addressing {
    sender: Option<String>,
    recipients: Option<Vec<String>>,
    /// Says it in place of the message's own.
    header: Option<PyBackedBytes>,
    wishes: Option<Wishes>,
    /// Whether the wishes are for other messages, too, and may name recipients that this one does not have.
    shared: bool,
}

impl Addressing {
    /// Recipients are one address or an iterable of addresses.
    pub(crate) fn new(
        sender: Option<String>,
        recipients: Option<&Bound<'_, PyAny>>,
        header: Option<PyBackedBytes>,
    ) -> PyResult<Self> {
        let recipients = recipients.map(|given| match given.cast::<PyString>() {
            Ok(one) => Ok(vec![one.extract()?]),
            Err(_) => PyIterator::from_object(given)?.map(|address| address?.extract()).collect::<PyResult<_>>(),
        });
        Ok(Self { sender, recipients: recipients.transpose()?, header, wishes: None, shared: false })
    }

    /// What is asked for beside.
    pub(crate) fn with_wishes(self, wishes: Option<Wishes>) -> Self {
        Self { wishes, ..self }
    }

    /// What is asked for beside, of this message and others.
    pub(crate) fn with_shared_wishes(self, wishes: Option<Wishes>) -> Self {
        Self { wishes, shared: true, ..self }
    }

    /// Says in the envelope what is asked for beside.
    fn ask(&self, envelope: &mut Envelope) -> PyResult<()> {
        let Some(wishes) = &self.wishes else { return Ok(()) };
        if let Some(address) = wishes.0.astray(envelope).filter(|_| !self.shared) {
            let why = format!("something is asked for {address}, who is no recipient");
            return Err(Python::attach(|py| error::argument(py, &why)));
        }
        wishes.0.ask(envelope);
        Ok(())
    }

    /// The envelope of a message with this header.
    pub(crate) fn envelope(&self, header: Header<'_>) -> starttls::Result<Envelope> {
        let says = self.header.as_ref().map_or(Ok(header), |header| Header::of(header))?;
        let mut envelope = says.envelope_unless(self.sender.as_deref(), self.recipients.as_deref())?;
        envelope.utf8 = header.needs_utf8();
        Ok(envelope)
    }
}

/// A message whose header is known.
pub(crate) struct Message {
    pub(crate) envelope: Envelope,
    /// What is to go out in place of what was taken from `rest`.
    head: Vec<u8>,
    head_is_next: bool,
    rest: Source,
    /// Where `rest` begins.
    start: u64,
    progress: Option<Pulse>,
}

impl Message {
    /// Signs it, if somebody does, looks through the header, and at the rest if it is at hand.
    pub(crate) fn open(mut rest: Source, addressing: &Addressing, signer: Option<&Signer>) -> Result<Self, Failure> {
        let signature = signer.map(|signer| rest.sign(signer)).transpose()?;
        let (mut envelope, mut head);
        if let Source::Bytes { all, at } = &mut rest {
            let header = Header::of(all)?;
            let shown = header.shown();
            let taken = header.as_bytes().len();
            envelope = addressing.envelope(header)?;
            // Mostly there is nothing to leave out, and nothing to copy.
            (head, *at) = if shown.len() == taken { (Vec::new(), 0) } else { (shown.into_owned(), taken) };
            envelope.body = BodyKind::of_text(!(head.is_ascii() && all[*at..].is_ascii()));
        } else {
            let mut reader = smtp::HeaderReader::new();
            let mut behind = Vec::new();
            while let Some(piece) = rest.next()? {
                if let Some(end) = reader.push(piece)? {
                    behind.extend_from_slice(&piece[end..]);
                    break;
                }
            }
            envelope = addressing.envelope(reader.header())?;
            head = [&*reader.header().shown(), &behind].concat();
            // What is not at hand may have any bytes.
            envelope.body = BodyKind::EightBit;
        }
        addressing.ask(&mut envelope).map_err(Failure::Python)?;
        if let Some(signature) = signature {
            head.splice(..0, signature);
        }
        envelope.size = rest.remaining().map(|behind| behind + head.len() as u64);
        let start = rest.position();
        Ok(Self { envelope, head, head_is_next: true, rest, start, progress: None })
    }
}

impl Message {
    /// Tells how much of it was taken.
    pub(crate) fn watched_by(mut self, mut progress: Pulse) -> Self {
        progress.expect(self.envelope.size);
        self.progress = Some(progress).filter(Pulse::is_wanted);
        self
    }

    fn step(&mut self) -> Result<Option<&[u8]>, Failure> {
        let piece = if std::mem::take(&mut self.head_is_next) && !self.head.is_empty() {
            Some(&*self.head)
        } else {
            self.rest.next()?
        };
        if let Some(progress) = &mut self.progress {
            match piece {
                Some(piece) => progress.advance(piece.len())?,
                None => progress.tell()?,
            }
        }
        Ok(piece)
    }
}

impl Body for Message {
    fn size(&self) -> Option<u64> {
        self.envelope.size
    }

    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.step().map_err(Failure::into_io)
    }

    fn rewind(&mut self) -> io::Result<bool> {
        self.head_is_next = true;
        self.rest.rewind(self.start)
    }

    fn whole(&self) -> Option<&[u8]> {
        match &self.rest {
            Source::Bytes { all, .. } if self.head.is_empty() && self.progress.is_none() => {
                usize::try_from(self.start).ok().and_then(|start| all.get(start..))
            }
            _ => None,
        }
    }
}

/// Gathers the header of a message that comes in pieces.
#[pyclass(frozen, module = "starttls._native")]
#[derive(Default)]
pub(crate) struct HeaderReader(Mutex<smtp::HeaderReader>);

#[pymethods]
impl HeaderReader {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece. Gives how many of its bytes belong to the header, once that is whole.
    fn push(&self, py: Python<'_>, piece: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        let Ok(piece) = piece.extract::<PyBackedBytes>() else {
            let kind = piece.get_type().qualname()?;
            return Err(PyTypeError::new_err(format!("content comes as bytes, not {kind}")));
        };
        let mut reader = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reader.push(&piece).map_err(|why| error::core(py, &why, Hint::None))
    }
}

impl HeaderReader {
    /// The envelope, and the header as it goes out.
    pub(crate) fn read(&self, py: Python<'_>, addressing: &Addressing) -> PyResult<(Envelope, Vec<u8>)> {
        let reader = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let envelope = addressing.envelope(reader.header());
        let mut envelope = envelope.map_err(|why| error::core(py, &why, Hint::None))?;
        // What is still to come may have any bytes.
        envelope.body = BodyKind::EightBit;
        addressing.ask(&mut envelope)?;
        Ok((envelope, reader.header().shown().into_owned()))
    }
}

/// What the header of a message says: sender, recipients, and whether it needs SMTPUTF8.
#[pyfunction]
pub(crate) fn envelope_of(py: Python<'_>, message: &[u8]) -> PyResult<(String, Vec<String>, bool)> {
    let read = || {
        let header = Header::of(message)?;
        let recipients = header.recipients()?.iter().map(Mailbox::to_string).collect();
        Ok((header.sender()?.to_string(), recipients, header.needs_utf8()))
    };
    read().map_err(|why: starttls::Error| error::core(py, &why, Hint::None))
}

/// An address with its domain as A-labels.
#[pyfunction]
pub(crate) fn with_ascii_domain(py: Python<'_>, address: &str) -> PyResult<String> {
    let mailbox = address.parse::<Mailbox>().and_then(|mailbox| mailbox.with_ascii_domain());
    mailbox.map(|mailbox| mailbox.to_string()).map_err(|why| error::core(py, &why, Hint::None))
}
