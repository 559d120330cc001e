//! LIST in the manner of `ls -l`, which most servers follow, each in its own way: no standard has it.
//!
//! ```text
//!   -rw-r--r--   1 owner group     1234 Jan 31 12:34 name
//!   drwxr-xr-x+  2 owner           4096 31. Jan 2024 name          no group, an ACL, the day first
//!   lrwxrwxrwx   1 0     0            7 2024-01-31 12:34 a -> b    numbers, a link
//!   brw-rw----   1 root  disk      8, 1 Jan 31 12:34 name          a device
//!   d [R----F--] owner              512 Jan 31 12:34   name        NetWare
//! ```
//!
//! The date is what everything else is found by: it is the first one with a size in front of it.

use super::date::Calendar;
use super::entry::Found;
use super::words::{Size, Words, number, trim_end};
use super::{EntryKind, Line};

/// An entry; `None` for a line of another form.
pub(super) fn line<'a>(line: &'a [u8], calendar: &mut Calendar) -> Option<Line<'a>> {
    let (mode_end, words, first) = mode(line)?;
    let kind = kind_of(line[mode_end - 10])?;
    let (date, when, name) = date(&words, first, calendar)?;
    let rest = words.from(name)?;
    // One space ends the date; every other belongs to the name. `ls` fills a lone date up to the width of others.
    let padded = words.range(name)?.start - words.range(name - 1)?.end;
    let lone_date = name == date + 1 && words.get(date).is_some_and(|word| word.len() == 10);
    let spaces = padded.saturating_sub(1 + usize::from(lone_date && padded > 1));
    let start = line.len() - rest.len() - spaces;
    let rest = &line[start..];
    let size = words.get(date - 1).and_then(Size::parse).and_then(Size::bytes);
    let (name, target) = match kind {
        EntryKind::Symlink => link(rest, size),
        // `ls -p` and some servers mark directories.
        EntryKind::Directory => (rest.strip_suffix(b"/").filter(|name| !name.is_empty()).unwrap_or(rest), &b""[..]),
        _ => (rest, &b""[..]),
    };
    let mut found = Found::new(name, kind)?;
    found.target = target;
    found.when = Some(when);
    // The number of a directory, link or device is not a size of content.
    found.size = size.filter(|_| kind == EntryKind::File);
    found.permissions = &line[mode_end - 9..mode_end];
    (found.owner, found.group) = owners(&words, first, before_size(&words, date - 1));
    Some(Line::Entry(found))
}

/// Where the mode ends, the words of the line, and which is the first behind the mode. `ls -is` has numbers before it.
fn mode(line: &[u8]) -> Option<(usize, Words<'_>, usize)> {
    let words = Words::of(line);
    let at = (0..3).find(|&i| words.get(i).is_none_or(|word| number(word).is_none()))?;
    let word = words.get(at)?;
    let start = words.range(at)?.start;
    if (at == 0 && start > 0) || word.len() < 10 || !is_mode(&word[..10]) {
        return None;
    }
    // `+` an access control list, `.` a security context, `@` attributes; a full column leaves no space before the links.
    let marks = word[10..].iter().position(|b| !matches!(b, b'+' | b'.' | b'@' | b'*')).unwrap_or(word.len() - 10);
    if !word[10 + marks..].iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some((start + 10, words, at + 1))
}

/// What the letters of a mode can be.
const MODE: &[u8] = b"rwxsStTlLaAH-";

fn is_mode(mode: &[u8]) -> bool {
    kind_of(mode[0]).is_some() && mode[1..].iter().all(|b| MODE.contains(b))
}

fn kind_of(letter: u8) -> Option<EntryKind> {
    Some(match letter {
        // Offline and contiguous files are files.
        b'-' | b'm' | b'M' | b'C' => EntryKind::File,
        b'd' => EntryKind::Directory,
        b'l' => EntryKind::Symlink,
        // Devices, pipes, sockets, doors, event ports, network specials, whiteouts.
        b'b' | b'c' | b'p' | b's' | b'D' | b'P' | b'n' | b'w' => EntryKind::Other,
        _ => return None,
    })
}

/// The first date with a size in front of it: its first word, itself, and the first word behind it.
fn date(words: &Words<'_>, first: usize, calendar: &mut Calendar) -> Option<(usize, super::date::When, usize)> {
    (first + 1..words.count()).find_map(|i| {
        words.get(i - 1).filter(|word| Size::parse(word).is_some() || is_device(word))?;
        let (when, end) = calendar.read(words, i)?;
        (end < words.count()).then_some((i, when, end))
    })
}

/// `8,1` and `0x3000002` stand for a size.
fn is_device(word: &[u8]) -> bool {
    if let Some(hex) = word.strip_prefix(b"0x") {
        return !hex.is_empty() && hex.iter().all(u8::is_ascii_hexdigit);
    }
    let mut parts = word.split(|&b| b == b',').map(number);
    matches!((parts.next(), parts.next(), parts.next()), (Some(Some(_)), Some(Some(_)), None))
}

/// Which word the size begins with: `8, 1` is one.
fn before_size(words: &Words<'_>, size: usize) -> usize {
    match size.checked_sub(1).and_then(|before| words.get(before)) {
        Some(major) if major.strip_suffix(b",").is_some_and(|digits| number(digits).is_some()) => size - 1,
        _ => size,
    }
}

/// Owner and group among the words from `first` until `until`: `links owner group`, any of which may be missing. Words
/// more than that belong to the group's name.
fn owners<'a>(words: &Words<'a>, first: usize, until: usize) -> (&'a [u8], &'a [u8]) {
    let count = until.saturating_sub(first);
    let starts_with_number = words.get(first).is_some_and(|word| number(word).is_some());
    let folder = words.get(first) == Some(b"folder");
    let owner = match count {
        0 => return (&[], &[]),
        // A Macintosh says `folder` and how many are in it.
        1 if starts_with_number || folder => return (&[], &[]),
        _ if starts_with_number => first + 1,
        _ => first,
    };
    (words.between(owner, owner + 1), words.between(owner + 1, until))
}

/// A link's name and target. Both may have an arrow in them; the size, which is the target's length, tells them apart.
fn link(rest: &[u8], size: Option<u64>) -> (&[u8], &[u8]) {
    const ARROW: &[u8] = b" -> ";
    let mut splits = memchr::memmem::find_iter(rest, ARROW).map(|at| (&rest[..at], &rest[at + ARROW.len()..]));
    let fits = |(name, target): &(&[u8], &[u8])| !name.is_empty() && Some(target.len() as u64) == size;
    splits.clone().find(fits).or_else(|| splits.find(|(name, _)| !name.is_empty())).unwrap_or((rest, &[]))
}

/// NetWare: `d [R----F--] owner 512 Jan 31 12:34 name`, `-[RWCEAFMS] …`.
pub(super) fn netware<'a>(line: &'a [u8], calendar: &mut Calendar) -> Option<Line<'a>> {
    let kind = match line.first()? {
        b'-' => EntryKind::File,
        b'd' => EntryKind::Directory,
        _ => return None,
    };
    let words = Words::of(line);
    let rights = match (words.get(0)?, words.get(1)?) {
        (glued, _) if glued.len() > 1 => &glued[1..],
        (_, apart) => apart,
    };
    let first = 1 + usize::from(words.get(0)?.len() == 1);
    let inner = rights.strip_prefix(b"[")?.strip_suffix(b"]")?;
    if inner.is_empty() || !inner.iter().all(|b| b.is_ascii_uppercase() || matches!(b, b'-' | b' ')) {
        return None;
    }
    let (date, when, name) = date(&words, first, calendar)?;
    // Names do not begin with spaces there, and the column is padded.
    let mut found = Found::new(trim_end(words.from(name)?), kind)?;
    found.when = Some(when);
    found.size = words.get(date - 1).and_then(Size::parse).and_then(Size::bytes).filter(|_| kind == EntryKind::File);
    found.permissions = inner;
    found.owner = words.between(first, date - 1);
    Some(Line::Entry(found))
}

/// `0100644 500 101 1234 1700000000 name`: mode in octal, user, group, size, seconds since 1970.
pub(super) fn numeric(line: &[u8]) -> Option<Line<'_>> {
    let words = Words::of(line);
    let mode = words.get(0).filter(|word| matches!(word.len(), 6 | 7))?;
    if !mode.iter().all(|b| (b'0'..=b'7').contains(b)) {
        return None;
    }
    let bits = mode.iter().fold(0u32, |n, b| n * 8 + u32::from(b - b'0'));
    let kind = match bits & 0o170_000 {
        0o100_000 => EntryKind::File,
        0o040_000 => EntryKind::Directory,
        0o120_000 => EntryKind::Symlink,
        0o020_000 | 0o060_000 | 0o010_000 | 0o140_000 => EntryKind::Other,
        _ => return None,
    };
    number(words.get(1)?).and(number(words.get(2)?))?;
    let size = number(words.get(3)?)?;
    let seconds = number(words.get(4)?)?;
    let mut found = Found::new(words.from(5)?, kind)?;
    found.size = Some(size).filter(|_| kind == EntryKind::File);
    found.when = Some(super::date::When::since_epoch(seconds));
    found.permissions = &mode[mode.len() - 4..];
    (found.owner, found.group) = (words.get(1)?, words.get(2)?);
    Some(Line::Entry(found))
}

/// The permission bits of `rwxr-sr-t`, `0644` or `644`.
pub(super) fn mode_bits(text: &[u8]) -> Option<u32> {
    if (3..=4).contains(&text.len()) {
        let is_octal = text.iter().all(|b| (b'0'..=b'7').contains(b));
        return is_octal.then(|| text.iter().fold(0, |bits, b| bits * 8 + u32::from(b - b'0')));
    }
    let text: &[u8; 9] = text.try_into().ok()?;
    if !text.iter().all(|b| MODE.contains(b)) {
        return None;
    }
    let mut bits = 0;
    for (who, letters) in text.chunks(3).enumerate() {
        let shift = 6 - 3 * who as u32;
        let special = 0o4000 >> who;
        bits |= u32::from(letters[0] == b'r') << (shift + 2) | u32::from(letters[1] == b'w') << (shift + 1);
        bits |= match letters[2] {
            b'x' => 1 << shift,
            b's' | b't' => special | 1 << shift,
            b'S' | b'T' | b'l' | b'L' => special,
            _ => 0,
        };
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permission_bits() {
        for (text, bits) in [
            ("rwxr-xr-x", Some(0o755)),
            ("rw-r--r--", Some(0o644)),
            ("rwsr-Sr-t", Some(0o7745)),
            ("---------", Some(0)),
            ("0644", Some(0o644)),
            ("R----F--", None),
            ("644", Some(0o644)),
            ("0844", None),
            ("(RWED,,,)", None),
            ("", None),
        ] {
            assert_eq!(mode_bits(text.as_bytes()), bits, "{text}");
        }
    }

    #[test]
    fn links_with_arrows_in_them() {
        assert_eq!(link(b"a -> b", Some(1)), (&b"a"[..], &b"b"[..]));
        assert_eq!(link(b"a -> b -> c", Some(1)), (&b"a -> b"[..], &b"c"[..]));
        assert_eq!(link(b"a -> b -> c", Some(6)), (&b"a"[..], &b"b -> c"[..]));
        assert_eq!(link(b"a -> b -> c", None), (&b"a"[..], &b"b -> c"[..]));
        assert_eq!(link(b"a", None), (&b"a"[..], &b""[..]));
    }
}
