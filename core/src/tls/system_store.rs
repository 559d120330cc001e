//! One store of certificates of the system's, by its name.

use rustls::pki_types::CertificateDer;

use crate::error::{Error, Result, TlsFault};

/// The authorities in it, for servers.
pub(super) fn authorities(name: &str) -> Result<Vec<CertificateDer<'static>>> {
    let found = read(name).map_err(|why| {
        Error::tls(TlsFault::NoAuthorities(format!("the system's certificate store {name:?}: {why}"))).advise(NAMES)
    })?;
    if found.is_empty() {
        let why = format!("the system's certificate store {name:?} has no authorities for servers");
        return Err(Error::tls(TlsFault::NoAuthorities(why)).advise(NAMES));
    }
    Ok(found)
}

#[cfg(windows)]
const NAMES: &str = "stores are named as in \"Root\" (this user's view) or \"LocalMachine\\Root\" (the machine's own)";

/// `Root`, `CurrentUser\Root` or `LocalMachine\Root`: as PowerShell's certificate drive has them.
#[cfg(windows)]
fn read(name: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    use schannel::cert_context::ValidUses;
    use schannel::cert_store::CertStoreBuilder;

    const SERVERS: &str = "1.3.6.1.5.5.7.3.1";
    // To be read only: opened to be written, a store that is not there would be made.
    let mut opening = CertStoreBuilder::new();
    opening.read_only();
    let store = match name.split_once('\\') {
        None => opening.open_current_user(name),
        Some((whose, name)) if whose.eq_ignore_ascii_case("CurrentUser") => opening.open_current_user(name),
        Some((whose, name)) if whose.eq_ignore_ascii_case("LocalMachine") => opening.open_local_machine(name),
        Some((whose, _)) => return Err(format!("there is no {whose:?}")),
    };
    let store = store.map_err(|error| error.to_string())?;
    let for_servers = store.certs().filter(|certificate| match certificate.valid_uses() {
        Ok(ValidUses::All) => true,
        Ok(ValidUses::Oids(uses)) => uses.iter().any(|one| one == SERVERS),
        Err(_) => false,
    });
    Ok(for_servers.map(|certificate| CertificateDer::from(certificate.to_der().to_vec())).collect())
}

#[cfg(target_os = "macos")]
const NAMES: &str = "the stores are the domains of trust settings: \"user\", \"admin\" and \"system\"";

/// A domain of trust settings: what this user, the administrators or the system trust.
#[cfg(target_os = "macos")]
fn read(name: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    use security_framework::trust_settings::{Domain, TrustSettings, TrustSettingsForCertificate as Trusted};

    let domain = match name.to_ascii_lowercase().as_str() {
        "user" => Domain::User,
        "admin" => Domain::Admin,
        "system" => Domain::System,
        _ => return Err("there is none of that name".into()),
    };
    let settings = TrustSettings::new(domain);
    let certificates = settings.iter().map_err(|error| error.to_string())?;
    let trusted = certificates.filter(|certificate| {
        // No settings of its own: the certificate is there to be trusted.
        let told = settings.tls_trust_settings_for_certificate(certificate);
        matches!(told, Ok(None | Some(Trusted::TrustRoot | Trusted::TrustAsRoot)))
    });
    Ok(trusted.map(|certificate| CertificateDer::from(certificate.to_der())).collect())
}

#[cfg(not(any(windows, target_os = "macos")))]
const NAMES: &str = "name the file or the folder instead (ca_file, ca_folder)";

#[cfg(not(any(windows, target_os = "macos")))]
fn read(_: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    Err("stores have names on Windows and macOS; here they are files and folders".into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_store_that_there_is_not() {
        let error = authorities("Nowhere").unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Tls(TlsFault::NoAuthorities(why)) if why.contains("Nowhere")),
            "{error}"
        );
        assert!(error.advice().is_some());
    }

    /// Who wrote Windows trusts itself.
    #[cfg(windows)]
    #[test]
    fn the_stores_of_windows() {
        let user = authorities("Root").unwrap();
        assert_eq!(authorities("currentuser\\root").unwrap(), user);
        let machine = authorities("LocalMachine\\Root").unwrap();
        assert!(!machine.is_empty() && machine.iter().all(|one| user.contains(one)));
        assert!(authorities("Nobody\\Root").is_err());
    }

    #[cfg(target_os = "macos")]
    #[test]
    fn the_stores_of_macos() {
        assert!(!authorities("system").unwrap().is_empty());
    }
}
