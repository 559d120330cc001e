//! The corpus of listings: each line of `listings/*.txt`, and what it must be read as.
//!
//! ```text
//! # a comment
//! :unix                       a listing begins; mlsd is read as MLSD, everything else as LIST; `in order` behind it says
//!                             that lines depend on those before them
//! | the line, with \xNN for bytes and \t for tabs; several for a wrapped entry
//! = kind size modified name [-> target] [key=value …]
//! ```
//!
//! `modified` has as much of the time as is told, and Z if its zone is. After the entry, `=-` stands for a line that is
//! nothing (a heading), `=?` for one of which nothing can be made.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use starttls::ftp::{Encoding, Entry, Listing, TimePrecision};

/// 2026-03-01T12:00:00Z
const NOW: u64 = 1_772_366_400;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn unescape(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'\\', [b'x', high, low, more @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).expect("hexadecimal digits");
                out.push(u8::from_str_radix(digits, 16).expect("hexadecimal digits"));
                rest = more;
            }
            (b'\\', [b't', more @ ..]) => {
                out.push(b'\t');
                rest = more;
            }
            (b'\\', [b'\\', more @ ..]) => {
                out.push(b'\\');
                rest = more;
            }
            _ => out.push(first),
        }
    }
    out
}

fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.replace('\\', "\\\\"),
        _ => bytes.escape_ascii().to_string(),
    }
}

/// An entry as the corpus has it.
fn told(entry: &Entry) -> String {
    let size = entry.size.map_or("-".into(), |size| size.to_string());
    let time = entry.modified.map_or("-".into(), |time| {
        let text = starttls::report::timestamp(time);
        let length = match entry.time_precision().expect("a time has a precision") {
            TimePrecision::Day => 10,
            TimePrecision::Minute => 16,
            TimePrecision::Second => 19,
        };
        format!("{}{}", &text[..length], if entry.is_time_utc() { "Z" } else { "" })
    });
    let mut out = format!("{} {size} {time} \"{}\"", entry.kind.as_str(), shown(entry.raw_name()));
    if let Some(target) = entry.target() {
        let _ = write!(out, " -> \"{}\"", shown(target));
    }
    for (key, value) in [("owner", entry.owner()), ("group", entry.group())] {
        if let Some(value) = value {
            let _ = write!(out, " {key}={value:?}");
        }
    }
    if let Some(mode) = entry.mode() {
        let _ = write!(out, " mode={mode:o}");
    } else if let Some(permissions) = entry.permissions() {
        let _ = write!(out, " permissions={permissions:?}");
    }
    out
}

struct Case {
    at: String,
    lines: Vec<Vec<u8>>,
    expected: String,
}

struct Sample {
    dialect: String,
    in_order: bool,
    cases: Vec<Case>,
}

fn corpus() -> Vec<Sample> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/listings");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("the corpus").map(|it| it.expect("a file").path()).collect();
    files.sort();
    let mut samples: Vec<Sample> = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a file of the corpus");
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let at = format!("{}:{number}", file.file_name().expect("a name").to_string_lossy());
            if let Some(dialect) = line.strip_prefix(':') {
                let (dialect, more) = dialect.split_once(' ').unwrap_or((dialect, ""));
                samples.push(Sample { dialect: dialect.to_owned(), in_order: more == "in order", cases: Vec::new() });
            } else if let Some(raw) = line.strip_prefix('|') {
                lines.push(unescape(raw.strip_prefix(' ').unwrap_or(raw)));
            } else if let Some(expected) = line.strip_prefix('=') {
                let sample = samples.last_mut().expect("a listing has begun");
                let expected = expected.strip_prefix(' ').unwrap_or(expected).to_owned();
                sample.cases.push(Case { at, lines: std::mem::take(&mut lines), expected });
            } else {
                assert!(line.is_empty() || line.starts_with('#'), "{at}: {line}");
            }
        }
    }
    samples
}

fn reader(dialect: &str) -> Listing {
    if dialect == "mlsd" { Listing::machine(Encoding::default()) } else { Listing::new(now(), Encoding::default()) }
}

fn outcome(listing: &mut Listing, unparsed: u64) -> (Vec<Entry>, String) {
    let entries = listing.take();
    let text = match &entries[..] {
        [] if listing.report().unparsed > unparsed => "?".into(),
        [] => "-".into(),
        [one] => told(one),
        more => panic!("{} entries of one", more.len()),
    };
    (entries, text)
}

#[test]
fn every_line_of_the_corpus() {
    let mut wrong = String::new();
    let (mut count, samples) = (0, corpus());
    for sample in &samples {
        let mut listing = reader(&sample.dialect);
        for case in &sample.cases {
            let unparsed = listing.report().unparsed;
            for line in &case.lines {
                listing.push(&[line, &b"\r\n"[..]].concat()).expect("a line of the corpus");
            }
            let (entries, text) = outcome(&mut listing, unparsed);
            count += 1;
            if text != case.expected {
                let _ = writeln!(
                    wrong,
                    "{}: {}\n  is  {text}\n  not {}",
                    case.at,
                    shown(&case.lines.concat()),
                    case.expected
                );
            }
            for entry in entries {
                let dialect = entry.dialect().as_str();
                assert_eq!(dialect, sample.dialect, "{}: {}", case.at, shown(&case.lines.concat()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count >= 400, "only {count} lines");
}

/// Which lines came before does not matter, and neither do lines of another form among them.
#[test]
fn mixed_listings() {
    let samples = corpus();
    let plain: Vec<_> = samples.iter().filter(|sample| !sample.in_order && sample.dialect != "mlsd").collect();
    for (i, sample) in plain.iter().enumerate() {
        let other = plain[(i + 1) % plain.len()];
        let mut listing = reader(&sample.dialect);
        let pairs = sample.cases.iter().zip(other.cases.iter().cycle());
        for case in pairs.flat_map(|(one, other)| [one, other]) {
            if case.expected == "-" {
                continue;
            }
            let unparsed = listing.report().unparsed;
            for line in &case.lines {
                listing.push(&[line, &b"\n"[..]].concat()).expect("a line of the corpus");
            }
            let (_, text) = outcome(&mut listing, unparsed);
            assert_eq!(text, case.expected, "{}: {}", case.at, shown(&case.lines.concat()));
        }
    }
}

/// However the bytes are cut, the entries are the same.
#[test]
fn cut_anywhere() {
    for sample in corpus() {
        let all: Vec<u8> =
            sample.cases.iter().flat_map(|case| &case.lines).flat_map(|line| [line, &b"\r\n"[..]].concat()).collect();
        let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let mut listing = reader(&sample.dialect);
            let mut entries = Vec::new();
            for piece in pieces {
                listing.push(piece).expect("short lines");
                entries.append(&mut listing.take());
            }
            entries.append(&mut listing.finish());
            (entries, listing.report().clone())
        };
        let whole = read(&mut std::iter::once(&all[..]));
        for step in [1, 7, 100] {
            assert_eq!(read(&mut all.chunks(step)), whole, "{} in steps of {step}", sample.dialect);
        }
        for at in (0..all.len()).step_by(1 + all.len() / 50) {
            assert_eq!(read(&mut [&all[..at], &all[at..]].into_iter()), whole, "{} cut at {at}", sample.dialect);
        }
    }
}

/// A generator of numbers that are the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// Everything that an entry tells can be asked for.
fn ask_everything(entry: &Entry) {
    assert!(!entry.raw_name().is_empty());
    assert!(!entry.line().is_empty());
    let _ = (told(entry), entry.name(), entry.is_safe_name(), entry.facts().count(), entry.created(), entry.unique());
}

#[test]
fn mutated_lines_do_no_harm() {
    let mut random = Random(0x5eed);
    let lines: Vec<_> = corpus().into_iter().flat_map(|sample| sample.cases).flat_map(|case| case.lines).collect();
    let odd = b" \t;=:/-.,[]<>()+*@0139azAZ\xc3\xa0\xff\0\r\"'";
    for round in 0..60_000 {
        let mut line = lines[random.below(lines.len())].clone();
        for _ in 0..=random.below(4) {
            let at = random.below(line.len() + 1);
            match random.below(6) {
                0 => line.truncate(at),
                1 => line.insert(at, odd[random.below(odd.len())]),
                2 if at < line.len() => drop(line.remove(at)),
                3 if at < line.len() => line[at] = odd[random.below(odd.len())],
                4 => line.splice(at..at, lines[random.below(lines.len())].iter().copied()).for_each(drop),
                _ if at < line.len() => line[at] = random.next() as u8,
                _ => {}
            }
        }
        let mut listing = if round % 4 == 0 { reader("mlsd") } else { reader("unix") };
        let _ = listing.push(&[&lines[random.below(lines.len())], &b"\n"[..], &line, b"\n"].concat());
        listing.finish().iter().for_each(ask_everything);
    }
}

#[test]
fn random_bytes_do_no_harm() {
    let mut random = Random(0xbad);
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..random.below(120)).map(|_| random.next() as u8).collect();
        for dialect in ["mlsd", "unix"] {
            let mut listing = reader(dialect);
            listing.push(&bytes).expect("short lines");
            listing.finish().iter().for_each(ask_everything);
        }
    }
}

/// Lines of nothing are counted, and cost nothing else.
#[test]
fn lines_that_nobody_knows() {
    let mut listing = reader("unix");
    for _ in 0..20 {
        listing.push(&b"what is this?\r\n".repeat(1000)).expect("short lines");
    }
    assert!(listing.finish().is_empty());
    assert_eq!((listing.report().unparsed, listing.report().entries), (20_000, 0));
    assert_eq!(listing.report().first_unparsed.as_deref(), Some(&b"what is this?"[..]));
}

/// What a server of each kind would print is read as what it was.
#[test]
fn there_and_back() {
    let mut random = Random(0xbacc);
    let letters: Vec<char> = "abcXYZ019 .-_;()[]+~'&%$#@!ü日й".chars().collect();
    for _ in 0..4000 {
        let name: String = loop {
            let name: String = (0..=random.below(12)).map(|_| letters[random.below(letters.len())]).collect();
            if !name.trim().is_empty() && !matches!(name.as_str(), "." | "..") {
                break name;
            }
        };
        let size = random.next() >> random.below(64);
        let days = random.below(20_000) as u64 + 100;
        let seconds = days * 86_400 + random.below(1440) as u64 * 60;
        let time = UNIX_EPOCH + Duration::from_secs(seconds);
        let stamp = starttls::report::timestamp(time);
        let (date, clock) = (&stamp[..10], &stamp[11..16]);
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = months[stamp[5..7].parse::<usize>().expect("a month") - 1];
        let (year, day) = (&date[..4], &date[8..]);
        let midnight = UNIX_EPOCH + Duration::from_secs(days * 86_400);
        let digits: String = stamp.chars().filter(char::is_ascii_digit).collect();
        for (line, machine, expected) in [
            (format!("-rw-r--r--   1 ada      staff    {size:>10} {month} {day}  {year} {name}"), false, midnight),
            (format!("-rw-r--r--   1 ada      staff    {size:>10} {date} {clock} {name}"), false, time),
            (format!("{}-{}-{}  {clock}  {size:>18} {name}", &date[5..7], day, year), false, time),
            (format!("+i1.2,m{seconds},r,s{size},\t{name}"), false, time),
            (format!("type=file;size={size};modify={digits}; {name}"), true, time),
        ] {
            let mut listing = if machine { reader("mlsd") } else { reader("unix") };
            listing.push(line.as_bytes()).expect("a short line");
            let entries = listing.finish();
            let [entry] = &entries[..] else { panic!("{line:?}: {entries:?}") };
            assert_eq!(entry.raw_name(), name.as_bytes(), "{line:?}");
            assert_eq!((entry.size, entry.modified), (Some(size), Some(expected)), "{line:?}");
        }
    }
}
