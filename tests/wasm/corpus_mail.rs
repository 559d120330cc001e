//! What the corpus asks of a mail session, on the component.

use starttls_player::script::{Script, Task};
use starttls_player::wishes::{split_parameter, split_recipient};
use starttls_tests::embedding::exports::smtp::{
    self, BodyKind, DsnReturn, Envelope, Hold, LateAction, LineEnds, NotOffered, Notify, RecipientPolicy,
};
use starttls_tests::embedding::exports::types::{Error, Reply};
use starttls_tests::embedding::{Opening, Sandbox};
use wasmtime::component::ResourceAny;

use crate::transcripts::{bytes, delivery, describe, text};

type Outcome = Result<String, Box<Error>>;

/// The words behind `settings:` of a session with mail.
pub(crate) fn settings(script: &Script, opening: &mut Opening) {
    opening.lmtp = script.scheme == "lmtp";
    for word in &script.settings {
        match split_parameter(word) {
            ("no-pipelining", None) => opening.no_pipelining = true,
            ("no-chunking", None) => opening.no_chunking = true,
            ("chunk-size", Some(size)) => opening.chunk_size = Some(size.parse().expect("a number")),
            _ => panic!("unknown setting {word}"),
        }
    }
}

fn envelope(sender: &[u8], recipients: &[u8]) -> Envelope {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Envelope {
        sender: Some(text(sender)).filter(|sender| !sender.is_empty()),
        recipients: text(recipients).split(',').map(str::to_owned).collect(),
        size: None,
        eight_bit: false,
        utf8: false,
    }
}

/// `send`: sender, recipients, message, and words.
pub(crate) fn send(sandbox: &mut Sandbox, session: ResourceAny, task: &Task) -> Outcome {
    let words: Vec<_> = (3..task.arguments.len()).map(|index| text(task, index)).collect();
    let options = if words.is_empty() { None } else { Some(options(sandbox, &words)?) };
    let Sandbox { store, client } = sandbox;
    let face = client.starttls_client_smtp();
    let envelope = envelope(bytes(task, 0), bytes(task, 1));
    let sent = face.session().call_send(&mut *store, session, &envelope, options, bytes(task, 2)).expect("no trap");
    if let Some(options) = options {
        options.resource_drop(store).expect("no trap");
    }
    Ok(delivery(&sent?))
}

/// The words behind a message.
fn options(Sandbox { store, client }: &mut Sandbox, words: &[String]) -> Result<ResourceAny, Box<Error>> {
    let face = client.starttls_client_smtp();
    let face = face.send_options();
    let made = face.call_constructor(&mut *store).expect("no trap");
    for word in words {
        let store = &mut *store;
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let number = || value.parse().expect("a number");
        match (name, value) {
            ("notify", value) => {
                let (only, words) = split_recipient(value);
                let says = |word| words.split(',').any(|one| one == word);
                let when = Notify { success: says("success"), failure: says("failure"), delay: says("delay") };
                face.call_set_notify(store, made, only, when).expect("no trap")?;
            }
            ("orcpt", value) => {
                let (only, original) = split_recipient(value);
                face.call_set_original_recipient(store, made, only, original).expect("no trap")?;
            }
            ("rcpt-param", value) => {
                let (only, parameter) = split_recipient(value);
                let (keyword, value) = split_parameter(parameter);
                face.call_add_recipient_parameter(store, made, only, keyword, value).expect("no trap")?;
            }
            ("param", value) => {
                let (keyword, value) = split_parameter(value);
                face.call_add_parameter(store, made, keyword, value).expect("no trap")?;
            }
            ("ret", what) => {
                let what = if what == "full" { DsnReturn::Full } else { DsnReturn::Headers };
                face.call_set_dsn_return(store, made, what).expect("no trap");
            }
            ("envid", id) => face.call_set_envelope_id(store, made, id).expect("no trap"),
            ("policy", policy) => {
                let policy = if policy == "all" { RecipientPolicy::All } else { RecipientPolicy::Any };
                face.call_set_recipient_policy(store, made, policy).expect("no trap");
            }
            ("ends", ends) => {
                let ends = match ends {
                    "strict" => LineEnds::Strict,
                    "preserve" => LineEnds::Preserve,
                    _ => LineEnds::Normalise,
                };
                face.call_set_line_ends(store, made, ends).expect("no trap");
            }
            ("body", kind) => {
                let kind = match kind {
                    "binary" => BodyKind::Binary,
                    "8bit" => BodyKind::EightBit,
                    _ => BodyKind::SevenBit,
                };
                face.call_set_body(store, made, kind).expect("no trap");
            }
            ("by", value) => {
                let (seconds, mode) = value.split_once(';').unwrap_or((value, "R"));
                let late = if mode.starts_with('N') { LateAction::Tell } else { LateAction::Bounce };
                let seconds = seconds.parse().expect("a number");
                face.call_set_deliver_by(store, made, seconds, late, mode.ends_with('T')).expect("no trap");
            }
            ("priority", value) => {
                face.call_set_priority(store, made, value.parse().expect("a number")).expect("no trap");
            }
            ("hold", _) => {
                let seconds: u64 = number();
                face.call_set_hold(store, made, Hold::Span(seconds * 1_000_000_000)).expect("no trap");
            }
            ("hold-until", value) => {
                let at: i64 = value.parse().expect("a number");
                face.call_set_hold(store, made, Hold::Until(at * 1_000_000_000)).expect("no trap");
            }
            ("requiretls", _) => face.call_set_require_tls(store, made, true).expect("no trap"),
            ("submitter", address) => {
                let address = Some(address).filter(|address| !address.is_empty());
                face.call_set_submitter(store, made, address).expect("no trap")?;
            }
            ("not-offered", choice) => {
                let choice = if choice == "drop" { NotOffered::Drop } else { NotOffered::Refuse };
                face.call_set_not_offered(store, made, choice).expect("no trap");
            }
            _ => panic!("unknown word {word}"),
        }
    }
    Ok(made)
}

/// `send-many`: sender, recipients and content of each.
pub(crate) fn send_many(sandbox: &mut Sandbox, session: ResourceAny, task: &Task) -> Outcome {
    let Sandbox { store, client } = sandbox;
    let face = client.starttls_client_smtp();
    let outbox = face.session().call_send_many(&mut *store, session).expect("no trap")?;
    let mut results = Vec::new();
    for letter in task.arguments.chunks_exact(3) {
        assert!(face.outbox().call_has_room(&mut *store, outbox).expect("no trap"), "few messages fit");
        let envelope = envelope(&letter[0], &letter[1]);
        face.outbox().call_push(&mut *store, outbox, &envelope, None, &letter[2]).expect("no trap")?;
    }
    while let Some(report) = face.outbox().call_next(&mut *store, outbox).expect("no trap") {
        results.push(report.map_or_else(|error| describe(&error), |report| delivery(&report)));
    }
    outbox.resource_drop(store).expect("no trap");
    Ok(results.join(" ; "))
}

/// VRFY, EXPN, HELP and ETRN: the reply's code, and how many lines it has.
pub(crate) fn ask(Sandbox { store, client }: &mut Sandbox, session: ResourceAny, task: &Task) -> Outcome {
    let face: &smtp::Guest = client.starttls_client_smtp();
    let (face, word) = (face.session(), text(task, 0));
    let reply: Reply = match task.verb.as_str() {
        "vrfy" => face.call_vrfy(store, session, &word),
        "expn" => face.call_expn(store, session, &word),
        "etrn" => face.call_etrn(store, session, &word),
        _ => face.call_help(store, session, Some(&*word).filter(|word| !word.is_empty())),
    }
    .expect("no trap")?;
    Ok(format!("{} {}", reply.code, reply.lines.len()))
}

/// XCLIENT.
pub(crate) fn xclient(Sandbox { store, client }: &mut Sandbox, session: ResourceAny, task: &Task) -> Outcome {
    let words: Vec<_> = (0..task.arguments.len()).map(|index| text(task, index)).collect();
    let attributes: Vec<_> = words
        .iter()
        .map(|word| {
            let (name, value) = split_parameter(word);
            (name.to_owned(), value.map(str::to_owned))
        })
        .collect();
    client.starttls_client_smtp().session().call_xclient(store, session, &attributes).expect("no trap")?;
    Ok("ok".into())
}
