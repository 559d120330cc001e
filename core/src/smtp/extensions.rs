//! What a server says it can do (RFC 5321 §4.1.1.1).

use crate::reply::Reply;

/// The capabilities of an EHLO reply. Those of another EHLO, before TLS above all, are another value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// Keyword in upper case, parameters as sent.
    keywords: Vec<(String, String)>,
}

impl Extensions {
    /// Reads the lines after the first one.
    pub(crate) fn parse(reply: &Reply) -> Self {
        let keywords = reply
            .lines()
            .skip(1)
            .filter_map(|line| {
                let line = line.trim();
                // `AUTH=PLAIN` is how servers before RFC 2554 wrote `AUTH PLAIN`; some still say both.
                let (keyword, parameters) = line.split_once([' ', '=']).unwrap_or((line, ""));
                (!keyword.is_empty()).then(|| (keyword.to_ascii_uppercase(), parameters.trim().to_owned()))
            })
            .collect();
        Self { keywords }
    }

    /// Every keyword with its parameters, in the server's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keywords.iter().map(|(keyword, parameters)| (keyword.as_str(), parameters.as_str()))
    }

    /// Whether `keyword` (in upper case) is offered.
    pub fn offers(&self, keyword: &str) -> bool {
        self.iter().any(|(offered, _)| offered == keyword)
    }

    /// The words after `keyword`; empty if it is not offered.
    pub fn parameters<'a>(&'a self, keyword: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter()
            .filter(move |(offered, _)| *offered == keyword)
            .flat_map(|(_, words)| words.split_ascii_whitespace())
    }

    /// The largest message the server takes, in bytes, if it says (RFC 1870 §4).
    pub fn size_limit(&self) -> Option<u64> {
        self.parameters("SIZE").next()?.parse().ok().filter(|&limit| limit > 0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::reply::{Assembler, Budget, Dialect};

    #[test]
    fn keywords_and_parameters() {
        let mut assembler = Assembler::new(Dialect::Smtp, Budget::DEFAULT);
        let lines = ["250-hi", "250-size 1000", "250-AUTH=LOGIN", "250-AUTH PLAIN XOAUTH2", "250 PIPELINING"];
        let reply = lines.iter().find_map(|line| assembler.push(line.as_bytes()).unwrap()).unwrap();
        let extensions = Extensions::parse(&reply);
        assert_eq!(extensions.size_limit(), Some(1000));
        assert_eq!(extensions.parameters("AUTH").collect::<Vec<_>>(), ["LOGIN", "PLAIN", "XOAUTH2"]);
        assert!(extensions.offers("PIPELINING") && !extensions.offers("HI"));
    }
}
