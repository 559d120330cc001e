//! What programs read with `--json`, and text that is safe to show.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};
use starttls::ftp::{Entry, TimePrecision, TransferReceipt};
use starttls::tls::{Certificate, TlsInfo};

/// A value of the library, as `starttls::report` has it.
pub(crate) fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("a report's keys are strings, and its numbers finite")
}

/// What `--pin` takes for this certificate's key.
pub(crate) fn pin(certificate: &Certificate) -> String {
    BASE64_STANDARD.encode(certificate.public_key_sha256)
}

/// What is known about a transfer.
pub(crate) fn receipt(receipt: &TransferReceipt, control: Option<&TlsInfo>) -> Value {
    let mut object = json(receipt);
    object["tls"] = json(&control);
    object["error"] = Value::Null;
    object
}

/// One entry of a listing. `url_name` is the name's bytes as they go into a URL.
pub(crate) fn entry(entry: &Entry) -> Value {
    json!({
        "name": entry.name(),
        "url_name": percent_encoded(entry.raw_name()),
        "type": entry.kind.as_str(),
        "size": entry.size,
        "modified": entry.modified.map(starttls::report::timestamp),
        "time_precision": entry.time_precision().map(TimePrecision::as_str),
        "permissions": entry.permissions(),
        "target": entry.target().map(|target| entry.encoding().decode(target)),
        "owner": entry.owner(),
        "group": entry.group(),
        "mode": entry.mode().map(|mode| format!("{mode:04o}")),
        "unique": entry.unique(),
        "created": entry.created().map(starttls::report::timestamp),
        "facts": entry.facts().map(|(name, value)| (name.to_ascii_lowercase(), Value::from(value))).collect::<Map<_, _>>(),
    })
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

    #[test]
    fn names() {
        assert_eq!(percent_encoded(b"a b/\xff.txt"), "a%20b%2F%FF.txt");
        assert_eq!(printable("a\x1b[31m\n\u{9b}ü"), "a\\u{1b}[31m\\n\\u{9b}ü");
    }
}
