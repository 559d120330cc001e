//! One entry of a listing.

use std::borrow::Cow;
use std::time::SystemTime;

use super::date::{TimePrecision, When};
use super::{Dialect, mlsd};
use crate::ftp::Encoding;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a socket, or something that the server has its own word for.
    Other,
}

impl EntryKind {
    /// The kind in one lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::Other => "other",
        }
    }
}

/// One entry of a listing: the line it came in, and what is told there.
///
/// A name is data, whatever is in it: `..`, `/etc/x` and `C:\x` are names that servers can send. Ask
/// [`Entry::is_safe_name`] before a local path is made from one.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// Size of a file in bytes, where told exactly.
    pub size: Option<u64>,
    /// When it was last modified, where told. Listings for people tell it to the minute or day, in the server's own time
    /// zone, which is taken as UTC here: see [`Entry::time_precision`] and [`Entry::is_time_utc`].
    pub modified: Option<SystemTime>,
    /// As it came, without its line end; a wrapped one joined.
    line: Box<[u8]>,
    name: Span,
    /// Empty if there is none.
    target: Span,
    permissions: Span,
    owner: Span,
    group: Span,
    dialect: Dialect,
    precision: Option<TimePrecision>,
    is_utc: bool,
    encoding: Encoding,
}

/// What an entry tells beside its name and kind: see [`Entry::assemble`]. What is empty is not told.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// [`Entry::size`].
    pub size: Option<u64>,
    /// [`Entry::modified`].
    pub modified: Option<SystemTime>,
    /// [`Entry::time_precision`].
    pub precision: Option<TimePrecision>,
    /// [`Entry::is_time_utc`].
    pub is_utc: bool,
    /// [`Entry::target`].
    pub target: &'a [u8],
    /// [`Entry::permissions`].
    pub permissions: &'a [u8],
    /// [`Entry::owner`], if no fact tells it.
    pub owner: &'a [u8],
    /// [`Entry::group`], if no fact tells it.
    pub group: &'a [u8],
    /// [`Entry::facts`].
    pub facts: &'a [(&'a str, &'a str)],
    /// [`Entry::dialect`].
    pub dialect: Dialect,
}

impl Default for Told<'_> {
    /// Nothing, from MLSD.
    fn default() -> Self {
        Self {
            size: None,
            modified: None,
            precision: None,
            is_utc: false,
            target: &[],
            permissions: &[],
            owner: &[],
            group: &[],
            facts: &[],
            dialect: Dialect::Mlsd,
        }
    }
}

/// A part of the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

/// What a dialect finds in a line: parts of it.
pub(super) struct Found<'a> {
    pub(super) name: Cow<'a, [u8]>,
    pub(super) kind: EntryKind,
    pub(super) size: Option<u64>,
    pub(super) when: Option<When>,
    pub(super) permissions: &'a [u8],
    pub(super) owner: &'a [u8],
    pub(super) group: &'a [u8],
    pub(super) target: &'a [u8],
}

impl<'a> Found<'a> {
    /// Something of which only name and kind are known; `None` without a name.
    pub(super) fn new(name: &'a [u8], kind: EntryKind) -> Option<Self> {
        (!name.is_empty()).then(|| Self::named(name, kind))
    }

    fn named(name: &'a [u8], kind: EntryKind) -> Self {
        let (size, when) = (None, None);
        Self { name: Cow::Borrowed(name), kind, size, when, permissions: &[], owner: &[], group: &[], target: &[] }
    }
}

impl Entry {
    /// The entry of a line, whose parts `found` has.
    pub(super) fn new(line: &[u8], found: &Found<'_>, dialect: Dialect, encoding: Encoding) -> Self {
        let span = |part: &[u8]| {
            if part.is_empty() {
                return Span::default();
            }
            let start = part.as_ptr().addr().wrapping_sub(line.as_ptr().addr());
            debug_assert!(start + part.len() <= line.len(), "a part of the line");
            Span { start: start as u32, end: (start + part.len()) as u32 }
        };
        let (stored, name) = match &found.name {
            Cow::Borrowed(name) => (Box::from(line), span(name)),
            // A name that is not in the line as such stands behind it.
            Cow::Owned(name) => {
                let both = [line, name].concat();
                let name = Span { start: line.len() as u32, end: both.len() as u32 };
                (both.into_boxed_slice(), name)
            }
        };
        Self {
            kind: found.kind,
            size: found.size,
            modified: found.when.and_then(|when| when.time),
            name,
            target: span(found.target),
            permissions: span(found.permissions),
            owner: span(found.owner),
            group: span(found.group),
            dialect,
            precision: found.when.map(|when| when.precision),
            is_utc: found.when.is_some_and(|when| when.is_utc),
            encoding,
            line: stored,
        }
    }

    /// What SIZE and MDTM tell about a file.
    pub(in crate::ftp) fn file(path: &[u8], size: u64, modified: Option<SystemTime>, encoding: Encoding) -> Self {
        let name = path.rsplit(|&b| b == b'/').next().unwrap_or(path);
        let when = modified.map(|time| When { time: Some(time), precision: TimePrecision::Second, is_utc: true });
        let found = Found { size: Some(size), when, ..Found::named(name, EntryKind::File) };
        Self::new(name, &found, Dialect::Mlsd, encoding)
    }

    /// A directory of which only the path is known.
    pub(in crate::ftp) fn directory(path: &[u8], encoding: Encoding) -> Self {
        Self::new(path, &Found::named(path, EntryKind::Directory), Dialect::Mlsd, encoding)
    }

    /// An entry put together from what it tells, as a test or a store of listings has it; `None` if the name is empty, or
    /// a fact cannot be one: its name is empty or has `=`, or either has `;`, a space or a line end.
    pub fn assemble(raw_name: &[u8], kind: EntryKind, told: Told<'_>, encoding: Encoding) -> Option<Self> {
        let is_plain = |text: &str| !text.bytes().any(|b| matches!(b, b';' | b' ' | b'\n'));
        let is_fact =
            |(name, value): &(&str, &str)| !name.is_empty() && !name.contains('=') && is_plain(name) && is_plain(value);
        if raw_name.is_empty() || !told.facts.iter().all(is_fact) {
            return None;
        }
        let facts: String = told.facts.iter().map(|(name, value)| format!("{name}={value};")).collect();
        let mut line = facts.into_bytes();
        line.push(b' ');
        let mut span = |part: &[u8]| {
            let start = line.len() as u32;
            line.extend_from_slice(part);
            if part.is_empty() { Span::default() } else { Span { start, end: line.len() as u32 } }
        };
        let name = span(raw_name);
        let (target, permissions) = (span(told.target), span(told.permissions));
        let (owner, group) = (span(told.owner), span(told.group));
        Some(Self {
            kind,
            size: told.size,
            modified: told.modified,
            name,
            target,
            permissions,
            owner,
            group,
            dialect: told.dialect,
            precision: told.precision,
            is_utc: told.is_utc,
            encoding,
            line: line.into_boxed_slice(),
        })
    }

    /// The name as the server sent it: what opens the file again.
    pub fn raw_name(&self) -> &[u8] {
        self.part(self.name)
    }

    /// The name as text: see [`Encoding`]. What cannot be decoded is replaced.
    pub fn name(&self) -> Cow<'_, str> {
        self.encoding.decode(self.raw_name())
    }

    /// How names are decoded in the session that this comes from.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Whether the name is one component of a path here, and nothing else: not empty, `.` or `..`, without `/`, `\`, a
    /// drive letter or control characters. On Windows, also none of the characters, endings and device names that mean
    /// something else there.
    pub fn is_safe_name(&self) -> bool {
        is_safe_name(self.raw_name())
    }

    /// Where a symbolic link points, where told.
    pub fn target(&self) -> Option<&[u8]> {
        Some(self.part(self.target)).filter(|target| !target.is_empty())
    }

    /// The permissions as the server wrote them: MLSD's `perm` fact, `rwxr-xr-x`, `R----F--`, `(RWED,RWED,RE,)`.
    pub fn permissions(&self) -> Option<Cow<'_, str>> {
        self.text(self.permissions)
    }

    /// The owner as the server names it: a name or a number.
    pub fn owner(&self) -> Option<Cow<'_, str>> {
        self.text(self.owner).or_else(|| self.first_fact(&["unix.ownername", "unix.owner", "unix.uid"]))
    }

    /// The group as the server names it: a name or a number.
    pub fn group(&self) -> Option<Cow<'_, str>> {
        self.text(self.group).or_else(|| self.first_fact(&["unix.groupname", "unix.group", "unix.gid"]))
    }

    /// The permission bits of Unix, with setuid, setgid and sticky, where told.
    pub fn mode(&self) -> Option<u32> {
        if self.is_machine() {
            let mode = self.fact("unix.mode")?;
            return u32::from_str_radix(&mode, 8).ok().filter(|mode| *mode <= 0o177_777).map(|mode| mode & 0o7777);
        }
        super::unix::mode_bits(self.part(self.permissions))
    }

    /// MLSD's `perm` fact: what the user may do with it, a letter each (RFC 3659 §7.5.5).
    pub fn perm(&self) -> Option<Cow<'_, str>> {
        self.fact("perm")
    }

    /// MLSD's `unique` fact: two names of one file have the same (RFC 3659 §7.5.2).
    pub fn unique(&self) -> Option<Cow<'_, str>> {
        self.fact("unique")
    }

    /// MLSD's `create` fact: when it was made (RFC 3659 §7.5.4).
    pub fn created(&self) -> Option<SystemTime> {
        self.raw_fact(b"create").and_then(super::time::time_val)
    }

    /// MLSD's `media-type` fact (RFC 3659 §7.5.7).
    pub fn media_type(&self) -> Option<Cow<'_, str>> {
        self.fact("media-type")
    }

    /// MLSD's `charset` fact: the character set of the content (RFC 3659 §7.5.8).
    pub fn charset(&self) -> Option<Cow<'_, str>> {
        self.fact("charset")
    }

    /// MLSD's `lang` fact: the language of the content (RFC 3659 §7.5.6).
    pub fn lang(&self) -> Option<Cow<'_, str>> {
        self.fact("lang")
    }

    /// All facts that MLSD or MLST tell, as sent, in the server's order; none from LIST. The names of facts are
    /// case-insensitive.
    pub fn facts(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        let facts = mlsd::facts(self.told());
        facts.map(|(name, value)| (String::from_utf8_lossy(name), String::from_utf8_lossy(value)))
    }

    /// A fact's value, whatever the case of its name.
    pub fn fact(&self, name: &str) -> Option<Cow<'_, str>> {
        self.raw_fact(name.as_bytes()).map(String::from_utf8_lossy)
    }

    /// How exactly the time of modification is told.
    pub fn time_precision(&self) -> Option<TimePrecision> {
        self.modified.and(self.precision)
    }

    /// Whether the time of modification is in UTC for certain; else it is the server's own time, taken as UTC.
    pub fn is_time_utc(&self) -> bool {
        self.is_utc
    }

    /// In which form of listing it came.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The line it came in, without its line end.
    pub fn line(&self) -> &[u8] {
        let end = if self.name.end as usize == self.line.len() && self.dialect == Dialect::Cms {
            self.name.start as usize
        } else {
            self.line.len()
        };
        &self.line[..end]
    }

    fn is_machine(&self) -> bool {
        self.dialect == Dialect::Mlsd
    }

    /// What stands before the name, if that is facts.
    fn told(&self) -> &[u8] {
        if self.is_machine() { &self.line[..self.name.start as usize] } else { &[] }
    }

    fn raw_fact(&self, name: &[u8]) -> Option<&[u8]> {
        mlsd::facts(self.told()).find(|(told, _)| told.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn first_fact(&self, names: &[&str]) -> Option<Cow<'_, str>> {
        names.iter().find_map(|name| self.fact(name))
    }

    fn part(&self, span: Span) -> &[u8] {
        &self.line[span.start as usize..span.end as usize]
    }

    fn text(&self, span: Span) -> Option<Cow<'_, str>> {
        Some(self.part(span)).filter(|part| !part.is_empty()).map(String::from_utf8_lossy)
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.raw_name().escape_ascii().to_string())
            .field("kind", &self.kind)
            .field("size", &self.size)
            .field("modified", &self.modified)
            .finish_non_exhaustive()
    }
}

/// [`Entry::is_safe_name`] of bytes.
pub(in crate::ftp) fn is_safe_name(name: &[u8]) -> bool {
    let elsewhere = |b: &u8| matches!(b, b'/' | b'\\') || b.is_ascii_control();
    let drive = matches!(name, [letter, b':', ..] if letter.is_ascii_alphabetic());
    let special = matches!(name, b"" | b"." | b"..");
    !special && !drive && !name.iter().any(elsewhere) && (!cfg!(windows) || is_safe_on_windows(name))
}

fn is_safe_on_windows(name: &[u8]) -> bool {
    const DEVICES: [&[u8]; 6] = [b"con", b"prn", b"aux", b"nul", b"conin$", b"conout$"];
    let stem = name.split(|&b| b == b'.').next().unwrap_or_default();
    let stem = super::words::trim_end(stem).to_ascii_lowercase();
    let numbered = matches!(&stem[..], [b'c', b'o', b'm', b'0'..=b'9'] | [b'l', b'p', b't', b'0'..=b'9']);
    !name.iter().any(|b| b"<>:\"|?*".contains(b))
        && !name.ends_with(b".")
        && !name.ends_with(b" ")
        && !numbered
        && !DEVICES.contains(&&stem[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_place() {
        for bad in ["", ".", "..", "../x", "/etc/x", "a/b", "C:\\x", "c:x", "a\\b", "a\0b", "a\r\nDELE b", "\x7f"] {
            assert!(!is_safe_name(bad.as_bytes()), "{bad:?}");
        }
        for good in ["a", "...", ".a", " ", "12:30.log", "ü", "-rf", "a b"] {
            assert!(is_safe_name(good.as_bytes()) || cfg!(windows), "{good:?}");
        }
        for bad in ["CON", "con.txt", "COM1", "lpt9.x", "a.", "a ", "a?", "nul .txt", "a:b"] {
            assert!(!is_safe_on_windows(bad.as_bytes()), "{bad:?}");
        }
        assert!(is_safe_on_windows(b"console.txt") && is_safe_on_windows(b"com10"));
    }

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Entry>() <= 128, "{}", size_of::<Entry>());
    }
}
