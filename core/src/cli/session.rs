//! The flags about FTP sessions: how the server is spoken to.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use starttls::ftp::{Auth, DataProtection, Settings};

use crate::common::seconds;
use crate::failure::Failure;
use crate::output::note;

const SESSION: &str = "FTP sessions";

/// How an FTP server is spoken to.
#[derive(Args, Debug)]
pub(crate) struct Session {
    /// Ask for TLS by AUTH SSL, for servers that know no AUTH TLS
    #[arg(long, global = true, help_heading = SESSION)]
    auth_ssl: bool,
    /// Which of the server's virtual hosts is meant (HOST), told before the login
    #[arg(long, global = true, value_name = "NAME", help_heading = SESSION)]
    virtual_host: Option<String>,
    /// Who we say we are, to servers that want to know (CLNT)
    #[arg(long, global = true, value_name = "TEXT", help_heading = SESSION)]
    client_name: Option<String>,
    /// Ask for replies in this language (LANG): en, pt-BR
    #[arg(long, global = true, value_name = "TAG", help_heading = SESSION)]
    language: Option<String>,
    /// Give a sign of life on the control connection so often during a transfer (NOOP)
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds, help_heading = SESSION)]
    keep_alive: Option<Duration>,
    /// Have no more sessions with the server than these, whatever --parallel and --segments say
    #[arg(long, global = true, value_name = "N", help_heading = SESSION)]
    max_connections: Option<NonZeroUsize>,
    /// Let files and listings travel in CLEAR TEXT (PROT C): everybody on the way can read and change them
    #[arg(long, global = true, help_heading = SESSION)]
    clear_data: bool,
    /// Believe downloads that end without close_notify: anybody on the way can CUT THEM SHORT
    #[arg(long, global = true, help_heading = SESSION)]
    accept_missing_close_notify: bool,
}

impl Session {
    /// What the flags say, for a session with files; says aloud what is dangerous about them.
    pub(crate) fn apply(&self, settings: &mut Settings) {
        settings.auth = if self.auth_ssl { Auth::Ssl } else { Auth::default() };
        settings.virtual_host.clone_from(&self.virtual_host);
        settings.client_name.clone_from(&self.client_name);
        settings.language.clone_from(&self.language);
        settings.keep_alive = self.keep_alive;
        settings.max_connections = self.max_connections;
        if self.clear_data {
            note("WARNING: --clear-data: everybody on the way can read and change files and listings");
            settings.data_protection = DataProtection::Clear;
        }
        if self.accept_missing_close_notify {
            note("WARNING: --accept-missing-close-notify: a download may have been cut short by anybody on the way");
            settings.accept_missing_close_notify = true;
        }
    }

    /// Mail has none of this.
    pub(crate) fn refuse_for_mail(&self) -> Result<(), Failure> {
        let given = [
            ("--auth-ssl", self.auth_ssl),
            ("--virtual-host", self.virtual_host.is_some()),
            ("--client-name", self.client_name.is_some()),
            ("--language", self.language.is_some()),
            ("--keep-alive", self.keep_alive.is_some()),
            ("--max-connections", self.max_connections.is_some()),
            ("--clear-data", self.clear_data),
            ("--accept-missing-close-notify", self.accept_missing_close_notify),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(Failure::usage(format!("{flag} is about files"))),
            None => Ok(()),
        }
    }
}
