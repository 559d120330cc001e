//! LIST in the manner of `ls -l`, which most servers follow:
//! `-rw-r--r--   1 owner group     1234 Jan 31 12:34 name` (no standard has it).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::time::{civil, year_of};
use super::{Entry, EntryKind};

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// An entry; `None` for a line of another form.
pub(super) fn entry(line: &[u8], now: SystemTime) -> Option<Entry> {
    let kind = match line.first()? {
        b'-' => EntryKind::File,
        b'd' => EntryKind::Directory,
        b'l' => EntryKind::Symlink,
        b'b' | b'c' | b'p' | b's' | b'D' => EntryKind::Other,
        _ => return None,
    };
    let words: Vec<_> = Words { line, at: 0 }.take(10).collect();
    let (_, mode) = *words.first()?;
    if mode.len() < 10 {
        return None;
    }
    // The date is found by its month; size stands before it. Owner and group may be one, two or none.
    let month_at = (2..words.len()).find(|&i| month(words[i].1).is_some() && number(words[i - 1].1).is_some())?;
    let size = number(words[month_at - 1].1);
    let day = number(words.get(month_at + 1)?.1)?;
    let (clock_start, clock) = *words.get(month_at + 2)?;
    let modified = moment(month(words[month_at].1)?, u32::try_from(day).ok()?, clock, now);
    // One space ends the date; every other belongs to the name.
    let rest = line.get(clock_start + clock.len() + 1..)?;
    let (name, target) = match kind {
        EntryKind::Symlink => match memchr::memmem::find(rest, b" -> ") {
            Some(at) => (&rest[..at], Some(rest[at + 4..].to_vec())),
            None => (rest, None),
        },
        _ => (rest, None),
    };
    if name.is_empty() {
        return None;
    }
    let permissions = Some(String::from_utf8_lossy(&mode[1..10]).into_owned());
    // The number of a directory or device is not a size of content.
    let size = size.filter(|_| kind == EntryKind::File);
    Some(Entry { raw_name: name.to_vec(), kind, size, modified, permissions, target })
}

/// The words of a line, each with where it begins.
struct Words<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Words<'a> {
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at + self.line[self.at..].iter().position(|&b| b != b' ')?;
        let length = self.line[start..].iter().position(|&b| b == b' ').unwrap_or(self.line.len() - start);
        self.at = start + length;
        Some((start, &self.line[start..self.at]))
    }
}

fn number(word: &[u8]) -> Option<u64> {
    let plain = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    if plain { std::str::from_utf8(word).ok()?.parse().ok() } else { None }
}

fn month(word: &[u8]) -> Option<u32> {
    let word = std::str::from_utf8(word).ok()?.to_ascii_lowercase();
    MONTHS.iter().position(|&name| name == word).map(|at| at as u32 + 1)
}

/// `12:34` is the last such moment that is not more than a day ahead; `2024` is that year's day.
fn moment(month: u32, day: u32, clock: &[u8], now: SystemTime) -> Option<SystemTime> {
    let clock = std::str::from_utf8(clock).ok()?;
    let seconds = match clock.split_once(':') {
        None => civil(clock.parse().ok()?, month, day, 0, 0, 0)?,
        Some((hour, minute)) => {
            let (hour, minute) = (hour.parse().ok()?, minute.parse().ok()?);
            let limit = now.duration_since(UNIX_EPOCH).ok()?.as_secs() + 86_400;
            let year = year_of(now) + 1;
            // 29 February may be years away.
            (0..=9).find_map(|ago| civil(year - ago, month, day, hour, minute, 0).filter(|&s| s <= limit))?
        }
    };
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(year: u32, month: u32, day: u32, hour: u32, minute: u32) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(civil(year, month, day, hour, minute, 0).unwrap())
    }

    #[test]
    fn long_listings() {
        let now = at(2026, 3, 1, 12, 0);
        let e = entry(b"-rw-r--r--    1 ftp      ftp          1234 Jan 31 12:34 a  b.txt", now).unwrap();
        assert_eq!((e.kind, e.size, e.raw_name.as_slice()), (EntryKind::File, Some(1234), &b"a  b.txt"[..]));
        assert_eq!(e.modified, Some(at(2026, 1, 31, 12, 34)));
        let e = entry(b"-rw-r--r-- 1 ftp ftp 0 Dec 31 23:59  leading", now).unwrap();
        assert_eq!((e.raw_name.as_slice(), e.modified), (&b" leading"[..], Some(at(2025, 12, 31, 23, 59))));
        let e = entry(b"drwxr-sr-t+ 2 1000 1000 4096 Feb  3  2019 dir", now).unwrap();
        assert_eq!((e.kind, e.size, e.modified), (EntryKind::Directory, None, Some(at(2019, 2, 3, 0, 0))));
        let e = entry(b"lrwxrwxrwx 1 root 7 May  1 2020 bin -> usr/bin", now).unwrap();
        assert_eq!((e.raw_name.as_slice(), e.target.as_deref()), (&b"bin"[..], Some(&b"usr/bin"[..])));
        for none in [
            &b"total 12"[..],
            b"",
            b"-rw-r--r--",
            b"-rw-r--r-- 1 a b 12 Jan 31 12:34",
            b"-rw-r--r-- 1 a b x Jan 1 2020 n",
        ] {
            assert_eq!(entry(none, now), None, "{none:?}");
        }
    }
}
