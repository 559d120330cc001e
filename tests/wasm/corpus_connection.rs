//! What the corpus asks of a connection on its own, and its results, in the corpus' words.

use starttls_player::script::{Script, Task};
use starttls_tests::embedding::exports::connection::Protocol;
use starttls_tests::embedding::exports::types::{Endpoint, Error};
use starttls_tests::embedding::{Opening, Sandbox};
use wasmtime::component::ResourceAny;

use crate::transcripts::{bytes, describe, text};

type Outcome = Result<String, Box<Error>>;

/// The words behind `settings:` that are options; `alpn` is a matter of TLS.
pub(crate) fn opening(script: &Script, opening: &mut Opening) {
    for word in &script.settings {
        match word.split_once('=') {
            Some(("server-name", name)) => opening.server_name = Some(name.to_owned()),
            Some(("alpn", _)) => {}
            _ => panic!("unknown setting {word}"),
        }
    }
}

/// Opens the connection and does everything that is asked of it, one result each.
pub(crate) fn play(sandbox: &mut Sandbox, script: &Script, to: &Endpoint, opening: &Opening) -> Vec<String> {
    let connection = match open(sandbox, script, to, opening) {
        Ok(connection) => connection,
        Err(error) => return vec![describe(&error)],
    };
    let mut results = vec!["ok".to_owned()];
    for task in &script.client[1..] {
        results.push(ask(sandbox, connection, task).unwrap_or_else(|error| describe(&error)));
    }
    results
}

fn open(sandbox: &mut Sandbox, script: &Script, to: &Endpoint, opening: &Opening) -> Result<ResourceAny, Box<Error>> {
    let (config, options) = sandbox.prepare(opening).expect("no trap")?;
    let Sandbox { store, client } = sandbox;
    let offered: Vec<_> =
        script.settings.iter().filter_map(|word| word.strip_prefix("alpn=")).map(str::to_owned).collect();
    client.starttls_client_tls().client_config().call_set_alpn(&mut *store, config, &offered).expect("no trap");
    let face = client.starttls_client_connection();
    Ok(face.connection().call_open(store, to, config, options).expect("no trap")?)
}

fn ask(sandbox: &mut Sandbox, connection: ResourceAny, task: &Task) -> Outcome {
    let Sandbox { store, client } = sandbox;
    let face = client.starttls_client_connection();
    let face = face.connection();
    let number = |index| text(task, index).parse::<u32>().expect("a number");
    match task.verb.as_str() {
        "start-tls" => face.call_start_tls(store, connection).expect("no trap")?,
        "upgrade" => {
            let protocol = protocol(&text(task, 0));
            return Ok(shown(&face.call_upgrade(store, connection, protocol).expect("no trap")?));
        }
        "read-line" => {
            let line = face.call_read_line(store, connection, number(0)).expect("no trap")?;
            return Ok(line.map_or_else(|| "end".into(), |line| shown(&line)));
        }
        "read" => {
            let some = face.call_read(store, connection, number(0)).expect("no trap")?;
            return Ok(if some.is_empty() { "end".into() } else { shown(&some) });
        }
        "read-exactly" => {
            return Ok(shown(&face.call_read_exactly(store, connection, number(0)).expect("no trap")?));
        }
        "read-until" => {
            let (separator, limit) = (bytes(task, 0), number(1));
            return Ok(shown(&face.call_read_until(store, connection, separator, limit).expect("no trap")?));
        }
        "write" => face.call_write(store, connection, bytes(task, 0)).expect("no trap")?,
        "shutdown" => face.call_shutdown(store, connection).expect("no trap")?,
        "close" => {
            // Whether the peer still hears it is of no interest.
            let _ = face.call_shutdown(&mut *store, connection).expect("no trap");
            connection.resource_drop(store).expect("no trap");
        }
        verb => return Ok(format!("unknown verb {verb}")),
    }
    Ok("ok".into())
}

fn protocol(name: &str) -> Protocol {
    match name {
        "smtp" => Protocol::Smtp,
        "lmtp" => Protocol::Lmtp,
        "ftp" => Protocol::Ftp,
        "imap" => Protocol::Imap,
        "pop3" => Protocol::Pop3,
        "sieve" => Protocol::Sieve,
        "nntp" => Protocol::Nntp,
        "xmpp" => Protocol::Xmpp,
        "xmpp-server" => Protocol::XmppServer,
        "ldap" => Protocol::Ldap,
        "postgres" => Protocol::Postgres,
        "mysql" => Protocol::Mysql,
        _ => panic!("unknown protocol {name}"),
    }
}

fn shown(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}
