//! LIST on OpenVMS: names with versions, sizes in blocks, long names on a line of their own.
//!
//! ```text
//!   Directory DISK$USER:[ADA]
//!
//!   NAME.TXT;3            12/15    31-JAN-2024 12:34:56.78  [STAFF,ADA]  (RWED,RWED,RE,)
//!   A_NAME_THAT_FILLS_ITS_COLUMN.TXT;1
//!                          3/3     31-JAN-2024 12:34:56     [STAFF,ADA]  (RWED,RWED,RE,)
//!   SUB.DIR;1                1     31-JAN-2024 12:34        [STAFF,ADA]  (RWE,RE,RE,RE)
//!
//!   Total of 3 files, 16/21 blocks.
//! ```

use super::date::Calendar;
use super::entry::Found;
use super::words::{Words, number, small, trim};
use super::{EntryKind, Line};

/// An entry, or the first part of one; `None` for a line of another form.
pub(super) fn line<'a>(line: &'a [u8], calendar: &mut Calendar) -> Option<Line<'a>> {
    let words = Words::of(line);
    let first = words.get(0)?;
    if matches!(first, b"Directory" | b"Total" | b"Grand") && words.count() >= 2 {
        let told = first == b"Directory" && line.contains(&b'[')
            || words.get(1) == Some(b"of")
            || words.get(1) == Some(b"total");
        return told.then_some(Line::Nothing);
    }
    // Extended names have spaces: the version is what ends a name.
    let end = version_end(line)?;
    let name = trim(&line[..end]);
    let rest = &line[end..];
    if trim(rest).is_empty() {
        return (words.count() == 1).then_some(Line::More);
    }
    if !rest.starts_with(b" ") && !rest.starts_with(b"\t") {
        return None;
    }
    let (name, kind) = match directory(name) {
        Some(name) => (name, EntryKind::Directory),
        None => (name, EntryKind::File),
    };
    let mut found = Found::new(name, kind)?;
    let words = Words::of(rest);
    if words.get(0)?.starts_with(b"%") {
        // `%RMS-E-PRV, insufficient privilege`: it is there, and no more is told.
        return Some(Line::Entry(found));
    }
    let mut at = 0;
    // Blocks of 512 bytes, used or used/allocated: no size in bytes.
    let is_blocks = |word: &[u8]| word.split(|&b| b == b'/').all(|part| number(part).is_some());
    if words.get(0).is_some_and(is_blocks) {
        at = 1;
    }
    let (when, next) = date(calendar, &words, at)?;
    found.when = Some(when);
    let tail = words.from(next).unwrap_or_default();
    if let Some((owner, group)) = between(tail, b'[', b']').map(identity) {
        (found.owner, found.group) = (owner, group);
    }
    if let Some(open) = memchr::memchr(b'(', tail)
        && let Some(close) = memchr::memrchr(b')', tail)
        && open < close
    {
        found.permissions = &tail[open..=close];
    }
    Some(Line::Entry(found))
}

/// `31-JAN-2024 12:34:56.78`.
fn date(calendar: &mut Calendar, words: &Words<'_>, at: usize) -> Option<(super::date::When, usize)> {
    let word = words.get(at)?;
    let mut parts = word.split(|&b| b == b'-');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    small(day, 1, 2)?;
    small(year, 4, 4)?;
    let spaced = [month, b" ", day, b", ", year, b" ", words.get(at + 1).unwrap_or_default()].concat();
    let spaced = Words::of(&spaced);
    let (when, used) = calendar.read(&spaced, 0)?;
    Some((when, at + used - 2))
}

/// Where the version ends: `;` and digits, before a space or the end. The first that does, since nothing behind a name
/// has one.
fn version_end(line: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b';', line).find_map(|at| {
        let digits = line[at + 1..].iter().position(|b| !b.is_ascii_digit()).unwrap_or(line.len() - at - 1);
        let end = at + 1 + digits;
        let ends = line.get(end).is_none_or(|&b| super::words::is_space(b));
        (at > 0 && (1..=5).contains(&digits) && ends).then_some(end)
    })
}

/// The name of `NAME.DIR;1`, by which it is a directory in a path.
fn directory(name: &[u8]) -> Option<&[u8]> {
    let stem = &name[..memchr::memrchr(b';', name)?];
    let (start, ending) = stem.split_at_checked(stem.len().checked_sub(4)?)?;
    (ending.eq_ignore_ascii_case(b".dir") && !start.is_empty()).then_some(start)
}

fn between(text: &[u8], open: u8, close: u8) -> Option<&[u8]> {
    let start = memchr::memchr(open, text)? + 1;
    let end = start + memchr::memchr(close, &text[start..])?;
    Some(&text[start..end])
}

/// `GROUP,USER` or `USER`.
fn identity(inner: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b',', inner) {
        Some(comma) => (trim(&inner[comma + 1..]), trim(&inner[..comma])),
        None => (trim(inner), &[]),
    }
}
