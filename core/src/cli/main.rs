//! `starttls`: send mail and move files from the command line. An outside user of the library.
//!
//! | file | what it is |
//! |---|---|
//! | `send` `ask` `get` `put` `mirror` `fxp` `ls` `rm` `mv` `mkdir` `chmod` `hash` `probe` | one verb each: arguments, and what it does |
//! | `say` | `site` and `quote` |
//! | `whole` | how a whole file is transferred: the flags of `get` and `put` |
//! | `range` | which part of one |
//! | `common` `credentials` `netrc` `session` `data` | the flags that all have |
//! | `exit` `failure` `view` `output` `progress` | how it ends, and how that is told |
#![forbid(unsafe_code)]

mod ask;
mod chmod;
mod common;
mod credentials;
mod data;
mod exit;
mod failure;
mod fxp;
mod get;
mod hash;
mod ls;
mod mirror;
mod mkdir;
mod mv;
mod netrc;
mod output;
mod probe;
mod progress;
mod put;
mod range;
mod rm;
mod say;
mod send;
mod session;
mod tls;
mod view;
mod whole;

use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use serde_json::json;

use crate::common::Common;
use crate::exit::Exit;
use crate::failure::Failure;

/// Mail and files over connections that become TLS in place, verified and required by default
#[derive(Parser, Debug)]
#[command(name = "starttls", bin_name = "starttls", version, after_help = exit::HELP)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    common: Common,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Send(Box<send::Send>),
    Ask(ask::Ask),
    Get(get::Get),
    Put(put::Put),
    Mirror(Box<mirror::Mirror>),
    Fxp(fxp::Fxp),
    Ls(ls::Ls),
    Rm(rm::Rm),
    Mv(mv::Mv),
    Mkdir(mkdir::Mkdir),
    Chmod(chmod::Chmod),
    Hash(hash::Hash),
    Site(say::Site),
    Quote(say::Quote),
    Probe(probe::Probe),
}

fn main() -> ExitCode {
    let exit = match CommandLine::try_parse() {
        Ok(line) => run(&line),
        Err(error) => tell_usage(&error),
    };
    ExitCode::from(exit.code())
}

fn run(CommandLine { verb, common }: &CommandLine) -> Exit {
    let report = match verb {
        Verb::Send(verb) => verb.run(common),
        Verb::Ask(verb) => verb.run(common),
        Verb::Get(verb) => verb.run(common),
        Verb::Put(verb) => verb.run(common),
        Verb::Mirror(verb) => verb.run(common),
        Verb::Fxp(verb) => verb.run(common),
        Verb::Ls(verb) => verb.run(common),
        Verb::Rm(verb) => verb.run(common),
        Verb::Mv(verb) => verb.run(common),
        Verb::Mkdir(verb) => verb.run(common),
        Verb::Chmod(verb) => verb.run(common),
        Verb::Hash(verb) => verb.run(common),
        Verb::Site(verb) => verb.run(common),
        Verb::Quote(verb) => verb.run(common),
        Verb::Probe(verb) => verb.run(common),
    };
    let written = report.and_then(|mut report| {
        if report.json.is_object() {
            report.json["exit_code"] = json!(report.exit.code());
        }
        report.write(common.json, common.quiet)
    });
    written.unwrap_or_else(|failure| tell_failure(&failure, common.json))
}

fn tell_failure(failure: &Failure, as_json: bool) -> Exit {
    if let Some(line) = failure.line() {
        output::note(&line);
        if as_json {
            // Standard output may be what failed; standard error has the news already.
            let _ = output::write_json(&json!({"error": failure.json(), "exit_code": failure.exit().code()}));
        }
    }
    failure.exit()
}

/// What clap says about the command line, or the help that was asked for.
fn tell_usage(error: &clap::Error) -> Exit {
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if asked {
        return match error.print() {
            Ok(()) => Exit::Ok,
            Err(_) => Exit::IoError,
        };
    }
    let text = std::env::args_os()
        .fold(error.render().to_string(), |text, argument| without_password(text, &argument.to_string_lossy()));
    let text = text.strip_prefix("error: ").map_or(text.clone(), |what| format!("starttls: {what}"));
    let _ = write!(std::io::stderr().lock(), "{text}");
    Exit::Usage
}

/// A message that repeats an argument must not repeat the password in it.
fn without_password(text: String, argument: &str) -> String {
    let password = argument.split_once("://").and_then(|(_, rest)| {
        let (credentials, _) = rest.rsplit_once('@')?;
        credentials.split_once(':').map(|(_, password)| password)
    });
    match password.filter(|password| !password.is_empty()) {
        Some(password) => text.replace(&format!(":{password}@"), ":***@"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn passwords_are_not_repeated() {
        let text = "unexpected argument 'ftp://u:p@ss@h/a@b' found".to_owned();
        let scrubbed = without_password(text, "ftp://u:p@ss@h/a@b");
        assert!(!scrubbed.contains("p@ss"), "{scrubbed}");
        assert_eq!(without_password("a@b".into(), "a@b"), "a@b");
    }
}
