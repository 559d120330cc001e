//! What is asked for beside sender and recipients, from Python's arguments.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pyo3::prelude::*;
use starttls::smtp::{
    BodyKind, DeliverBy, ForRecipients, Hold, LateAction, LineEnds, NotOffered, Parameter, RecipientPolicy, Return,
    SendOptions, Submitter,
};

use crate::error::{self, Hint};

/// A keyword and its value, if it has one.
type Named = (String, Option<String>);

/// What is asked of a server for a message.
#[pyclass(frozen, from_py_object, module = "starttls._native")]
#[derive(Clone, Default)]
pub(crate) struct Wishes(pub(crate) Arc<SendOptions>);

#[pymethods]
impl Wishes {
    #[new]
    #[pyo3(signature = (*, recipient_policy, line_ends, body, dsn_return, envelope_id, notify, original_recipients,
        deliver_by, priority, hold_for, hold_until, require_tls, submitter, parameters, recipient_parameters,
        not_offered))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments")]
    fn new(
        py: Python<'_>,
        recipient_policy: &str,
        line_ends: &str,
        body: Option<&str>,
        dsn_return: Option<&str>,
        envelope_id: Option<String>,
        notify: Vec<(Option<String>, String)>,
        original_recipients: Vec<(Option<String>, String)>,
        deliver_by: Option<(i32, String, bool)>,
        priority: Option<i8>,
        hold_for: Option<f64>,
        hold_until: Option<f64>,
        require_tls: bool,
        submitter: Option<&str>,
        parameters: Vec<Named>,
        recipient_parameters: Vec<(Option<String>, Named)>,
        not_offered: &str,
    ) -> PyResult<Self> {
        let span = |seconds: f64| {
            let bad = |_| error::argument(py, "hold is a time from now on");
            Duration::try_from_secs_f64(seconds).map_err(bad)
        };
        let read = || -> starttls::Result<SendOptions> {
            let parameter = |(keyword, value): &Named| Parameter::new(keyword, value.as_deref());
            Ok(SendOptions {
                envelope_id,
                notify: for_recipients(&notify, |words| words.parse())?,
                original: for_recipients(&original_recipients, |address| address.parse())?,
                priority,
                require_tls,
                submitter: match submitter {
                    None => None,
                    Some("") => Some(Submitter::Unknown),
                    Some(address) => Some(Submitter::Mailbox(address.parse()?)),
                },
                parameters: parameters.iter().map(parameter).collect::<starttls::Result<_>>()?,
                recipient_parameters: for_recipients(&recipient_parameters, parameter)?,
                ..SendOptions::default()
            })
        };
        let asked = read().map_err(|why| error::core(py, &why, Hint::None))?;
        let bodies = [BodyKind::SevenBit, BodyKind::EightBit, BodyKind::Binary];
        let body = body.map(|body| word(py, "body", body, &["7bit", "8bit", "binary"])).transpose()?;
        let returns = [Return::Full, Return::Headers];
        let dsn_return = dsn_return.map(|it| word(py, "dsn_return", it, &["full", "headers"])).transpose()?;
        let deliver_by = match deliver_by {
            None => None,
            Some((seconds, late, trace)) => {
                let actions = [LateAction::Return, LateAction::Notify];
                let late = actions[word(py, "late", &late, &["return", "notify"])?];
                Some(DeliverBy { seconds, late, trace })
            }
        };
        let hold = match (hold_for, hold_until) {
            (Some(seconds), _) => Some(Hold::For(span(seconds)?)),
            (_, Some(timestamp)) => Some(Hold::Until(SystemTime::UNIX_EPOCH + span(timestamp)?)),
            _ => None,
        };
        let policies = [RecipientPolicy::Any, RecipientPolicy::All];
        let ends = [LineEnds::Normalise, LineEnds::Strict, LineEnds::Preserve];
        let choices = [NotOffered::Refuse, NotOffered::Drop];
        Ok(Self(Arc::new(SendOptions {
            recipient_policy: policies[word(py, "recipient_policy", recipient_policy, &["any", "all"])?],
            line_ends: ends[word(py, "line_ends", line_ends, &["normalise", "strict", "preserve"])?],
            body: body.map(|at| bodies[at]),
            dsn_return: dsn_return.map(|at| returns[at]),
            deliver_by,
            hold,
            not_offered: choices[word(py, "not_offered", not_offered, &["refuse", "drop"])?],
            ..asked
        })))
    }
}

/// Which of `words` it is.
fn word(py: Python<'_>, name: &str, word: &str, words: &[&str]) -> PyResult<usize> {
    let bad = || error::argument(py, &format!("{name} is one of {}, not {word:?}", words.join(", ")));
    words.iter().position(|known| *known == word).ok_or_else(bad)
}

fn for_recipients<G, V>(
    given: &[(Option<String>, G)],
    read: impl Fn(&G) -> starttls::Result<V>,
) -> starttls::Result<ForRecipients<V>> {
    let one = |(address, value): &(Option<String>, G)| {
        Ok((address.as_ref().map(|address| address.parse()).transpose()?, read(value)?))
    };
    given.iter().map(one).collect()
}
