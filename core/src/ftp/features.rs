//! What a server says it can do (FEAT, RFC 2389).

use crate::reply::Reply;

/// The feature lines of a FEAT reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Name in upper case, parameters as sent.
    lines: Vec<(String, String)>,
}

impl Features {
    /// Reads the lines between the first and the last one.
    pub(super) fn parse(reply: &Reply) -> Self {
        let inner = reply.lines().count().saturating_sub(2);
        let lines = reply
            .lines()
            .skip(1)
            .take(inner)
            .filter_map(|line| {
                // Some servers repeat the code before each feature.
                let line = line.trim();
                let (name, parameters) = line.split_once(' ').unwrap_or((line, ""));
                (!name.is_empty()).then(|| (name.to_ascii_uppercase(), parameters.trim().to_owned()))
            })
            .collect();
        Self { lines }
    }

    /// Every feature with its parameters, in the server's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().map(|(name, parameters)| (name.as_str(), parameters.as_str()))
    }

    /// Whether `name` (in upper case) is offered.
    pub fn offers(&self, name: &str) -> bool {
        self.iter().any(|(offered, _)| offered == name)
    }

    /// Whether listings for machines are offered: MLST stands for MLSD too (RFC 3659 §7.8).
    pub(super) fn machine_listings(&self) -> bool {
        self.offers("MLST") || self.offers("MLSD")
    }
}
