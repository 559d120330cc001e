//! A session that cannot begin because the port is another one than the caller thinks: what is there, and which URL
//! would work.

use crate::reply::{Dialect, Reply};
use crate::transport::Endpoint;

/// Who speaks in clear text, as far as the first words tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaker {
    Smtp,
    Ftp,
    /// Anybody else, by the protocol's name.
    Other(&'static str),
}

impl Speaker {
    fn of(words: &str) -> Option<Self> {
        let words = words.trim_start();
        let begins = |prefix: &str| words.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        if begins("220") {
            let lower = words.to_ascii_lowercase();
            return match (lower.contains("smtp"), lower.contains("ftp")) {
                (true, false) => Some(Self::Smtp),
                (false, true) => Some(Self::Ftp),
                _ => None,
            };
        }
        let known = [
            ("HTTP/", "HTTP"),
            ("<!DOCTYPE", "HTTP"),
            ("<html", "HTTP"),
            ("* OK", "IMAP"),
            ("* PREAUTH", "IMAP"),
            ("* BYE", "IMAP"),
            ("+OK", "POP3"),
            ("-ERR", "POP3"),
            ("SSH-", "SSH"),
        ];
        known.into_iter().find(|(prefix, _)| begins(prefix)).map(|(_, name)| Self::Other(name))
    }
}

impl Dialect {
    fn schemes(self) -> (&'static str, u16, &'static str, u16) {
        match self {
            Self::Smtp => ("smtp", 587, "smtps", 465),
            Self::Ftp => ("ftp", 21, "ftps", 990),
        }
    }

    fn speaker(self) -> Speaker {
        match self {
            Self::Smtp => Speaker::Smtp,
            Self::Ftp => Speaker::Ftp,
        }
    }
}

/// Where nothing of ours can work on this port: the usual ones.
fn usual(dialect: Dialect, to: &Endpoint) -> String {
    let (upgrade, upgrade_port, implicit, implicit_port) = dialect.schemes();
    let at = |port| Endpoint { host: to.host.clone(), port };
    format!("try {implicit}://{} or {upgrade}://{}", at(implicit_port), at(upgrade_port))
}

/// The advice about a peer that says `words` in clear text: `None` if they may be of our own protocol.
pub(crate) fn stranger(dialect: Dialect, to: &Endpoint, words: &str) -> Option<String> {
    match Speaker::of(words)? {
        speaker if speaker == dialect.speaker() => None,
        Speaker::Smtp => {
            Some(format!("an SMTP server is on this port: its URL is smtp://{to}; {}", usual(dialect, to)))
        }
        Speaker::Ftp => Some(format!("an FTP server is on this port: its URL is ftp://{to}; {}", usual(dialect, to))),
        Speaker::Other(name) => Some(format!("this port speaks {name}: {}", usual(dialect, to))),
    }
}

/// [`stranger`] for a greeting that is a reply.
pub(crate) fn strange_greeting(dialect: Dialect, to: &Endpoint, greeting: &Reply) -> Option<String> {
    stranger(dialect, to, &format!("{} {}", greeting.code(), greeting.text()))
}

/// Clear text came where TLS was to begin.
pub(crate) fn clear_text_came(dialect: Dialect, to: &Endpoint, words: &str) -> String {
    let upgrade = dialect.schemes().0;
    stranger(dialect, to, words)
        .unwrap_or_else(|| format!("this port begins in clear text and upgrades: try {upgrade}://{to}"))
}

/// No clear text came where a greeting was due; `sure` if a TLS record did.
pub(crate) fn no_greeting_came(dialect: Dialect, to: &Endpoint, sure: bool) -> String {
    let implicit = dialect.schemes().2;
    let condition = if sure { "this port expects TLS at once:" } else { "if this port expects TLS at once," };
    format!("{condition} try {implicit}://{to}")
}

/// The server speaks our protocol in clear text and offers no upgrade.
pub(crate) fn no_upgrade(dialect: Dialect, to: &Endpoint) -> String {
    let (upgrade, upgrade_port, implicit, implicit_port) = dialect.schemes();
    // It just spoke in clear text on the port for the other way: that one is of no use.
    let (scheme, port) = if to.port == implicit_port { (upgrade, upgrade_port) } else { (implicit, implicit_port) };
    let there = Endpoint { host: to.host.clone(), port };
    format!("try {scheme}://{there}; if the server used to offer it, somebody may be stripping it")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(port: u16) -> Endpoint {
        Endpoint { host: "mail.example.org".into(), port }
    }

    #[test]
    fn strangers_are_named() {
        for (words, named) in [
            ("HTTP/1.1 400 Bad Request", Some("speaks HTTP")),
            ("* OK [CAPABILITY IMAP4rev1] ready", Some("speaks IMAP")),
            ("+OK POP3 ready", Some("speaks POP3")),
            ("SSH-2.0-OpenSSH_9.2", Some("speaks SSH")),
            ("220 (vsFTPd 3.0.3)", Some("ftp://mail.example.org:2525")),
            ("220-Welcome\n220 ProFTPD", Some("ftp://mail.example.org:2525")),
            ("220 mail ESMTP", None),
            ("220 smtp and ftp", None),
            ("220 ready", None),
            ("€", None),
        ] {
            let advice = stranger(Dialect::Smtp, &at(2525), words);
            match named {
                Some(part) => assert!(advice.as_ref().unwrap().contains(part), "{words}: {advice:?}"),
                None => assert_eq!(advice, None, "{words}"),
            }
        }
        let advice = stranger(Dialect::Ftp, &at(25), "220 mail ESMTP Postfix").unwrap();
        assert!(advice.contains("smtp://mail.example.org:25;"), "{advice}");
    }

    #[test]
    fn the_url_that_would_work() {
        assert!(clear_text_came(Dialect::Smtp, &at(587), "220 hi").ends_with("try smtp://mail.example.org:587"));
        assert!(clear_text_came(Dialect::Ftp, &at(21), "220 hi").ends_with("try ftp://mail.example.org:21"));
        assert!(no_greeting_came(Dialect::Smtp, &at(465), true).ends_with(": try smtps://mail.example.org:465"));
        assert!(no_upgrade(Dialect::Smtp, &at(25)).starts_with("try smtps://mail.example.org:465;"));
        assert!(no_upgrade(Dialect::Smtp, &at(465)).starts_with("try smtp://mail.example.org:587;"));
        assert!(no_upgrade(Dialect::Ftp, &at(21)).starts_with("try ftps://mail.example.org:990;"));
        let literal = Endpoint { host: "::1".into(), port: 465 };
        assert!(no_greeting_came(Dialect::Smtp, &literal, false).ends_with("smtps://[::1]:465"));
    }
}
