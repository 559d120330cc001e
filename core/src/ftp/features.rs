//! What a server says it can do (FEAT, RFC 2389).

use crate::reply::Reply;

/// The feature lines of a FEAT reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Name in upper case, parameters as sent.
    lines: Vec<(String, String)>,
    /// Whether it was said which facts are wanted (OPTS MLST).
    pub(super) facts_are_chosen: bool,
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
        Self { lines, facts_are_chosen: false }
    }

    /// Every feature with its parameters, in the server's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().map(|(name, parameters)| (name.as_str(), parameters.as_str()))
    }

    /// Whether `name` (in upper case) is offered.
    pub fn offers(&self, name: &str) -> bool {
        self.iter().any(|(offered, _)| offered == name)
    }

    /// Whether data connections can be compressed: `MODE Z`.
    pub(super) fn compression(&self) -> bool {
        self.iter().any(|(name, modes)| name == "MODE" && modes.split([' ', ';']).any(|mode| mode == "Z"))
    }

    /// Whether listings for machines are offered: MLST stands for MLSD too (RFC 3659 §7.8).
    pub(super) fn machine_listings(&self) -> bool {
        self.offers("MLST") || self.offers("MLSD")
    }

    /// The facts to ask for, as OPTS MLST has them; `None` if what the server tells by itself will do: the facts marked by
    /// a star (RFC 3659 §7.8).
    pub(super) fn facts_to_choose(&self, all: bool) -> Option<String> {
        let (_, facts) = self.iter().find(|(name, _)| *name == "MLST").filter(|_| !self.facts_are_chosen)?;
        let facts = || facts.split(';').map(str::trim).filter(|fact| !fact.is_empty());
        let needed = |fact: &str| ["type", "size", "modify"].iter().any(|name| fact.eq_ignore_ascii_case(name));
        let is_off = |fact: &str| !fact.ends_with('*');
        if !facts().any(|fact| is_off(fact) && (all || needed(fact))) {
            return None;
        }
        Some(
            facts()
                .filter(|fact| all || !is_off(fact) || needed(fact))
                .map(|fact| format!("{};", fact.trim_end_matches('*')))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_that_are_off() {
        let features = |facts: &str| Features { lines: vec![("MLST".into(), facts.into())], facts_are_chosen: false };
        for (facts, needed, all) in [
            ("type*;size*;modify*;", None, None),
            ("type*;size*;modify*;UNIX.mode;", None, Some("type;size;modify;UNIX.mode;")),
            ("Type*;Size;Modify*;Perm*;unique;", Some("Type;Size;Modify;Perm;"), Some("Type;Size;Modify;Perm;unique;")),
            ("", None, None),
        ] {
            assert_eq!(features(facts).facts_to_choose(false).as_deref(), needed, "{facts}");
            assert_eq!(features(facts).facts_to_choose(true).as_deref(), all, "{facts}");
        }
        assert_eq!(Features { facts_are_chosen: true, ..features("size;") }.facts_to_choose(true), None);
        assert_eq!(Features::default().facts_to_choose(true), None);
    }
}
