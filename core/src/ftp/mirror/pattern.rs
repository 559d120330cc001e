//! Which files are meant: include and exclude rules, and the patterns in them.
//!
//! ```text
//!   *.log        in every directory: no slash before the end
//!   /build       only at the top: a slash at the beginning or within counts from there
//!   doc/*.html   *  any characters but a slash        ?  one character but a slash
//!   **/x  a/**   ** between slashes: any number of directories, none too
//!   cache/       a slash at the end: only directories
//!   [a-z] [!0-9] one character of a set, or not of it  \x  the character x itself
//! ```

use crate::error::{Error, Result};

/// The most characters of a pattern.
const LONGEST: usize = 4096;

/// Include and exclude rules, in order: the first one that matches decides. What none matches is included, unless there are
/// include rules and no exclude rules: then only what they match is, in whatever directory.
///
/// What is excluded is neither transferred nor deleted. An excluded directory is not looked into.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    rules: Vec<(bool, Pattern)>,
}

impl Filter {
    /// Everything is included.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next rule: what matches is included.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for what is no pattern.
    pub fn include(mut self, pattern: &str) -> Result<Self> {
        self.rules.push((true, Pattern::parse(pattern)?));
        Ok(self)
    }

    /// The next rule: what matches is excluded.
    ///
    /// # Errors
    /// As [`Filter::include`].
    pub fn exclude(mut self, pattern: &str) -> Result<Self> {
        self.rules.push((false, Pattern::parse(pattern)?));
        Ok(self)
    }

    /// Whether a path is meant, whose components have slashes between them. The directories above it are asked first.
    pub fn includes(&self, path: &[u8], is_directory: bool) -> bool {
        match self.rules.iter().find(|(_, pattern)| pattern.matches(path, is_directory)) {
            Some((include, _)) => *include,
            None => is_directory || self.rules.is_empty() || self.rules.iter().any(|(include, _)| !include),
        }
    }
}

/// A glob, of components.
#[derive(Clone, Debug)]
struct Pattern {
    components: Vec<Component>,
    directories_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Component {
    /// Any number of components.
    Any,
    One(Vec<Token>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Star,
    Question,
    Literal(Unit),
    Set { negated: bool, ranges: Vec<(Unit, Unit)> },
}

/// A character, or a byte that is part of none: bytes come after all characters.
type Unit = u32;

fn unit(bytes: &[u8]) -> Option<(Unit, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let length = match first {
        ..0x80 => return Some((first.into(), rest)),
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    };
    let char = bytes.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok()).and_then(|s| s.chars().next());
    Some(match char {
        Some(char) => (char.into(), &bytes[length..]),
        None => (0x11_0000 + Unit::from(first), rest),
    })
}

impl Pattern {
    fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| Error::invalid_argument(format!("the pattern {text:?} {why}"));
        if text.len() > LONGEST {
            return Err(bad("is too long"));
        }
        let (body, directories_only) = match text.strip_suffix('/') {
            Some(body) if !body.ends_with('\\') => (body, true),
            _ => (text, false),
        };
        let anchored = body.contains('/');
        let body = body.strip_prefix('/').unwrap_or(body);
        if body.is_empty() {
            return Err(bad("matches nothing"));
        }
        let mut components = if anchored { Vec::new() } else { vec![Component::Any] };
        for component in body.split('/') {
            components.push(match component {
                "" | "." | ".." => return Err(bad("has a component that no path has")),
                "**" => Component::Any,
                other => Component::One(tokens(other).ok_or_else(|| bad("has a set or an escape without its end"))?),
            });
        }
        components.dedup_by(|a, b| *a == Component::Any && *b == Component::Any);
        // `a/**` is what is in `a`, not `a` itself.
        if components.len() > 1 && components.last() == Some(&Component::Any) {
            components.insert(components.len() - 1, Component::One(vec![Token::Star]));
        }
        Ok(Self { components, directories_only })
    }

    fn matches(&self, path: &[u8], is_directory: bool) -> bool {
        if self.directories_only && !is_directory {
            return false;
        }
        let path: Vec<_> = path.split(|&b| b == b'/').collect();
        wildcard(
            &self.components,
            &path,
            |component| *component == Component::Any,
            |component, name| match component {
                Component::Any => true,
                Component::One(tokens) => match_name(tokens, name),
            },
        )
    }
}

fn match_name(tokens: &[Token], name: &[u8]) -> bool {
    let mut units = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((unit, after)) = unit(rest) {
        units.push(unit);
        rest = after;
    }
    wildcard(
        tokens,
        &units,
        |token| *token == Token::Star,
        |token, unit| match token {
            Token::Star | Token::Question => true,
            Token::Literal(literal) => literal == unit,
            Token::Set { negated, ranges } => {
                ranges.iter().any(|(first, last)| (first..=last).contains(&unit)) != *negated
            }
        },
    )
}

/// Whether a sequence matches a pattern in which some elements match any number, in time of the product of their lengths:
/// only the last of them is ever tried again, since the ones before it have found their earliest place.
fn wildcard<P, T>(pattern: &[P], text: &[T], any: impl Fn(&P) -> bool, one: impl Fn(&P, &T) -> bool) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && any(&pattern[p]) {
            back = Some((p, t));
            p += 1;
        } else if p < pattern.len() && one(&pattern[p], &text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((star, from)) = back {
            back = Some((star, from + 1));
            (p, t) = (star + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(any)
}

fn tokens(component: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut chars = component.chars().peekable();
    while let Some(char) = chars.next() {
        tokens.push(match char {
            '*' if tokens.last() == Some(&Token::Star) => continue,
            '*' => Token::Star,
            '?' => Token::Question,
            '\\' => Token::Literal(chars.next()?.into()),
            '[' => {
                let negated = chars.next_if(|c| matches!(c, '!' | '^')).is_some();
                let mut ranges = Vec::new();
                loop {
                    let first = match chars.next()? {
                        ']' if !ranges.is_empty() => break,
                        '\\' => chars.next()?,
                        other => other,
                    };
                    let mut ahead = chars.clone();
                    let last = match (ahead.next(), ahead.next()) {
                        (Some('-'), Some(last)) if last != ']' => {
                            chars = ahead;
                            if last == '\\' { chars.next()? } else { last }
                        }
                        _ => first,
                    };
                    ranges.push((first.into(), last.into()));
                }
                Token::Set { negated, ranges }
            }
            other => Token::Literal(other.into()),
        });
    }
    Some(tokens)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let (path, directory) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
        Pattern::parse(pattern).unwrap().matches(path.as_bytes(), directory)
    }

    #[test]
    fn what_patterns_match() {
        for (pattern, yes, no) in [
            ("*.log", &["a.log", "x/y/.log"][..], &["a.log.gz", "a.log/b"][..]),
            ("/build", &["build", "build/"], &["x/build", "builds"]),
            ("build/", &["build/", "x/build/"], &["build", "x/build"]),
            ("doc/*.html", &["doc/a.html"], &["doc/x/a.html", "x/doc/a.html"]),
            ("**/x", &["x", "a/x", "a/b/x"], &["ax", "x/a"]),
            ("a/**", &["a/b", "a/b/c"], &["a", "b/a/c"]),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["a/bb", "b"]),
            ("a**b", &["ab", "axb", "d/ab"], &["a/b"]),
            ("?", &["a", "ü", "x/é"], &["", "ab", "üü"]),
            ("[a-cX]?", &["b1", "X9"], &["d1", "b"]),
            ("[!a-c]", &["d", "ü"], &["a", "dd"]),
            ("[]-]", &["]", "-"], &["a"]),
            ("[ä-ö]", &["é"], &["ÿ"]),
            (r"\*\[", &["*["], &["a["]),
            ("**/x/**", &["x/a", "y/x/a/b"], &["x", "y/x"]),
            ("**", &["a", "a/b"], &[]),
        ] {
            for path in yes {
                assert!(matches(pattern, path), "{pattern} {path}");
            }
            for path in no {
                assert!(!matches(pattern, path), "{pattern} {path}");
            }
        }
        for bad in ["", "/", "a//b", "../x", "[a", "a\\", "[]", "x/./y", &"x".repeat(LONGEST + 1)] {
            assert!(Pattern::parse(bad).is_err(), "{bad:?}");
        }
        // Bytes that are no characters are one each.
        assert!(Pattern::parse("a?b").unwrap().matches(b"a\xFFb", false));
        assert!(!Pattern::parse("a?b").unwrap().matches(b"a\xFF\xFEb", false));
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let filter = Filter::new().include("keep.log").unwrap().exclude("*.log").unwrap();
        assert!(filter.includes(b"x/keep.log", false) && filter.includes(b"a.txt", false));
        assert!(!filter.includes(b"a.log", false));
        let only = Filter::new().include("*.jpg").unwrap();
        assert!(only.includes(b"a/b.jpg", false) && only.includes(b"a", true) && !only.includes(b"a.txt", false));
    }

    /// What a pattern means, said as simply as can be, however long it takes.
    fn slow<P, T>(pattern: &[P], text: &[T], any: fn(&P) -> bool, one: fn(&P, &T) -> bool) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, rest) => rest.is_none(),
            (Some((p, ps)), None) => any(p) && slow(ps, text, any, one),
            (Some((p, ps)), Some((t, ts))) => {
                if any(p) {
                    slow(ps, text, any, one) || slow(pattern, ts, any, one)
                } else {
                    one(p, t) && slow(ps, ts, any, one)
                }
            }
        }
    }

    #[test]
    fn swift_matching_is_slow_matching() {
        let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = move |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        for _ in 0..20_000 {
            let pattern: Vec<u8> = (0..random(9)).map(|_| b"ab*?"[random(4) as usize]).collect();
            let text: Vec<u8> = (0..random(12)).map(|_| b"ab"[random(2) as usize]).collect();
            let any = |p: &u8| *p == b'*';
            let one = |p: &u8, t: &u8| *p == b'?' || p == t;
            assert_eq!(wildcard(&pattern, &text, any, one), slow(&pattern, &text, any, one), "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn a_bad_pattern_takes_no_time() {
        let pattern = Pattern::parse(&format!("{}b", "a*".repeat(500))).unwrap();
        assert!(!pattern.matches(&b"a".repeat(20_000), false));
    }
}
