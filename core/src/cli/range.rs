//! Which bytes of a file `get --range` is about.

use std::ops::RangeInclusive;

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Both ends belong to it.
    Between(RangeInclusive<u64>),
    /// From there to the end.
    From(u64),
    /// So many bytes at the end.
    Last(u64),
}

/// `500-999`, `500-`, `-500`.
pub(crate) fn part(text: &str) -> Result<Part, String> {
    let number =
        |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u64>().ok()).flatten();
    let part = text.split_once('-').and_then(|(first, last)| match (number(first), number(last)) {
        // No file has a byte of the number that would be behind the greatest one.
        (Some(first), Some(last)) if first <= last && last < u64::MAX => Some(Part::Between(first..=last)),
        (Some(first), None) if last.is_empty() => Some(Part::From(first)),
        (None, Some(count)) if first.is_empty() && count > 0 => Some(Part::Last(count)),
        _ => None,
    });
    part.ok_or_else(|| {
        "the first and the last byte, the first one being 0: 0-499, 500-, or -500 for the last 500".into()
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        assert_eq!(part("0-0").unwrap(), Part::Between(0..=0));
        assert_eq!(part("500-4294967296").unwrap(), Part::Between(500..=1 << 32));
        assert_eq!(part("7-").unwrap(), Part::From(7));
        assert_eq!(part("-7").unwrap(), Part::Last(7));
        let most = format!("0-{}", u64::MAX);
        for bad in
            ["", "-", "7", "9-8", "-0", "+1-2", "1-+2", "1--2", " 1-2", "1-2-3", "a-b", "0-18446744073709551616", &most]
        {
            assert!(part(bad).is_err(), "{bad}");
        }
    }
}
