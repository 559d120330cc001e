//! Results and errors as data, for any format that serde knows (feature `serde`).
//!
//! | value | keys |
//! |---|---|
//! | [`DeliveryReport`] | `outcome`, `recipients`, `reply`, `queue_id`, `tls`, `login`, `error` |
//! | [`LoginInfo`] | `mechanism`, `binding` |
//! | [`RecipientVerdict`] | `recipient`, `accepted`, `reply` |
//! | [`Diagnosis`] | `state`, `findings`, `error` |
//! | [`Finding`] | `topic`, `state`, `seen`, `cause`, `remedy` |
//! | [`TransferReceipt`] | `status`, `size`, `offset`, `tls_resumed`, `close_notify`, `close_notify_sent`, `compressed`, `reply`, `digest`, `attempts`, `seconds` |
//! | [`Digest`] | `algorithm`, `value` (hexadecimal), `range` |
//! | [`fxp::Receipt`] | `status`, `size`, `digest`, `protected`, `source`, `target` |
//! | [`Removal`] | `complete`, `files`, `directories`, `left` |
//! | [`NotRemoved`] | `path`, `error` |
//! | [`FileReport`] | `path`, `kind`, `action`, `size`, `reason`, `error` |
//! | [`MirrorReport`] | `complete`, `created`, `updated`, `deleted`, `unchanged`, `skipped`, `failed`, `bytes`, `sessions`, `deletions_refused`, `dry_run` |
//! | [`Reply`] | `code`, `enhanced`, `lines` |
//! | [`TlsInfo`] | `version`, `cipher_suite`, `group`, `alpn`, `resumed`, `server_name`, `name_checked`, `verified_by`, `mta_sts`, `ocsp_response` (Base64), `pinned`, `binding`, `warnings` (as of now), `certificates` |
//! | [`Certificate`] | `subject`, `issuer`, `names`, `not_before`, `not_after`, `serial`, `pin` (Base64) |
//! | [`Error`] | `kind`, `phase`, `peer`, `transient`, `reply`, `message`, `advice`, `detail` |
//!
//! What is not known is null. No secret is in any of them.

use std::time::SystemTime;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::ser::{Serialize, SerializeStruct as _, Serializer};

use crate::error::{Error, ErrorKind, Phase, TlsFault};
use crate::ftp::hash::Digest;
use crate::ftp::mirror::{FileReport, MirrorReport};
use crate::ftp::{Diagnosis, Finding, NotRemoved, Removal, TransferReceipt, fxp};
use crate::moment;
use crate::reply::Reply;
use crate::smtp::{DeliveryReport, LoginInfo, RecipientVerdict};
use crate::tls::{Certificate, ChannelBindingType, MtaStsVerdict, TlsInfo, TlsWarning};

/// A value's keys, in this order.
macro_rules! keys {
    ($type:ty, $it:ident, { $($key:literal: $value:expr),* $(,)? }) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $it = self;
                let mut keys = serializer.serialize_struct(stringify!($type), [$($key),*].len())?;
                $(keys.serialize_field($key, &$value)?;)*
                keys.end()
            }
        }
    };
}

keys!(Reply, it, {
    "code": it.code().number(),
    "enhanced": it.enhanced().map(|code| code.to_string()),
    "lines": it.lines().collect::<Vec<_>>(),
});

keys!(Certificate, it, {
    "subject": it.subject,
    "issuer": it.issuer,
    "names": it.names,
    "not_before": timestamp(it.not_before),
    "not_after": timestamp(it.not_after),
    "serial": it.serial,
    "pin": BASE64_STANDARD.encode(it.public_key_sha256),
});

keys!(TlsInfo, it, {
    "version": it.version,
    "cipher_suite": it.cipher_suite,
    "group": Some(&it.group).filter(|group| !group.is_empty()),
    "alpn": it.alpn,
    "resumed": it.resumed,
    "server_name": it.server_name,
    "name_checked": it.verified_by.checks_name(),
    "verified_by": it.verified_by.as_str(),
    "mta_sts": it.mta_sts.map(MtaStsVerdict::as_str),
    "ocsp_response": it.ocsp_response.as_ref().map(|der| BASE64_STANDARD.encode(der)),
    "pinned": it.pinned,
    "binding": it.binding.map(ChannelBindingType::as_str),
    "warnings": it.warnings(SystemTime::now()).iter().map(TlsWarning::as_str).collect::<Vec<_>>(),
    "certificates": it.certificates(),
});

keys!(RecipientVerdict, it, {
    "recipient": it.recipient.as_str(),
    "accepted": it.is_accepted(),
    "reply": it.reply,
});

keys!(LoginInfo, it, {
    "mechanism": it.mechanism.name(),
    "binding": it.binding.map(ChannelBindingType::as_str),
});

keys!(DeliveryReport, it, {
    "outcome": it.outcome().as_str(),
    "recipients": it.recipients(),
    "reply": it.reply(),
    "queue_id": it.queue_id(),
    "tls": it.tls().map(AsRef::as_ref),
    "login": it.login(),
    "error": it.error(),
});

keys!(TransferReceipt, it, {
    "status": it.status.as_str(),
    "size": it.size,
    "offset": it.offset,
    "tls_resumed": it.tls_resumed,
    "close_notify": it.close_notify,
    "close_notify_sent": it.close_notify_sent,
    "compressed": it.compressed,
    "reply": it.reply,
    "digest": it.digest,
    "attempts": it.attempts,
    "seconds": it.duration.as_secs_f64(),
});

keys!(Digest, it, {
    "algorithm": it.algorithm.name(),
    "value": it.to_string(),
    "range": it.range.as_ref().map(|range| [range.start, range.end]),
});

keys!(fxp::Receipt, it, {
    "status": it.status.as_str(),
    "size": it.size,
    "digest": it.digest,
    "protected": it.protected,
    "source": it.source,
    "target": it.target,
});

keys!(Removal, it, {
    "complete": it.is_complete(),
    "files": it.files,
    "directories": it.directories,
    "left": it.left,
});

keys!(NotRemoved, it, {
    "path": String::from_utf8_lossy(&it.path),
    "error": it.error,
});

keys!(Finding, it, {
    "topic": it.topic.as_str(),
    "state": it.state.as_str(),
    "seen": it.seen,
    "cause": it.cause,
    "remedy": it.remedy,
});

keys!(Diagnosis, it, {
    "state": it.state().as_str(),
    "findings": it.findings,
    "error": it.error,
});

keys!(FileReport, it, {
    "path": String::from_utf8_lossy(&it.path),
    "kind": it.kind.as_str(),
    "action": it.action.as_str(),
    "size": it.size,
    "reason": it.reason,
    "error": it.error,
});

keys!(MirrorReport, it, {
    "complete": it.is_complete(),
    "created": it.created,
    "updated": it.updated,
    "deleted": it.deleted,
    "unchanged": it.unchanged,
    "skipped": it.skipped,
    "failed": it.failed,
    "bytes": it.bytes,
    "sessions": it.sessions,
    "deletions_refused": it.deletions_refused,
    "dry_run": it.dry_run,
});

keys!(Error, it, {
    "kind": kind(it.kind()),
    "phase": it.phase().map(Phase::as_str),
    "peer": it.peer(),
    "transient": it.is_transient(),
    "reply": it.reply(),
    "message": it.to_string(),
    "advice": it.advice(),
    "detail": it.detail(),
});

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
        ErrorKind::NotOffered(_) => "not_offered",
        ErrorKind::Downgraded(_) => "downgraded",
        ErrorKind::BytesBeforeHandshake { .. } => "bytes_before_handshake",
        ErrorKind::Unsolicited(_) => "unsolicited",
        ErrorKind::Proxy(_) => "proxy",
        ErrorKind::Tls(fault) => tls_fault(fault),
        ErrorKind::SizeMismatch { .. } => "size_mismatch",
        ErrorKind::DigestMismatch { .. } => "digest_mismatch",
        ErrorKind::FileChanged(_) => "file_changed",
        ErrorKind::Rejected => "rejected",
        ErrorKind::ProtocolViolation(_) => "protocol_violation",
        ErrorKind::LimitExceeded(_) => "limit_exceeded",
        ErrorKind::InvalidArgument(_) => "invalid_argument",
        ErrorKind::Unsupported(_) => "unsupported",
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
        TlsFault::RevocationUnknown(_) => "tls_revocation_unknown",
        TlsFault::RejectedByCheck(_) => "tls_rejected_by_check",
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
        TlsFault::NotResumed => "tls_not_resumed",
        TlsFault::NoAuthorities(_) => "tls_no_authorities",
        TlsFault::KeyMismatch => "tls_key_mismatch",
        TlsFault::WrongPassphrase => "tls_wrong_passphrase",
        TlsFault::Configuration(_) => "tls_configuration",
    }
}

/// A moment as reports have it: `2026-11-22T01:02:03Z` (RFC 3339), UTC.
pub fn timestamp(time: SystemTime) -> String {
    moment::timestamp(time)
}
