//! The flags about TLS: whom to trust, who we are, what is spoken.

use std::path::{Path, PathBuf};

use clap::Args;
use starttls::Security;
use starttls::tls::{Fingerprint, Identity, MtaSts, TlsConfig, Tlsa, Version};
use starttls::url::{Protocol, Url};

use crate::credentials::first_line;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::note;

const HEADING: &str = "TLS";

/// The flags about TLS.
#[derive(Args, Debug)]
pub(crate) struct Tls {
    /// Trust the authorities in this file (PEM or DER), and no others; several files add up
    #[arg(long, global = true, value_name = "FILE", help_heading = HEADING)]
    ca_file: Vec<PathBuf>,
    /// Trust the authorities in the files of this folder, and no others
    #[arg(long, global = true, value_name = "FOLDER", help_heading = HEADING)]
    ca_folder: Option<PathBuf>,
    /// Trust the authorities in this one of the system's certificate stores, and no others (Windows: Root,
    /// LocalMachine\Root; macOS: user, admin, system)
    #[arg(long, global = true, value_name = "STORE", help_heading = HEADING)]
    ca_store: Option<String>,
    /// Trust the system's authorities, too, beside those of the flags above
    #[arg(long, global = true, help_heading = HEADING)]
    and_platform: bool,
    /// Show this certificate, and its chain, if the server asks (PEM, or PKCS#12 with its key)
    #[arg(long, global = true, value_name = "FILE", help_heading = HEADING)]
    client_cert: Option<PathBuf>,
    /// The key of --client-cert (PEM), if it is not in the same file
    #[arg(long, global = true, value_name = "FILE", requires = "client_cert", help_heading = HEADING)]
    client_key: Option<PathBuf>,
    /// The passphrase of the key, or of the PKCS#12 file, is the first line of this file
    #[arg(long, global = true, value_name = "FILE", requires = "client_cert", help_heading = HEADING)]
    client_passphrase_file: Option<PathBuf>,
    /// Require this public key, too: SHA-256 in hexadecimal or Base64; several pins: any of them
    #[arg(long, global = true, value_name = "SHA256", help_heading = HEADING)]
    pin: Vec<Fingerprint>,
    /// Require this certificate, too: its fingerprint, SHA-256 in hexadecimal or Base64
    #[arg(long, global = true, value_name = "SHA256", help_heading = HEADING)]
    pin_certificate: Vec<Fingerprint>,
    /// Refuse certificates that a list in this file (CRL, PEM or DER) says are revoked; several files add up
    #[arg(long, global = true, value_name = "FILE", help_heading = HEADING)]
    crl: Vec<PathBuf>,
    /// With --crl: accept certificates that no current list is about
    #[arg(long, global = true, requires = "crl", help_heading = HEADING)]
    allow_unknown_revocation: bool,
    /// Believe by this DANE record instead of an authority: "3 1 1 AB12…", looked up and validated; several: any of them
    #[arg(long, global = true, value_name = "RECORD", help_heading = HEADING)]
    tlsa: Vec<Tlsa>,
    /// Hold a mail server to the MTA-STS policy in this file
    #[arg(long, global = true, value_name = "FILE", help_heading = HEADING)]
    mta_sts: Option<PathBuf>,
    /// The name in the server's certificate, where it is not the host of the URL
    #[arg(long, global = true, value_name = "NAME", help_heading = HEADING)]
    pub(crate) server_name: Option<String>,
    /// Accept no TLS version below this one
    #[arg(long, global = true, value_name = "1.2|1.3", value_parser = version, help_heading = HEADING)]
    tls_min: Option<Version>,
    /// Accept no TLS version above this one
    #[arg(long, global = true, value_name = "1.2|1.3", value_parser = version, help_heading = HEADING)]
    tls_max: Option<Version>,
    /// Offer these cipher suites and no others, by their IANA names, the preferred one first
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',', help_heading = HEADING)]
    cipher_suites: Vec<String>,
    /// Offer these key exchange groups and no others, by their IANA names: x25519,secp256r1
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',', help_heading = HEADING)]
    groups: Vec<String>,
    /// Do not tell the server which name it is asked for (SNI)
    #[arg(long, global = true, help_heading = HEADING)]
    no_sni: bool,
    /// Add each connection's secrets to this file (SSLKEYLOGFILE's format): whoever reads it can read everything
    #[arg(long, global = true, value_name = "FILE", help_heading = HEADING)]
    key_log: Option<PathBuf>,
    /// Accept ANY certificate: whoever is in between reads everything, passwords first
    #[arg(long, global = true, help_heading = HEADING)]
    insecure: bool,
}

impl Tls {
    /// What TLS is to be in a session with `url`; says aloud what is dangerous about it.
    pub(crate) fn config(&self, url: &Url) -> Result<TlsConfig, Failure> {
        let tls = self.without_policies()?;
        let tls = self.pin.iter().fold(tls, |tls, pin| tls.pin_spki_sha256(pin.0));
        let tls = self.pin_certificate.iter().fold(tls, |tls, pin| tls.pin_certificate_sha256(pin.0));
        let tls = tls.tlsa(self.tlsa.iter().cloned());
        let tls = match &self.mta_sts {
            Some(_) if url.protocol != Protocol::Smtp => return Err(Failure::usage("--mta-sts is about mail servers")),
            Some(file) => tls.mta_sts(policy(file)?),
            None => tls,
        };
        self.warn(url.security)?;
        Ok(if self.insecure { tls.danger_accept_any_certificate() } else { tls })
    }

    /// What TLS is to be, but for pins, policies and `--insecure`.
    pub(crate) fn without_policies(&self) -> Result<TlsConfig, Failure> {
        let mut tls = TlsConfig::new();
        for file in &self.ca_file {
            tls = tls.ca_file(file).map_err(Failure::early)?;
        }
        if let Some(folder) = &self.ca_folder {
            tls = tls.ca_folder(folder).map_err(Failure::early)?;
        }
        if let Some(store) = &self.ca_store {
            tls = tls.ca_store(store).map_err(Failure::early)?;
        }
        if self.and_platform {
            tls = tls.and_platform();
        }
        if let Some(chain) = &self.client_cert {
            let passphrase =
                self.client_passphrase_file.as_ref().map(|file| first_line(file, "passphrase")).transpose()?;
            let passphrase = passphrase.as_ref().map(|line| line.as_str());
            let identity = Identity::from_files(chain, self.client_key.as_ref(), passphrase);
            tls = tls.identity(identity.map_err(Failure::early)?);
        }
        if let Some(version) = self.tls_min {
            tls = tls.minimum_version(version);
        }
        if let Some(version) = self.tls_max {
            tls = tls.maximum_version(version);
        }
        for file in &self.crl {
            tls = tls.crl_file(file).map_err(Failure::early)?;
        }
        if self.allow_unknown_revocation {
            tls = tls.allow_unknown_revocation();
        }
        let spoken = tls.cipher_suites(&self.cipher_suites).and_then(|tls| tls.groups(&self.groups));
        tls = spoken.map_err(Failure::early)?.sni(!self.no_sni);
        if let Some(file) = &self.key_log {
            tls = tls.key_log_file(file).map_err(Failure::early)?;
        }
        Ok(tls)
    }

    /// Whether there is a client certificate.
    pub(crate) fn has_identity(&self) -> bool {
        self.client_cert.is_some()
    }

    fn warn(&self, security: Security) -> Result<(), Failure> {
        if self.key_log.is_some() {
            note("WARNING: --key-log: whoever reads that file can read everything in these connections");
        }
        let pinned = !self.pin.is_empty() || !self.pin_certificate.is_empty();
        match security {
            Security::Plaintext => note("WARNING: clear text: everybody on the way can read and change everything"),
            _ if self.insecure && !self.tlsa.is_empty() => {
                return Err(Failure::usage("--insecure and --tlsa contradict each other"));
            }
            _ if self.insecure && pinned => {
                note("WARNING: --insecure: the server's certificate is checked by --pin alone");
            }
            _ if self.insecure => {
                note("WARNING: --insecure: the server's certificate is not checked; this may be anybody");
            }
            _ => {}
        }
        Ok(())
    }
}

/// An MTA-STS policy that somebody fetched.
fn policy(file: &Path) -> Result<MtaSts, Failure> {
    let text = std::fs::read(file).map_err(|error| Failure::file(Exit::NoInput, file, &error))?;
    let policy = String::from_utf8_lossy(&text).parse::<MtaSts>();
    policy.map_err(|why| Failure::new(Exit::Data, format!("{}: {why}", file.display())))
}

fn version(text: &str) -> Result<Version, String> {
    match text {
        "1.2" => Ok(Version::Tls12),
        "1.3" => Ok(Version::Tls13),
        _ => Err("1.2 or 1.3".into()),
    }
}
