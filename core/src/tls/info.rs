//! The report of a TLS connection.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::{Certificate, ChannelBindingType, MtaStsVerdict};

/// What made the server's certificate believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VerifiedBy {
    /// An authority of the platform's store.
    Platform,
    /// An authority of the bundled web PKI roots.
    WebPkiRoots,
    /// An authority that the caller gave.
    Authorities,
    /// A TLSA record about an authority: DANE-TA (RFC 7672 §3.1.2).
    DaneTa,
    /// A TLSA record about the server: DANE-EE (RFC 7672 §3.1.1). Names and validity do not matter then.
    DaneEe,
    /// The caller's own check, which accepted what was refused.
    Check,
    /// A pin, and nothing else, where any certificate is accepted.
    Pin,
    /// Nobody: any certificate was accepted.
    #[default]
    Nobody,
}

impl VerifiedBy {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::Platform,
        Self::WebPkiRoots,
        Self::Authorities,
        Self::DaneTa,
        Self::DaneEe,
        Self::Check,
        Self::Pin,
        Self::Nobody,
    ];

    /// In one lower-case word, as reports show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::WebPkiRoots => "web-pki-roots",
            Self::Authorities => "authorities",
            Self::DaneTa => "dane-ta",
            Self::DaneEe => "dane-ee",
            Self::Check => "check",
            Self::Pin => "pin",
            Self::Nobody => "nobody",
        }
    }

    /// Whether the certificate had to be for the server's name, and valid at the time.
    pub fn checks_name(self) -> bool {
        matches!(self, Self::Platform | Self::WebPkiRoots | Self::Authorities | Self::DaneTa)
    }
}

impl fmt::Display for VerifiedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a TLS connection agreed on, and why the server is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: String,
    /// The cipher suite's IANA name.
    pub cipher_suite: String,
    /// The key exchange group's IANA name; empty if the session was resumed without one.
    pub group: String,
    /// The application protocol (ALPN), if one was negotiated.
    pub alpn: Option<String>,
    /// Whether an earlier session was resumed instead of a full handshake.
    pub resumed: bool,
    /// The name that the server was asked for by (SNI, unless that is off), and that its certificate was checked for, if
    /// [`VerifiedBy::checks_name`].
    pub server_name: String,
    /// What made the certificate believed; for a resumed session, at its beginning.
    pub verified_by: VerifiedBy,
    /// The verdict of the MTA-STS policy, if one was given that asks for anything and no TLSA record stood before it.
    pub mta_sts: Option<MtaStsVerdict>,
    /// The OCSP response that came with the certificate (RFC 6066 §8), in DER, as it came: nobody has checked it. For a
    /// resumed session, from its beginning.
    pub ocsp_response: Option<Vec<u8>>,
    /// Whether pins were given, of which the server's certificate or its key has one.
    pub pinned: bool,
    /// What could tie a login to this connection ([`ChannelBindingType`]).
    pub binding: Option<ChannelBindingType>,
    /// The server's certificate chain in DER, its own certificate first.
    pub chain: Vec<Vec<u8>>,
}

/// What somebody should look at before it becomes an error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsWarning {
    /// A certificate of the chain is valid for less than 14 days more; until when.
    ExpiresSoon(SystemTime),
    /// A certificate of the chain has expired, and what made it believed does not mind; since when.
    Expired(SystemTime),
    /// Any certificate was accepted: this may be anybody.
    NotVerified,
    /// The MTA-STS policy, which is in testing, would have forbidden the connection.
    MtaStsViolated,
}

impl TlsWarning {
    /// In one lower-case word, as reports show it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::ExpiresSoon(_) => "expires-soon",
            Self::Expired(_) => "expired",
            Self::NotVerified => "not-verified",
            Self::MtaStsViolated => "mta-sts-violated",
        }
    }
}

impl fmt::Display for TlsWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExpiresSoon(_) => "the server's certificate expires soon",
            Self::Expired(_) => "the server's certificate has expired, and was believed all the same",
            Self::NotVerified => "the server's certificate was not checked",
            Self::MtaStsViolated => "the MTA-STS policy, which is in testing, would forbid this server",
        })
    }
}

/// How long before its end a certificate is worth a warning.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

impl TlsInfo {
    /// The chain as people read it; `None` for what cannot be read.
    pub fn certificates(&self) -> Vec<Option<Certificate>> {
        self.chain.iter().map(|der| Certificate::from_der(der).ok()).collect()
    }

    /// What somebody should look at, as of `now`.
    pub fn warnings(&self, now: SystemTime) -> Vec<TlsWarning> {
        let mut warnings = Vec::new();
        if self.verified_by == VerifiedBy::Nobody {
            warnings.push(TlsWarning::NotVerified);
        }
        if self.mta_sts == Some(MtaStsVerdict::Violated) {
            warnings.push(TlsWarning::MtaStsViolated);
        }
        // With DANE-EE and pins nothing but the server's own certificate counts.
        let counting = if self.verified_by.checks_name() { self.chain.len() } else { 1 };
        let ends = self.certificates().into_iter().take(counting).flatten().map(|certificate| certificate.not_after);
        match ends.min() {
            Some(end) if end <= now => warnings.push(TlsWarning::Expired(end)),
            Some(end) if end.duration_since(now).is_ok_and(|left| left < SOON) => {
                warnings.push(TlsWarning::ExpiresSoon(end));
            }
            _ => {}
        }
        warnings
    }
}

impl fmt::Display for TlsInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.version, self.cipher_suite)?;
        if let Some(alpn) = &self.alpn {
            write!(f, ", {alpn}")?;
        }
        if self.resumed { f.write_str(", resumed") } else { Ok(()) }
    }
}
