//! The words of a line, and the numbers among them.

use std::ops::Range;

/// As many words as any dialect has before the name, and some for names of groups in several words.
const MOST: usize = 20;

/// The words of a line, between spaces and tabs: the first twenty.
#[derive(Clone, Copy)]
pub(super) struct Words<'a> {
    line: &'a [u8],
    /// Small, since a line has its words looked at by many.
    ranges: [(u32, u32); MOST],
    count: usize,
}

impl<'a> Words<'a> {
    pub(super) fn of(line: &'a [u8]) -> Self {
        let mut this = Self { line, ranges: [(0, 0); MOST], count: 0 };
        let mut at = 0;
        while this.count < MOST {
            let Some(gap) = line[at..].iter().position(|&b| !is_space(b)) else { break };
            let start = at + gap;
            at = start + line[start..].iter().position(|&b| is_space(b)).unwrap_or(line.len() - start);
            this.ranges[this.count] = (start as u32, at as u32);
            this.count += 1;
        }
        this
    }

    /// How many there are, of the first twenty.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn get(&self, i: usize) -> Option<&'a [u8]> {
        self.range(i).map(|range| &self.line[range])
    }

    pub(super) fn range(&self, i: usize) -> Option<Range<usize>> {
        (i < self.count).then(|| self.ranges[i].0 as usize..self.ranges[i].1 as usize)
    }

    /// From word `i` to the end of the line.
    pub(super) fn from(&self, i: usize) -> Option<&'a [u8]> {
        self.range(i).map(|range| &self.line[range.start..])
    }

    /// What follows word `i` and one space: every other space belongs to it.
    pub(super) fn after(&self, i: usize) -> Option<&'a [u8]> {
        self.line.get(self.range(i)?.end + 1..).filter(|rest| !rest.is_empty())
    }

    /// From the first byte of word `from` to the last one of the word before `until`; empty if there is none.
    pub(super) fn between(&self, from: usize, until: usize) -> &'a [u8] {
        if from >= until || until > self.count {
            return &[];
        }
        &self.line[self.ranges[from].0 as usize..self.ranges[until - 1].1 as usize]
    }
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Without spaces and tabs at either end.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_space(*first)
    {
        bytes = rest;
    }
    trim_end(bytes)
}

/// Without spaces and tabs at the end.
pub(super) fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., last] = bytes
        && is_space(*last)
    {
        bytes = rest;
    }
    bytes
}

/// Digits and nothing else.
pub(super) fn number(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0u64, |n, &b| {
        if !b.is_ascii_digit() {
            return None;
        }
        n.checked_mul(10)?.checked_add(u64::from(b - b'0'))
    })
}

/// A small number of `least` to `most` digits.
pub(super) fn small(word: &[u8], least: usize, most: usize) -> Option<u32> {
    if !(least..=most).contains(&word.len()) {
        return None;
    }
    number(word).and_then(|n| u32::try_from(n).ok())
}

/// A word that stands where a size is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// So many bytes.
    Bytes(u64),
    /// Rounded, negative, or beyond 2^64: no number of bytes that one could rely on.
    Vague,
}

impl Size {
    /// `1234`, `1,234,567` (also with points, apostrophes or no-break spaces), `33.5k`, `-2147483648`.
    pub(super) fn parse(word: &[u8]) -> Option<Self> {
        if word.iter().all(u8::is_ascii_digit) && !word.is_empty() {
            return Some(number(word).map_or(Self::Vague, Self::Bytes));
        }
        if let Some(digits) = word.strip_prefix(b"-") {
            return number(digits).map(|_| Self::Vague);
        }
        grouped(word).map(Self::Bytes).or_else(|| rounded(word).then_some(Self::Vague))
    }

    pub(super) fn bytes(self) -> Option<u64> {
        match self {
            Self::Bytes(n) => Some(n),
            Self::Vague => None,
        }
    }
}

/// `1,234,567`: groups of three after the first, one kind of separator.
fn grouped(word: &[u8]) -> Option<u64> {
    const SEPARATORS: [&[u8]; 6] = [b",", b".", b"'", b"\xc2\xa0", b"\xe2\x80\xaf", b"\xa0"];
    let head = word.iter().position(|b| !b.is_ascii_digit()).filter(|at| (1..=3).contains(at))?;
    let separator = SEPARATORS.into_iter().find(|separator| word[head..].starts_with(separator))?;
    let mut total = number(&word[..head])?;
    let mut rest = &word[head..];
    while !rest.is_empty() {
        rest = rest.strip_prefix(separator)?;
        let group = small(rest.get(..3)?, 3, 3)?;
        total = total.checked_mul(1000)?.checked_add(u64::from(group))?;
        rest = &rest[3..];
    }
    Some(total)
}

/// `33.5k`, `4.0K`, `12M`, `1G`: for people.
fn rounded(word: &[u8]) -> bool {
    let Some((last, digits)) = word.split_last() else { return false };
    let whole = digits.iter().position(|&b| matches!(b, b'.' | b',')).unwrap_or(digits.len());
    matches!(last.to_ascii_uppercase(), b'K' | b'M' | b'G' | b'T')
        && number(&digits[..whole]).is_some()
        && (whole == digits.len() || number(&digits[whole + 1..]).is_some())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn words_and_what_is_around_them() {
        let words = Words::of(b" a  bc\td ");
        assert_eq!(words.count(), 3);
        assert_eq!((words.get(1), words.get(3)), (Some(&b"bc"[..]), None));
        assert_eq!((words.after(0), words.after(2)), (Some(&b" bc\td "[..]), None));
        assert_eq!(
            (words.from(1), words.between(0, 2), words.between(2, 2)),
            (Some(&b"bc\td "[..]), &b"a  bc"[..], &b""[..])
        );
        assert_eq!(Words::of(&b"x ".repeat(40)).count(), MOST);
    }

    #[test]
    fn sizes() {
        for (word, size) in [
            (&b"0"[..], Some(Size::Bytes(0))),
            (b"18446744073709551615", Some(Size::Bytes(u64::MAX))),
            (b"18446744073709551616", Some(Size::Vague)),
            (b"1,234,567", Some(Size::Bytes(1_234_567))),
            (b"12.345", Some(Size::Bytes(12_345))),
            (b"9\xc2\xa0876", Some(Size::Bytes(9876))),
            (b"9\xa0876", Some(Size::Bytes(9876))),
            (b"-2147483648", Some(Size::Vague)),
            (b"33.5k", Some(Size::Vague)),
            (b"12M", Some(Size::Vague)),
            (b"1,23", None),
            (b"1234,567", None),
            (b"1,234.567", None),
            (b"k", None),
            (b"-", None),
            (b"", None),
            (b"12x", None),
        ] {
            assert_eq!(Size::parse(word), size, "{}", word.escape_ascii());
        }
    }
}
