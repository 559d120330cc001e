//! Many messages, one after another: what Python gives in batches, and what becomes of each.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList, PyTuple};
use starttls::smtp::dkim::Signer;
use starttls::smtp::{Client, DeliveryReport};
use starttls::transport::Transport;

use crate::body::{Pulse, Source};
use crate::error::Failure;
use crate::message::{Addressing, Message};

/// A message to send, or why it is none.
pub(crate) enum Letter {
    Ready { message: Source, addressing: Addressing },
    Failed(PyErr),
}

impl Letter {
    /// Bytes are taken as they are; `prepare` makes everything else into a message, its sender, its recipients, and a
    /// header to take those from that are not given.
    fn new(item: &Bound<'_, PyAny>, prepare: &Bound<'_, PyAny>) -> Self {
        Self::read(item, prepare).unwrap_or_else(Self::Failed)
    }

    fn read(item: &Bound<'_, PyAny>, prepare: &Bound<'_, PyAny>) -> PyResult<Self> {
        if item.is_exact_instance_of::<PyBytes>() {
            let addressing = Addressing::new(None, None, None)?;
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
        let addressing = Addressing::new(sender, recipients.as_ref(), header)?;
        Ok(Self::Ready { message: Source::new(&message, 0)?, addressing })
    }

    pub(crate) fn batch(items: &Bound<'_, PyList>, prepare: &Bound<'_, PyAny>) -> Vec<Self> {
        items.iter().map(|item| Self::new(&item, prepare)).collect()
    }
}

/// What became of messages, in their order.
pub(crate) struct Reports {
    pub(crate) all: Vec<Result<DeliveryReport, Failure>>,
    /// Whether the session can send more.
    pub(crate) alive: bool,
}

/// Sends a batch.
pub(crate) async fn submit<T: Transport + Clone + 'static>(
    client: &mut Client<T>,
    batch: Vec<Letter>,
    signer: Option<&Signer>,
) -> Result<Reports, Failure> {
    let mut reports = Reports { all: Vec::with_capacity(batch.len()), alive: true };
    for letter in batch {
        let (outcome, alive) = send(client, letter, signer).await;
        match outcome {
            // A signal's exception is about the call, not about the message.
            Err(failure) if failure.is_fatal() => return Err(failure),
            outcome => reports.all.push(outcome),
        }
        reports.alive &= alive && !client.is_closed();
    }
    Ok(reports)
}

async fn send<T: Transport + Clone + 'static>(
    client: &mut Client<T>,
    letter: Letter,
    signer: Option<&Signer>,
) -> (Result<DeliveryReport, Failure>, bool) {
    let opened = match letter {
        Letter::Ready { message, addressing } => Message::open(message, &addressing, signer),
        Letter::Failed(error) => Err(Failure::Python(error)),
    };
    let message = match opened {
        Ok(message) => message,
        Err(failure) => return (Err(failure), true),
    };
    if let Err(error) = client.begin(&message.envelope).await {
        return (Err(error.into()), true);
    }
    // Without its end a message is none: if the body cannot be had, the session must go.
    if let Err(failure) = message.stream(client, Pulse::new(None, 0, None)).await {
        return (Err(failure), false);
    }
    (client.finish().await.map_err(Failure::from), true)
}
