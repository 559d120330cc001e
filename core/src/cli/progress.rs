//! How far a transfer is, on a terminal.

use std::io::{self, Write};
use std::time::{Duration, Instant};

/// A line that is written anew while a transfer goes on, if anybody looks.
pub(crate) struct Line {
    shown: bool,
    /// Where the transfer began, in bytes.
    begun_at: Option<u64>,
    written: bool,
}

impl Line {
    pub(crate) fn new(shown: bool) -> Self {
        Self { shown, begun_at: None, written: false }
    }

    pub(crate) fn show(&mut self, done: u64, total: Option<u64>, began: Instant) {
        let begun_at = *self.begun_at.get_or_insert(done);
        if self.shown {
            self.written = true;
            let total = total.map_or(String::new(), |total| format!(" of {}", bytes_for_people(total)));
            let rate = rate(done.saturating_sub(begun_at), began.elapsed());
            // `\x1b[K` clears what a longer line left behind.
            let _ = write!(io::stderr().lock(), "\r{}{total}, {rate}\x1b[K", bytes_for_people(done));
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.written {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

/// `12.3 MB/s`.
pub(crate) fn rate(bytes: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    format!("{}/s", bytes_for_people((bytes as f64 / seconds) as u64))
}

/// `999 B`, `1.0 kB`, `12.3 MB`: powers of ten, as disks are sold.
pub(crate) fn bytes_for_people(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        if value < 999.95 {
            break;
        }
        value /= 1000.0;
        unit = larger;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_960, "1.0 MB"),
            (12_345_678, "12.3 MB"),
            (u64::MAX, "18446744.1 TB"),
        ] {
            assert_eq!(bytes_for_people(bytes), text);
        }
    }
}
