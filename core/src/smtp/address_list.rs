//! Lists of addresses as header fields have them (RFC 5322 §3.4, with the obsolete forms of §4.4; UTF-8 as RFC 6532).
//!
//! What no grammar allows is an error, not a guess: two readers who guess differently are how a message goes to somebody
//! whom nobody checked.

use std::borrow::Cow;

use super::address::Mailbox;

/// Why a list cannot be read.
pub(super) type Fault = Cow<'static, str>;

/// The mailboxes of an unfolded field body, those in groups included, in order.
pub(super) fn mailboxes(text: &str) -> Result<Vec<Mailbox>, Fault> {
    let mut parser = Parser { lexer: Lexer { rest: text }, found: Vec::new() };
    parser.list()?;
    Ok(parser.found)
}

#[derive(Debug, PartialEq)]
enum Token<'a> {
    Atom(&'a str),
    Quoted(String),
    Literal(String),
    /// One of `<>@,;:.`
    Special(u8),
    End,
}

struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Result<Token<'a>, Fault> {
        self.skip_comments()?;
        let Some(&first) = self.rest.as_bytes().first() else { return Ok(Token::End) };
        match first {
            b'"' => self.enclosed(b'"', "a quoted string is not closed").map(Token::Quoted),
            b'[' => self.enclosed(b']', "an address literal is not closed").map(Token::Literal),
            b'<' | b'>' | b'@' | b',' | b';' | b':' | b'.' => {
                self.rest = &self.rest[1..];
                Ok(Token::Special(first))
            }
            b'\\' | b')' | b']' => Err(format!("{:?} stands by itself", char::from(first)).into()),
            0..=32 | 127 => Err("it contains a control character".into()),
            _ => {
                let ends = |byte: u8| matches!(byte, 0..=32 | 127) || b"()<>[]:;@\\,.\"".contains(&byte);
                let end = self.rest.bytes().position(ends).unwrap_or(self.rest.len());
                let (atom, rest) = self.rest.split_at(end);
                self.rest = rest;
                Ok(Token::Atom(atom))
            }
        }
    }

    /// White space and comments, which nest.
    fn skip_comments(&mut self) -> Result<(), Fault> {
        let mut depth = 0_usize;
        let mut bytes = self.rest.bytes().enumerate();
        let end = loop {
            match bytes.next() {
                None if depth > 0 => return Err("a comment is not closed".into()),
                None => break self.rest.len(),
                Some((_, b'(')) => depth += 1,
                Some((_, b')')) if depth > 0 => depth -= 1,
                Some((_, b'\\')) if depth > 0 => _ = bytes.next(),
                Some((_, b' ' | b'\t')) => {}
                Some(_) if depth > 0 => {}
                Some((at, _)) => break at,
            }
        };
        self.rest = &self.rest[end..];
        Ok(())
    }

    /// What stands between the character here and `close`, its quoted pairs resolved.
    fn enclosed(&mut self, close: u8, open_ended: &'static str) -> Result<String, Fault> {
        let mut inner = String::new();
        let mut chars = self.rest[1..].char_indices();
        while let Some((at, c)) = chars.next() {
            if c == char::from(close) {
                self.rest = &self.rest[1 + at + 1..];
                return Ok(inner);
            }
            inner.push(match c {
                '\\' => chars.next().ok_or(open_ended)?.1,
                _ => c,
            });
        }
        Err(open_ended.into())
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    found: Vec<Mailbox>,
}

const COMMA: Token<'_> = Token::Special(b',');

impl<'a> Parser<'a> {
    /// `address-list`, its empty places allowed.
    fn list(&mut self) -> Result<(), Fault> {
        let mut in_group = false;
        loop {
            // What comes up to a special is a display name, or the local part of an address.
            let mut words = Words::default();
            let special = loop {
                match self.lexer.next()? {
                    Token::Atom(atom) => words.word(atom),
                    Token::Quoted(text) => words.quoted(&text),
                    Token::Special(b'.') => words.dot(),
                    Token::Special(special) => break Some(special),
                    Token::End => break None,
                    Token::Literal(_) => return Err("an address literal is no name".into()),
                }
            };
            let mut next = match special {
                Some(b'@') => self.address(words)?,
                Some(b'<') => {
                    self.angle()?;
                    self.lexer.next()?
                }
                Some(b':') if in_group => return Err("a group is in a group".into()),
                Some(b':') if words.count == 0 => return Err("a group has no name".into()),
                Some(b':') => {
                    in_group = true;
                    continue;
                }
                _ if words.count > 0 => return Err("a name is without an address".into()),
                Some(special) => Token::Special(special),
                None => Token::End,
            };
            if next == Token::Special(b';') {
                if !in_group {
                    return Err("addresses are separated by commas".into());
                }
                in_group = false;
                next = self.lexer.next()?;
            }
            match next {
                COMMA => {}
                Token::End if in_group => return Err("a group is not closed".into()),
                Token::End => return Ok(()),
                _ => return Err("after an address there is something else than a comma".into()),
            }
        }
    }

    /// `addr-spec`, from behind its `@`. Gives what comes next.
    fn address(&mut self, local: Words) -> Result<Token<'a>, Fault> {
        let local = local.local_part()?;
        let (domain, next) = self.domain()?;
        let mailbox = format!("{local}@{domain}").parse::<Mailbox>();
        self.found.push(mailbox.map_err(|why| why.kind().to_string())?);
        Ok(next)
    }

    fn domain(&mut self) -> Result<(String, Token<'a>), Fault> {
        let mut words = Words::default();
        loop {
            match self.lexer.next()? {
                Token::Atom(atom) => words.word(atom),
                Token::Special(b'.') => words.dot(),
                Token::Literal(text) if words.text.is_empty() => {
                    return Ok((format!("[{}]", text.trim()), self.lexer.next()?));
                }
                Token::Literal(_) | Token::Quoted(_) => return Err("a domain is made of names and dots".into()),
                next => return Ok((words.domain()?, next)),
            }
        }
    }

    /// `angle-addr`, from behind its `<`. An obsolete route is passed over, as RFC 5321 appendix C says.
    fn angle(&mut self) -> Result<(), Fault> {
        let mut words = Words::default();
        loop {
            match self.lexer.next()? {
                Token::Atom(atom) => words.word(atom),
                Token::Quoted(text) => words.quoted(&text),
                Token::Special(b'.') => words.dot(),
                Token::Special(b'@' | b',') if words.text.is_empty() => self.route()?,
                Token::Special(b'@') => break,
                _ => return Err("there is no address between < and >".into()),
            }
        }
        match self.address(words)? {
            Token::Special(b'>') => Ok(()),
            _ => Err("an address is not closed by >".into()),
        }
    }

    fn route(&mut self) -> Result<(), Fault> {
        loop {
            match self.lexer.next()? {
                Token::Special(b':') => return Ok(()),
                Token::Atom(_) | Token::Literal(_) | Token::Special(b'@' | b',' | b'.') => {}
                _ => return Err("a route is followed by a colon".into()),
            }
        }
    }
}

/// Words and dots as they come, without what stood between them.
#[derive(Default)]
struct Words {
    text: String,
    /// How many words and dots.
    count: usize,
    has_quoted: bool,
    after_word: bool,
    /// Words follow each other without a dot: good for a name, not for an address.
    is_phrase: bool,
}

impl Words {
    fn quoted(&mut self, text: &str) {
        self.has_quoted = true;
        self.word(text);
    }

    fn word(&mut self, text: &str) {
        self.is_phrase |= self.after_word;
        self.after_word = true;
        self.count += 1;
        self.text.push_str(text);
    }

    fn dot(&mut self) {
        self.after_word = false;
        self.count += 1;
        self.text.push('.');
    }

    fn local_part(self) -> Result<String, Fault> {
        if self.is_phrase || self.count == 0 {
            return Err("before an @ there is no local part".into());
        }
        self.check_encoded_words()?;
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"()<>[]:;@\\,\"".contains(c);
        let is_dot_atom = self.text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(plain));
        if !self.has_quoted || is_dot_atom {
            return Ok(self.text);
        }
        let mut quoted = String::with_capacity(self.text.len() + 2);
        quoted.push('"');
        for c in self.text.chars() {
            if matches!(c, '"' | '\\') {
                quoted.push('\\');
            }
            quoted.push(c);
        }
        quoted.push('"');
        Ok(quoted)
    }

    fn domain(self) -> Result<String, Fault> {
        if self.is_phrase {
            return Err("after an address there is something else than a comma".into());
        }
        self.check_encoded_words()?;
        Ok(self.text)
    }

    /// Some readers decode them there, others do not, and they would write to different people.
    fn check_encoded_words(&self) -> Result<(), Fault> {
        if self.text.split_once("=?").is_some_and(|(_, inner)| inner.contains("?=")) {
            return Err("an encoded word is no part of an address (RFC 2047 §5)".into());
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let found = mailboxes(text).unwrap_or_else(|why| panic!("{text:?}: {why}"));
        found.iter().map(Mailbox::to_string).collect()
    }

    #[test]
    fn one_address_in_every_form() {
        for text in [
            "ada@example.org",
            "  ada@example.org\t",
            "<ada@example.org>",
            "Ada <ada@example.org>",
            "Ada Q. Lovelace <ada@example.org>",
            "\"Lovelace, Ada\" <ada@example.org>",
            "\"a \\\" < b@c > \" <ada@example.org>",
            "=?utf-8?q?Ad=40a=2C?= <ada@example.org>",
            "Äda <ada@example.org>",
            "(bob@example.net, (nested \\) \" ) deep) ada@example.org (Ada)",
            "ada (c) @ (d) example (e) . org",
            "\"ada\"@example.org",
            "Ada <@relay.example,@[192.0.2.1]:ada@example.org>",
            "Ada <,@relay.example,,:ada@example.org>",
            ",, ada@example.org ,",
            "Team: ada@example.org;",
            "Team: , Ada <ada@example.org>,;",
            "\"a group\" (of one) : ada@example.org (her) ; ,",
        ] {
            assert_eq!(read(text), ["ada@example.org"], "{text:?}");
        }
    }

    #[test]
    fn lists_groups_and_nobody() {
        assert_eq!(read("a@x, B <b@y>,c@z"), ["a@x", "b@y", "c@z"]);
        assert_eq!(read("One: a@x, b@y;, c@z, Two:;, d@w"), ["a@x", "b@y", "c@z", "d@w"]);
        assert!(read("undisclosed-recipients:;").is_empty());
        assert!(read("").is_empty());
        assert!(read(" (nobody) ,").is_empty());
    }

    #[test]
    fn local_parts_and_domains() {
        for (text, address) in [
            ("\"a b\"@x", "\"a b\"@x"),
            ("\"a@b\"@x", "\"a@b\"@x"),
            ("\"a\\\\\\\"b\"@x", "\"a\\\\\\\"b\"@x"),
            ("\"\"@x", "\"\"@x"),
            ("a.\"b c\".d@x", "\"a.b c.d\"@x"),
            ("a..b@x", "a..b@x"),
            ("a.@x", "a.@x"),
            ("jürgen@bücher.example", "jürgen@bücher.example"),
            ("a@[192.0.2.1]", "a@[192.0.2.1]"),
            ("a@[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]"),
            ("a+b=c/d#{e}@x", "a+b=c/d#{e}@x"),
        ] {
            assert_eq!(read(text), [address], "{text:?}");
        }
    }

    #[test]
    fn nothing_is_guessed() {
        for text in [
            "ada",
            "Ada Lovelace",
            "@example.org",
            "ada@",
            "ada@,bob@example.net",
            "<>",
            "<ada>",
            "<ada@example.org",
            "ada@example.org>",
            "a b@example.org",
            "a@b c",
            "a@b c@d",
            "a@b; c@d",
            "a@b <c@d>",
            "<a@b> <c@d>",
            "a@b)c@d",
            "a@b(c",
            "\"a@b",
            "a@[b",
            "a@b@c",
            "a@\"b\"",
            "Group: a@b",
            ": a@b;",
            "Group: Inner: a@b;;",
            "Group: a@b;c@d",
            "<@relay.example ada@example.org>",
            "=?utf-8?q?evil=40example.org=2C?=@x",
            "a@=?utf-8?q?x?=",
            "=?utf-8?q?a,b?= <c@d>",
            "\"=?utf-8?q?a?=\"@b",
            "a@=?utf-8?q?b.?=",
            "a\0@b",
            "\"a\0\"@b",
            "\"a\rb\"@c",
            "a\u{1}b <c@d>",
            "a\u{2028}b@c",
            "a@b\u{a0}c",
            "a\\@b",
        ] {
            assert!(mailboxes(text).is_err(), "{text:?} is {:?}", mailboxes(text));
        }
    }

    #[test]
    fn depth_and_length_cost_nothing_but_time() {
        let deep = format!("{}{} a@b", "(".repeat(300_000), ")".repeat(300_000));
        assert_eq!(read(&deep), ["a@b"]);
        let many = "a@b,".repeat(200_000);
        assert_eq!(read(&many).len(), 200_000);
        assert!(mailboxes(&"<".repeat(300_000)).is_err());
    }
}
