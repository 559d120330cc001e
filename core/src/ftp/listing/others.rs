//! LIST on systems that fewer people have: EPLF, OS/400, OS/2, VM/CMS, VxWorks, NonStop, VShell, Connect:Enterprise.

use super::date::{Calendar, TimePrecision, When, is_day};
use super::entry::Found;
use super::words::{Size, Words, is_space, number, small, trim_end};
use super::{EntryKind, Line};

/// EPLF, Easily Parsed LIST Format: `+i123.456,m1700000000,r,s1234,\tname`.
pub(super) fn eplf(line: &[u8]) -> Option<Line<'_>> {
    let inner = line.strip_prefix(b"+")?;
    let tab = memchr::memchr(b'\t', inner)?;
    let mut found = Found::new(&inner[tab + 1..], EntryKind::Other)?;
    for fact in inner[..tab].split(|&b| b == b',').filter(|fact| !fact.is_empty()) {
        match fact {
            b"/" => found.kind = EntryKind::Directory,
            b"r" => found.kind = EntryKind::File,
            [b's', size @ ..] => found.size = number(size),
            [b'm', seconds @ ..] => found.when = number(seconds).map(When::since_epoch),
            [b'u', b'p', mode @ ..] if (3..=4).contains(&mode.len()) => found.permissions = mode,
            _ => {}
        }
    }
    if found.kind != EntryKind::File {
        found.size = None;
    }
    Some(Line::Entry(found))
}

/// OS/400: `OWNER 1234 31/01/24 12:34:56 *STMF name`, or `OWNER *MEM FILE/MEMBER.MBR`.
///
/// Which part of the date is the year depends on the job that the server runs in: a date that could be read in more than
/// one way is not told.
pub(super) fn os400(line: &[u8]) -> Option<Line<'_>> {
    let words = Words::of(line);
    let owner = words.get(0).filter(|owner| owner.len() <= 10)?;
    let at = (1..=4).find(|&i| words.get(i).is_some_and(|word| word.starts_with(b"*")))?;
    let kind = match words.get(at)? {
        b"*DIR" | b"*DDIR" | b"*LIB" | b"*FLR" | b"*FILE" => EntryKind::Directory,
        b"*STMF" | b"*DSTMF" | b"*MEM" | b"*DOC" | b"*SAVF" => EntryKind::File,
        b"*SYMLNK" => EntryKind::Symlink,
        word if word.len() >= 3 && word[1..].iter().all(u8::is_ascii_uppercase) => EntryKind::Other,
        _ => return None,
    };
    let (size, when) = match at {
        1 => (None, None),
        4 => (Some(number(words.get(1)?)?), Some(os400_date(words.get(2)?, words.get(3)?)?)),
        _ => return None,
    };
    let name = trim_end(words.from(at + 1)?);
    // Directories end with a slash, and members have their file in front of them.
    let (name, kind) = match name.strip_suffix(b"/") {
        Some(name) => (name, EntryKind::Directory),
        None => (name, kind),
    };
    // A save file is one file, though its type is that of files with members.
    let is_save_file = name.to_ascii_uppercase().ends_with(b".SAVF");
    let kind = if is_save_file { EntryKind::File } else { kind };
    let name = memchr::memrchr(b'/', name).map_or(name, |slash| &name[slash + 1..]);
    let mut found = Found::new(name, kind)?;
    found.size = size.filter(|_| kind == EntryKind::File);
    found.when = when;
    found.owner = owner;
    Some(Line::Entry(found))
}

fn os400_date(date: &[u8], clock: &[u8]) -> Option<When> {
    let separator =
        date.iter().copied().find(|b| !b.is_ascii_digit()).filter(|b| matches!(b, b'/' | b'-' | b'.' | b','))?;
    let mut parts = date.split(|&b| b == separator).map(|part| small(part, 2, 2));
    let (Some(a), Some(b), Some(c), None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let (hour, minute, second) = match clock.split(|&b| b == b':').map(|part| small(part, 2, 2)).collect::<Vec<_>>()[..]
    {
        [Some(hour), Some(minute), Some(second)] if hour < 24 && minute < 60 && second < 60 => (hour, minute, second),
        _ => return None,
    };
    // Year, month, day in the orders that a job can have: YMD, MDY, DMY.
    let mut read: Vec<_> =
        [(a, b, c), (c, a, b), (c, b, a)].into_iter().filter(|&(_, month, day)| is_day(month, day)).collect();
    read.dedup();
    let time = match read[..] {
        [(year, month, day)] => super::time::moment(super::date::century(year), month, day, hour, minute, second),
        [] => return None,
        _ => None,
    };
    Some(When { time, precision: TimePrecision::Second, is_utc: false })
}

/// OS/2: `1234 A 01-31-124 12:34 name`, `0 DIR 01-31-124 12:34 name`.
pub(super) fn os2<'a>(line: &'a [u8], calendar: &mut Calendar) -> Option<Line<'a>> {
    let words = Words::of(line);
    let size = number(words.get(0)?)?;
    let mut at = 1;
    let mut kind = EntryKind::File;
    while let Some(word) = words.get(at).filter(|word| word.first().is_some_and(u8::is_ascii_uppercase)) {
        if word == b"DIR" {
            kind = EntryKind::Directory;
        } else if !word.iter().all(|b| b"ARSH".contains(b)) {
            return None;
        }
        at += 1;
    }
    let date = words.get(at)?;
    if date.iter().filter(|&&b| b == b'-').count() != 2 {
        return None;
    }
    let (when, end) =
        calendar.read(&words, at).filter(|(when, end)| *end == at + 2 && when.precision == TimePrecision::Minute)?;
    let mut found = Found::new(words.after(end - 1).map(trim_start)?, kind)?;
    found.size = Some(size).filter(|_| kind == EntryKind::File);
    found.when = Some(when);
    Some(Line::Entry(found))
}

/// VM/CMS: `NAME TYPE V 80 123 2 2024-01-31 12:34:56 DISK`, of which the name is `NAME.TYPE`.
pub(super) fn cms<'a>(line: &'a [u8], calendar: &mut Calendar) -> Option<Line<'a>> {
    let words = Words::of(line);
    let (name, suffix) = (words.get(0)?, words.get(1)?);
    let has = |least: usize, what: &dyn Fn(&[u8]) -> bool| (least..least + 3).all(|i| words.get(i).is_some_and(what));
    let (kind, at) = if suffix == b"DIR" && has(2, &|word| word == b"-") {
        (EntryKind::Directory, 5)
    } else if matches!(words.get(2)?, b"V" | b"F") && has(3, &|word| number(word).is_some()) {
        (EntryKind::File, 6)
    } else {
        return None;
    };
    if name.len() > 8 || suffix.len() > 8 {
        return None;
    }
    let (when, end) = calendar.read(&words, at).filter(|(when, _)| when.precision >= TimePrecision::Minute)?;
    // The disk, or a dash; some leave it out.
    if end != at + 2 || words.count() > end + 1 {
        return None;
    }
    let mut found = Found::new(name, kind)?;
    if kind == EntryKind::File {
        found.name = [name, b".", suffix].concat().into();
    }
    found.when = Some(when);
    Some(Line::Entry(found))
}

/// VxWorks: `1234 Jan-31-2024 12:34:56 name`, and `<DIR>` behind directories.
pub(super) fn vxworks<'a>(line: &'a [u8], calendar: &mut Calendar) -> Option<Line<'a>> {
    let words = Words::of(line);
    if words.get(0) == Some(b"size") && words.get(1) == Some(b"date") {
        return Some(Line::Nothing);
    }
    if words.count() >= 3 && line.iter().all(|&b| b == b'-' || is_space(b)) {
        return Some(Line::Nothing);
    }
    let size = number(words.get(0)?)?;
    let mut parts = words.get(1)?.split(|&b| b == b'-');
    let (month, day, year) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !month.first()?.is_ascii_alphabetic() {
        return None;
    }
    let spaced = [month, b" ", day, b", ", year, b" ", words.get(2)?].concat();
    let (when, used) = calendar.read(&Words::of(&spaced), 0)?;
    if used != 4 {
        return None;
    }
    let rest = trim_end(words.from(3)?);
    let directory = rest.strip_suffix(b"<DIR>").filter(|name| name.ends_with(b" ")).map(trim_end);
    let kind = if directory.is_some() { EntryKind::Directory } else { EntryKind::File };
    let mut found = Found::new(directory.unwrap_or(rest), kind)?;
    found.size = Some(size).filter(|_| kind == EntryKind::File);
    found.when = Some(when);
    Some(Line::Entry(found))
}

/// VShell: `1234 Jan 31, 2024 12:34 name`, directories with a slash behind them.
pub(super) fn vshell<'a>(line: &'a [u8], calendar: &mut Calendar) -> Option<Line<'a>> {
    let words = Words::of(line);
    let size = Size::parse(words.get(0)?)?;
    if words.get(1)?.first()?.is_ascii_digit() || !words.get(2)?.ends_with(b",") {
        return None;
    }
    let (when, end) = calendar.read(&words, 1).filter(|(_, end)| *end == 5)?;
    let name = words.after(end - 1)?;
    let directory = name.strip_suffix(b"/").filter(|name| !name.is_empty());
    let kind = if directory.is_some() { EntryKind::Directory } else { EntryKind::File };
    let mut found = Found::new(directory.unwrap_or(name), kind)?;
    found.size = size.bytes().filter(|_| kind == EntryKind::File);
    found.when = Some(when);
    Some(Line::Entry(found))
}

/// NonStop (Guardian): `NAME 101 528 31-Jan-24 12:34:56 255,  1 "oooo"`.
pub(super) fn guardian<'a>(line: &'a [u8], calendar: &mut Calendar) -> Option<Line<'a>> {
    let words = Words::of(line);
    let name = words.get(0)?;
    if name == b"File" && words.get(1) == Some(b"Code") {
        return Some(Line::Nothing);
    }
    let permissions = words.get(words.count().checked_sub(1)?)?;
    let inner = permissions.strip_prefix(b"\"")?.strip_suffix(b"\"").filter(|inner| inner.len() == 4)?;
    // An open file has a mark behind its code.
    let code = words.get(1)?;
    number(code.strip_suffix(b"O").unwrap_or(code))?;
    let size = number(words.get(2)?)?;
    let mut parts = words.get(3)?.split(|&b| b == b'-');
    let (day, month, year) = (parts.next()?, parts.next()?, small(parts.next()?, 2, 2)?);
    let year = super::date::century(year).to_string();
    let spaced = [month, b" ", day, b", ", year.as_bytes(), b" ", words.get(4)?].concat();
    let (when, _) = calendar.read(&Words::of(&spaced), 0).filter(|(_, used)| *used == 4)?;
    let mut found = Found::new(name, EntryKind::File)?;
    found.size = Some(size);
    found.when = Some(when);
    found.permissions = inner;
    found.owner = words.between(5, words.count() - 1);
    Some(Line::Entry(found))
}

/// Connect:Enterprise: `-C--E-----FTP A OWNER 1234 12 Jan 31 12:34 NAME`.
pub(super) fn connect<'a>(line: &'a [u8], calendar: &mut Calendar) -> Option<Line<'a>> {
    let words = Words::of(line);
    let flags = words.get(0).filter(|word| word.starts_with(b"-") && word.len() >= 13)?;
    let (marks, protocol) = flags.split_at_checked(10)?;
    if !marks.iter().all(|b| b.is_ascii_uppercase() || *b == b'-') || !protocol.iter().all(u8::is_ascii_uppercase) {
        return None;
    }
    words.get(1).filter(|word| word.len() == 1)?;
    let size = number(words.get(3)?)?;
    number(words.get(4)?)?;
    let (when, end) = calendar.read(&words, 5)?;
    let mut found = Found::new(words.after(end - 1)?, EntryKind::File)?;
    found.size = Some(size);
    found.when = Some(when);
    found.owner = words.get(2)?;
    Some(Line::Entry(found))
}

fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_space(*first)
    {
        bytes = rest;
    }
    bytes
}
