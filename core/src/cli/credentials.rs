//! Who logs in: the user, and where the password comes from.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use starttls::smtp::{Credentials, Mechanism};
use starttls::url::Url;
use zeroize::Zeroizing;

use crate::common::LOGIN_HEADING;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::netrc;

/// The variable that may hold the password.
const VARIABLE: &str = "STARTTLS_PASSWORD";

/// The variable that may hold the password for the second of two servers.
const TARGET_VARIABLE: &str = "STARTTLS_TARGET_PASSWORD";

/// No password file is longer than this.
const LONGEST: u64 = 1024 * 1024;

/// The flags about logging in.
#[derive(Args, Debug)]
pub(crate) struct Login {
    /// Log in as this user, if the URL names none
    #[arg(long, global = true, value_name = "NAME", help_heading = LOGIN_HEADING)]
    user: Option<String>,
    /// Take the password from the first line of this file; - is standard input
    #[arg(long, global = true, value_name = "FILE", help_heading = LOGIN_HEADING)]
    password_file: Option<PathBuf>,
    /// Look for user and password in this file, usually ~/.netrc
    #[arg(long, global = true, value_name = "FILE", help_heading = LOGIN_HEADING)]
    netrc: Option<PathBuf>,
    /// FTP: the account, for servers that ask for one (ACCT), is the first line of this file; - is standard input
    #[arg(long, global = true, value_name = "FILE", help_heading = LOGIN_HEADING)]
    account_file: Option<PathBuf>,
    /// Mail: log in with the OAuth 2.0 token in the first line of this file; - is standard input
    #[arg(long, global = true, value_name = "FILE", conflicts_with_all = ["password_file", "netrc"], help_heading = LOGIN_HEADING)]
    token_file: Option<PathBuf>,
    /// Mail: log in with this SASL mechanism and no other; EXTERNAL is --client-cert itself
    #[arg(long, global = true, value_name = "MECHANISM", value_parser = mechanism, help_heading = LOGIN_HEADING)]
    auth: Option<Mechanism>,
    /// Mail: act as this user, if the one who logs in may
    #[arg(long, global = true, value_name = "NAME", help_heading = LOGIN_HEADING)]
    authzid: Option<String>,
}

fn mechanism(name: &str) -> Result<Mechanism, String> {
    let known = || Mechanism::ALL.map(Mechanism::name).join(", ");
    name.parse().map_err(|_| format!("known are {}", known()))
}

impl Login {
    /// The flag by which standard input holds a secret, so that nothing else can be there.
    pub(crate) fn reads_stdin(&self) -> Option<&'static str> {
        let reads = |file: &Option<PathBuf>| file.as_deref() == Some(Path::new("-"));
        match () {
            () if reads(&self.password_file) => Some("--password-file -"),
            () if reads(&self.token_file) => Some("--token-file -"),
            () if reads(&self.account_file) => Some("--account-file -"),
            () => None,
        }
    }

    /// Whether any flag is about who logs in.
    pub(crate) fn is_given(&self) -> bool {
        self.user.is_some() || self.password_file.is_some() || self.netrc.is_some() || self.is_for_mail()
    }

    /// The account, if there is one.
    pub(crate) fn account(&self) -> Result<Option<Zeroizing<String>>, Failure> {
        let Some(file) = &self.account_file else { return Ok(None) };
        if self.password_file.as_ref() == Some(file) && file == Path::new("-") {
            return Err(Failure::usage("standard input holds one secret: the password or the account"));
        }
        first_line(file, "account").map(Some)
    }

    /// For the second of two servers: nothing that is meant for the first one but the netrc, which has entries for both.
    fn of_target(&self, password_file: Option<&Path>) -> Self {
        let password_file = password_file.map(Path::to_owned);
        let netrc = self.netrc.clone();
        Self { user: None, password_file, netrc, account_file: None, token_file: None, auth: None, authzid: None }
    }

    /// Whether anything is asked for that only files know.
    pub(crate) fn is_for_files(&self) -> bool {
        self.account_file.is_some()
    }

    /// Whether anything is asked for that only mail knows.
    pub(crate) fn is_for_mail(&self) -> bool {
        self.token_file.is_some() || self.auth.is_some() || self.authzid.is_some()
    }
}

/// A user, and the password if there is one.
pub(crate) type Found = (String, Option<Zeroizing<String>>);

/// Who logs in at `url`, and with which password; `None` if nobody is named anywhere.
pub(crate) fn find(login: &Login, url: &Url) -> Result<Option<Found>, Failure> {
    find_by(login, url, VARIABLE)
}

/// The same for the second of two servers. What is said of the first one is never told to it.
pub(crate) fn find_for_target(
    login: &Login,
    url: &Url,
    password_file: Option<&Path>,
) -> Result<Option<Found>, Failure> {
    find_by(&login.of_target(password_file), url, TARGET_VARIABLE)
}

fn find_by(login: &Login, url: &Url, variable: &str) -> Result<Option<Found>, Failure> {
    let mut user = user(login, url)?;
    let mut password = url.password.clone();
    if let Some(file) = login.password_file.as_deref().filter(|_| password.is_none()) {
        password = Some(first_line(file, "password")?);
    }
    // A password without a user would be sent nowhere: a variable that is always set does no harm then.
    if password.is_none() && user.is_some() {
        password = std::env::var(variable).ok().map(Zeroizing::new);
    }
    if let Some(file) = login.netrc.as_deref().filter(|_| password.is_none()) {
        let text = read(file)?;
        let entry = netrc::find(&text, &url.endpoint.host, user.as_deref());
        let entry = entry.map_err(|why| Failure::new(Exit::Data, format!("{}: {why}", file.display())))?;
        if let Some(entry) = entry {
            user = user.or(entry.user);
            password = entry.password;
        }
    }
    match (user, password) {
        (Some(user), password) => Ok(Some((user, password))),
        (None, Some(_)) if login.password_file.is_some() || url.password.is_some() => {
            Err(Failure::usage("there is a password and no user: name one in the URL or with --user"))
        }
        (None, _) => Ok(None),
    }
}

/// What to log in with for mail; `None` if nobody does.
pub(crate) fn for_mail(login: &Login, url: &Url) -> Result<Option<Credentials>, Failure> {
    let credentials = match (login.auth, &login.token_file) {
        (Some(Mechanism::External | Mechanism::Anonymous), Some(_)) => {
            return Err(Failure::usage("--token-file is of no use beside this --auth"));
        }
        (Some(Mechanism::External), None) => Some(Credentials::external(None)),
        (Some(Mechanism::Anonymous), None) => Some(Credentials::anonymous(user(login, url)?.unwrap_or_default())),
        (_, Some(file)) => {
            let user = user(login, url)?;
            let user =
                user.ok_or_else(|| Failure::usage("there is a token and no user: name one in the URL or with --user"))?;
            let token = first_line(file, "token")?;
            Some(Credentials::token(user, token.as_str()))
        }
        (_, None) => match find(login, url)? {
            None => None,
            Some((user, Some(password))) => Some(Credentials::password(user, password.as_str())),
            Some((user, None)) => return Err(no_password(&user)),
        },
    };
    let Some(mut credentials) = credentials else {
        return match login.is_for_mail() {
            true => Err(Failure::usage("--auth and --authzid need a user: name one in the URL or with --user")),
            false => Ok(None),
        };
    };
    if let Some(mechanism) = login.auth {
        credentials = credentials.with_mechanism(mechanism);
    }
    if let Some(authzid) = &login.authzid {
        credentials = credentials.with_authzid(authzid);
    }
    Ok(Some(credentials))
}

fn user(login: &Login, url: &Url) -> Result<Option<String>, Failure> {
    match (&login.user, &url.user) {
        (Some(flag), Some(user)) if flag != user => {
            Err(Failure::usage(format!("the URL names the user {user}, and --user names {flag}")))
        }
        (flag, user) => Ok(flag.clone().or_else(|| user.clone())),
    }
}

/// There is a user to log in, and no password.
pub(crate) fn no_password(user: &str) -> Failure {
    Failure::usage(format!("no password for {user}"))
        .advise(format!("give --password-file, the variable {VARIABLE}, or --netrc"))
}

/// The same for the second of two servers.
pub(crate) fn no_password_for_target(user: &str) -> Failure {
    Failure::usage(format!("no password for {user} at the target"))
        .advise(format!("give --target-password-file, the variable {TARGET_VARIABLE}, or --netrc"))
}

pub(crate) fn first_line(file: &Path, what: &str) -> Result<Zeroizing<String>, Failure> {
    let text = read(file)?;
    let line = text.split('\n').next().unwrap_or_default();
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(Failure::new(Exit::Data, format!("{}: the first line is empty: no {what}", file.display())));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

fn read(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    let outcome = if file == Path::new("-") {
        io::stdin().lock().take(LONGEST).read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes))
    };
    outcome.map_err(|error| Failure::file(Exit::NoInput, file, &error))?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(Failure::new(Exit::Data, format!("{}: not UTF-8", file.display()))),
    }
}
