//! What the corpus asks of a mail session.

use starttls::smtp::{self, Outcome, ServerMemory};
use starttls::transport::{Endpoint, Transport};
use starttls::{Error, Options};

use super::{answer, bytes, describe, kind, text};
use crate::script::{Script, Task};
use crate::wishes;

/// Opens a session and does everything that is asked of it, one result each; the error if it cannot be opened.
pub(super) async fn play<T: Transport>(
    memory: ServerMemory,
    transport: T,
    to: &Endpoint,
    options: Options,
    script: &Script,
    tell: impl Fn(String),
) -> Result<(), Error> {
    let settings = smtp::Settings { memory, ..wishes::settings(&script.settings, script.scheme == "lmtp")? };
    let mut client = smtp::Client::connect_with(transport, to, options, &settings).await?;
    tell("ok".into());
    for task in &script.client[1..] {
        if task.verb == "quit" {
            client.quit().await;
            tell("ok".into());
            break;
        }
        tell(ask(&mut client, task).await.unwrap_or_else(|error| describe(&error)));
    }
    Ok(())
}

/// With whom and how a mail session logs in.
fn credentials(task: &Task) -> Result<smtp::Credentials, Error> {
    let some = |index| task.arguments.get(index).map(|_| text(task, index));
    let (credentials, options) = match task.verb.as_str() {
        "login" => (smtp::Credentials::password(text(task, 0), text(task, 1)), 2),
        "login-token" => (smtp::Credentials::token(text(task, 0), text(task, 1)), 2),
        "login-external" => (smtp::Credentials::external(some(0).as_deref()), 1),
        _ => (smtp::Credentials::anonymous(text(task, 0)), 1),
    };
    let credentials = match some(options) {
        Some(name) => credentials.with_mechanism(name.parse()?),
        None => credentials,
    };
    Ok(match some(options + 1) {
        Some(authzid) => credentials.with_authzid(authzid),
        None => credentials,
    })
}

async fn ask<T: Transport>(client: &mut smtp::Client<T>, task: &Task) -> Result<String, Error> {
    match task.verb.as_str() {
        "login" | "login-token" | "login-external" | "login-anonymous" => client.login(&credentials(task)?).await?,
        "login-info" => {
            let Some(login) = client.login_info() else { return Ok("none".into()) };
            let binding = login.binding.map(|binding| format!(" {binding}")).unwrap_or_default();
            return Ok(format!("{}{binding}", login.mechanism));
        }
        "noop" => drop(client.noop().await?),
        "rset" => drop(client.rset().await?),
        "send" => {
            let words: Vec<_> = (3..task.arguments.len()).map(|index| text(task, index)).collect();
            let envelope = wishes::envelope(&text(task, 0), &text(task, 1), &words)?;
            return Ok(delivery(&client.send(&envelope, bytes(task, 2)).await?));
        }
        "send-many" => {
            let message = |group: &[Vec<u8>]| {
                let word = |index: usize| String::from_utf8_lossy(&group[index]).into_owned();
                let envelope = smtp::Envelope::new(&word(0), word(1).split(','))?;
                Ok::<_, Error>((envelope, smtp::MemoryBody::new(group[2].clone())))
            };
            let messages = task.arguments.chunks_exact(3).map(message).collect::<Result<Vec<_>, _>>()?;
            let mut reports = client.send_many(messages);
            let mut results = Vec::new();
            while let Some(report) = reports.next().await {
                results.push(report.map_or_else(|error| describe(&error), |report| delivery(&report)));
            }
            return Ok(results.join(" ; "));
        }
        "vrfy" => return Ok(answer(&client.vrfy(&text(task, 0)).await?)),
        "expn" => return Ok(answer(&client.expn(&text(task, 0)).await?)),
        "help" => {
            let topic = task.arguments.first().map(|_| text(task, 0));
            return Ok(answer(&client.help(topic.as_deref()).await?));
        }
        "etrn" => return Ok(answer(&client.etrn(&text(task, 0)).await?)),
        "xclient" => {
            let words: Vec<_> = (0..task.arguments.len()).map(|index| text(task, index)).collect();
            let attributes: Vec<_> = words.iter().map(|word| wishes::split_parameter(word)).collect();
            client.xclient(&attributes).await?;
        }
        verb => return Ok(format!("unknown verb {verb}")),
    }
    Ok("ok".into())
}

fn delivery(report: &smtp::DeliveryReport) -> String {
    let mut line = report.outcome().as_str().to_owned();
    if report.outcome() == Outcome::Unknown {
        let why = report.error().map(kind).unwrap_or_default();
        return format!("{line} {why}");
    }
    if let Some(id) = report.queue_id() {
        line.push_str(&format!(" id={id}"));
    }
    for (mailbox, reply) in report.refused() {
        let code = reply.map_or_else(|| "none".into(), |reply| reply.code().to_string());
        line.push_str(&format!(" {mailbox}={code}"));
    }
    line
}
