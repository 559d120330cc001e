//! Dates and times as listings for people have them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::months::{month, with_units};
use super::time::{civil, moment, year_of};
use super::words::{Words, small};

/// How exactly a listing tells a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimePrecision {
    /// The day alone.
    Day,
    /// To the minute.
    Minute,
    /// To the second, or better.
    Second,
}

impl TimePrecision {
    /// In one lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Minute => "minute",
            Self::Second => "second",
        }
    }
}

/// A time in a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct When {
    /// `None` for one that is no moment we can tell: before 1970, or a 31 February.
    pub(super) time: Option<SystemTime>,
    pub(super) precision: TimePrecision,
    /// Whether its zone is told; else it is the server's own.
    pub(super) is_utc: bool,
}

impl When {
    /// So many seconds after the beginning of 1970, in UTC.
    pub(super) fn since_epoch(seconds: u64) -> Self {
        let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        Self { time, precision: TimePrecision::Second, is_utc: true }
    }
}

/// A time of day, and how exactly it is told.
#[derive(Clone, Copy)]
struct Clock {
    hour: u32,
    minute: u32,
    second: u32,
    precision: TimePrecision,
}

const MIDNIGHT: Clock = Clock { hour: 0, minute: 0, second: 0, precision: TimePrecision::Day };

/// What is remembered and known while a listing is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calendar {
    /// Seconds since 1970 after which nothing was modified, and the year after this one.
    limit: u64,
    next: u32,
    /// Whether a line has shown that days come before months where both are numbers; the other way round is `false`.
    pub(super) day_first: Option<bool>,
}

impl Calendar {
    pub(super) fn new(now: SystemTime) -> Self {
        let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { limit: seconds + 86_400, next: year_of(now) + 1, day_first: None }
    }

    fn at(year: u32, month: u32, day: u32, clock: Clock) -> When {
        let time = moment(year, month, day, clock.hour, clock.minute, clock.second);
        When { time, precision: clock.precision, is_utc: false }
    }

    /// A day without its year: the last one that is not more than a day ahead. 29 February may be years away.
    fn last(&self, month: u32, day: u32, clock: Clock) -> When {
        let at = |year| civil(year, month, day, clock.hour, clock.minute, clock.second);
        let seconds = (0..=9).find_map(|ago| at(self.next.checked_sub(ago)?).filter(|&seconds| seconds <= self.limit));
        let time = seconds.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        When { time, precision: clock.precision, is_utc: false }
    }

    /// The date, with its time of day if it has one, that begins with word `i`; and which word is the first one behind it.
    pub(super) fn read(&mut self, words: &Words<'_>, i: usize) -> Option<(When, usize)> {
        let first = words.get(i)?;
        if let Some(month) = month(first) {
            return self.after_month(words, month, i + 1);
        }
        if !first.first()?.is_ascii_digit() {
            return None;
        }
        self.in_numbers(words, i).or_else(|| self.with_units(words, i)).or_else(|| self.day_or_year_first(words, i))
    }

    /// `Jan 31 12:34`, `Jan 31 2024`, `Jan 31, 2024 12:34`, `Jan 31 12:34:56 2024`.
    fn after_month(&self, words: &Words<'_>, month: u32, at: usize) -> Option<(When, usize)> {
        let (word, comma) = without_comma(words.get(at)?);
        let day = day(word)?;
        self.year_or_clock(words, month, day, at + 1, comma)
    }

    /// What follows month and day: a year, or a time of this year or the last.
    fn year_or_clock(&self, words: &Words<'_>, month: u32, day: u32, at: usize, comma: bool) -> Option<(When, usize)> {
        let word = words.get(at)?;
        if let Some(year) = year(without_comma(word).0) {
            // With a comma before the year, a time of day belongs to the date; without, it would begin a name.
            if (comma || word.ends_with(b","))
                && let Some(clock) = words.get(at + 1).and_then(clock)
            {
                return Some((Self::at(year, month, day, clock), at + 2));
            }
            return Some((Self::at(year, month, day, MIDNIGHT), at + 1));
        }
        let time = clock(word)?;
        if time.precision == TimePrecision::Second
            && let Some(year) = words.get(at + 1).and_then(year)
        {
            return Some((Self::at(year, month, day, time), at + 2));
        }
        Some((self.last(month, day, time), at + 1))
    }

    /// `31. Jan. 12:34`, `31 Jan 2024`, `26. Juli, 20:10`, `2024 Jan 31 12:34`, and `3 29 03:26`, the month before the day.
    fn day_or_year_first(&self, words: &Words<'_>, i: usize) -> Option<(When, usize)> {
        let (first, second) = (words.get(i)?, words.get(i + 1)?);
        let named = month(second);
        if let (Some(year), Some(month)) = (year(first), named) {
            let day = day(without_comma(words.get(i + 2)?).0)?;
            let clock = words.get(i + 3).and_then(clock);
            let end = i + 3 + usize::from(clock.is_some());
            return Some((Self::at(year, month, day, clock.unwrap_or(MIDNIGHT)), end));
        }
        if let Some(month) = named {
            let day = day(first)?;
            return self.year_or_clock(words, month, day, i + 2, second.ends_with(b","));
        }
        let (month, day) = (small(first, 1, 2)?, small(second, 1, 2)?);
        let clock = clock(words.get(i + 2)?).filter(|clock| clock.precision >= TimePrecision::Minute)?;
        is_day(month, day).then(|| (self.last(month, day, clock), i + 3))
    }

    /// `1月 31日 12:34`, `1月31日 2024`, `2024年 1月31日`.
    fn with_units(&self, words: &Words<'_>, i: usize) -> Option<(When, usize)> {
        let mut found = with_units(words.get(i)?)?;
        let mut at = i + 1;
        for _ in 0..2 {
            if found.month.is_some() && (found.day.is_some() || found.bare.is_some()) {
                break;
            }
            let word = words.get(at)?;
            let more = with_units(word).or_else(|| {
                let bare = found.month.is_some().then(|| small(word, 1, 2)).flatten();
                bare.map(|day| super::months::WithUnits { day: Some(day), ..Default::default() })
            })?;
            found.month = found.month.or(more.month);
            found.day = found.day.or(more.day).or(more.bare);
            at += 1;
        }
        let (month, day) = (found.month?, found.day.or(found.bare)?);
        if !is_day(month, day) {
            return None;
        }
        if let Some(year) = found.year {
            let clock = words.get(at).and_then(clock);
            return Some((Self::at(year, month, day, clock.unwrap_or(MIDNIGHT)), at + usize::from(clock.is_some())));
        }
        let word = words.get(at)?;
        if let Some(year) = with_units(word).and_then(|word| word.year) {
            return Some((Self::at(year, month, day, MIDNIGHT), at + 1));
        }
        self.year_or_clock(words, month, day, at, false)
    }

    /// `2024-01-31 12:34`, `01-31-24  12:34PM`, `31.01.2024 12:34`, `01-31 12:34`.
    fn in_numbers(&mut self, words: &Words<'_>, i: usize) -> Option<(When, usize)> {
        let word = words.get(i)?;
        let separator =
            word.iter().copied().find(|b| !b.is_ascii_digit()).filter(|b| matches!(b, b'-' | b'/' | b'.'))?;
        let mut parts = word.split(|&b| b == separator);
        let (a, b, c) = (parts.next()?, parts.next()?, parts.next());
        if parts.next().is_some() {
            return None;
        }
        let Some(c) = c else {
            let (month, day) = (small(a, 2, 2)?, small(b, 2, 2)?);
            if separator == b'.' || !is_day(month, day) {
                return None;
            }
            return self.year_or_clock(words, month, day, i + 1, false);
        };
        let (year, month, day) = self.numbers(a, b, c, separator)?;
        let (clock, mut end) = match meridian_clock(words, i + 1) {
            Some((clock, end)) => (Some(clock), end),
            None => (None, i + 1),
        };
        let mut when = Self::at(year, month, day, clock.unwrap_or(MIDNIGHT));
        if when.precision == TimePrecision::Second
            && let Some(offset) = words.get(end).and_then(zone)
        {
            end += 1;
            when.is_utc = true;
            let shift = Duration::from_secs(offset.unsigned_abs());
            when.time =
                when.time.and_then(|time| if offset < 0 { time.checked_add(shift) } else { time.checked_sub(shift) });
        }
        Some((when, end))
    }

    /// Year, month and day of three numbers. Where both could be the month, the first one is, as everywhere that this form
    /// is usual, unless another line has shown the contrary.
    fn numbers(&mut self, a: &[u8], b: &[u8], c: &[u8], separator: u8) -> Option<(u32, u32, u32)> {
        let (month, day, year) = if a.len() == 4 {
            (small(b, 1, 2)?, small(c, 1, 2)?, year(a)?)
        } else {
            let (first, second) = (small(a, 1, 2)?, small(b, 1, 2)?);
            let year = match c.len() {
                4 => year(c)?,
                // 103: years since 1900, which somebody forgot about.
                3 => 1900 + small(c, 3, 3)?,
                _ => century(small(c, 2, 2)?),
            };
            let day_first = match (is_day(first, second), is_day(second, first)) {
                (true, false) => false,
                (false, true) => true,
                // With points the day comes first, wherever that is written.
                (true, true) => separator == b'.' || self.day_first.unwrap_or(false),
                (false, false) => return None,
            };
            if separator != b'.' && first != second && !(is_day(first, second) && is_day(second, first)) {
                self.day_first = Some(day_first);
            }
            if day_first { (second, first, year) } else { (first, second, year) }
        };
        is_day(month, day).then_some((year, month, day))
    }
}

/// 70 is 1970, 69 is 2069.
pub(super) fn century(two_digits: u32) -> u32 {
    if two_digits < 70 { 2000 + two_digits } else { 1900 + two_digits }
}

pub(super) fn is_day(month: u32, day: u32) -> bool {
    (1..=12).contains(&month) && (1..=31).contains(&day)
}

fn without_comma(word: &[u8]) -> (&[u8], bool) {
    word.strip_suffix(b",").map_or((word, false), |word| (word, true))
}

/// `31`, `31.`
fn day(word: &[u8]) -> Option<u32> {
    small(word.strip_suffix(b".").unwrap_or(word), 1, 2).filter(|day| (1..=31).contains(day))
}

fn year(word: &[u8]) -> Option<u32> {
    small(word, 4, 4).filter(|year| (1800..=2999).contains(year))
}

/// `12:34`, `12:34:56`, `12:34:56.789`, `12:34PM`, `12:34p`, `12.34`.
fn clock(word: &[u8]) -> Option<Clock> {
    let (word, half) = match word {
        [time @ .., b'A' | b'a', b'M' | b'm'] => (time, Some(0)),
        [time @ .., b'P' | b'p', b'M' | b'm'] => (time, Some(12)),
        [time @ .., b'A' | b'a'] => (time, Some(0)),
        [time @ .., b'P' | b'p'] => (time, Some(12)),
        _ => (word, None),
    };
    let separator = if word.contains(&b':') { b':' } else { b'.' };
    let mut parts = word.splitn(3, |&b| b == separator);
    let (hour, minute) = (small(parts.next()?, 1, 2)?, small(parts.next()?, 2, 2)?);
    let (second, precision) = match parts.next() {
        None => (0, TimePrecision::Minute),
        Some(_) if separator == b'.' => return None,
        Some(rest) => {
            let (whole, fraction) = match rest.iter().position(|&b| matches!(b, b'.' | b',')) {
                Some(at) => (&rest[..at], &rest[at + 1..]),
                None => (rest, &b"0"[..]),
            };
            if fraction.is_empty() || !fraction.iter().all(u8::is_ascii_digit) {
                return None;
            }
            (small(whole, 2, 2)?, TimePrecision::Second)
        }
    };
    let hour = match half {
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(half) => hour % 12 + half,
        None => hour,
    };
    (hour < 24 && minute < 60 && second <= 60).then_some(Clock { hour, minute, second, precision })
}

/// A time of day in one word or, with `PM` behind a space, in two; and the first word behind it.
fn meridian_clock(words: &Words<'_>, i: usize) -> Option<(Clock, usize)> {
    let time = clock(words.get(i)?)?;
    let half = match words.get(i + 1).unwrap_or_default() {
        [b'A' | b'a', b'M' | b'm'] | [b'A' | b'a', b'.', b'M' | b'm', b'.'] => 0,
        [b'P' | b'p', b'M' | b'm'] | [b'P' | b'p', b'.', b'M' | b'm', b'.'] => 12,
        _ => return Some((time, i + 1)),
    };
    if !(1..=12).contains(&time.hour) {
        return Some((time, i + 1));
    }
    Some((Clock { hour: time.hour % 12 + half, ..time }, i + 2))
}

/// `+0200` in seconds.
fn zone(word: &[u8]) -> Option<i64> {
    let (sign, digits) = match word {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = (small(digits.get(..2)?, 2, 2)?, small(&digits[2..], 2, 2)?);
    (hours < 24 && minutes < 60).then(|| sign * i64::from(hours * 3600 + minutes * 60))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::moment::timestamp;

    fn read(text: &str) -> Option<String> {
        let now = UNIX_EPOCH + Duration::from_secs(civil(2026, 3, 1, 12, 0, 0).unwrap());
        let words = Words::of(text.as_bytes());
        let (when, end) = Calendar::new(now).read(&words, 0)?;
        let rest = words.from(end).map_or("", |rest| std::str::from_utf8(rest).unwrap());
        let time = when.time.map_or("?".into(), |time| timestamp(time)[..19].to_owned());
        let utc = if when.is_utc { "Z" } else { "" };
        Some(format!("{time}{utc} {}|{rest}", when.precision.as_str()))
    }

    #[test]
    fn dates() {
        for (text, expected) in [
            ("Jan 31 12:34 name", "2026-01-31T12:34:00 minute|name"),
            ("Mar  2 11:59 n", "2026-03-02T11:59:00 minute|n"),
            ("Mar  2 12:01 n", "2025-03-02T12:01:00 minute|n"),
            ("Feb 29 12:01 n", "2024-02-29T12:01:00 minute|n"),
            ("Jan 31 2024 12:34 n", "2024-01-31T00:00:00 day|12:34 n"),
            ("Jan 31, 2024 12:34 n", "2024-01-31T12:34:00 minute|n"),
            ("Jan 31 12:34:56 2024 n", "2024-01-31T12:34:56 second|n"),
            ("31. Jan. 2024 n", "2024-01-31T00:00:00 day|n"),
            ("26. Juli, 20:10 n", "2025-07-26T20:10:00 minute|n"),
            ("31 d\u{e9}c 12.34 n", "2025-12-31T12:34:00 minute|n"),
            ("2024 Jan 31 12:34 n", "2024-01-31T12:34:00 minute|n"),
            ("2024 Jan 31 n", "2024-01-31T00:00:00 day|n"),
            ("3 29 03:26 n", "2025-03-29T03:26:00 minute|n"),
            ("2024-01-31 12:34 n", "2024-01-31T12:34:00 minute|n"),
            ("2024-01-31 n", "2024-01-31T00:00:00 day|n"),
            ("2024-01-31 12:34:56.123456789 +0130 n", "2024-01-31T11:04:56Z second|n"),
            ("2024-01-31 12:34:56 -0130 n", "2024-01-31T14:04:56Z second|n"),
            ("2024-01-31 12:34 +0200", "2024-01-31T12:34:00 minute|+0200"),
            ("01-31 12:34 n", "2026-01-31T12:34:00 minute|n"),
            ("01-31 2024 n", "2024-01-31T00:00:00 day|n"),
            ("01-31-24 12:34PM n", "2024-01-31T12:34:00 minute|n"),
            ("01-31-24 12:04AM n", "2024-01-31T00:04:00 minute|n"),
            ("01/31/2024 12:34 PM n", "2024-01-31T12:34:00 minute|n"),
            ("31/01/2024 02:34 PM n", "2024-01-31T14:34:00 minute|n"),
            ("31.01.2024 02:34 n", "2024-01-31T02:34:00 minute|n"),
            ("02.01.2024 02:34 n", "2024-01-02T02:34:00 minute|n"),
            ("12-30-103 02:34 n", "2003-12-30T02:34:00 minute|n"),
            ("1月 31日 12:34 n", "2026-01-31T12:34:00 minute|n"),
            ("1月31日 12:34 n", "2026-01-31T12:34:00 minute|n"),
            ("1月 31 2024 n", "2024-01-31T00:00:00 day|n"),
            ("2024年 1月 31日 12:34 n", "2024-01-31T12:34:00 minute|n"),
            ("12월 31 23:59 n", "2025-12-31T23:59:00 minute|n"),
            ("Jan  1 1969 n", "? day|n"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
        for none in [
            "",
            "Jan",
            "Jan 31",
            "Jan 32 12:34",
            "Jan 31 24:00",
            "Jan 31 x",
            "32 Jan 2024",
            "13 13 12:34",
            "2024-13-01",
            "1-1-1-1",
            "99-99-99 12:00",
            "12 Jan 12",
            "31-12 12:34",
            "13:00PM",
        ] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn which_of_two_numbers_is_the_day_is_remembered() {
        let mut calendar = Calendar::new(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let mut read = |text: &str| {
            let (when, _) = calendar.read(&Words::of(text.as_bytes()), 0).unwrap();
            timestamp(when.time.unwrap())[..10].to_owned()
        };
        assert_eq!(read("02-01-20 12:00 n"), "2020-02-01");
        assert_eq!(read("13-01-20 12:00 n"), "2020-01-13");
        assert_eq!(read("02-01-20 12:00 n"), "2020-01-02");
        assert_eq!(read("01-13-20 12:00 n"), "2020-01-13");
    }
}
