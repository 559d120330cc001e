//! The cryptography: its cipher suites and groups, by the names that IANA registers.

use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{CipherSuite, NamedGroup, SupportedCipherSuite};

#[cfg(all(feature = "aws-lc-rs", not(target_family = "wasm")))]
use rustls::crypto::aws_lc_rs as library;
#[cfg(not(all(feature = "aws-lc-rs", not(target_family = "wasm"))))]
use rustls::crypto::ring as library;

use crate::error::{Error, Result, TlsFault};

/// The cryptography, the fastest cipher first: AES with hardware help natively, ChaCha20 in wasm, where AES runs at a
/// sixth of its speed.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER
        .get_or_init(|| {
            let mut provider = library::default_provider();
            provider.cipher_suites.sort_by_key(|suite| preference(suite.suite()));
            Arc::new(provider)
        })
        .clone()
}

fn preference(suite: CipherSuite) -> u8 {
    use CipherSuite as S;
    let chacha_first = cfg!(target_family = "wasm");
    match suite {
        S::TLS13_CHACHA20_POLY1305_SHA256
        | S::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        | S::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => {
            if chacha_first {
                0
            } else {
                3
            }
        }
        S::TLS13_AES_128_GCM_SHA256
        | S::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | S::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => 1,
        _ => 2,
    }
}

/// rustls writes `TLS13_AES_128_GCM_SHA256` for the suite that IANA registers as `TLS_AES_128_GCM_SHA256`.
pub(super) fn suite_name(suite: CipherSuite) -> String {
    format!("{suite:?}").replacen("TLS13_", "TLS_", 1)
}

/// The registered name of a group ("TLS Supported Groups").
pub(super) fn group_name(group: NamedGroup) -> String {
    match group {
        NamedGroup::X25519 => "x25519".into(),
        NamedGroup::X448 => "x448".into(),
        NamedGroup::secp256r1MLKEM768 => "SecP256r1MLKEM768".into(),
        other => format!("{other:?}").replacen("FFDHE", "ffdhe", 1),
    }
}

/// The cipher suites of these names, in this order.
pub(super) fn suites(names: &[String]) -> Result<Vec<SupportedCipherSuite>> {
    let known = approved(library::ALL_CIPHER_SUITES, SupportedCipherSuite::fips);
    find("cipher suite", names, &known, |suite| suite_name(suite.suite()))
}

/// The key exchange groups of these names, in this order.
pub(super) fn groups(names: &[String]) -> Result<Vec<&'static dyn SupportedKxGroup>> {
    let known = approved(library::ALL_KX_GROUPS, |group| group.fips());
    find("key exchange group", names, &known, |group| group_name(group.name()))
}

/// Those that may be chosen: with the feature `fips`, what FIPS 140-3 approves of.
fn approved<T: Copy>(all: &[T], is_approved: impl Fn(&T) -> bool) -> Vec<T> {
    all.iter().copied().filter(|one| !cfg!(feature = "fips") || is_approved(one)).collect()
}

fn find<T: Copy>(what: &str, names: &[String], known: &[T], name_of: impl Fn(T) -> String) -> Result<Vec<T>> {
    let one = |name: &String| known.iter().copied().find(|&it| name_of(it).eq_ignore_ascii_case(name));
    let found = names.iter().map(|name| {
        one(name).ok_or_else(|| {
            let all: Vec<_> = known.iter().map(|&it| name_of(it)).collect();
            Error::tls(TlsFault::Configuration(format!("there is no {what} {name:?} here")))
                .advise(format!("there are {}", all.join(", ")))
        })
    });
    found.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn by_their_registered_names() {
        let names = ["TLS_CHACHA20_POLY1305_SHA256".to_owned(), "tls_ecdhe_rsa_with_aes_256_gcm_sha384".to_owned()];
        let found: Vec<_> = suites(&names).unwrap().iter().map(|suite| suite_name(suite.suite())).collect();
        assert_eq!(found, ["TLS_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"]);
        for bad in ["", "TLS13_AES_128_GCM_SHA256", "TLS_RSA_WITH_AES_128_CBC_SHA", "ALL"] {
            let error = suites(&[bad.to_owned()]).unwrap_err();
            assert!(error.advice().unwrap().contains("TLS_AES_128_GCM_SHA256"), "{error}");
        }
        let found: Vec<_> = groups(&["secp384r1".into(), "X25519".into()]).unwrap();
        assert_eq!(found.iter().map(|it| group_name(it.name())).collect::<Vec<_>>(), ["secp384r1", "x25519"]);
        let error = groups(&["secp256k1".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("secp256k1") && error.advice().unwrap().contains("x25519"), "{error}");
    }

    #[test]
    fn the_hybrid_group_where_it_is() {
        let hybrid = groups(&["X25519MLKEM768".to_owned()]);
        assert_eq!(hybrid.is_ok(), cfg!(all(feature = "aws-lc-rs", not(target_family = "wasm"))));
        if hybrid.is_ok() {
            assert_eq!(group_name(provider().kx_groups[0].name()), "X25519MLKEM768");
        }
    }
}
