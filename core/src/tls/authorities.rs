//! Authorities that the caller gives: as text, as bytes, in files and in folders.

use std::fs::DirEntry;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use super::{pem, system_store};
use crate::error::{Error, ErrorKind, LocalFailure, Result, TlsFault};

/// The authorities that may sign a server's certificate.
#[derive(Clone, Debug)]
pub(super) struct Authorities {
    given: Arc<RootCertStore>,
    /// Whether the platform's are asked for by name.
    and_platform: bool,
}

impl Default for Authorities {
    fn default() -> Self {
        Self { given: Arc::new(RootCertStore::empty()), and_platform: false }
    }
}

impl Authorities {
    /// Those that were given, if any were.
    pub(super) fn given(&self) -> Option<&Arc<RootCertStore>> {
        Some(&self.given).filter(|given| !given.is_empty())
    }

    /// Whether the platform's authorities count: nobody else is there, or they were asked for.
    pub(super) fn with_platform(&self) -> bool {
        self.and_platform || self.given.is_empty()
    }

    pub(super) fn add_platform(&mut self) {
        self.and_platform = true;
    }

    /// Adds what is in PEM text, or a certificate in DER.
    pub(super) fn add_data(&mut self, data: &[u8]) -> Result<()> {
        if !pem::is_pem(data) && data.first() == Some(&SEQUENCE) {
            return self.add(CertificateDer::from(data.to_vec()), || "the certificate".into());
        }
        for (position, certificate) in pem::certificates(data)?.into_iter().enumerate() {
            self.add(certificate, || match pem::line_of(data, "CERTIFICATE", position) {
                Some(line) => format!("the certificate at line {line}"),
                None => "a certificate".into(),
            })?;
        }
        Ok(())
    }

    /// Adds what is in a file, PEM or DER.
    pub(super) fn add_file(&mut self, path: &Path) -> Result<()> {
        in_file(path, |data| self.add_data(data))
    }

    /// Adds what is in the files of a folder that are named as certificates are.
    pub(super) fn add_folder(&mut self, path: &Path) -> Result<()> {
        let failure = |error| LocalFailure::of(path, error);
        let entries = std::fs::read_dir(path).map_err(failure)?.collect::<Result<Vec<_>, _>>().map_err(failure)?;
        let mut files: Vec<_> = entries.iter().map(DirEntry::path).filter(|file| is_certificate(file)).collect();
        if files.is_empty() {
            let why = format!("no certificates in the folder {}", path.display());
            return Err(Error::tls(TlsFault::NoAuthorities(why))
                .advise("files are looked for whose names end in .pem, .crt, .cer or .der, or are hashes (c_rehash)"));
        }
        files.sort();
        files.iter().try_for_each(|file| self.add_file(file))
    }

    /// Adds what is in one of the system's stores, but for what nobody here can use: the store is not ours to mend.
    pub(super) fn add_store(&mut self, name: &str) -> Result<()> {
        let found = system_store::authorities(name)?.into_iter();
        let usable = found.filter_map(|one| self.add(one, || name.to_owned()).ok()).count();
        if usable == 0 {
            let why = format!("nothing in the system's certificate store {name:?} can be an authority");
            return Err(Error::tls(TlsFault::NoAuthorities(why)));
        }
        Ok(())
    }

    /// Adds one, unless it is there: folders have each under its name and under its hash.
    fn add(&mut self, certificate: CertificateDer<'static>, which: impl FnOnce() -> String) -> Result<()> {
        let mut one = RootCertStore::empty();
        one.add(certificate).map_err(|error| {
            Error::tls(TlsFault::Configuration(format!("{} cannot be an authority: {error}", which())))
        })?;
        let given = Arc::make_mut(&mut self.given);
        one.roots.retain(|anchor| !given.roots.contains(anchor));
        given.roots.append(&mut one.roots);
        Ok(())
    }

    pub(super) fn describe(&self) -> String {
        match (self.given.len(), self.with_platform()) {
            (0, _) => "platform".into(),
            (given, false) => format!("{given} authorities"),
            (given, true) => format!("platform and {given} authorities"),
        }
    }
}

/// How DER of a certificate begins.
const SEQUENCE: u8 = 0x30;

/// Whether a file of a folder is named as a certificate is: by its kind, or by the hash of its subject, `9d66eef0.0`.
fn is_certificate(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let Some((stem, end)) = name.rsplit_once('.') else { return false };
    let hashed = stem.len() == 8 && stem.bytes().all(|b| b.is_ascii_hexdigit()) && end.parse::<u32>().is_ok();
    hashed || ["pem", "crt", "cer", "der"].iter().any(|known| end.eq_ignore_ascii_case(known))
}

/// What `add` makes of a file, whose name is in the error.
pub(super) fn in_file(path: &Path, add: impl FnOnce(&[u8]) -> Result<()>) -> Result<()> {
    naming(path, add(&read(path)?))
}

/// Names the file that something is wrong with.
pub(super) fn naming<T>(path: &Path, outcome: Result<T>) -> Result<T> {
    outcome.map_err(|error| match error.kind() {
        ErrorKind::Tls(TlsFault::Configuration(why)) => {
            let named = Error::tls(TlsFault::Configuration(format!("{}: {why}", path.display())));
            match error.advice() {
                Some(advice) => named.advise(advice.to_owned()),
                None => named,
            }
        }
        _ => error,
    })
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| LocalFailure::of(path, error))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn authority(name: &str) -> rcgen::Certificate {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap()
    }

    #[test]
    fn data_in_either_form_once() {
        let (one, two) = (authority("one.test"), authority("two.test"));
        let mut authorities = Authorities::default();
        assert!(authorities.with_platform() && authorities.given().is_none());
        authorities.add_data(one.der()).unwrap();
        assert!(!authorities.with_platform());
        authorities.add_data(format!("{}{}", one.pem(), two.pem()).as_bytes()).unwrap();
        assert_eq!(authorities.describe(), "2 authorities");
        authorities.add_platform();
        assert_eq!(authorities.describe(), "platform and 2 authorities");
        for bad in [&b""[..], b"nonsense", b"0nonsense", &one.der()[..100]] {
            let error = authorities.add_data(bad).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Tls(TlsFault::Configuration(_))), "{error}");
        }
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem().replace("PRIVATE KEY", "CERTIFICATE");
        let error = authorities.add_data(format!("{}{key}", one.pem()).as_bytes()).unwrap_err();
        let line = one.pem().lines().count() + 1;
        assert!(error.to_string().contains(&format!("the certificate at line {line} ")), "{error}");
    }

    #[test]
    fn a_folder_as_openssl_has_it() {
        let folder = std::env::temp_dir().join(format!("starttls-authorities-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        let mut authorities = Authorities::default();
        std::fs::write(folder.join("README"), "nothing").unwrap();
        std::fs::write(folder.join("9d66eef0.r0"), "a list of the revoked").unwrap();
        let empty = authorities.add_folder(&folder).unwrap_err();
        assert!(matches!(empty.kind(), ErrorKind::Tls(TlsFault::NoAuthorities(_))), "{empty}");
        assert!(empty.advice().unwrap().contains(".pem"), "{empty}");

        let (one, two, three) = (authority("one.test"), authority("two.test"), authority("three.test"));
        std::fs::write(folder.join("one.pem"), one.pem()).unwrap();
        std::fs::write(folder.join("9d66eef0.0"), one.pem()).unwrap();
        std::fs::write(folder.join("two.CRT"), two.der()).unwrap();
        std::fs::write(folder.join("three.cer"), three.pem()).unwrap();
        authorities.add_folder(&folder).unwrap();
        assert_eq!(authorities.describe(), "3 authorities");

        std::fs::write(folder.join("broken.pem"), one.pem().replace("MII", "M*I")).unwrap();
        let error = authorities.add_folder(&folder).unwrap_err();
        assert!(error.to_string().contains("broken.pem: line 2 of the PEM text is no Base64"), "{error}");
        std::fs::remove_file(folder.join("broken.pem")).unwrap();
        std::fs::create_dir(folder.join("folder.pem")).unwrap();
        let error = authorities.add_folder(&folder).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Local(_)) && error.to_string().contains("folder.pem"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(authorities.add_folder(&folder).unwrap_err().kind(), ErrorKind::Local(_)));
    }
}
