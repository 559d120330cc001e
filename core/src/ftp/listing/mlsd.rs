//! MLSD and MLST: `fact=value;fact=value; name` (RFC 3659 §7.2).

use super::time::time_val;
use super::{Entry, EntryKind};

/// An entry of a directory; `None` for the directory itself and its parent.
pub(super) fn entry(line: &[u8]) -> Option<Entry> {
    let (entry, is_self_or_parent) = parse(line)?;
    (!is_self_or_parent).then_some(entry)
}

/// The entry of an MLST reply's second line, which begins with a space.
pub(in crate::ftp) fn fact_line(line: &[u8]) -> Option<Entry> {
    let (mut entry, _) = parse(line.strip_prefix(b" ").unwrap_or(line))?;
    // MLST may answer with the whole path.
    if let Some(slash) = entry.raw_name.iter().rposition(|&b| b == b'/')
        && slash + 1 < entry.raw_name.len()
    {
        entry.raw_name.drain(..=slash);
    }
    Some(entry)
}

fn parse(line: &[u8]) -> Option<(Entry, bool)> {
    let space = memchr::memchr(b' ', line)?;
    let (facts, name) = (&line[..space], &line[space + 1..]);
    if name.is_empty() {
        return None;
    }
    let mut entry = Entry {
        raw_name: name.to_vec(),
        kind: EntryKind::Other,
        size: None,
        modified: None,
        permissions: None,
        target: None,
    };
    let mut is_self_or_parent = false;
    for fact in facts.split(|&b| b == b';').filter(|fact| !fact.is_empty()) {
        let equals = memchr::memchr(b'=', fact)?;
        let (key, value) = (&fact[..equals], std::str::from_utf8(&fact[equals + 1..]).unwrap_or_default());
        if key.eq_ignore_ascii_case(b"type") {
            let word = value.split(['=', ':']).next().unwrap_or_default();
            let is = |text: &str| value.eq_ignore_ascii_case(text);
            is_self_or_parent = is("cdir") || is("pdir");
            entry.kind = if is("file") {
                EntryKind::File
            } else if is("dir") || is_self_or_parent {
                EntryKind::Directory
            } else if word.eq_ignore_ascii_case("os.unix") && value.to_ascii_lowercase().contains("link") {
                // `OS.unix=slink:/target` and `OS.unix=symlink`.
                entry.target = value.split_once(':').map(|(_, target)| target.as_bytes().to_vec());
                EntryKind::Symlink
            } else {
                EntryKind::Other
            };
        } else if key.eq_ignore_ascii_case(b"size") {
            entry.size = value.parse().ok();
        } else if key.eq_ignore_ascii_case(b"modify") {
            entry.modified = time_val(value);
        } else if key.eq_ignore_ascii_case(b"perm") {
            entry.permissions = Some(value.to_owned());
        }
    }
    Some((entry, is_self_or_parent))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn facts() {
        let e = entry(b"type=file;Size=25;MODIFY=19990929003355.237;perm=r; a b;c=d \xff").unwrap();
        assert_eq!((e.kind, e.size), (EntryKind::File, Some(25)));
        assert_eq!(e.raw_name, b"a b;c=d \xff");
        assert_eq!(e.modified, Some(UNIX_EPOCH + Duration::from_millis(938_565_235_237)));
        let e = entry(b"type=OS.unix=slink:/etc/x; link").unwrap();
        assert_eq!((e.kind, e.target.as_deref()), (EntryKind::Symlink, Some(&b"/etc/x"[..])));
        assert_eq!(entry(b" only-a-name").unwrap().raw_name, b"only-a-name");
        for none in
            [&b""[..], b"type=file;", b"type=cdir; .", b"type=pdir;modify=x; ..", b"nonsense here", b"type=file; "]
        {
            assert_eq!(entry(none), None, "{none:?}");
        }
        assert_eq!(fact_line(b" type=file;size=1; /a/b/c").unwrap().raw_name, b"c");
    }
}
