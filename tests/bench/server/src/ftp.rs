//! FTP: files made of nothing, uploads counted and forgotten.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::timeout;

use crate::channel::Channel;
use crate::delay::Wire;
use crate::ledger::Session;
use crate::{Shared, files};

const FEATURES: &str = "211-Features:\r\n AUTH TLS\r\n PBSZ\r\n PROT\r\n EPSV\r\n \
                        MLST type*;size*;modify*;perm*;unique*;UNIX.mode*;\r\n REST STREAM\r\n \
                        SIZE\r\n MDTM\r\n UTF8\r\n211 End\r\n";
/// How long a transfer waits for its data connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// Octets of a download handed over at once.
const BLOCK: usize = 128 << 10;

pub(crate) struct Policy {
    pub(crate) resumption_required: bool,
    /// Round-trip time added to data connections.
    pub(crate) delay: Duration,
}

/// A data connection to come, and the listener it came through.
type Data = JoinHandle<io::Result<(Channel, TcpListener)>>;

struct State<'a> {
    shared: &'a Rc<Shared>,
    policy: Policy,
    ledger: Session,
    protected: bool,
    directory: String,
    restart: u64,
    rename_from: Option<String>,
    data: Option<Data>,
    /// Kept from one transfer to the next: finding a free port among thousands that were used a moment ago would take
    /// longer than a small file.
    listener: Option<TcpListener>,
}

pub(crate) async fn session(mut channel: Channel, shared: &Rc<Shared>, policy: Policy) -> io::Result<()> {
    let mut state = State {
        shared,
        policy,
        ledger: Session::new("ftp", channel.suite()),
        // Until PROT says otherwise (RFC 4217, section 9), except where all is TLS.
        protected: channel.is_secure(),
        directory: "/".to_owned(),
        restart: 0,
        rename_from: None,
        data: None,
        listener: None,
    };
    channel.say("220 Ready\r\n");
    while let Some(line) = channel.line().await? {
        let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let verb = verb.to_ascii_uppercase();
        match verb.as_str() {
            "AUTH" if channel.is_secure() => channel.say("503 TLS is on\r\n"),
            "AUTH" => {
                channel.say("234 Go ahead\r\n");
                channel.accept_tls(&shared.tls).await?;
                state.ledger.suite = channel.suite();
            }
            "EPSV" | "PASV" => {
                let reply = state.passive(&verb).await?;
                channel.say(&reply);
            }
            "RETR" | "STOR" | "APPE" | "MLSD" | "LIST" | "NLST" => {
                state.transfer(&mut channel, &verb, argument).await?;
            }
            "QUIT" => {
                channel.say("221 Bye\r\n");
                state.ledger.flights = channel.flights();
                drop(state);
                channel.close().await?;
                channel.linger();
                return Ok(());
            }
            _ => channel.say(&state.answer(&verb, argument)),
        }
        state.ledger.flights = channel.flights();
    }
    Ok(())
}

impl State<'_> {
    /// Commands that move no data.
    fn answer(&mut self, verb: &str, argument: &str) -> String {
        let path = self.path(argument);
        match verb {
            "USER" => "331 Password?\r\n".to_owned(),
            "PASS" | "ACCT" => "230 Welcome\r\n".to_owned(),
            "PBSZ" => "200 PBSZ=0\r\n".to_owned(),
            "PROT" => {
                self.protected = argument.eq_ignore_ascii_case("P");
                "200 Ok\r\n".to_owned()
            }
            "FEAT" => FEATURES.to_owned(),
            "SYST" => "215 UNIX Type: L8\r\n".to_owned(),
            "OPTS" | "TYPE" | "MODE" | "STRU" | "NOOP" | "CLNT" | "ALLO" => "200 Ok\r\n".to_owned(),
            "PWD" => format!("257 \"{}\"\r\n", self.directory),
            "CWD" | "CDUP" => {
                self.directory = if verb == "CDUP" { "/".to_owned() } else { path };
                "250 Ok\r\n".to_owned()
            }
            "SIZE" => match self.size(&path) {
                Some(size) => format!("213 {size}\r\n"),
                None => "550 No such file\r\n".to_owned(),
            },
            "MDTM" => format!("213 {}\r\n", files::MODIFIED),
            "MLST" => match self.size(&path) {
                Some(size) => {
                    format!("250-Entry\r\n type=file;size={size};modify={}; {path}\r\n250 End\r\n", files::MODIFIED)
                }
                None => format!("250-Entry\r\n type=dir; {path}\r\n250 End\r\n"),
            },
            "REST" => match argument.parse() {
                Ok(offset) => {
                    self.restart = offset;
                    "350 Ok\r\n".to_owned()
                }
                Err(_) => "501 REST OFFSET\r\n".to_owned(),
            },
            "DELE" | "RMD" => "250 Ok\r\n".to_owned(),
            "MKD" => format!("257 \"{path}\"\r\n"),
            "RNFR" => {
                self.rename_from = Some(path);
                "350 Ok\r\n".to_owned()
            }
            "RNTO" => {
                if let Some(from) = self.rename_from.take() {
                    self.shared.uploads.rename(&from, &path);
                }
                "250 Ok\r\n".to_owned()
            }
            _ => "502 Not implemented\r\n".to_owned(),
        }
    }

    fn path(&self, argument: &str) -> String {
        if argument.is_empty() || argument.starts_with('-') {
            self.directory.clone()
        } else if argument.starts_with('/') {
            argument.to_owned()
        } else {
            format!("{}/{argument}", self.directory.trim_end_matches('/'))
        }
    }

    fn size(&self, path: &str) -> Option<u64> {
        self.shared.uploads.size(path).or_else(|| files::size(path))
    }

    /// Listens for one data connection. Its handshake runs as soon as the client begins it, before
    /// or after the transfer's command.
    async fn passive(&mut self, verb: &str) -> io::Result<String> {
        // One that is still waited on, or was not used, may have a connection of its own pending.
        if let Some(unused) = self.data.take() {
            unused.abort();
        }
        let listener = match self.listener.take() {
            Some(listener) => listener,
            None => TcpListener::bind("127.0.0.1:0").await?,
        };
        let port = listener.local_addr()?.port();
        let tls = self.protected.then(|| self.shared.tls.clone());
        let delay = self.policy.delay;
        self.data = Some(spawn_local(async move {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let mut channel = Channel::new(Wire::new(stream, delay).await);
            if let Some(tls) = tls {
                channel.accept_tls(&tls).await?;
            }
            Ok((channel, listener))
        }));
        Ok(match verb {
            "EPSV" => format!("229 Connect (|||{port}|)\r\n"),
            _ => format!("227 Connect (127,0,0,1,{},{})\r\n", port >> 8, port & 255),
        })
    }

    async fn transfer(&mut self, control: &mut Channel, verb: &str, argument: &str) -> io::Result<()> {
        let path = self.path(argument);
        let restart = std::mem::take(&mut self.restart);
        let Some(data) = self.data.take() else {
            control.say("425 EPSV or PASV first\r\n");
            return Ok(());
        };
        if verb == "RETR" && self.size(&path).is_none() {
            data.abort();
            control.say("550 No such file\r\n");
            return Ok(());
        }
        control.say(&match self.size(&path) {
            Some(size) if verb == "RETR" => format!("150 Here it goes ({size} bytes)\r\n"),
            _ => "150 Here it goes\r\n".to_owned(),
        });
        control.flush().await?;
        let mut data = match timeout(PATIENCE, data).await {
            Ok(Ok(Ok((data, listener)))) => {
                self.listener = Some(listener);
                data
            }
            _ => {
                control.say("425 No data connection\r\n");
                return Ok(());
            }
        };
        if data.is_secure() {
            let kind = if data.is_resumed() { &mut self.ledger.resumed } else { &mut self.ledger.full };
            *kind += 1;
            if self.policy.resumption_required && !data.is_resumed() {
                control.say("522 The TLS session is not resumed\r\n");
                return Ok(());
            }
        }
        match self.carry(&mut data, verb, &path, restart).await {
            Ok(octets) => {
                self.ledger.count += 1;
                self.ledger.octets += octets;
                control.say("226 Done\r\n");
            }
            Err(error) => control.say(&format!("426 {error}\r\n")),
        }
        data.linger();
        Ok(())
    }

    /// Moves one file or listing over `data` and closes it; returns the octets moved.
    async fn carry(&mut self, data: &mut Channel, verb: &str, path: &str, restart: u64) -> io::Result<u64> {
        let mut octets;
        match verb {
            "RETR" => {
                octets = self.size(path).unwrap_or(0).saturating_sub(restart);
                let block = vec![b'x'; octets.min(BLOCK as u64) as usize];
                let mut missing = octets;
                while missing > 0 {
                    let count = missing.min(BLOCK as u64);
                    data.send(&block[..count as usize]).await?;
                    missing -= count;
                }
            }
            "STOR" | "APPE" => {
                // What came with the end of the handshake.
                octets = data.inbox().len() as u64;
                while data.receive(|bytes| octets += bytes.len() as u64).await? {}
                self.shared.uploads.record(path, restart + octets);
            }
            _ => {
                let text = files::listing(verb, path);
                data.send(text.as_bytes()).await?;
                octets = text.len() as u64;
            }
        }
        data.close().await?;
        Ok(octets)
    }
}
