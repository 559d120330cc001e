//! Many messages, one after another: what Python gives in batches, and what becomes of each.

use std::collections::VecDeque;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList, PyTuple};
use starttls::smtp::dkim::Signer;
use starttls::smtp::{Client, DeliveryReport, Pipeline};
use starttls::transport::Transport;

use crate::body::Source;
use crate::error::Failure;
use crate::message::{Addressing, Message};
use crate::wishes::Wishes;

/// A message to send, or why it is none.
pub(crate) enum Letter {
    Ready { message: Source, addressing: Addressing },
    Failed(PyErr),
}

impl Letter {
    /// Bytes are taken as they are; `prepare` makes everything else into a message, its sender, its recipients, and a
    /// header to take those from that are not given.
    fn new(item: &Bound<'_, PyAny>, prepare: &Bound<'_, PyAny>, wishes: Option<&Wishes>) -> Self {
        Self::read(item, prepare, wishes.cloned()).unwrap_or_else(Self::Failed)
    }

    fn read(item: &Bound<'_, PyAny>, prepare: &Bound<'_, PyAny>, wishes: Option<Wishes>) -> PyResult<Self> {
        if item.is_exact_instance_of::<PyBytes>() {
            let addressing = Addressing::new(None, None, None)?.with_shared_wishes(wishes);
            return Ok(Self::Ready { message: Source::new(item, 0)?, addressing });
        }
        type Prepared<'py> = (Bound<'py, PyAny>, Option<String>, Option<Bound<'py, PyAny>>, Option<PyBackedBytes>);
        let prepared = match item.cast_exact::<PyTuple>() {
            Ok(tuple) if tuple.len() == 3 && tuple.get_item(0)?.is_exact_instance_of::<PyBytes>() => {
                let (message, sender, recipients) = tuple.extract()?;
                (message, sender, recipients, None)
            }
            _ => prepare.call1((item,))?.extract::<Prepared<'_>>()?,
        };
        let (message, sender, recipients, header) = prepared;
        let addressing = Addressing::new(sender, recipients.as_ref(), header)?.with_shared_wishes(wishes);
        Ok(Self::Ready { message: Source::new(&message, 0)?, addressing })
    }

    pub(crate) fn batch(items: &Bound<'_, PyList>, prepare: &Bound<'_, PyAny>, wishes: Option<&Wishes>) -> Vec<Self> {
        items.iter().map(|item| Self::new(&item, prepare, wishes)).collect()
    }
}

/// What became of messages, in their order.
pub(crate) struct Reports {
    pub(crate) all: Vec<Result<DeliveryReport, Failure>>,
    /// Whether the session can send more.
    pub(crate) alive: bool,
}

/// A client, and the messages that are under way on it.
pub(crate) struct Mailer<T: Transport> {
    pub(crate) client: Client<T>,
    pipeline: Pipeline<Message>,
    /// One for each message that was not reported yet: `None` if it is in the pipeline, or why it is not.
    unreported: VecDeque<Option<Failure>>,
    /// Reports that came before they were asked for.
    settled: Vec<Result<DeliveryReport, Failure>>,
}

impl<T: Transport + Clone + 'static> Mailer<T> {
    pub(crate) fn new(client: Client<T>) -> Self {
        Self { client, pipeline: Pipeline::new(), unreported: VecDeque::new(), settled: Vec::new() }
    }

    /// Sends a batch; the reports are of those for which it had to wait.
    pub(crate) async fn submit(&mut self, batch: Vec<Letter>, signer: Option<&Signer>) -> Result<Reports, Failure> {
        let mut all = std::mem::take(&mut self.settled);
        for letter in batch {
            let opened = match letter {
                Letter::Ready { message, addressing } => Message::open(message, &addressing, signer),
                Letter::Failed(error) => Err(Failure::Python(error)),
            };
            let message = match opened {
                Ok(message) => message,
                Err(failure) => {
                    self.unreported.push_back(Some(failure));
                    continue;
                }
            };
            while !self.pipeline.has_room() {
                all.extend(self.next().await?);
            }
            let envelope = message.envelope.clone();
            self.pipeline.push(&mut self.client, envelope, message).await;
            self.unreported.push_back(None);
        }
        self.pipeline.flush(&mut self.client).await;
        Ok(Reports { all, alive: !self.client.is_lost() })
    }

    /// The reports of all that is under way.
    pub(crate) async fn drain(&mut self) -> Result<Reports, Failure> {
        self.settle().await?;
        Ok(Reports { all: std::mem::take(&mut self.settled), alive: !self.client.is_closed() })
    }

    /// Waits for what is under way, so that the session can do something else.
    pub(crate) async fn settle(&mut self) -> Result<(), Failure> {
        while let Some(report) = self.next().await? {
            self.settled.push(report);
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Result<DeliveryReport, Failure>>, Failure> {
        let report = match self.unreported.pop_front() {
            None => return Ok(None),
            Some(Some(failure)) => Err(failure),
            Some(None) => match self.pipeline.next(&mut self.client).await {
                None => return Ok(None),
                Some(report) => report.map_err(Failure::from),
            },
        };
        match report {
            // A signal's exception is about the call, not about the message.
            Err(failure) if failure.is_fatal() => Err(failure),
            report => Ok(Some(report)),
        }
    }
}
