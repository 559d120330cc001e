//! `send`: a message from a file, in pieces.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use starttls_tests::embedding::Sandbox;
use starttls_tests::embedding::exports::smtp::{Account, Credentials, Envelope, Outcome};

use crate::{Common, Failure, With, local};

/// What the component is given at a time.
const PIECE: usize = 256 * 1024;

#[derive(Args)]
pub(crate) struct Send {
    /// smtp://[USER@]HOST[:PORT] or smtps://…
    pub(crate) url: String,
    /// The envelope's sender
    #[arg(long, value_name = "ADDRESS")]
    from: String,
    /// A recipient; repeat it for more
    #[arg(long, value_name = "ADDRESS", required = true)]
    to: Vec<String>,
    /// The message
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Send {
    pub(crate) fn run(&self, Sandbox { store, client }: &mut Sandbox, with: &With) -> Result<(), Failure> {
        let mut message = File::open(&self.file).map_err(|error| local(&self.file, &error))?;
        let size = message.metadata().map_err(|error| local(&self.file, &error))?.len();
        let smtp = client.starttls_client_smtp();
        let session = smtp.session().call_open(&mut *store, &with.endpoint, with.config, with.options)??;
        if let Some(user) = &with.user {
            let account = Account { user: user.clone(), secret: with.password.clone(), authzid: None };
            smtp.session().call_login(&mut *store, session, &Credentials::Password(account), None)??;
        }
        let envelope = Envelope {
            sender: Some(self.from.clone()),
            recipients: self.to.clone(),
            size: Some(size),
            eight_bit: false,
            utf8: false,
        };
        let writer = smtp.session().call_begin(&mut *store, session, &envelope, None)??;
        let mut piece = vec![0; PIECE];
        loop {
            // On an error the writer is never finished, and half a message never delivered.
            match message.read(&mut piece).map_err(|error| local(&self.file, &error))? {
                0 => break,
                n => smtp.message_writer().call_write(&mut *store, writer, &piece[..n])??,
            }
        }
        let report = smtp.message_writer().call_finish(&mut *store, writer)??;
        smtp.session().call_quit(&mut *store, session)?;
        for verdict in &report.recipients {
            let word = if verdict.accepted { "accepted" } else { "refused" };
            let reply = verdict.reply.as_ref();
            let said = reply.map_or_else(String::new, |reply| format!("{} {}", reply.code, reply.lines.join(" / ")));
            println!("{}: {word}: {said}", verdict.recipient);
        }
        let why = match report.outcome {
            Outcome::Accepted => return Ok(()),
            Outcome::Partial => "some recipients were refused".to_owned(),
            Outcome::Refused => "the message was refused".to_owned(),
            Outcome::Unknown => {
                let why = report.error.map_or_else(String::new, |error| format!(": {}", error.message));
                format!("the message may have been accepted, sending it again may deliver it twice{why}")
            }
        };
        Err(Failure::Local(why))
    }
}
