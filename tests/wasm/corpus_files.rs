//! What the corpus asks of a file transfer session beside files, and its results, in the corpus' words.

use starttls_player::script::{Script, Task};
use starttls_tests::embedding::exports::ftp::SessionBinding;
use starttls_tests::embedding::exports::types::{Error, Reply};
use starttls_tests::embedding::{Opening, Sandbox};
use wasmtime::component::ResourceAny;

use crate::transcripts::{self, bytes, describe, text};

type Outcome = Result<String, Box<Error>>;

/// The words behind `settings:` that count before the connection.
pub(crate) fn opening(script: &Script, opening: &mut Opening) {
    for word in &script.settings {
        match word.split_once('=').unwrap_or((word, "")) {
            ("auth", "ssl") => opening.auth_ssl = true,
            ("no-pipelining", "") => opening.no_pipelining = true,
            _ => {}
        }
    }
}

/// Those that count before the login.
pub(crate) fn settings(sandbox: &mut Sandbox, session: ResourceAny, script: &Script) {
    let Sandbox { store, client } = sandbox;
    let face = client.starttls_client_ftp();
    let face = face.session();
    for word in &script.settings {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let set = match name {
            "binding" => face.call_set_session_binding(&mut *store, session, binding(value)),
            "compression" => face.call_set_compression(&mut *store, session, true),
            "announced-host" => face.call_danger_use_announced_host(&mut *store, session, true),
            "virtual-host" => face.call_set_virtual_host(&mut *store, session, Some(value)),
            "client-name" => face.call_set_client_name(&mut *store, session, Some(value)),
            "language" => face.call_set_language(&mut *store, session, Some(value)),
            "auth" | "no-pipelining" => continue,
            _ => panic!("unknown setting {word}"),
        };
        set.expect("no trap").expect("the session is open");
    }
}

/// Of the seconds since 1970 that a task names.
fn nanoseconds(task: &Task) -> i64 {
    text(task, 1).parse::<i64>().expect("a number") * 1_000_000_000
}

fn binding(word: &str) -> SessionBinding {
    match word {
        "require" => SessionBinding::Require,
        "prefer" => SessionBinding::Prefer,
        "off" => SessionBinding::Off,
        _ => panic!("unknown binding {word}"),
    }
}

/// Everything that is answered by a reply or a digest.
pub(crate) fn ask(sandbox: &mut Sandbox, session: ResourceAny, task: &Task) -> Outcome {
    let Sandbox { store, client } = sandbox;
    let face = client.starttls_client_ftp();
    let face = face.session();
    let reply = match task.verb.as_str() {
        "relogin" => {
            face.call_reinitialize(&mut *store, session).expect("no trap")?;
            face.call_login(store, session, &text(task, 0), &text(task, 1)).expect("no trap")?;
            return Ok("ok".into());
        }
        "account" => {
            face.call_account(store, session, &text(task, 0)).expect("no trap")?;
            return Ok("ok".into());
        }
        "status" => face.call_status(store, session, bytes(task, 0)),
        "system" => face.call_system(store, session),
        "help" => face.call_help(store, session, &text(task, 0)),
        "language" => face.call_language(store, session, &text(task, 0)),
        "site" => face.call_site(store, session, bytes(task, 0)),
        "quote" => face.call_quote(store, session, bytes(task, 0)),
        "chmod" => {
            let mode = u32::from_str_radix(&text(task, 1), 8).expect("a mode");
            face.call_chmod(store, session, bytes(task, 0), mode).expect("no trap")?;
            return Ok("ok".into());
        }
        "set-modified" => {
            face.call_set_modified(store, session, bytes(task, 0), nanoseconds(task)).expect("no trap")?;
            return Ok("ok".into());
        }
        "set-created" => {
            face.call_set_created(store, session, bytes(task, 0), nanoseconds(task)).expect("no trap")?;
            return Ok("ok".into());
        }
        "set-fact" => {
            let facts = [(text(task, 1), text(task, 2))];
            face.call_set_facts(store, session, bytes(task, 0), &facts).expect("no trap")?;
            return Ok("ok".into());
        }
        "allocate" => {
            let size = text(task, 0).parse().expect("a number");
            face.call_allocate(store, session, size).expect("no trap")?;
            return Ok("ok".into());
        }
        "available" => {
            return Ok(face.call_available(store, session, bytes(task, 0)).expect("no trap")?.to_string());
        }
        "makedirs" => {
            face.call_makedirs(store, session, bytes(task, 0)).expect("no trap")?;
            return Ok("ok".into());
        }
        "remove-tree" => {
            let gone = face.call_remove_tree(store, session, bytes(task, 0)).expect("no trap")?;
            let left = gone.left.iter().map(|left| format!(" {}: {}", left.path.escape_ascii(), describe(&left.why)));
            return Ok(format!("{} {}{}", gone.files, gone.directories, left.collect::<String>()));
        }
        "get-text" => {
            let download = face.call_retrieve_text(&mut *store, session, bytes(task, 0)).expect("no trap")?;
            return transcripts::receive(sandbox, download, bytes(task, 1));
        }
        "put-text" => {
            let upload = face.call_store_text(&mut *store, session, bytes(task, 0)).expect("no trap")?;
            return transcripts::transmit(sandbox, upload, bytes(task, 1));
        }
        "put-unique" => {
            let (upload, name) = face.call_store_unique(&mut *store, session, bytes(task, 0)).expect("no trap")?;
            let receipt = transcripts::transmit(sandbox, upload, bytes(task, 1))?;
            return Ok(format!(
                "{receipt} {}",
                name.map_or_else(|| "untold".into(), |name| name.escape_ascii().to_string())
            ));
        }
        "hash" => {
            let algorithm = task.arguments.get(1).map(|_| text(task, 1));
            let number = |index| text(task, index).parse().expect("a number");
            let range = task.arguments.get(3).map(|_| (number(2), number(3)));
            let digest =
                face.call_hash(store, session, bytes(task, 0), algorithm.as_deref(), range).expect("no trap")?;
            let digits: String = digest.value.iter().map(|byte| format!("{byte:02x}")).collect();
            return Ok(format!("{} {digits}", digest.algorithm));
        }
        verb => return Ok(format!("unknown verb {verb}")),
    };
    let reply: Reply = reply.expect("no trap")?;
    Ok(format!("{} {}", reply.code, reply.lines.len()))
}
