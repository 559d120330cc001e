//! MLSD and MLST: `fact=value;fact=value; name` (RFC 3659 §7.2).

use super::date::{TimePrecision, When};
use super::entry::Found;
use super::time::time_val;
use super::words::number;
use super::{Entry, EntryKind, Line};
use crate::ftp::{Dialect, Encoding};

/// An entry of a directory; the directory itself and its parent are none.
pub(super) fn line(line: &[u8]) -> Option<Line<'_>> {
    let (found, is_self_or_parent) = parse(line)?;
    Some(if is_self_or_parent { Line::Nothing } else { Line::Entry(found) })
}

/// The entry of an MLST reply's second line, which begins with a space.
pub(in crate::ftp) fn fact_line(line: &[u8], encoding: Encoding) -> Option<Entry> {
    let line = line.strip_prefix(b" ").unwrap_or(line);
    let (mut found, _) = parse(line)?;
    // MLST may answer with the whole path.
    let name = memchr::memchr(b' ', line).map_or(line, |space| &line[space + 1..]);
    if let Some(slash) = memchr::memrchr(b'/', name)
        && slash + 1 < name.len()
    {
        found.name = name[slash + 1..].into();
    }
    Some(Entry::new(line, &found, Dialect::Mlsd, encoding))
}

/// The facts in front of a name.
pub(super) fn facts(told: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let end = memchr::memchr(b' ', told).unwrap_or(told.len());
    told[..end].split(|&b| b == b';').filter_map(|fact| {
        let equals = memchr::memchr(b'=', fact).filter(|at| *at > 0)?;
        Some((&fact[..equals], &fact[equals + 1..]))
    })
}

/// The facts that every listing is read for.
#[derive(Default)]
struct Facts<'a> {
    typed: Option<&'a [u8]>,
    size: Option<u64>,
    permissions: &'a [u8],
    modify: Option<&'a [u8]>,
}

impl<'a> Facts<'a> {
    fn take(&mut self, name: &[u8], value: &'a [u8]) {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"type") => self.typed = Some(value),
            4 if name.eq_ignore_ascii_case(b"size") => self.size = number(value),
            4 if name.eq_ignore_ascii_case(b"perm") => self.permissions = value,
            6 if name.eq_ignore_ascii_case(b"modify") => self.modify = Some(value),
            _ => {}
        }
    }
}

fn parse(line: &[u8]) -> Option<(Found<'_>, bool)> {
    // A value cannot have a space; the first one ends the facts, of which there may be none. Facts are short, and there are
    // many: one pass over them, in which a fact's second `=` belongs to its value.
    let (mut start, mut equals) = (0, None);
    let mut facts = Facts::default();
    let mut space = None;
    for (at, &byte) in line.iter().enumerate() {
        match byte {
            b'=' if equals.is_none() => equals = Some(at),
            b';' | b' ' => {
                if start < at {
                    let equals = equals.take()?;
                    facts.take(&line[start..equals], &line[equals + 1..at]);
                }
                start = at + 1;
                if byte == b' ' {
                    space = Some(at);
                    break;
                }
            }
            _ => {}
        }
    }
    let mut found = Found::new(&line[space? + 1..], EntryKind::Other)?;
    let Facts { typed, size, permissions, modify } = facts;
    (found.size, found.permissions) = (size, permissions);
    found.when =
        modify.and_then(time_val).map(|time| When { time: Some(time), precision: TimePrecision::Second, is_utc: true });
    let is = |text: &[u8]| typed.is_some_and(|value| value.eq_ignore_ascii_case(text));
    let is_self_or_parent = is(b"cdir") || is(b"pdir");
    found.kind = if is(b"file") {
        EntryKind::File
    } else if is(b"dir") || is_self_or_parent {
        EntryKind::Directory
    } else if let Some(value) = typed {
        let (kind, target) = of_the_system(value);
        found.target = target;
        kind
    } else if found.size.is_some() {
        // A server need not tell the type; a size in bytes is told of files.
        EntryKind::File
    } else {
        EntryKind::Other
    };
    if found.kind == EntryKind::Directory {
        found.size = None;
    }
    Some((found, is_self_or_parent))
}

/// `OS.unix=slink:/target`, `OS.unix=symlink`, `OS.unix=slink`: a type that the operating system has (RFC 3659 §7.5.1.5).
fn of_the_system(value: &[u8]) -> (EntryKind, &[u8]) {
    let Some((system, variant)) = split(value, b'=') else { return (EntryKind::Other, &[]) };
    let (word, target) = split(variant, b':').unwrap_or((variant, &[]));
    let is = |text: &[u8]| word.eq_ignore_ascii_case(text);
    if system.eq_ignore_ascii_case(b"os.unix") && (is(b"slink") || is(b"symlink") || is(b"link")) {
        (EntryKind::Symlink, target)
    } else {
        (EntryKind::Other, &[])
    }
}

fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(at, bytes)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn entry(text: &[u8]) -> Option<Entry> {
        match line(text)? {
            Line::Entry(found) => Some(Entry::new(text, &found, Dialect::Mlsd, Encoding::default())),
            _ => None,
        }
    }

    #[test]
    fn all_facts() {
        let e = entry(b"type=file;Size=25;MODIFY=19990929003355.237;perm=r; a b;c=d \xff").unwrap();
        assert_eq!((e.kind, e.size), (EntryKind::File, Some(25)));
        assert_eq!(e.raw_name(), b"a b;c=d \xff");
        assert_eq!(e.modified, Some(UNIX_EPOCH + Duration::from_millis(938_565_235_237)));
        assert!(e.is_time_utc());
        let e = entry(
            b"Type=dir;Sizd=4096;Unique=fd01g1;Create=20200102030405;UNIX.mode=02755;UNIX.ownername=ada;UNIX.uid=7;\
              UNIX.gid=8;Media-Type=x/y;Charset=UTF-8;Lang=de;X.y= d",
        )
        .unwrap();
        assert_eq!((e.kind, e.size, e.mode()), (EntryKind::Directory, None, Some(0o2755)));
        assert_eq!((e.owner().as_deref(), e.group().as_deref()), (Some("ada"), Some("8")));
        assert_eq!(e.created(), Some(UNIX_EPOCH + Duration::from_secs(1_577_934_245)));
        assert_eq!((e.unique().as_deref(), e.media_type().as_deref()), (Some("fd01g1"), Some("x/y")));
        assert_eq!((e.charset().as_deref(), e.lang().as_deref(), e.perm()), (Some("UTF-8"), Some("de"), None));
        assert_eq!(e.fact("x.Y").as_deref(), Some(""));
        assert_eq!(e.facts().count(), 12);
        let e = entry(b"type=OS.unix=slink:/etc/x; link").unwrap();
        assert_eq!((e.kind, e.target()), (EntryKind::Symlink, Some(&b"/etc/x"[..])));
        let e = entry(b"type=OS.UNIX=symlink; link").unwrap();
        assert_eq!((e.kind, e.target()), (EntryKind::Symlink, None));
        assert_eq!(entry(b"type=OS.unix=chr-13/29; dev").unwrap().kind, EntryKind::Other);
        assert_eq!(entry(b"size=1; x").unwrap().kind, EntryKind::File);
        let e = entry(b" only-a-name").unwrap();
        assert_eq!((e.raw_name(), e.kind, e.facts().count()), (&b"only-a-name"[..], EntryKind::Other, 0));
        for none in
            [&b""[..], b"type=file;", b"type=cdir; .", b"type=pdir;modify=x; ..", b"nonsense here", b"type=file; "]
        {
            assert_eq!(entry(none), None, "{none:?}");
        }
    }

    #[test]
    fn answers_to_mlst() {
        let e = fact_line(b" type=file;size=1; /a/b/c", Encoding::default()).unwrap();
        assert_eq!((e.raw_name(), e.size, e.facts().count()), (&b"c"[..], Some(1), 2));
        assert_eq!(fact_line(b"type=dir; /", Encoding::default()).unwrap().raw_name(), b"/");
    }
}
