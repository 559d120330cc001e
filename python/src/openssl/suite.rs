//! Cipher suites by the names that IANA registered.

/// The key exchanges of TLS 1.2 as OpenSSL writes them, and as IANA does. The longer ones first.
const EXCHANGES: [(&str, &str); 12] = [
    ("ADH-", "DH_anon"),
    ("AECDH-", "ECDH_anon"),
    ("ECDHE-ECDSA-", "ECDHE_ECDSA"),
    ("ECDHE-PSK-", "ECDHE_PSK"),
    ("ECDHE-RSA-", "ECDHE_RSA"),
    ("ECDHE-", "ECDHE_RSA"),
    ("DHE-PSK-", "DHE_PSK"),
    ("DHE-RSA-", "DHE_RSA"),
    ("DHE-DSS-", "DHE_DSS"),
    ("RSA-PSK-", "RSA_PSK"),
    ("PSK-", "PSK"),
    ("", "RSA"),
];

/// IANA's name for OpenSSL's; OpenSSL's own for what is not known here. Those of TLS 1.3 are the same.
pub(super) fn iana(name: &str) -> String {
    if name.starts_with("TLS_") {
        return name.into();
    }
    let named = EXCHANGES.iter().find_map(|(theirs, exchange)| Some((name.strip_prefix(theirs)?, exchange)));
    match named.and_then(|(rest, exchange)| Some((cipher(rest)?, exchange))) {
        Some((cipher, exchange)) => format!("TLS_{exchange}_WITH_{cipher}"),
        None => name.into(),
    }
}

/// `AES128-GCM-SHA256` as `AES_128_GCM_SHA256`, `AES256-SHA` as `AES_256_CBC_SHA`.
fn cipher(name: &str) -> Option<String> {
    if name == "CHACHA20-POLY1305" {
        return Some("CHACHA20_POLY1305_SHA256".into());
    }
    let (cipher, rest) = name.split_once('-')?;
    let at = cipher.find(|letter: char| letter.is_ascii_digit())?;
    let (family, bits) = cipher.split_at(at);
    if !matches!(family, "AES" | "ARIA" | "CAMELLIA") || !matches!(bits, "128" | "256") {
        return None;
    }
    let mode = match rest.split_once('-') {
        Some((mode @ ("GCM" | "CBC"), hash)) => format!("{mode}_{hash}"),
        Some(_) => return None,
        None if rest == "CCM8" => "CCM_8".into(),
        None if rest == "CCM" => rest.into(),
        None => format!("CBC_{rest}"),
    };
    Some(format!("{family}_{bits}_{mode}"))
}
