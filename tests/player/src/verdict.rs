//! What came out, held against what must come out.

use crate::scram;
use crate::script::Script;
use crate::text::contains;

/// What one playing of a session gave.
#[derive(Debug)]
pub struct Outcome {
    /// A result for each operation that was reached.
    pub results: Vec<String>,
    /// The events, as they were told.
    pub trace: Vec<String>,
    /// What the peer saw that is not in the script.
    pub failures: Vec<String>,
}

/// How strictly an outcome is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The pieces came exactly as the script has them: only the first alternative of each result is right.
    Exact,
    /// Over sockets: each alternative is right.
    Sockets,
    /// In pieces of one byte: as `Sockets`, and where timing matters the trace is not compared.
    Pieces,
}

/// Everything that is not as it must be, in words; empty if all is well.
pub fn judge(script: &Script, outcome: &Outcome, ports: (u16, u16), rule: Rule) -> Vec<String> {
    let mut wrong = outcome.failures.clone();
    let loose = rule == Rule::Pieces && script.timing;
    for (i, result) in outcome.results.iter().enumerate() {
        let Some(task) = script.client.get(i) else {
            wrong.push(format!("a result too many: {result}"));
            continue;
        };
        let right = match rule {
            Rule::Exact => task.expected.first().is_some_and(|expected| expected == result),
            _ => task.expected.contains(result),
        };
        if !right {
            wrong.push(format!("{}: {result}, not {}", task.verb, task.expected.join(" | ")));
        }
    }
    let reached = outcome.results.len();
    if let Some(task) = script.client.get(reached).filter(|task| !task.expected.is_empty() && !loose) {
        wrong.push(format!("{}: not reached", task.verb));
    }
    if !loose {
        let trace = normalise(&outcome.trace, ports);
        if trace != script.trace {
            wrong.push(difference(&script.trace, &trace));
        }
    }
    for secret in script.secrets() {
        let shown = outcome.trace.iter().chain(&outcome.results);
        if shown.clone().any(|line| contains(line.as_bytes(), &secret)) {
            wrong.push("a secret is shown".into());
        }
    }
    wrong
}

/// Events with ports by their role instead of their number, and what holds a nonce by its.
pub fn normalise(trace: &[String], (control, data): (u16, u16)) -> Vec<String> {
    let pairs = [
        (format!("127.0.0.1:{control}"), "{server}"),
        (format!("127.0.0.1:{data}"), "{data server}"),
        (format!("|{data}|"), "|{data}|"),
        (format!(",{},{}", data >> 8, data & 255), ",{data/256}"),
    ];
    let replace = |line: &str| {
        let line = pairs.iter().fold(line.to_owned(), |line: String, (number, role)| line.replace(number, role));
        // Ports that the system chose for one connection.
        ACTIVE.iter().fold(line, |line, (beginning, role)| match line.strip_prefix(beginning) {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => format!("{beginning}{role}"),
            _ => line,
        })
    };
    trace.iter().map(|line| scram::normalise(line).unwrap_or_else(|| replace(line))).collect()
}

/// What stands before a port of active mode, and its role.
const ACTIVE: [(&str, &str); 4] = [
    ("C: EPRT |1|127.0.0.1|", "{listener}|"),
    ("C: PORT 127,0,0,1,", "{listener/256}"),
    ("*  data connected to 127.0.0.1:", "{port}"),
    ("*  data turned away 127.0.0.2:", "{port}"),
];

fn difference(expected: &[String], got: &[String]) -> String {
    let at = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
    let line = |lines: &[String]| lines.get(at).cloned().unwrap_or_else(|| "the end".into());
    format!("the trace differs at event {}: {}, not {}", at + 1, line(got), line(expected))
}
