//! `starttls send`: messages, streamed from files or standard input.

mod message;
mod options;
mod several;
mod signature;

use std::path::{Path, PathBuf};

use clap::Args;
use starttls::Error;
use starttls::smtp::{DeliveryReport, Mailbox, Outcome, SendOptions, Settings};
use starttls::transport::block;
use starttls::url::Protocol;

use self::message::{Addressing, Message};
use self::options::Asked;
use self::signature::Signature;
use crate::common::{Common, Target};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Report;
use crate::view;

/// Send a message: header, empty line, body, as in an .eml file
///
/// The message goes out as it is, but for its line ends, which become CRLF, and a Bcc header, which is left out. Without
/// --from or --to, its header says who sends it to whom.
#[derive(Args, Debug)]
pub(crate) struct Send {
    /// smtp://[USER@]HOST[:PORT], smtps://… or lmtp://…
    url: String,
    /// Another server for the same job, tried if those before are out of order; repeat it for more. A certificate that
    /// fails, or a refusal for good, ends the search
    #[arg(long, value_name = "URL")]
    fallback: Vec<String>,
    /// The envelope's sender; '' for none, as notifications have it. Default: the header's Sender or From
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// A recipient; repeat it for more. Default: everybody in the header's To, Cc and Bcc
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    to: Vec<String>,
    /// The message; - is standard input, and the default. With several files, several messages are in flight at a time
    #[arg(short, long, value_name = "FILE", num_args = 1..)]
    file: Vec<PathBuf>,
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    signature: Signature,
}

impl Send {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        let target = common.target(&self.url, Protocol::Smtp)?.with_fallbacks(common, &self.fallback)?;
        // What the command line says is looked at before the message is.
        for address in self.from.iter().filter(|from| !from.is_empty()).chain(&self.to) {
            address.parse::<Mailbox>().map_err(Failure::early)?;
        }
        let (settings, options) = (self.asked.settings(target.url.lmtp, !common.no_pipelining)?, self.asked.options()?);
        let standard_input = PathBuf::from("-");
        let files = if self.file.is_empty() { std::slice::from_ref(&standard_input) } else { &self.file };
        let piped = files.iter().filter(|file| file.as_os_str() == "-").count();
        if let Some(flag) = common.login.reads_stdin().filter(|_| piped > 0) {
            return Err(Failure::usage(format!("{flag} and the message both want standard input")));
        }
        if piped > 1 {
            return Err(Failure::usage("two messages cannot both be standard input"));
        }
        match files {
            [file] => {
                // Opened and looked at before anything is sent.
                let message = self.open(file, &options)?;
                let report = block(deliver(common, &target, &settings, message))?;
                Ok(tell(&report))
            }
            files => Ok(several::tell(block(several::deliver(self, common, &target, &settings, &options, files))?)),
        }
    }

    /// A message, looked at, with what is asked for.
    fn open(&self, file: &Path, options: &SendOptions) -> Result<Message, Failure> {
        let recipients = Some(&*self.to).filter(|to| !to.is_empty());
        let addressing = Addressing { sender: self.from.as_deref(), recipients };
        let open = || Message::open(file, &addressing);
        Ok(self.signature.sign(open()?, file, open)?.asking(options))
    }
}

async fn deliver(
    common: &Common,
    target: &Target,
    settings: &Settings,
    mut message: Message,
) -> Result<DeliveryReport, Failure> {
    let client = target.smtp(common, settings).await?;
    // A server without the extension gets such a header as any other: nobody can say more to it.
    message.envelope.utf8 &= client.extensions().offers("SMTPUTF8");
    let envelope = message.envelope.clone();
    client.send_and_quit(&envelope, message).await.map_err(|error| target.failure(error, Exit::Unavailable))
}

fn tell(report: &DeliveryReport) -> Report {
    Report { exit: exit(report), json: view::json(report), data: String::new(), notes: notes(report) }
}

/// For people.
fn notes(report: &DeliveryReport) -> Vec<String> {
    let accepted = report.accepted().count();
    let people = |n: usize| if n == 1 { "1 recipient".to_owned() } else { format!("{n} recipients") };
    let queue_id = report.queue_id().map_or(String::new(), |id| format!(", queue id {id}"));
    let mut notes: Vec<_> = report
        .refused()
        .map(|(recipient, reply)| match reply {
            Some(reply) => format!("{recipient} refused: the server said \"{reply}\""),
            None => format!("{recipient} was not asked for: the connection was lost before"),
        })
        .collect();
    notes.push(match report.outcome() {
        Outcome::Accepted => format!("accepted for {}{queue_id}", people(accepted)),
        Outcome::Partial => format!(
            "accepted for {} of {}{queue_id}; send again to the refused ones only",
            accepted,
            people(report.recipients().len())
        ),
        Outcome::Refused => format!(
            "refused: the message was not sent{}",
            report.error().and_then(Error::advice).map_or(String::new(), |advice| format!("; {advice}"))
        ),
        Outcome::Unknown => format!(
            "unknown outcome: the message may have been accepted for {}; sending it again may deliver it twice{}",
            people(accepted),
            report.error().map_or(String::new(), |error| format!(" ({error})"))
        ),
    });
    notes.iter().map(|line| view::printable(line)).collect()
}

fn exit(report: &DeliveryReport) -> Exit {
    let mut refusals = report.refused().filter_map(|(_, reply)| Some(reply?.code())).peekable();
    match report.outcome() {
        Outcome::Accepted => Exit::Ok,
        Outcome::Partial => Exit::Partial,
        Outcome::Unknown => Exit::Unknown,
        Outcome::Refused if refusals.peek().is_some_and(|code| code.is_login_required()) => Exit::NoPermission,
        Outcome::Refused if refusals.all(|code| code.is_transient_negative()) => Exit::TempFail,
        Outcome::Refused => Exit::Unavailable,
    }
}
