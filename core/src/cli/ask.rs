//! `starttls ask`: a question to a mail server.

use clap::{Args, ValueEnum};
use serde_json::json;
use starttls::smtp::Settings;
use starttls::transport::block;
use starttls::url::Protocol;

use crate::common::Common;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Report;
use crate::view;

/// Ask a mail server about an address, a list, a command or a queue
#[derive(Args, Debug)]
pub(crate) struct Ask {
    /// smtp://[USER@]HOST[:PORT], smtps://… or lmtp://…
    url: String,
    /// What to ask
    #[arg(value_enum)]
    what: What,
    /// The address, the list, the command or the domain; help may go without
    about: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Whether an address exists; most servers say neither yes nor no
    Vrfy,
    /// Who is on a mailing list
    Expn,
    /// What the server has to say of a command, or at large
    Help,
    /// To start sending what is queued for a domain
    Etrn,
}

impl Ask {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        let target = common.target(&self.url, Protocol::Smtp)?;
        let about = match (&self.about, self.what) {
            (Some(about), _) => about.as_str(),
            (None, What::Help) => "",
            (None, _) => return Err(Failure::usage("vrfy, expn and etrn need to know about whom, or what")),
        };
        let settings = Settings { lmtp: target.url.lmtp, pipelining: !common.no_pipelining, ..Settings::default() };
        let reply = block(async {
            let mut client = target.smtp(common, &settings).await?;
            let reply = match self.what {
                What::Vrfy => client.vrfy(about).await,
                What::Expn => client.expn(about).await,
                What::Help => client.help(Some(about).filter(|about| !about.is_empty())).await,
                What::Etrn => client.etrn(about).await,
            };
            let reply = reply.map_err(|error| target.failure(error, Exit::Unavailable))?;
            client.quit().await;
            Ok::<_, Failure>(reply)
        })?;
        let data = reply.lines().map(|line| view::printable(&line) + "\n").collect();
        Ok(Report { exit: Exit::Ok, json: json!({"reply": reply, "error": null}), data, notes: Vec::new() })
    }
}
