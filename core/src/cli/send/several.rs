//! Several messages in one session, or in as few as the server allows, with several of them in flight.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::slice::Iter;

use serde_json::{Value, json};
use starttls::smtp::{Client, DeliveryReport, Pipeline, SendOptions, Settings};
use starttls::transport::Transport;

use super::message::Message;
use super::{Send, exit, notes};
use crate::common::{Common, Target};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Report;
use crate::view;

/// What became of the message in a file.
pub(super) type Story<'f> = (&'f Path, Result<DeliveryReport, Failure>);

/// Sends the messages in `files`. One that cannot be read or sent does not keep the others from going.
pub(super) async fn deliver<'f>(
    send: &Send,
    common: &Common,
    target: &Target,
    settings: &Settings,
    options: &SendOptions,
    files: &'f [PathBuf],
) -> Result<Vec<Story<'f>>, Failure> {
    // One that is not there is worth knowing before anything is sent.
    for file in files.iter().filter(|file| file.as_os_str() != "-") {
        std::fs::metadata(file).map_err(|error| Failure::file(Exit::NoInput, file, &error))?;
    }
    let mut client = target.smtp(common, settings).await?;
    let mut told = Vec::with_capacity(files.len());
    let mut coming = files.iter();
    loop {
        in_session(send, target, options, &mut client, &mut coming, &mut told).await;
        client.quit().await;
        client = loop {
            let Some(file) = coming.as_slice().first() else { return Ok(told) };
            match target.smtp(common, settings).await {
                Ok(client) => break client,
                Err(failure) => told.push((file, Err(failure))),
            }
            coming.next();
        };
    }
}

/// Sends as many of the messages as the server takes in one session.
async fn in_session<'f, T: Transport>(
    send: &Send,
    target: &Target,
    options: &SendOptions,
    client: &mut Client<T>,
    coming: &mut Iter<'f, PathBuf>,
    told: &mut Vec<Story<'f>>,
) {
    let utf8 = client.extensions().offers("SMTPUTF8");
    let mut pipeline = Pipeline::<Message>::new();
    // `None` is in the pipeline.
    let mut waiting: VecDeque<(&Path, Option<Failure>)> = VecDeque::new();
    let fail = |error| target.failure(error, Exit::Unavailable);
    loop {
        while pipeline.has_room()
            && client.takes_more()
            && let Some(file) = coming.next()
        {
            match send.open(file, options) {
                Ok(mut message) => {
                    message.envelope.utf8 &= utf8;
                    let envelope = message.envelope.clone();
                    pipeline.push(client, envelope, message).await;
                    waiting.push_back((file, None));
                }
                Err(failure) => waiting.push_back((file, Some(failure))),
            }
        }
        let Some((file, failure)) = waiting.pop_front() else { return };
        let story = match failure {
            Some(failure) => Err(failure),
            None => match pipeline.next(client).await {
                Some(report) => report.map_err(fail),
                None => return,
            },
        };
        told.push((file, story));
    }
}

/// A line or more for each message, one object for all.
pub(super) fn tell(stories: Vec<Story<'_>>) -> Report {
    let (mut objects, mut lines, mut exits) = (Vec::new(), Vec::new(), Vec::new());
    for (file, story) in stories {
        let name = view::printable(&file.to_string_lossy());
        let (mut object, exit) = match &story {
            Ok(report) => {
                lines.extend(notes(report).iter().map(|note| format!("{name}: {note}")));
                (view::json(report), exit(report))
            }
            Err(failure) => {
                let line = failure.line().unwrap_or_default();
                lines.push(if line.starts_with(&name) { line } else { format!("{name}: {line}") });
                (json!({"outcome": "not-sent", "error": failure.json()}), failure.exit())
            }
        };
        object["file"] = json!(file.to_string_lossy());
        object["exit_code"] = json!(exit.code());
        objects.push(object);
        exits.push(exit);
    }
    let json = json!({"messages": objects, "error": Value::Null});
    Report { exit: together(&exits), json, data: String::new(), notes: lines }
}

/// The exit code for all: theirs, if it is the same; otherwise some may have arrived, or some have.
fn together(exits: &[Exit]) -> Exit {
    match exits {
        [] => Exit::Ok,
        [first, rest @ ..] if rest.iter().all(|exit| exit == first) => *first,
        exits if exits.contains(&Exit::Unknown) => Exit::Unknown,
        exits if exits.iter().any(|exit| matches!(exit, Exit::Ok | Exit::Partial)) => Exit::Partial,
        [first, ..] => *first,
    }
}
