//! Load server for the benchmarks: SMTP and FTP on the loopback interface, over TLS.
//!
//! Message bodies and uploads are counted and discarded, downloads and listings are generated, any
//! credentials are accepted. Everything runs on one thread, so a client has the other cores to itself.
//!
//! The first line on standard output is one JSON object: the listening ports and the path of the
//! throwaway CA. Each session that ends adds one JSON line with what it carried (see [`ledger`]).
//!
//! ```text
//! bench-server --pki DIRECTORY [--round-trip MILLISECONDS] [--NAME PORT]...
//! ```
//! `NAME` is a key of the first JSON line; ports not named are chosen by the system.

mod channel;
mod delay;
mod files;
mod ftp;
mod ledger;
mod pki;
mod smtp;
mod tls;

use std::collections::BTreeMap;
use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

/// What a listening port speaks.
#[derive(Clone, Copy)]
enum Protocol {
    Smtp,
    Ftp {
        /// Refuse data connections whose TLS session is not resumed (522).
        resumption_required: bool,
    },
}

/// How a listening port treats its connections.
#[derive(Clone, Copy)]
struct Service {
    name: &'static str,
    protocol: Protocol,
    implicit_tls: bool,
    /// Whether the round-trip time of the command line is added.
    delayed: bool,
}

impl Service {
    const fn new(name: &'static str, protocol: Protocol) -> Self {
        Self { name, protocol, implicit_tls: false, delayed: false }
    }

    const fn implicit_tls(mut self) -> Self {
        self.implicit_tls = true;
        self
    }

    const fn delayed(mut self) -> Self {
        self.delayed = true;
        self
    }
}

const SMTP: Protocol = Protocol::Smtp;
const FTP: Protocol = Protocol::Ftp { resumption_required: false };
const SERVICES: [Service; 9] = [
    Service::new("smtp", SMTP),
    Service::new("smtps", SMTP).implicit_tls(),
    Service::new("smtp-delayed", SMTP).delayed(),
    Service::new("smtps-delayed", SMTP).implicit_tls().delayed(),
    Service::new("ftp", FTP),
    Service::new("ftps", FTP).implicit_tls(),
    Service::new("ftp-delayed", FTP).delayed(),
    Service::new("ftps-delayed", FTP).implicit_tls().delayed(),
    Service::new("ftp-resumption", Protocol::Ftp { resumption_required: true }),
];

struct Arguments {
    pki: PathBuf,
    round_trip: Duration,
    ports: BTreeMap<String, u16>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut pki = None;
        let mut round_trip = Duration::from_millis(20);
        let mut ports = BTreeMap::new();
        while let Some(option) = words.next() {
            let value = words.next().ok_or_else(|| format!("{option}: no value"))?;
            let invalid = |_| format!("{option}: {value} is not a number");
            match option.strip_prefix("--") {
                Some("pki") => pki = Some(PathBuf::from(&value)),
                Some("round-trip") => {
                    round_trip = Duration::from_millis(value.parse().map_err(invalid)?);
                }
                Some(name) if SERVICES.iter().any(|service| service.name == name) => {
                    ports.insert(name.to_owned(), value.parse().map_err(invalid)?);
                }
                _ => return Err(format!("unknown option {option}")),
            }
        }
        Ok(Self { pki: pki.ok_or("--pki DIRECTORY is needed")?, round_trip, ports })
    }
}

async fn serve(service: Service, round_trip: Duration, stream: TcpStream, shared: Rc<Shared>) {
    let _ = stream.set_nodelay(true);
    let delay = if service.delayed { round_trip } else { Duration::ZERO };
    let wire = delay::Wire::new(stream, delay).await;
    let session = async {
        let mut channel = channel::Channel::new(wire);
        if service.implicit_tls {
            channel.accept_tls(&shared.tls).await?;
        }
        match service.protocol {
            Protocol::Smtp => smtp::session(channel, &shared).await,
            Protocol::Ftp { resumption_required } => {
                let policy = ftp::Policy { resumption_required, delay };
                ftp::session(channel, &shared, policy).await
            }
        }
    };
    match session.await {
        // A client may go as it likes; the ledger says what it got done.
        Err(error) if !matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof) => {
            eprintln!("{}: {error}", service.name);
        }
        _ => {}
    }
}

/// What all sessions share.
pub(crate) struct Shared {
    tls: Arc<rustls::ServerConfig>,
    uploads: files::Uploads,
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let authority = pki::create(&arguments.pki)?;
    let shared = Rc::new(Shared { tls: authority.server, uploads: files::Uploads::default() });
    let mut ports = Vec::new();
    for service in SERVICES {
        let port = arguments.ports.get(service.name).copied().unwrap_or(0);
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        ports.push((service.name, listener.local_addr()?.port()));
        let (shared, round_trip) = (shared.clone(), arguments.round_trip);
        spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                spawn_local(serve(service, round_trip, stream, shared.clone()));
            }
        });
    }
    ledger::announce(&ports, &authority.ca_file);
    // Serves until its starter ends it.
    std::future::pending::<()>().await;
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, run(arguments))
}
