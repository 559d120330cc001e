//! OpenSSL's errors in the core's words: each cause its own, with the remedy.

use std::io;

use pyo3::prelude::*;
use starttls::tls::Certificate;
use starttls::{Error, TlsFault};

/// The alerts of TLS by number and name (RFC 8446 §6); OpenSSL tells the name alone.
const ALERTS: [(u8, &str); 31] = [
    (10, "UnexpectedMessage"),
    (20, "BadRecordMac"),
    (21, "DecryptionFailed"),
    (22, "RecordOverflow"),
    (30, "DecompressionFailure"),
    (40, "HandshakeFailure"),
    (41, "NoCertificate"),
    (42, "BadCertificate"),
    (43, "UnsupportedCertificate"),
    (44, "CertificateRevoked"),
    (45, "CertificateExpired"),
    (46, "CertificateUnknown"),
    (47, "IllegalParameter"),
    (48, "UnknownCA"),
    (49, "AccessDenied"),
    (50, "DecodeError"),
    (51, "DecryptError"),
    (60, "ExportRestriction"),
    (70, "ProtocolVersion"),
    (71, "InsufficientSecurity"),
    (80, "InternalError"),
    (86, "InappropriateFallback"),
    (90, "UserCancelled"),
    (100, "NoRenegotiation"),
    (109, "MissingExtension"),
    (110, "UnsupportedExtension"),
    (112, "UnrecognizedName"),
    (113, "BadCertificateStatusResponse"),
    (115, "UnknownPskIdentity"),
    (116, "CertificateRequired"),
    (120, "NoApplicationProtocol"),
];

/// The error for an exception of a connection to `name`. What is not OpenSSL's own is the caller's code's, and is raised
/// again as it is.
pub(super) fn of(py: Python<'_>, error: PyErr, ssl: &Py<PyAny>, object: &Bound<'_, PyAny>, name: &str) -> Error {
    if is(py, &error, ssl, "SSLCertVerificationError") {
        return certificate(py, &error, object, name);
    }
    if !is(py, &error, ssl, "SSLError") {
        return Error::local(io::Error::other(error));
    }
    let (reason, words) = reason(py, &error);
    if let Some(alert) = alert(&reason) {
        return alert;
    }
    match reason.as_str() {
        "UNSUPPORTED_PROTOCOL"
        | "WRONG_SSL_VERSION"
        | "VERSION_TOO_LOW"
        | "NO_SUITABLE_KEY_SHARE"
        | "NO_SUITABLE_SIGNATURE_ALGORITHM"
        | "NO_SHARED_CIPHER"
        | "WRONG_CIPHER_RETURNED"
        | "UNKNOWN_CIPHER_RETURNED"
        | "DH_KEY_TOO_SMALL"
        | "BAD_ECC_CERT"
        | "WRONG_SIGNATURE_TYPE"
        | "UNSAFE_LEGACY_RENEGOTIATION_DISABLED" => nothing_in_common(words),
        "NO_PROTOCOLS_AVAILABLE" | "NO_CIPHERS_AVAILABLE" | "LIBRARY_HAS_NO_CIPHERS" => settings(words),
        _ => Error::tls(TlsFault::PeerMisbehaved(words)),
    }
}

/// The error for an exception before there is a connection.
pub(super) fn of_settings(py: Python<'_>, error: PyErr, ssl: &Py<PyAny>) -> Error {
    if is(py, &error, ssl, "SSLError") {
        return settings(reason(py, &error).1);
    }
    Error::local(io::Error::other(error))
}

/// For what OpenSSL should have refused by itself.
pub(super) fn no_record(py: Python<'_>) -> PyErr {
    let made = py.import("ssl").and_then(|ssl| ssl.getattr("SSLError")?.call1((1, "what came is no TLS record")));
    made.map_or_else(|error| error, PyErr::from_value)
}

fn settings(words: String) -> Error {
    Error::tls(TlsFault::Configuration(words)).advise("look at the settings of the SSLContext")
}

fn nothing_in_common(words: String) -> Error {
    Error::tls(TlsFault::NothingInCommon(words)).advise("the server may be too old, or the SSLContext too narrow")
}

fn is(py: Python<'_>, error: &PyErr, ssl: &Py<PyAny>, class: &str) -> bool {
    ssl.getattr(py, class).is_ok_and(|class| error.matches(py, class).unwrap_or(false))
}

/// OpenSSL's reason as its constants are named, and in words.
fn reason(py: Python<'_>, error: &PyErr) -> (String, String) {
    let value = error.value(py);
    let text = value.str().map(|text| text.to_string_lossy().into_owned()).unwrap_or_default();
    // `[SSL: REASON] words (_ssl.c:1006)`
    let words = text.rsplit_once(" (_ssl.c").map_or(text.as_str(), |(words, _)| words);
    let words = words.split_once("] ").map_or(words, |(_, words)| words);
    let reason = value.getattr("reason").and_then(|reason| reason.extract::<Option<String>>()).ok().flatten();
    // A Python that is older than its OpenSSL has words only.
    let reason = reason.unwrap_or_else(|| words.to_uppercase().replace(' ', "_"));
    (reason, words.to_owned())
}

fn alert(reason: &str) -> Option<Error> {
    let prefixes = ["SSLV3_ALERT_", "TLSV13_ALERT_", "TLSV1_ALERT_", "SSL/TLS_ALERT_", "TLSV1_"];
    let received = prefixes.iter().find_map(|prefix| reason.strip_prefix(prefix))?.replace('_', "");
    let (code, name) = ALERTS.iter().find(|(_, name)| name.eq_ignore_ascii_case(&received))?;
    Some(match code {
        70 => nothing_in_common("the server refused every TLS version that was offered".into()),
        116 => Error::tls(TlsFault::ClientCertificateRequired)
            .advise("load a client certificate and its key into the SSLContext (load_cert_chain)"),
        _ => Error::tls(TlsFault::AlertReceived { code: *code, name: (*name).into() }),
    })
}

fn certificate(py: Python<'_>, error: &PyErr, object: &Bound<'_, PyAny>, name: &str) -> Error {
    let value = error.value(py);
    let code = value.getattr("verify_code").and_then(|code| code.extract::<i64>()).unwrap_or_default();
    // X509_verify_cert_error_string(3) has the numbers.
    let fault = match code {
        9 => TlsFault::CertificateNotYetValid,
        10 => TlsFault::CertificateExpired,
        23 => TlsFault::Revoked,
        26 | 28 => TlsFault::WrongUsage,
        2 | 18..=21 | 27 => {
            return Error::tls(TlsFault::UnknownIssuer)
                .advise("if the authority is your own, load it into the SSLContext (load_verify_locations)");
        }
        62 | 64 => {
            let shown = super::chain(object).unwrap_or_default();
            let presented = match shown.first().map(|der| Certificate::from_der(der)) {
                Some(Ok(certificate)) => certificate.names,
                // None at all would say that it has none.
                _ => vec!["others".into()],
            };
            return Error::tls(TlsFault::NameMismatch { expected: name.into(), presented })
                .advise("connect by a name that the certificate carries");
        }
        _ => {
            let told = value.getattr("verify_message").and_then(|words| words.extract::<String>());
            TlsFault::BadCertificate(told.unwrap_or_else(|_| reason(py, error).1))
        }
    };
    Error::tls(fault)
}
