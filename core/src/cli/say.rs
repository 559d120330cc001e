//! `starttls site` and `starttls quote`: commands in a person's own words.

use clap::Args;
use serde_json::json;
use starttls::transport::block;
use starttls::url::Protocol;
use starttls::{Error, ErrorKind};

use crate::common::{Common, Target};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Report;
use crate::view;

/// Send a command of the server's own (SITE), and print the reply
#[derive(Args, Debug)]
pub(crate) struct Site {
    #[command(flatten)]
    said: Said,
}

/// Send any command as it is, and print the reply
///
/// Commands that would leave the session another one are refused: logins, protection, transfers and what prepares them
/// (USER, PROT, RETR, LIST, PASV, TYPE …). They have verbs of their own here.
#[derive(Args, Debug)]
pub(crate) struct Quote {
    #[command(flatten)]
    said: Said,
}

#[derive(Args, Debug)]
struct Said {
    /// ftp://[USER@]HOST[:PORT]/DIRECTORY or ftps://…; the command is said in this directory
    url: String,
    /// The command; several words are one command with a space between them
    #[arg(required = true, value_name = "COMMAND")]
    words: Vec<String>,
}

impl Site {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        self.said.run(common, true)
    }
}

impl Quote {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        self.said.run(common, false)
    }
}

fn failed(target: &Target, error: Error) -> Failure {
    let refused_here = matches!(error.kind(), ErrorKind::InvalidArgument(_));
    let failure = target.failure(error, Exit::Unavailable);
    if refused_here {
        failure.advise("what logs in, protects or transfers is done by verbs: see --help")
    } else {
        failure
    }
}

impl Said {
    fn run(&self, common: &Common, site: bool) -> Result<Report, Failure> {
        let target = common.target(&self.url, Protocol::Ftp)?;
        let text = self.words.join(" ");
        let reply = block(async {
            let mut client = target.ftp(common).await?;
            if !target.url.path.is_empty() {
                client.cwd(&target.url.path).await.map_err(|error| target.failure(error, Exit::NoInput))?;
            }
            let reply = if site { client.site(&text).await } else { client.quote(&text).await };
            let reply = reply.map_err(|error| failed(&target, error))?;
            client.quit().await;
            Ok::<_, Failure>(reply)
        })?;
        let data = reply.lines().map(|line| view::printable(&line) + "\n").collect();
        Ok(Report { exit: Exit::Ok, json: json!({"reply": reply, "error": null}), data, notes: Vec::new() })
    }
}
