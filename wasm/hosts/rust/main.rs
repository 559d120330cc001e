//! A host for the component: the verbs of the command line, done by the component's exports, with sockets to granted
//! addresses only.
//!
//! ```text
//! host starttls_component.wasm --allow=127.0.0.1:2587 send smtp://user@127.0.0.1:2587 --from a@b --to c@d -f m.eml
//! host starttls.wasm --allow=127.0.0.1:* run --dir . -- ls ftp://user@127.0.0.1:2121/
//! host starttls-plugin.wasm --allow=127.0.0.1:143 run --plug starttls_component.wasm -- 127.0.0.1 143
//! ```
//!
//! What the component connects to is for the host to grant; files and passwords are the host's own business, the
//! component sees bytes and strings.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod files;
mod mail;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{fmt, fs, io};

use clap::{Args, Parser, Subcommand};
use starttls::Security;
use starttls::url::Url;
use starttls_tests::embedding::{Grant, Host, Opening, Policy, Sandbox, exports};
use wasmtime::component::ResourceAny;

/// Run the component with sockets to granted addresses only
#[derive(Parser)]
struct CommandLine {
    /// The component
    component: PathBuf,
    /// What it may connect to: ADDRESS:PORT, or ADDRESS:* for a file server and its data connections; repeat it for more
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    allow: Vec<Grant>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Send a message
    Send(mail::Send),
    /// Upload a file
    Put(files::Put),
    /// Download a file
    Get(files::Get),
    /// List a directory
    Ls(files::Ls),
    /// Run a component that is a command
    Run {
        /// The component whose exports it imports: the two are made one
        #[arg(long, value_name = "COMPONENT")]
        plug: Option<PathBuf>,
        /// A directory that the command sees under the same name
        #[arg(long, value_name = "DIRECTORY")]
        dir: Vec<PathBuf>,
        /// The command's arguments
        #[arg(last = true)]
        args: Vec<String>,
    },
}

/// How to open a session, in the command line's words.
#[derive(Args)]
struct Common {
    /// Trust the authorities in this PEM file, and no others
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Take the password from the first line of this file
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// How long each stage may take
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// Print what is said on the wire on standard error, secrets as ***
    #[arg(long)]
    trace: bool,
}

fn main() -> ExitCode {
    let CommandLine { component, allow, verb } = CommandLine::parse();
    match run(&component, Policy::new(allow), &verb) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("host: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(component: &Path, policy: Policy, verb: &Verb) -> Result<ExitCode, Failure> {
    let host = match verb {
        Verb::Run { plug: Some(with), .. } => Host::plugged(component, with)?,
        _ => Host::new(component)?,
    };
    match verb {
        Verb::Run { dir, args, .. } => {
            let name = component.to_string_lossy().into_owned();
            let args: Vec<_> = std::iter::once(name).chain(args.iter().cloned()).collect();
            return Ok(host.run(policy, &args, dir)?.into());
        }
        Verb::Send(send) => send.common.session(&host, policy, &send.url, |sandbox, with| send.run(sandbox, with))?,
        Verb::Put(put) => put.common.session(&host, policy, &put.url, |sandbox, with| put.run(sandbox, with))?,
        Verb::Get(get) => get.common.session(&host, policy, &get.url, |sandbox, with| get.run(sandbox, with))?,
        Verb::Ls(ls) => ls.common.session(&host, policy, &ls.url, |sandbox, with| ls.run(sandbox, with))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// All that a verb needs to open its session.
struct With {
    url: Url,
    endpoint: exports::types::Endpoint,
    config: ResourceAny,
    options: ResourceAny,
    user: Option<String>,
    password: String,
}

impl Common {
    /// Runs a verb in a new sandbox, and prints what was said if that is wanted, after a failure too.
    fn session(
        &self,
        host: &Host,
        policy: Policy,
        url: &str,
        verb: impl FnOnce(&mut Sandbox, &With) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let url = Url::parse(url).map_err(|error| Failure::Local(error.to_string()))?;
        let mut sandbox = host.sandbox(policy)?;
        let trace = sandbox.trace()?;
        let opening = Opening {
            trust: self.ca_file.as_deref().map(read).transpose()?,
            security: Some(match url.security {
                Security::Upgrade => exports::types::Security::Upgrade,
                Security::Implicit => exports::types::Security::Implicit,
                Security::Plaintext => exports::types::Security::Plaintext,
            }),
            timeouts: self.timeout.map(|seconds| {
                let each = Duration::from_secs(seconds.into()).as_nanos() as u64;
                exports::types::Timeouts { connect: each, handshake: each, reply: each, stall: each, finish: each }
            }),
            trace: Some(trace),
            ..Opening::default()
        };
        let (config, options) = sandbox.prepare(&opening)??;
        let with = With {
            endpoint: exports::types::Endpoint { host: url.endpoint.host.clone(), port: url.endpoint.port },
            config,
            options,
            user: url.user.clone(),
            password: self.password(&url)?,
            url,
        };
        let outcome = verb(&mut sandbox, &with);
        if self.trace {
            for event in sandbox.events(trace)? {
                eprintln!("{event}");
            }
        }
        outcome
    }

    fn password(&self, url: &Url) -> Result<String, Failure> {
        match (&self.password_file, &url.password) {
            (Some(file), _) => {
                let text = String::from_utf8(read(file)?).map_err(|error| local(file, &error))?;
                Ok(text.lines().next().unwrap_or_default().to_owned())
            }
            (None, Some(password)) => Ok(password.to_string()),
            (None, None) => Ok(String::new()),
        }
    }
}

/// Why a verb failed.
enum Failure {
    /// The component says so.
    Error(Box<exports::types::Error>),
    /// The component is broken, or of another kind.
    Trap(wasmtime::Error),
    /// Something on this side.
    Local(String),
}

impl From<exports::types::Error> for Failure {
    fn from(error: exports::types::Error) -> Self {
        Self::Error(Box::new(error))
    }
}

impl From<wasmtime::Error> for Failure {
    fn from(error: wasmtime::Error) -> Self {
        Self::Trap(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => f.write_str(&error.message),
            Self::Trap(error) => write!(f, "{error:?}"),
            Self::Local(why) => f.write_str(why),
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error: io::Error| local(file, &error))
}

fn local(file: &Path, error: &dyn fmt::Display) -> Failure {
    Failure::Local(format!("{}: {error}", file.display()))
}
