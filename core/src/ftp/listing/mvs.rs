//! LIST on z/OS: data sets, members of a partitioned one, load modules, jobs. A heading says which.
//!
//! ```text
//!   Volume Unit    Referred Ext Used Recfm Lrecl BlkSz Dsorg Dsname
//!   VOL001 3390   2024/01/31  1   15  FB      80 27920  PO  ADA.SOURCE
//!   Migrated                                                ADA.OLD
//!
//!    Name     VV.MM   Created       Changed      Size  Init   Mod   Id
//!   MAIN      01.02 2024/01/30 2024/01/31 12:34    15    12     0 ADA
//! ```

use super::date::Calendar;
use super::entry::Found;
use super::words::{Words, number, small, trim};
use super::{EntryKind, Line};

/// What the lines are, as the last heading said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Heading {
    #[default]
    None,
    DataSets,
    Members,
    LoadModules,
    Jobs,
    SpoolFiles,
}

/// An entry or a heading; `None` for a line of another form.
pub(super) fn line<'a>(line: &'a [u8], heading: &mut Heading, calendar: &mut Calendar) -> Option<Line<'a>> {
    let words = Words::of(line);
    if let Some(next) = read_heading(&words) {
        *heading = next;
        return Some(Line::Nothing);
    }
    let found = match heading {
        Heading::None => data_set(&words, calendar, false).or_else(|| member(&words, calendar)),
        Heading::DataSets => data_set(&words, calendar, true),
        Heading::Members => member(&words, calendar).or_else(|| lone_member(&words)),
        Heading::LoadModules => load_module(&words),
        Heading::Jobs => job(&words),
        Heading::SpoolFiles => spool_file(&words),
    };
    found.map(Line::Entry)
}

fn read_heading(words: &Words<'_>) -> Option<Heading> {
    let begins = |all: &[&[u8]]| all.iter().enumerate().all(|(i, word)| words.get(i) == Some(*word));
    if begins(&[b"Volume", b"Unit"]) {
        Some(Heading::DataSets)
    } else if begins(&[b"Name", b"VV.MM"]) {
        Some(Heading::Members)
    } else if begins(&[b"Name", b"Size", b"TTR"]) {
        Some(Heading::LoadModules)
    } else if begins(&[b"JOBNAME", b"JOBID"]) {
        Some(Heading::Jobs)
    } else if begins(&[b"ID", b"STEPNAME"]) {
        Some(Heading::SpoolFiles)
    } else {
        None
    }
}

/// `VOLUME UNIT date extents used recfm lrecl blksz dsorg NAME`, or words in place of all but the name.
fn data_set<'a>(words: &Words<'a>, calendar: &mut Calendar, headed: bool) -> Option<Found<'a>> {
    let last = words.count().checked_sub(1)?;
    let name = words.get(last).filter(|name| is_data_set(name))?;
    let text = words.between(0, last);
    let elsewhere: [&[u8]; 8] = [
        b"Migrated",
        b"MIGRAT",
        b"ARCIVE Not Direct Access Device",
        b"ARCIVE",
        b"Pseudo Directory",
        b"Not Mounted",
        b"User catalog connector",
        b"Error determining attributes",
    ];
    if elsewhere.contains(&text) {
        let kind = if text == b"Pseudo Directory" { EntryKind::Directory } else { EntryKind::File };
        return Found::new(name, kind);
    }
    // A tape, a VSAM cluster, a generation data group: volume, unit, and its organisation, if any.
    if headed && (1..=3).contains(&last) {
        let is_known = |word: &[u8]| matches!(word, b"Tape" | b"VSAM" | b"GDG" | b"ALIAS");
        return words.get(last - 1).filter(|word| is_known(word)).and_then(|_| Found::new(name, EntryKind::File));
    }
    if last != 9 || !is_date(words.get(2)?) {
        return None;
    }
    // Extents, used (`+++` beyond the column), record length and block size.
    let is_count =
        |i: usize| words.get(i).is_some_and(|word| number(word).is_some() || word.iter().all(|&b| b == b'+'));
    if ![3, 4, 6, 7].into_iter().all(is_count) {
        return None;
    }
    let organisation = words.get(8)?;
    let kind = if organisation.starts_with(b"PO") { EntryKind::Directory } else { EntryKind::File };
    let mut found = Found::new(name, kind)?;
    found.when = calendar.read(words, 2).map(|(when, _)| when);
    Some(found)
}

/// `NAME VV.MM created changed time size init mod user`.
fn member<'a>(words: &Words<'a>, calendar: &mut Calendar) -> Option<Found<'a>> {
    let name = words.get(0).filter(|name| is_member(name))?;
    let (version, modification) = words.get(1)?.split_at_checked(2)?;
    small(version, 2, 2)?;
    small(modification.strip_prefix(b".")?, 2, 2)?;
    if !(8..=9).contains(&words.count()) || !is_date(words.get(2)?) || !is_date(words.get(3)?) {
        return None;
    }
    if ![5, 6, 7].into_iter().all(|i| words.get(i).is_some_and(|word| number(word).is_some())) {
        return None;
    }
    // The year comes first, also where it has two digits.
    let changed = words.get(3)?;
    let long = if changed.len() == 8 { [b"20", changed].concat() } else { changed.to_vec() };
    let both = [&long[..], b" ", words.get(4)?].concat();
    let (when, _) = calendar.read(&Words::of(&both), 0).filter(|(_, end)| *end == 2)?;
    // The size is in records.
    let mut found = Found::new(name, EntryKind::File)?;
    found.when = Some(when);
    found.owner = words.get(8).unwrap_or_default();
    Some(found)
}

/// A member without statistics: nothing but its name.
fn lone_member<'a>(words: &Words<'a>) -> Option<Found<'a>> {
    let name = words.get(0).filter(|name| words.count() == 1 && is_member(name))?;
    Found::new(name, EntryKind::File)
}

/// `NAME size TTR …`, in hexadecimal.
fn load_module<'a>(words: &Words<'a>) -> Option<Found<'a>> {
    let name = words.get(0).filter(|name| is_member(name))?;
    let is_hex = |word: &[u8]| word.len() == 6 && word.iter().all(u8::is_ascii_hexdigit);
    let size = words.get(1).filter(|word| is_hex(word) || word.len() == 8 && word.iter().all(u8::is_ascii_hexdigit))?;
    words.get(2).filter(|word| is_hex(word))?;
    let mut found = Found::new(name, EntryKind::File)?;
    found.size = std::str::from_utf8(size).ok().and_then(|hex| u64::from_str_radix(hex, 16).ok());
    Some(found)
}

/// `NAME JOB01234 OWNER OUTPUT A 3 spool files`: what is fetched is the job's number.
fn job<'a>(words: &Words<'a>) -> Option<Found<'a>> {
    let id = words.get(1).filter(|id| {
        let digits = id.iter().position(u8::is_ascii_digit).unwrap_or(0);
        id.len() >= 4 && matches!(&id[..digits], b"JOB" | b"J" | b"STC" | b"S" | b"TSU" | b"T")
    })?;
    words.get(3)?;
    let mut found = Found::new(id, EntryKind::Directory)?;
    found.owner = words.get(2)?;
    Some(found)
}

/// `001 JES2 N/A H JESMSGLG 1234`: number, step, procedure step, class, name, bytes.
fn spool_file<'a>(words: &Words<'a>) -> Option<Found<'a>> {
    let id = words.get(0).filter(|id| small(id, 1, 5).is_some())?;
    let size = number(words.get(5)?)?;
    let mut found = Found::new(id, EntryKind::File)?;
    found.size = Some(size);
    Some(found)
}

/// `2024/01/31`, or `**NONE**`.
fn is_date(word: &[u8]) -> bool {
    let mut parts = word.split(|&b| b == b'/');
    let numbers = [(2, 4), (2, 2), (2, 2)].map(|(least, most)| parts.next().and_then(|part| small(part, least, most)));
    word == b"**NONE**" || (numbers.iter().all(Option::is_some) && parts.next().is_none())
}

/// `A.B2.C#`, perhaps in quotes.
fn is_data_set(name: &[u8]) -> bool {
    let inner = name.strip_prefix(b"'").and_then(|name| name.strip_suffix(b"'")).unwrap_or(name);
    let inner = inner.strip_suffix(b".").unwrap_or(inner);
    inner.len() <= 44 && inner.split(|&b| b == b'.').all(is_member)
}

/// Up to eight capital letters, digits and `@#$`, no digit first.
fn is_member(name: &[u8]) -> bool {
    let name = trim(name);
    let is_letter = |b: &u8| b.is_ascii_uppercase() || b"@#$".contains(b);
    (1..=8).contains(&name.len())
        && is_letter(&name[0])
        && name.iter().all(|b| is_letter(b) || b.is_ascii_digit() || matches!(b, b'-' | b'{'))
}
