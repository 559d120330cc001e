//! Directory listings: MLSD for machines (RFC 3659 §7), LIST in every form that is known.
//!
//! ```text
//!   bytes ─▶ lines ─▶ a dialect: the last one first ─▶ Entry: the line, and where its parts are
//!                          └─ none fits: counted, and the first one kept
//! ```
//!
//! A name is bytes. It is kept as the server sent it, beside a decoded view, so that every listed file can be opened
//! again; and it is data, never a local path.

mod date;
mod dos;
mod entry;
mod lines;
mod mlsd;
mod months;
mod mvs;
mod others;
mod time;
mod unix;
mod vms;
mod words;

use std::time::SystemTime;

pub use date::TimePrecision;
pub(super) use entry::is_safe_name;
pub use entry::{Entry, EntryKind, Told};
pub(super) use lines::Lines;
pub(super) use mlsd::fact_line as mlst;
pub(super) use time::time_val;

use self::date::Calendar;
use self::entry::Found;
use super::Encoding;
use crate::error::Result;

/// A form of listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// MLSD and MLST: facts for machines (RFC 3659 §7).
    Mlsd,
    /// As `ls -l` prints it, in all its variants.
    Unix,
    /// NetWare: rights in brackets.
    NetWare,
    /// Mode, user, group, size and time as numbers.
    Numeric,
    /// DOS and Windows.
    Dos,
    /// Easily Parsed LIST Format.
    Eplf,
    /// OpenVMS.
    Vms,
    /// z/OS: data sets, members, load modules, jobs.
    Mvs,
    /// OS/400, IBM i.
    Os400,
    /// OS/2.
    Os2,
    /// VM/CMS.
    Cms,
    /// VxWorks.
    VxWorks,
    /// VShell.
    VShell,
    /// NonStop, Guardian.
    Guardian,
    /// Connect:Enterprise.
    ConnectEnterprise,
}

impl Dialect {
    /// Those that LIST may have: what is told apart most surely comes first.
    const OF_LIST: [Self; 15] = [
        Self::Unix,
        Self::Dos,
        Self::Eplf,
        Self::NetWare,
        Self::Numeric,
        Self::Vms,
        Self::Os400,
        Self::Guardian,
        Self::Cms,
        Self::VShell,
        Self::VxWorks,
        Self::Os2,
        Self::ConnectEnterprise,
        Self::Mvs,
        Self::Mlsd,
    ];

    /// The dialect that [`Dialect::as_str`] names so.
    pub fn named(word: &str) -> Option<Self> {
        Self::OF_LIST.into_iter().find(|dialect| dialect.as_str() == word)
    }

    /// In one lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mlsd => "mlsd",
            Self::Unix => "unix",
            Self::NetWare => "netware",
            Self::Numeric => "numeric",
            Self::Dos => "dos",
            Self::Eplf => "eplf",
            Self::Vms => "vms",
            Self::Mvs => "mvs",
            Self::Os400 => "os400",
            Self::Os2 => "os2",
            Self::Cms => "cms",
            Self::VxWorks => "vxworks",
            Self::VShell => "vshell",
            Self::Guardian => "guardian",
            Self::ConnectEnterprise => "connect-enterprise",
        }
    }
}

/// What a line is.
enum Line<'a> {
    Entry(Found<'a>),
    /// A heading, a total, the directory itself: nothing that is in it.
    Nothing,
    /// The first part of an entry; the rest is in the next line.
    More,
}

/// What is known of a listing besides its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListingReport {
    /// The form of the last entry; `None` if there was none.
    pub dialect: Option<Dialect>,
    /// Entries, without `.` and `..`.
    pub entries: u64,
    /// Lines of which nothing could be made: in no form that is known. They are no entries; what is in them is missing.
    pub unparsed: u64,
    /// The first such line, cut at 512 bytes.
    pub first_unparsed: Option<Vec<u8>>,
}

/// A listing as it comes in, in pieces of any size: bytes in, entries out.
///
/// ```
/// use std::time::SystemTime;
/// use starttls::ftp::{Encoding, Listing};
///
/// let mut listing = Listing::new(SystemTime::now(), Encoding::default());
/// listing.push(b"-rw-r--r--  1 ada  staff  1234 Jan 31  2024 a file")?;
/// let entries = listing.finish();
/// assert_eq!((entries[0].raw_name(), entries[0].size), (&b"a file"[..], Some(1234)));
/// # Ok::<(), starttls::Error>(())
/// ```
#[derive(Debug)]
pub struct Listing {
    machine: bool,
    calendar: Calendar,
    encoding: Encoding,
    lines: Lines,
    /// The first part of a wrapped entry.
    pending: Vec<u8>,
    heading: mvs::Heading,
    entries: Vec<Entry>,
    report: ListingReport,
}

impl Listing {
    /// A listing from LIST. `now` tells the year of dates that have none.
    pub fn new(now: SystemTime, encoding: Encoding) -> Self {
        Self {
            machine: false,
            calendar: Calendar::new(now),
            encoding,
            lines: Lines::default(),
            pending: Vec::new(),
            heading: mvs::Heading::default(),
            entries: Vec::new(),
            report: ListingReport::default(),
        }
    }

    /// A listing from MLSD.
    pub fn machine(encoding: Encoding) -> Self {
        Self { machine: true, ..Self::new(SystemTime::UNIX_EPOCH, encoding) }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`LimitExceeded`](crate::ErrorKind::LimitExceeded) for a line above 16 KiB.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let mut lines = std::mem::take(&mut self.lines);
        let outcome = lines.push(bytes, &mut |line| self.line(line));
        self.lines = lines;
        outcome
    }

    /// Takes the entries out that are complete.
    pub fn take(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    /// Entries that are there already: the next ones come behind them.
    pub(super) fn begin_with(&mut self, entries: Vec<Entry>) {
        self.entries = entries;
    }

    /// How many entries wait to be taken.
    pub fn waiting(&self) -> usize {
        self.entries.len()
    }

    /// What is known besides them so far.
    pub fn report(&self) -> &ListingReport {
        &self.report
    }

    /// The rest of the entries, once everything came in.
    pub fn finish(&mut self) -> Vec<Entry> {
        let mut lines = std::mem::take(&mut self.lines);
        lines.finish(&mut |line| self.line(line));
        self.give_up_pending();
        self.take()
    }

    fn line(&mut self, line: &[u8]) {
        if self.machine {
            let found = mlsd::line(line);
            self.found(line, Dialect::Mlsd, found);
            return;
        }
        if !self.pending.is_empty() {
            let mut joined = std::mem::take(&mut self.pending);
            let first = joined.len();
            joined.push(b' ');
            joined.extend_from_slice(line);
            if let Some(found @ Line::Entry(_)) = vms::line(&joined, &mut self.calendar) {
                self.found(&joined, Dialect::Vms, Some(found));
                return;
            }
            joined.truncate(first);
            self.unparsed(&joined);
        }
        if words::trim(line).is_empty() {
            return;
        }
        let last = self.report.dialect;
        let others = Dialect::OF_LIST.into_iter().filter(|dialect| Some(*dialect) != last);
        for dialect in last.into_iter().chain(others) {
            if let Some(found) = read(line, dialect, &mut self.calendar, &mut self.heading) {
                self.found(line, dialect, Some(found));
                return;
            }
        }
        if !(self.report.entries == 0 && is_total(line)) {
            self.unparsed(line);
        }
    }

    fn found(&mut self, line: &[u8], dialect: Dialect, found: Option<Line<'_>>) {
        match found {
            Some(Line::Entry(found)) => {
                if matches!(&*found.name, b"." | b"..") {
                    return;
                }
                self.report.dialect = Some(dialect);
                self.report.entries += 1;
                self.entries.push(Entry::new(line, &found, dialect, self.encoding));
            }
            Some(Line::Nothing) => {}
            Some(Line::More) => self.pending = line.to_vec(),
            None if words::trim(line).is_empty() => {}
            None => self.unparsed(line),
        }
    }

    fn give_up_pending(&mut self) {
        if !self.pending.is_empty() {
            let pending = std::mem::take(&mut self.pending);
            self.unparsed(&pending);
        }
    }

    fn unparsed(&mut self, line: &[u8]) {
        self.report.unparsed += 1;
        if self.report.first_unparsed.is_none() {
            self.report.first_unparsed = Some(line[..line.len().min(512)].to_vec());
        }
    }
}

fn read<'a>(line: &'a [u8], dialect: Dialect, calendar: &mut Calendar, heading: &mut mvs::Heading) -> Option<Line<'a>> {
    match dialect {
        Dialect::Mlsd => mlsd::line(line).filter(|_| is_facts(line)),
        Dialect::Unix => unix::line(line, calendar),
        Dialect::NetWare => unix::netware(line, calendar),
        Dialect::Numeric => unix::numeric(line),
        Dialect::Dos => dos::line(line, calendar),
        Dialect::Eplf => others::eplf(line),
        Dialect::Vms => vms::line(line, calendar),
        Dialect::Mvs => mvs::line(line, heading, calendar),
        Dialect::Os400 => others::os400(line),
        Dialect::Os2 => others::os2(line, calendar),
        Dialect::Cms => others::cms(line, calendar),
        Dialect::VxWorks => others::vxworks(line, calendar),
        Dialect::VShell => others::vshell(line, calendar),
        Dialect::Guardian => others::guardian(line, calendar),
        Dialect::ConnectEnterprise => others::connect(line, calendar),
    }
}

/// Whether a line from LIST is one of MLSD for certain: facts of which one is the type.
fn is_facts(line: &[u8]) -> bool {
    let facts = line.split(|&b| b == b' ').next().unwrap_or_default();
    facts.ends_with(b";") && mlsd::facts(facts).any(|(name, _)| name.eq_ignore_ascii_case(b"type"))
}

/// `total 12`, in any language: a word and a number, in front of all entries.
fn is_total(line: &[u8]) -> bool {
    let words = words::Words::of(line);
    let is_word = |word: &[u8]| !word[0].is_ascii_digit() && word.iter().all(|b| b.is_ascii_alphabetic() || *b >= 0x80);
    words.count() == 2
        && words
            .get(0)
            .is_some_and(|word| is_word(word.strip_suffix(b":").filter(|word| !word.is_empty()).unwrap_or(word)))
        && words.get(1).is_some_and(|word| words::Size::parse(word).is_some())
}
