//! Times in listings.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `YYYYMMDDHHMMSS[.fraction]`, always UTC (RFC 3659 §2.3).
pub(in crate::ftp) fn time_val(text: &[u8]) -> Option<SystemTime> {
    let (whole, fraction) = match text.get(14) {
        None => (text, &b""[..]),
        Some(b'.') => (&text[..14], &text[15..]),
        Some(_) => return None,
    };
    if whole.len() != 14 || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return None;
    }
    let field = |from: usize, to: usize| whole[from..to].iter().fold(0, |n, &b| n * 10 + u32::from(b - b'0'));
    let seconds = civil(field(0, 4), field(4, 6), field(6, 8), field(8, 10), field(10, 12), field(12, 14))?;
    let digits = fraction.iter().chain(std::iter::repeat(&b'0')).take(9);
    let nanos = if fraction.is_empty() { 0 } else { digits.fold(0, |n, b| n * 10 + u32::from(b - b'0')) };
    Some(UNIX_EPOCH + Duration::new(seconds, nanos))
}

/// Seconds since 1970 of a date and time in UTC; `None` before that, or if there is no such moment. A leap second is the
/// next minute's first.
pub(super) fn civil(year: u32, month: u32, day: u32, hour: u32, minute: u32, second: u32) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let leap = |year: u32| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if day == 0 || day > lengths[month as usize - 1] {
        return None;
    }
    let before = |year: u32| 365 * year + year / 4 - year / 100 + year / 400;
    let days = before(year - 1) - before(1969) + lengths[..month as usize - 1].iter().sum::<u32>() + day - 1;
    Some(u64::from(days) * 86_400 + u64::from(hour * 3600 + minute * 60 + second))
}

/// A date and time in UTC; `None` if there is no such moment.
pub(super) fn moment(year: u32, month: u32, day: u32, hour: u32, minute: u32, second: u32) -> Option<SystemTime> {
    civil(year, month, day, hour, minute, second).map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds))
}

/// The year of a moment.
pub(super) fn year_of(time: SystemTime) -> u32 {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut year = 1970 + (seconds / 31_556_952) as u32;
    // The mean year's length puts this off by one at most, around New Year.
    while civil(year + 1, 1, 1, 0, 0, 0).is_some_and(|start| start <= seconds) {
        year += 1;
    }
    while year > 1970 && civil(year, 1, 1, 0, 0, 0).is_some_and(|start| start > seconds) {
        year -= 1;
    }
    year
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        assert_eq!(civil(1970, 1, 1, 0, 0, 0), Some(0));
        assert_eq!(civil(2000, 2, 29, 12, 0, 0), Some(951_825_600));
        assert_eq!(civil(2026, 11, 22, 1, 2, 3), Some(1_795_309_323));
        assert_eq!(civil(2100, 2, 29, 0, 0, 0), None);
        assert_eq!(civil(2024, 13, 1, 0, 0, 0), None);
        for year in [1970, 1999, 2000, 2023, 2024, 2026, 2100] {
            let (first, last) = (civil(year, 1, 1, 0, 0, 0), civil(year, 12, 31, 23, 59, 59));
            for second in [first, last].into_iter().flatten() {
                assert_eq!(year_of(UNIX_EPOCH + Duration::from_secs(second)), year);
            }
        }
        for bad in ["", "2020", "20200101000000x", "20201301000000", "+0200101000000", "20200101000000.x"] {
            assert_eq!(time_val(bad.as_bytes()), None, "{bad}");
        }
    }
}
