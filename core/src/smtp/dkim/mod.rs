//! DKIM signatures (RFC 6376, RFC 8463) for messages on their way out.
//!
//! ```no_run
//! use starttls::smtp::dkim::Signer;
//! let signer = Signer::new("example.org", "2026", &std::fs::read("dkim.key").expect("a key"))?;
//! let message = b"From: ada@example.org\r\nTo: bob@example.net\r\nSubject: hello\r\n\r\nHello Bob.\r\n";
//! let signed = [&signer.sign(message)?[..], message].concat();
//! # Ok::<(), starttls::Error>(())
//! ```
//!
//! What is signed is the message as DATA carries it: line ends are CRLF, the last line has one, and fields that are never
//! sent ([`Header::shown`]) are not there. Dots are doubled on the wire only. A message that is sent with
//! [`LineEnds::Preserve`](super::LineEnds) must have such line ends already, or its signature does not hold. Bytes above 127 are signed as they are: a
//! server on the way that re-encodes them, since its next hop does not offer 8BITMIME, breaks the signature, so give
//! messages in 7 bits to mail that must keep it (RFC 6376 §5.3).

mod canonical;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};

use self::canonical::{Body, field};
use super::fields::{Field, Fields};
use super::header::{Header, HeaderReader};
use crate::error::{Error, ErrorKind, Result, TlsFault};
use crate::tls::{PrivateKey, ServerName};

/// What is signed of a header unless others are named: what RFC 6376 §5.4.1 proposes, and what says how a body is read.
const FIELDS: [&str; 26] = [
    "From",
    "Sender",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "To",
    "Cc",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "In-Reply-To",
    "References",
    "Resent-Date",
    "Resent-From",
    "Resent-Sender",
    "Resent-To",
    "Resent-Cc",
    "List-Id",
    "List-Help",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Subscribe",
    "List-Post",
    "List-Owner",
    "List-Archive",
];

/// Signs messages in the name of a domain, with the key whose public half is at `SELECTOR._domainkey.DOMAIN`.
///
/// The algorithm is that of the key: `rsa-sha256` or `ed25519-sha256`. Header and body are signed in the relaxed form,
/// the body whole. Clones share the key.
#[derive(Clone)]
pub struct Signer {
    domain: String,
    selector: String,
    key: Arc<Key>,
    fields: Vec<String>,
    lifetime: Option<Duration>,
}

enum Key {
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    /// A signer for a domain, with a private key in PEM: PKCS#8, or PKCS#1 for RSA. RSA keys have 2048 bits or more.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a domain or selector that is no name, and for a key that cannot
    /// be used.
    pub fn new(domain: &str, selector: &str, key_pem: &[u8]) -> Result<Self> {
        let bad = || Error::invalid_argument(format!("{domain:?} is no domain to sign for"));
        let name = ServerName::parse(domain).map_err(|_| bad())?;
        if name.is_address() {
            return Err(bad());
        }
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        if !selector.split('.').all(label) {
            return Err(Error::invalid_argument(format!("{selector:?} is no DKIM selector")));
        }
        Ok(Self {
            domain: name.to_string(),
            selector: selector.to_owned(),
            key: Arc::new(Key::read(key_pem)?),
            fields: FIELDS.map(str::to_owned).to_vec(),
            lifetime: None,
        })
    }

    /// Signs these header fields, wherever they stand in a message, in place of the default ones. `From` is signed in any
    /// case, and signed so that no second one can be added.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for what is no field's name, and for what must not be
    /// signed (RFC 6376 §3.5): `DKIM-Signature`, `Return-Path`, `Bcc`.
    pub fn fields<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Result<Self> {
        self.fields = vec!["From".to_owned()];
        for name in names {
            let name = name.as_ref();
            let is_name = !name.is_empty() && name.bytes().all(|b| (33..127).contains(&b) && !matches!(b, b':' | b';'));
            let never = ["DKIM-Signature", "Return-Path", "Bcc", "Resent-Bcc", "Received"];
            if !is_name || never.iter().any(|no| no.eq_ignore_ascii_case(name)) {
                return Err(Error::invalid_argument(format!("{name:?} is no header field that can be signed")));
            }
            if !self.fields.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                self.fields.push(name.to_owned());
            }
        }
        Ok(self)
    }

    /// Lets signatures expire (`x=`), in whole seconds after they are made; they do not by default.
    #[must_use]
    pub fn expires_after(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// The signature of a whole message: a `DKIM-Signature` field with its line end, to be sent before the message.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a message without `From`, or with a line in its header
    /// that is no field; [`LimitExceeded`](ErrorKind::LimitExceeded) for a header longer than
    /// [`HEADER_LIMIT`](super::HEADER_LIMIT).
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let mut signing = self.begin();
        signing.push(message)?;
        signing.finish(SystemTime::now())
    }

    /// Begins a signature of a message that comes in pieces. It is read twice then: once for this, once to be sent.
    pub fn begin(&self) -> Signing<'_> {
        Signing { signer: self, header: HeaderReader::new(), body: Body::default() }
    }

    /// `h=` and the signed fields in their canonical form.
    fn select(&self, header: &Header<'_>) -> Result<(String, Vec<u8>)> {
        let shown = header.shown();
        let fields: Vec<_> = Fields::of(&shown).filter(|one| !matches!(one.raw, b"\r" | b"\n" | b"\r\n")).collect();
        if fields.iter().any(Field::is_nonsense) {
            return Err(Error::invalid_argument("a message with a line in its header that is no field is not signed"));
        }
        let (mut names, mut canonical) = (Vec::new(), Vec::new());
        for name in &self.fields {
            // The last one counts first (RFC 6376 §5.4.2).
            let of_name = |one: &&Field<'_>| one.name.eq_ignore_ascii_case(name.as_bytes());
            for one in fields.iter().rev().filter(of_name) {
                names.push(name.as_str());
                field(one.name, &one.unfolded(), &mut canonical);
                canonical.extend_from_slice(b"\r\n");
            }
            if name == "From" {
                if names.is_empty() {
                    return Err(Error::invalid_argument("a message without From is not signed"));
                }
                // Once more than it is there: another one, added later, breaks the signature (RFC 6376 §5.4).
                names.push(name);
            }
        }
        Ok((names.join(":"), canonical))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("domain", &self.domain)
            .field("selector", &self.selector)
            .field("algorithm", &self.key.algorithm())
            .finish_non_exhaustive()
    }
}

/// A signature in the making.
#[derive(Debug)]
pub struct Signing<'a> {
    signer: &'a Signer,
    header: HeaderReader,
    body: Body,
}

impl Signing<'_> {
    /// Takes the next piece of the message, of any size. Of the body nothing is kept.
    ///
    /// # Errors
    /// [`LimitExceeded`](ErrorKind::LimitExceeded) for a header longer than
    /// [`HEADER_LIMIT`](super::HEADER_LIMIT).
    pub fn push(&mut self, piece: &[u8]) -> Result<()> {
        let of_header = self.header.push(piece)?.unwrap_or(piece.len());
        self.body.push(&piece[of_header..]);
        Ok(())
    }

    /// The signature, made at `now` (`t=`): a `DKIM-Signature` field with its line end.
    ///
    /// # Errors
    /// As [`Signer::sign`].
    pub fn finish(self, now: SystemTime) -> Result<Vec<u8>> {
        let signer = self.signer;
        let (names, mut signed) = signer.select(&self.header.header())?;
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut tags = Folded::new();
        tags.add("v=1;");
        tags.add(&format!("a={};", signer.key.algorithm()));
        tags.add("c=relaxed/relaxed;");
        tags.add(&format!("d={};", signer.domain));
        tags.add(&format!("s={};", signer.selector));
        tags.add(&format!("t={};", seconds(now)));
        if let Some(end) = signer.lifetime.and_then(|lifetime| now.checked_add(lifetime)) {
            tags.add(&format!("x={};", seconds(end)));
        }
        tags.add_list("h=", &names, ";");
        tags.add(&format!("bh={};", BASE64_STANDARD.encode(self.body.digest())));
        tags.add("b=");
        // The field itself is signed with an empty `b=`, and without a line end (RFC 6376 §3.7).
        field(NAME.as_bytes(), tags.text.replace("\r\n", "").as_bytes(), &mut signed);
        let signature = BASE64_STANDARD.encode(signer.key.sign(&signed)?);
        tags.add_text(&signature);
        Ok(format!("{NAME}:{}\r\n", tags.text).into_bytes())
    }
}

const NAME: &str = "DKIM-Signature";

/// How long a line becomes before it is folded (RFC 5322 §2.1.1).
const LINE: usize = 76;

/// The field's body, folded where tags, names and Base64 may be (RFC 6376 §3.2, §3.5).
struct Folded {
    text: String,
    column: usize,
}

impl Folded {
    fn new() -> Self {
        Self { text: String::new(), column: NAME.len() + 1 }
    }

    /// A tag, behind a space or on a line of its own.
    fn add(&mut self, tag: &str) {
        if self.column + 1 + tag.len() > LINE {
            self.fold();
        } else {
            self.put(" ");
        }
        self.put(tag);
    }

    /// A tag whose value is a list of names with colons.
    fn add_list(&mut self, tag: &str, names: &str, end: &str) {
        let mut names = names.split_inclusive(':');
        self.add(&format!("{tag}{}", names.next().unwrap_or_default()));
        for name in names {
            if self.column + name.len() + end.len() > LINE {
                self.fold();
            }
            self.put(name);
        }
        self.put(end);
    }

    /// Base64, wherever it fits.
    fn add_text(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            if self.column >= LINE {
                self.fold();
            }
            let (now, later) = rest.split_at(rest.len().min(LINE - self.column));
            self.put(now);
            rest = later;
        }
    }

    fn fold(&mut self) {
        self.text.push_str("\r\n\t");
        self.column = 8;
    }

    fn put(&mut self, text: &str) {
        self.text.push_str(text);
        self.column += text.len();
    }
}

impl Key {
    fn read(pem: &[u8]) -> Result<Self> {
        let unusable = |why: &str| Error::invalid_argument(format!("the DKIM key cannot be used: {why}"));
        let key = PrivateKey::from_pem(pem).map_err(|error| match error.kind() {
            ErrorKind::Tls(TlsFault::Configuration(why)) => unusable(why),
            _ => error,
        })?;
        let der = key.der();
        let rsa = if key.is_pkcs1() { RsaKeyPair::from_der(der) } else { RsaKeyPair::from_pkcs8(der) };
        match (rsa, Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)) {
            (Ok(key), _) => Ok(Self::Rsa(key)),
            (_, Ok(key)) => Ok(Self::Ed25519(key)),
            (Err(why), _) => Err(unusable(&format!("it must be RSA of 2048 bits or more, or Ed25519 ({why})"))),
        }
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "rsa-sha256",
            Self::Ed25519(_) => "ed25519-sha256",
        }
    }

    fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), bytes, &mut signature)
                    .map_err(|_| Error::invalid_argument("the DKIM key cannot sign"))?;
                Ok(signature)
            }
            // What Ed25519 signs is the digest (RFC 8463 §3).
            Self::Ed25519(key) => Ok(key.sign(digest::digest(&digest::SHA256, bytes).as_ref()).as_ref().to_vec()),
        }
    }
}
