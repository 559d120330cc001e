//! Golden sessions broken in front of every byte that the peer sends, in every way: no panic, no hang, no false success;
//! `unknown` exactly where a message may have been accepted; and a clear error for whoever goes on.
//!
//! In memory and in virtual time, so that a fault costs about a millisecond.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use starttls::tls::TlsConfig;
use starttls_player::memory::{Delivery, Fault, Played, session};
use starttls_player::pki::{Certificate, Pki};
use starttls_player::script::{Kind, Script, Step};

/// Operations that end with 226.
const TRANSFERS: [&str; 2] = ["get", "put"];

const FAULTS: [Fault; 4] = [Fault::Eof, Fault::Reset, Fault::Silence, Fault::Cancel];

fn golden() -> Vec<Script> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("in a folder").join("transcripts");
    let scripts = Script::load_all(&folder).expect("the transcripts are readable");
    // Where timing matters, so does the cut: those have their own files.
    let plain = |script: &Script| !script.timing && script.certificate == Certificate::Good;
    let scripts: Vec<_> = scripts.into_iter().filter(plain).collect();
    assert!(scripts.len() >= 40, "only {} golden sessions", scripts.len());
    scripts
}

/// What an undisturbed run gives, to hold the broken ones against.
struct Golden {
    script: Script,
    whole: Played,
}

impl Golden {
    /// Bytes delivered when the peer had sent the 226 of the n-th operation and heard what came next.
    fn verdict(&self, operation: usize) -> Option<usize> {
        let ended = *self.whole.marks.get(operation)?;
        let begun = operation.checked_sub(1).map_or(0, |before| self.whole.marks[before]);
        let mut said = false;
        let mut marks = Vec::new();
        for (step, mark) in self.script.server.iter().zip(&self.whole.step_marks) {
            match step {
                Step::Say(line) if line.starts_with(b"226") => said = true,
                Step::Expect(_) if std::mem::take(&mut said) => marks.push(*mark),
                _ => {}
            }
        }
        marks.into_iter().rfind(|mark| (begun..=ended).contains(mark))
    }

    /// Bytes delivered when the peer was done with its last step before answering the body of the n-th message: up to
    /// there the end of the body had not been sent.
    fn commit_windows(&self) -> Vec<(usize, usize)> {
        let ends = self.script.server.iter().enumerate().filter(|(i, step)| {
            let Step::Expect(line) = step else { return false };
            // The last chunk, or the lone dot, but not the one of an empty body for nobody.
            (line.starts_with(b"BDAT ") && line.ends_with(b" LAST"))
                || (line == b"." && self.script.server.get(i - 1).is_some_and(|b| matches!(b, Step::Expect(_))))
        });
        let ends: Vec<_> = ends.collect();
        let mut answers = self.script.client.iter().zip(&self.whole.marks).filter(|(task, _)| task.verb == "send");
        if ends.len() != answers.clone().count() {
            // A message in several transactions has a window in each; the corpus and the model of a server know those.
            return Vec::new();
        }
        ends.into_iter()
            .filter_map(|(i, _)| {
                let begun = *self.whole.step_marks.get(i)?;
                let (_, &answered) = answers.next()?;
                Some((begun, answered))
            })
            .collect()
    }
}

/// What is wrong with a run that was broken in front of byte `at`.
fn judge(golden: &Golden, at: usize, fault: Fault, played: &Played) -> Vec<String> {
    let mut wrong = Vec::new();
    let script = &golden.script;
    // Whoever hears nothing asks for a fence, which the script does not know.
    let is_fence = |failure: &&String| [r#"got "SYST""#, r#"got "FEAT""#].iter().any(|end| failure.ends_with(end));
    wrong.extend(played.failures.iter().filter(|failure| fault != Fault::Silence || !is_fence(failure)).cloned());
    if script.kind() == Kind::Connection {
        wrong.extend(judge_connection(script, played));
        return wrong;
    }
    let mut failed = false;
    for (i, result) in played.results.iter().enumerate() {
        let Some(task) = script.client.get(i) else {
            wrong.push(format!("a result too many: {result}"));
            continue;
        };
        let undisturbed = task.expected.first() == Some(result);
        // An operation that had ended before the fault is untouched by it; one that had not cannot succeed, since its
        // last reply never came whole.
        let ended_before = golden.whole.marks.get(i).is_some_and(|&mark| mark <= at);
        if ended_before && !undisturbed && !failed {
            wrong.push(format!("{} ended before the fault, and differs: {result}", task.verb));
        }
        let is_local = task.verb == "quit" || result.starts_with("error invalid-argument");
        // A transfer ends with its 226; what was asked ahead behind it may be lost. A part is there when its last byte is.
        let is_proven = task.verb == "get-part"
            || (TRANSFERS.contains(&task.verb.as_str()) && golden.verdict(i).is_some_and(|mark| mark <= at));
        if !ended_before
            && undisturbed
            && !is_proven
            && !is_local
            && !result.starts_with("error")
            && !asks_nothing(&task.verb)
        {
            wrong.push(format!("{} succeeds without its answer: {result}", task.verb));
        }
        failed |= result.starts_with("error") && !undisturbed;
    }
    // The first operation that was hit fails; whoever goes on is told that the session is over, and nothing is sent. A file
    // session that was given up in the middle of a transfer is replaced, if the server can be reached.
    let replaced = ["error connection-refused at connect", "error timed-out at connect"];
    let replaced = if script.scheme.starts_with("ftp") { &replaced[..] } else { &[] };
    let mut after = played
        .results
        .iter()
        .zip(&script.client)
        .skip_while(|(result, task)| !is_fatal(result) || task.expected.first() == Some(result));
    after.next();
    for (result, task) in after {
        let clear = ["error invalid-state", "error invalid-argument", "error limit-exceeded"];
        let clear = clear.iter().chain(replaced);
        if task.verb != "quit" && !asks_nothing(&task.verb) && !clear.clone().any(|kind| result.starts_with(kind)) {
            wrong.push(format!("after a failure, {} gives {result}", task.verb));
        }
    }
    if fault != Fault::Cancel {
        wrong.extend(judge_messages(golden, at, played));
    } else if played.results.len() == script.client.len() && at < golden.whole.delivered {
        let last = played.results.last().map(String::as_str).unwrap_or_default();
        if last != "ok" && !last.starts_with("error") {
            wrong.push(format!("cancelled, and yet: {last}"));
        }
    }
    wrong
}

/// Up to the first failure all is as without the fault: what is read is looked at byte by byte. Behind it nothing is read
/// that was not sent, and TLS does not begin.
fn judge_connection(script: &Script, played: &Played) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut failed = false;
    for (task, result) in script.client.iter().zip(&played.results) {
        let undisturbed = task.expected.first() == Some(result);
        if failed && matches!(task.verb.as_str(), "start-tls" | "upgrade") && !result.starts_with("error") {
            wrong.push(format!("after a failure, {} gives {result}", task.verb));
        }
        // In clear text an end is an orderly one, whoever made it.
        failed |= (result.starts_with("error") || result == "end") && !undisturbed;
        if !failed && !undisturbed {
            wrong.push(format!("{} before the fault, and differs: {result}", task.verb));
        }
    }
    wrong
}

fn is_fatal(result: &str) -> bool {
    result.starts_with("unknown")
        || ["closed-by-peer", "truncated", "timed-out"].iter().any(|kind| result.contains(kind))
}

/// Operations without a word on the wire.
fn asks_nothing(verb: &str) -> bool {
    matches!(verb, "clear-data" | "accept-missing-close-notify" | "login-info")
}

/// `unknown` exactly from the moment the end of the body may have left until its answer came whole.
fn judge_messages(golden: &Golden, at: usize, played: &Played) -> Vec<String> {
    let mut wrong = Vec::new();
    let windows = golden.commit_windows();
    let sends = golden.script.client.iter().zip(&played.results).filter(|(task, _)| task.verb == "send");
    for ((_, result), (begun, answered)) in sends.zip(windows) {
        let inside = (begun..answered).contains(&at);
        let unknown = result.starts_with("unknown");
        if unknown != inside {
            wrong.push(format!("{result} at byte {at}, where the window is {begun}..{answered}"));
        }
    }
    wrong
}

#[test]
fn every_byte_is_a_place_to_break() {
    let pki = Pki::new(Certificate::Good).expect("a certificate can be made");
    let tls = TlsConfig::new().ca_pem(pki.ca_pem.as_bytes()).expect("it is an authority");
    let golden: Vec<Golden> = golden()
        .into_iter()
        .map(|script| {
            let whole = session(&script, pki.fresh(), tls.clone(), Delivery::Whole, None);
            Golden { script, whole }
        })
        .collect();
    // The handshake on the control connection is the same in each session of a scheme, or of a connection on its own: the
    // first one is broken at each byte of it, the others behind it, or at a stride. Bulk content is cut at a stride. Each
    // byte has one of the ways, in turn, so that neighbours and sessions share them out. STARTTLS_FAULTS=all is every byte
    // of every session in every way.
    let all = std::env::var_os("STARTTLS_FAULTS").is_some_and(|value| value == "all");
    let mut schemes = std::collections::BTreeSet::new();
    let mut cuts = |golden: &Golden| {
        let script = &golden.script;
        let is_connection = script.kind() == Kind::Connection;
        let scheme = if is_connection { "" } else { &script.scheme };
        let first = schemes.insert((scheme.to_owned(), script.security() as u8));
        let begin = if first || all { 0 } else { golden.whole.marks[0] };
        let stride = if all {
            1
        } else if golden.whole.delivered > 12_000 {
            37
        } else if is_connection && !first {
            // Its handshake comes after it was opened, and is the same each time.
            7
        } else {
            1
        };
        (begin..golden.whole.delivered).step_by(stride).collect::<Vec<_>>()
    };
    let mut work = Vec::new();
    for (i, golden) in golden.iter().enumerate() {
        work.extend(cuts(golden).into_iter().map(|at| (i, at)));
    }
    let (next, cases) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failures: Mutex<BTreeMap<String, (usize, String)>> = Mutex::default();
    let outcomes: Mutex<BTreeMap<String, usize>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(&(i, at)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let golden = &golden[i];
                    let turn = (i + at) % FAULTS.len();
                    for fault in FAULTS.into_iter().enumerate().filter(|(n, _)| all || *n == turn).map(|(_, f)| f) {
                        let played =
                            session(&golden.script, pki.fresh(), tls.clone(), Delivery::Whole, Some((at, fault)));
                        cases.fetch_add(1, Ordering::Relaxed);
                        for result in &played.results {
                            let word = result.split(' ').take(2).collect::<Vec<_>>().join(" ");
                            *outcomes.lock().expect("no panic").entry(word).or_default() += 1;
                        }
                        for why in judge(golden, at, fault, &played) {
                            let name = format!("{} {fault:?} {why}", golden.script.name);
                            let key: String = name.chars().filter(|c| !c.is_ascii_digit()).collect();
                            let mut failures = failures.lock().expect("no panic");
                            failures.entry(key).or_insert((0, format!("byte {at}: {name}"))).0 += 1;
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    let shown: Vec<_> = failures.values().map(|(times, first)| format!("{times} times, first {first}")).collect();
    assert!(failures.is_empty(), "{} kinds of failure\n{}", failures.len(), shown.join("\n"));
    let outcomes = outcomes.into_inner().expect("no panic");
    let cases = cases.into_inner();
    // Shown with --nocapture; the figure is for the documentation.
    eprintln!("{} golden sessions, {cases} faults: {outcomes:?}", golden.len());
    assert!(cases > 30_000, "only {cases} faults");
    assert!(outcomes.keys().any(|word| word.starts_with("unknown")), "no fault hit a commit window");
}
