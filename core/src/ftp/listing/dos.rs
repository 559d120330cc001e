//! LIST in the manner of DOS and Windows: IIS, and what prints `dir`.
//!
//! ```text
//!   01-31-24  12:34PM       <DIR>          name
//!   01-31-2024  12:34              1234567 name
//!   31.01.2024  12:34    <JUNCTION>     name [C:\target]
//! ```

use super::date::{Calendar, TimePrecision};
use super::entry::Found;
use super::words::{Size, Words};
use super::{EntryKind, Line};

/// `<DIR>` and the spaces behind it are as wide as the widest size.
const MARK: usize = 15;

/// An entry; `None` for a line of another form.
pub(super) fn line<'a>(line: &'a [u8], calendar: &mut Calendar) -> Option<Line<'a>> {
    if !line.iter().find(|b| **b != b' ')?.is_ascii_digit() {
        return None;
    }
    let words = Words::of(line);
    let numbers = words.get(0)?.iter().filter(|b| matches!(b, b'-' | b'/' | b'.')).count();
    if numbers != 2 {
        return None;
    }
    let (when, at) = calendar.read(&words, 0).filter(|(when, _)| when.precision >= TimePrecision::Minute)?;
    let mut found = match words.get(at)? {
        [b'<', inner @ .., b'>'] => {
            let mark = words.range(at)?;
            let room = (mark.start + MARK).min(line.len());
            let is_padded = mark.end < room && line[mark.end..room].iter().all(|&b| b == b' ');
            let rest = if is_padded { line.get(room..)? } else { words.from(at + 1)? };
            marked(inner, rest)?
        }
        word => {
            let size = Size::parse(word)?;
            let mut found = Found::new(words.after(at)?, EntryKind::File)?;
            found.size = size.bytes();
            found
        }
    };
    found.when = Some(when);
    Some(Line::Entry(found))
}

fn marked<'a>(mark: &[u8], rest: &'a [u8]) -> Option<Found<'a>> {
    match mark.to_ascii_uppercase().as_slice() {
        b"DIR" => Found::new(rest, EntryKind::Directory),
        // Where it points stands behind it in brackets.
        b"JUNCTION" | b"SYMLINKD" | b"SYMLINK" => {
            let split = rest.strip_suffix(b"]").and_then(|inner| {
                let at = memchr::memmem::rfind(inner, b" [").filter(|at| *at > 0)?;
                Some((&inner[..at], &inner[at + 2..]))
            });
            let (name, target) = split.unwrap_or((rest, &[]));
            let mut found = Found::new(name, EntryKind::Symlink)?;
            found.target = target;
            Some(found)
        }
        _ => Found::new(rest, EntryKind::Other),
    }
}
