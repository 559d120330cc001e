//! `starttls send`: one message, streamed from a file or standard input.

mod message;
mod signature;

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use starttls::smtp::{DeliveryReport, EhloName, Mailbox, Outcome, Settings};
use starttls::transport::block;
use starttls::url::Protocol;
use zeroize::Zeroizing;

use self::message::{Addressing, Message};
use self::signature::Signature;
use crate::common::{Common, Target};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Report;
use crate::view;

/// Pieces in which a message is read.
const PIECE: usize = 64 * 1024;

/// Send a message: header, empty line, body, as in an .eml file
///
/// The message goes out as it is, but for its line ends, which become CRLF, and a Bcc header, which is left out. Without
/// --from or --to, its header says who sends it to whom.
#[derive(Args, Debug)]
pub(crate) struct Send {
    /// smtp://[USER@]HOST[:PORT] or smtps://…
    url: String,
    /// The envelope's sender; '' for none, as notifications have it. Default: the header's Sender or From
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// A recipient; repeat it for more. Default: everybody in the header's To, Cc and Bcc
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    to: Vec<String>,
    /// The message; - is standard input
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// The name to give in EHLO
    #[arg(long, value_name = "NAME")]
    ehlo: Option<String>,
    #[command(flatten)]
    signature: Signature,
}

impl Send {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        let target = common.target(&self.url, Protocol::Smtp)?;
        let name = self.ehlo.as_ref().map_or_else(|| Ok(EhloName::default()), EhloName::new).map_err(Failure::early)?;
        let settings = Settings { name, lmtp: target.url.lmtp, ..Settings::default() };
        // What the command line says is looked at before the message is.
        for address in self.from.iter().filter(|from| !from.is_empty()).chain(&self.to) {
            address.parse::<Mailbox>().map_err(Failure::early)?;
        }
        let recipients = Some(&*self.to).filter(|to| !to.is_empty());
        let addressing = Addressing { sender: self.from.as_deref(), recipients };
        if let Some(flag) = common.login.reads_stdin().filter(|_| self.file.as_os_str() == "-") {
            return Err(Failure::usage(format!("{flag} and the message both want standard input")));
        }
        // Opened and looked at before anything is sent.
        let open = || Message::open(&self.file, &addressing);
        let mut message = self.signature.sign(open()?, &self.file, open)?;
        let report = block(self.deliver(common, &target, &settings, &mut message))?;
        Ok(tell(&report))
    }

    async fn deliver(
        &self,
        common: &Common,
        target: &Target,
        settings: &Settings,
        message: &mut Message,
    ) -> Result<DeliveryReport, Failure> {
        let fail = |error| target.failure(error, Exit::Unavailable);
        let mut client = target.smtp(common, settings).await?;
        // A server without the extension gets such a header as any other: nobody can say more to it.
        message.envelope.utf8 &= client.extensions().offers("SMTPUTF8");
        client.begin(&message.envelope).await.map_err(fail)?;
        let mut piece = Zeroizing::new(vec![0; PIECE]);
        loop {
            // On an error the connection is dropped before the message's end: the server forgets it.
            match message.read(&mut piece).map_err(|error| Failure::file(Exit::IoError, &self.file, &error))? {
                0 => break,
                n => client.write(&piece[..n]).await.map_err(fail)?,
            }
        }
        let report = client.finish().await.map_err(fail)?;
        client.quit().await;
        Ok(report)
    }
}

fn tell(report: &DeliveryReport) -> Report {
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
        Outcome::Refused => "refused: the message was not sent".to_owned(),
        Outcome::Unknown => format!(
            "unknown outcome: the message may have been accepted for {}; sending it again may deliver it twice{}",
            people(accepted),
            report.error().map_or(String::new(), |error| format!(" ({error})"))
        ),
    });
    let notes = notes.iter().map(|line| view::printable(line)).collect();
    Report { exit: exit(report), json: view::json(report), data: String::new(), notes }
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
