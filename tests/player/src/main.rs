//! `starttls-player serve FILE [--bytes]`: the server's side of one session on real sockets.
//!
//! The first line on standard output is a JSON object with all that a client in another language needs: the URL, the
//! file of the authority, the tasks with the results that are right, the events that must come out. The second one, at
//! the end of the session, is `{"failures": […]}`: what the peer saw that is not in the script.
//!
//! `starttls-player record FILE`: plays the session in memory and prints its results and events.
//!
//! `starttls-player rerecord FILE…`: writes the events into files that have others, where the session is otherwise right.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use starttls::Security;
use starttls_player::memory::{Delivery, PORTS, session};
use starttls_player::pki::Pki;
use starttls_player::script::Script;
use starttls_player::tcp::{Pieces, Server};
use starttls_player::verdict::normalise;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", file] => serve(file, Pieces::Whole),
        ["serve", file, "--bytes"] => serve(file, Pieces::Bytes),
        ["record", file] => record(file),
        ["rerecord", ref files @ ..] => files.iter().try_for_each(|file| rerecord(file)),
        _ => Err("starttls-player serve FILE [--bytes] | record FILE | rerecord FILE…".into()),
    }
}

fn say(value: &Value) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}

fn serve(file: &str, pieces: Pieces) -> Result<(), Box<dyn Error>> {
    let script = Script::load(Path::new(file))?;
    let pki = Pki::of(&script)?;
    let server = Server::bind()?;
    let (control, data) = server.ports()?;
    // Bytes as the characters of the same number, which JSON can carry.
    let latin1 = |bytes: &[u8]| bytes.iter().map(|&byte| char::from(byte)).collect::<String>();
    let tasks: Vec<Value> = script
        .client
        .iter()
        .map(|task| {
            let arguments: Vec<String> = task.arguments.iter().map(|bytes| latin1(bytes)).collect();
            json!({"verb": task.verb, "arguments": arguments, "expected": task.expected})
        })
        .collect();
    let secrets: Vec<String> = script.secrets().iter().map(|secret| latin1(secret)).collect();
    say(&json!({
        "name": script.name,
        "url": script.url(control),
        "client": script.kind().as_str(),
        "security": match script.security() {
            Security::Upgrade => "upgrade",
            Security::Implicit => "implicit",
            Security::Plaintext => "plaintext",
        },
        "ca_pem": pki.ca_pem,
        "tlsa": pki.tlsa,
        "timeout": script.timeout,
        "timing": script.timing,
        "settings": script.settings,
        "ports": [control, data],
        "tasks": tasks,
        "trace": script.trace,
        "secrets": secrets,
    }))?;
    let failures = server.serve(&script, pki.fresh(), pieces)?;
    say(&json!({"failures": failures}))
}

fn record(file: &str) -> Result<(), Box<dyn Error>> {
    let script = Script::load(Path::new(file))?;
    let pki = Pki::of(&script)?;
    let played = session(&script, pki.fresh(), pki.trust()?, Delivery::Whole, None);
    let mut out = std::io::stdout();
    for (task, result) in script.client.iter().zip(&played.results) {
        writeln!(out, "# {} -> {result}", task.verb)?;
    }
    for failure in &played.failures {
        writeln!(out, "# FAILURE {failure}")?;
    }
    writeln!(out, "trace")?;
    for event in normalise(&played.trace, PORTS) {
        writeln!(out, "  {event}")?;
    }
    Ok(())
}

fn rerecord(file: &str) -> Result<(), Box<dyn Error>> {
    let script = Script::load(Path::new(file))?;
    let pki = Pki::of(&script)?;
    let played = session(&script, pki.fresh(), pki.trust()?, Delivery::Whole, None);
    let events = normalise(&played.trace, PORTS);
    if events == script.trace {
        return Ok(());
    }
    let expected = script.client.iter().filter_map(|task| task.expected.first());
    let mut out = std::io::stdout();
    if !played.failures.is_empty() || !expected.eq(&played.results) {
        return Ok(writeln!(out, "{file}: NOT as it should be: {:?}, {:?}", played.results, played.failures)?);
    }
    let text = std::fs::read_to_string(file)?;
    let start = text.find("\ntrace\n").ok_or("no trace")? + "\ntrace\n".len();
    let trace: String = events.iter().map(|event| format!("  {event}\n")).collect();
    std::fs::write(file, format!("{}{trace}", &text[..start]))?;
    Ok(writeln!(out, "{file}: written")?)
}
