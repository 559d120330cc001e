//! What the corpus asks of a connection on its own.

use starttls::transport::{Endpoint, Stream, Transport};
use starttls::upgrade::Recipe;
use starttls::{Connection, Error, Options};

use super::{bytes, describe, text};
use crate::script::{Script, Task};
use crate::wishes;

/// Opens a connection and does everything that is asked of it, one result each; the error if it cannot be opened.
pub(super) async fn play<T: Transport>(
    transport: T,
    to: &Endpoint,
    options: Options,
    script: &Script,
    tell: impl Fn(String),
) -> Result<(), Error> {
    let options = wishes::connection_options(&script.settings, options)?;
    let mut connection = Connection::open(&transport, to, &options).await?;
    tell("ok".into());
    for task in &script.client[1..] {
        if task.verb == "close" {
            // Whether the peer still hears it is of no interest.
            let _ = connection.shutdown().await;
            drop(connection);
            tell("ok".into());
            break;
        }
        tell(ask(&mut connection, task).await.unwrap_or_else(|error| describe(&error)));
    }
    Ok(())
}

async fn ask<S: Stream>(connection: &mut Connection<S>, task: &Task) -> Result<String, Error> {
    let number = |index| text(task, index).parse::<usize>().unwrap_or_default();
    Ok(match task.verb.as_str() {
        "start-tls" => {
            connection.start_tls().await?;
            "ok".into()
        }
        "upgrade" => match Recipe::named(&text(task, 0)) {
            Some(recipe) => shown(&connection.upgrade(recipe).await?),
            None => format!("unknown recipe {}", text(task, 0)),
        },
        "read-line" => connection.read_line(number(0)).await?.map_or_else(|| "end".into(), |line| shown(&line)),
        "read" => match connection.read(number(0)).await? {
            end if end.is_empty() => "end".into(),
            some => shown(&some),
        },
        "read-exactly" => shown(&connection.read_exact(number(0)).await?),
        "read-until" => shown(&connection.read_until(bytes(task, 0), number(1)).await?),
        "write" => {
            connection.write(bytes(task, 0)).await?;
            "ok".into()
        }
        "shutdown" => {
            connection.shutdown().await?;
            "ok".into()
        }
        verb => format!("unknown verb {verb}"),
    })
}

fn shown(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}
