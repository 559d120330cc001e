//! What programs read with `--json`, and text that is safe to show.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use starttls::ftp::{Entry, TransferReceipt};
use starttls::reply::Reply;
use starttls::smtp::DeliveryReport;
use starttls::tls::{Certificate, MtaStsVerdict, TlsInfo, TlsWarning};
use starttls::{Error, ErrorKind, TlsFault};

/// A reply: code, enhanced status code, lines.
pub(crate) fn reply(reply: &Reply) -> Value {
    json!({
        "code": reply.code().number(),
        "enhanced": reply.enhanced().map(|code| code.to_string()),
        "lines": reply.lines().collect::<Vec<_>>(),
    })
}

/// What TLS agreed; the chain is told by probe only.
pub(crate) fn tls(tls: &TlsInfo) -> Value {
    json!({
        "version": tls.version,
        "cipher_suite": tls.cipher_suite,
        "group": (!tls.group.is_empty()).then_some(&tls.group),
        "alpn": tls.alpn,
        "resumed": tls.resumed,
        "server_name": tls.server_name,
        "verified_by": tls.verified_by.as_str(),
        "mta_sts": tls.mta_sts.map(MtaStsVerdict::as_str),
        "warnings": tls.warnings(SystemTime::now()).iter().map(TlsWarning::as_str).collect::<Vec<_>>(),
    })
}

/// One certificate.
pub(crate) fn certificate(certificate: &Certificate) -> Value {
    json!({
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "names": certificate.names,
        "not_before": timestamp(certificate.not_before),
        "not_after": timestamp(certificate.not_after),
        "serial": certificate.serial,
        "pin": pin(certificate),
    })
}

/// What `--pin` takes for this certificate's key.
pub(crate) fn pin(certificate: &Certificate) -> String {
    BASE64_STANDARD.encode(certificate.public_key_sha256)
}

/// The story of one message.
pub(crate) fn delivery(report: &DeliveryReport) -> Value {
    let recipients = report.recipients().iter().map(|verdict| {
        json!({
            "recipient": verdict.recipient.as_str(),
            "accepted": verdict.is_accepted(),
            "reply": reply(&verdict.reply),
        })
    });
    json!({
        "outcome": report.outcome().as_str(),
        "recipients": recipients.collect::<Vec<_>>(),
        "reply": report.reply().map(reply),
        "queue_id": report.queue_id(),
        "tls": report.tls().map(tls),
        "error": report.error().map(error),
    })
}

/// What is known about a transfer.
pub(crate) fn receipt(receipt: &TransferReceipt, control: Option<&TlsInfo>) -> Value {
    json!({
        "status": receipt.status.as_str(),
        "size": receipt.size,
        "offset": receipt.offset,
        "tls_resumed": receipt.tls_resumed,
        "close_notify": receipt.close_notify,
        "reply": reply(&receipt.reply),
        "tls": control.map(tls),
        "error": null,
    })
}

/// One entry of a listing. `url_name` is the name's bytes as they go into a URL.
pub(crate) fn entry(entry: &Entry) -> Value {
    json!({
        "name": entry.name(),
        "url_name": percent_encoded(&entry.raw_name),
        "type": entry.kind.as_str(),
        "size": entry.size,
        "modified": entry.modified.map(timestamp),
        "permissions": entry.permissions,
        "target": entry.target.as_ref().map(|target| String::from_utf8_lossy(target)),
    })
}

/// An error of the library.
pub(crate) fn error(error: &Error) -> Value {
    json!({
        "kind": kind(error.kind()),
        "phase": error.phase().map(starttls::Phase::as_str),
        "peer": error.peer(),
        "transient": error.is_transient(),
        "reply": error.reply().map(reply),
        "message": error.to_string(),
        "advice": error.advice(),
    })
}

fn kind(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::AccessDenied => "access_denied",
        ErrorKind::NameUnresolvable => "name_unresolvable",
        ErrorKind::ConnectionRefused => "connection_refused",
        ErrorKind::Unreachable => "unreachable",
        ErrorKind::TimedOut => "timed_out",
        ErrorKind::ClosedByPeer => "closed_by_peer",
        ErrorKind::Truncated => "truncated",
        ErrorKind::UpgradeNotOffered => "upgrade_not_offered",
        ErrorKind::BytesBeforeHandshake { .. } => "bytes_before_handshake",
        ErrorKind::Unsolicited(_) => "unsolicited",
        ErrorKind::Proxy(_) => "proxy",
        ErrorKind::Tls(fault) => tls_fault(fault),
        ErrorKind::SizeMismatch { .. } => "size_mismatch",
        ErrorKind::Rejected => "rejected",
        ErrorKind::ProtocolViolation(_) => "protocol_violation",
        ErrorKind::LimitExceeded(_) => "limit_exceeded",
        ErrorKind::InvalidArgument(_) => "invalid_argument",
        ErrorKind::InvalidState(_) => "invalid_state",
        ErrorKind::Local(_) => "local",
        ErrorKind::Interrupted => "interrupted",
        _ => "io",
    }
}

fn tls_fault(fault: &TlsFault) -> &'static str {
    match fault {
        TlsFault::CertificateExpired => "tls_certificate_expired",
        TlsFault::CertificateNotYetValid => "tls_certificate_not_yet_valid",
        TlsFault::UnknownIssuer => "tls_unknown_issuer",
        TlsFault::NameMismatch { .. } => "tls_name_mismatch",
        TlsFault::Revoked => "tls_revoked",
        TlsFault::WrongUsage => "tls_wrong_usage",
        TlsFault::PinMismatch => "tls_pin_mismatch",
        TlsFault::TlsaMismatch => "tls_tlsa_mismatch",
        TlsFault::TlsaUnusable => "tls_tlsa_unusable",
        TlsFault::MtaStsViolation(_) => "tls_mta_sts_violation",
        TlsFault::BadCertificate(_) => "tls_bad_certificate",
        TlsFault::NothingInCommon(_) => "tls_nothing_in_common",
        TlsFault::AlertReceived { .. } => "tls_alert_received",
        TlsFault::ClientCertificateRequired => "tls_client_certificate_required",
        TlsFault::PlaintextInsideTls(_) => "tls_plaintext",
        TlsFault::PeerMisbehaved(_) => "tls_peer_misbehaved",
        TlsFault::Configuration(_) => "tls_configuration",
        _ => "tls",
    }
}

/// `2026-11-22T01:02:03Z`.
pub(crate) fn timestamp(time: SystemTime) -> String {
    let (date, clock) = date_and_clock(time);
    format!("{date}T{clock}Z")
}

/// `2026-11-22` and `01:02:03`, UTC.
pub(crate) fn date_and_clock(time: SystemTime) -> (String, String) {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March here, so that a leap day is a year's last; an era is 400 years.
    let (era, day_of_era) = ((days + 719_468) / 146_097, (days + 719_468) % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    (format!("{year:04}-{month:02}-{day:02}"), format!("{hour:02}:{minute:02}:{:02}", second % 60))
}

/// The bytes of a name as they go into a URL (RFC 3986 §2.1).
pub(crate) fn percent_encoded(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// In one line, with nothing that a terminal would take for a command: servers choose these bytes.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn moments() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_825_600, "2000-02-29T12:00:00Z"),
            (1_795_309_323, "2026-11-22T01:02:03Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(timestamp(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn names() {
        assert_eq!(percent_encoded(b"a b/\xff.txt"), "a%20b%2F%FF.txt");
        assert_eq!(printable("a\x1b[31m\n\u{9b}ü"), "a\\u{1b}[31m\\n\\u{9b}ü");
    }
}
