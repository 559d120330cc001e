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

    /// How many recipients, messages and domains the server takes, if it says (RFC 9422).
    pub fn limits(&self) -> Limits {
        let number = |name: &str| {
            self.parameters("LIMITS").find_map(|word| {
                let (keyword, value) = word.split_once('=')?;
                keyword.eq_ignore_ascii_case(name).then_some(value)?.parse().ok().filter(|&limit: &usize| limit > 0)
            })
        };
        Limits { recipients: number("RCPTMAX"), messages: number("MAILMAX"), domains: number("RCPTDOMAINMAX") }
    }

    /// The least time, in seconds, within which the server undertakes to deliver, if it says (RFC 2852 §2).
    pub fn deliver_by_minimum(&self) -> Option<u32> {
        self.parameters("DELIVERBY").next()?.split(',').next()?.parse().ok()
    }

    /// How long the server keeps a message for later release, in seconds, if it does (RFC 4865 §3).
    pub fn future_release_interval(&self) -> Option<u64> {
        self.parameters("FUTURERELEASE").next()?.parse().ok()
    }

    /// The server's SASL mechanisms, as written.
    pub fn mechanisms(&self) -> impl Iterator<Item = &str> {
        self.parameters("AUTH")
    }
}

/// What the server takes in one transaction, and on one connection (RFC 9422). `None` is no limit that was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Limits {
    /// RCPTMAX: recipients of one message.
    pub recipients: Option<usize>,
    /// MAILMAX: messages on one connection.
    pub messages: Option<usize>,
    /// RCPTDOMAINMAX: different domains among the recipients of one message.
    pub domains: Option<usize>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::reply::{Assembler, Budget, Dialect};

    #[test]
    fn keywords_and_parameters() {
        let mut assembler = Assembler::new(Dialect::Smtp, Budget::DEFAULT);
        let limits = "250-LIMITS RCPTMAX=20 mailmax=5 RCPTDOMAINMAX=x";
        let lines = ["250-hi", limits, "250-size 1000", "250-AUTH=LOGIN", "250-AUTH PLAIN XOAUTH2", "250 PIPELINING"];
        let reply = lines.iter().find_map(|line| assembler.push(line.as_bytes()).unwrap()).unwrap();
        let extensions = Extensions::parse(&reply);
        assert_eq!(extensions.size_limit(), Some(1000));
        assert_eq!(extensions.parameters("AUTH").collect::<Vec<_>>(), ["LOGIN", "PLAIN", "XOAUTH2"]);
        let limits = Limits { recipients: Some(20), messages: Some(5), domains: None };
        assert_eq!(extensions.limits(), limits);
        assert!(extensions.offers("PIPELINING") && !extensions.offers("HI"));
    }
}
