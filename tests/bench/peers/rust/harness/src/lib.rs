//! What the Rust peers share: the task they are given, timing, and the line they print.
//!
//! Command line: `OPERATION PORT CA_FILE ARGUMENT COUNT SECONDS`. With `BENCH_PROVIDER=ring` in the
//! environment the peer's TLS runs on ring, else on aws-lc-rs.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::{CryptoProvider, aws_lc_rs, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

pub const HOST: &str = "localhost";
pub const SENDER: &str = "a@example.com";
pub const RECIPIENT: &str = "b@example.com";
pub const BLOCK: usize = 64 << 10;

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What one run has to do.
pub struct Task {
    pub operation: String,
    pub port: u16,
    /// PEM of the CA that signed the server's certificate.
    pub ca_pem: Vec<u8>,
    /// A message, a file to upload, or a remote name.
    pub argument: String,
    count: u64,
    limit: Duration,
    started: Instant,
}

impl Task {
    /// Reads the command line; also makes the chosen provider the default of the process.
    pub fn begin() -> Result<Self> {
        let started = Instant::now();
        let words: Vec<String> = std::env::args().skip(1).collect();
        let [operation, port, ca_file, argument, count, seconds] = &words[..] else {
            return Err("OPERATION PORT CA_FILE ARGUMENT COUNT SECONDS".into());
        };
        let task = Self {
            operation: operation.clone(),
            port: port.parse()?,
            ca_pem: std::fs::read(ca_file)?,
            argument: argument.clone(),
            count: count.parse()?,
            limit: Duration::from_secs_f64(seconds.parse()?),
            started,
        };
        provider().install_default().map_err(|_| "a provider is installed already")?;
        Ok(task)
    }

    /// A client configuration that trusts the CA and nothing else.
    pub fn tls(&self) -> Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&self.ca_pem)?)?;
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Arc::new(config))
    }

    /// Whether another of the task's repeated steps is due, `done` of them having taken `elapsed`.
    pub fn goes_on(&self, done: u64, elapsed: Duration) -> bool {
        done < self.count && elapsed < self.limit
    }

    /// Prints the measured part.
    pub fn report(&self, seconds: Duration, count: u64) {
        println!("{{\"seconds\":{},\"count\":{count}}}", seconds.as_secs_f64());
    }

    /// Prints the time since the program began.
    pub fn report_whole(&self) {
        self.report(self.started.elapsed(), 1);
    }
}

fn provider() -> CryptoProvider {
    match std::env::var("BENCH_PROVIDER").as_deref() {
        Ok("ring") => ring::default_provider(),
        _ => aws_lc_rs::default_provider(),
    }
}
