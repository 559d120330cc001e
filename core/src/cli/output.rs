//! Standard output is for data, standard error for people.

use std::io::{self, Write};

use serde_json::Value;

use crate::exit::Exit;
use crate::failure::Failure;

/// What a verb has to tell when it is done.
pub(crate) struct Report {
    /// How the process ends.
    pub(crate) exit: Exit,
    /// For programs: the only output with `--json`.
    pub(crate) json: Value,
    /// For standard output.
    pub(crate) data: String,
    /// For people, a line each.
    pub(crate) notes: Vec<String>,
}

impl Report {
    /// A report of success with one note.
    pub(crate) fn note(json: Value, note: String) -> Self {
        Self { exit: Exit::Ok, json, data: String::new(), notes: vec![note] }
    }

    /// Writes what is wanted of it.
    pub(crate) fn write(&self, as_json: bool, quiet: bool) -> Result<Exit, Failure> {
        if as_json {
            write_json(&self.json)?;
        } else {
            data(self.data.as_bytes())?;
        }
        // A bad outcome is told in any case.
        if self.exit != Exit::Ok || !(quiet || as_json) {
            self.notes.iter().for_each(|line| note(line));
        }
        Ok(self.exit)
    }
}

/// One JSON value and a line end, to standard output.
pub(crate) fn write_json(value: &Value) -> Result<(), Failure> {
    data(format!("{value}\n").as_bytes())
}

/// A line of data, at once: for what comes one by one.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush())
}

/// Bytes to standard output, at once.
pub(crate) fn data(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| Failure::output(&error))
}

/// A line for people. If even that cannot be written, there is nowhere to say so.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "starttls: {text}");
}
