//! How far a transfer is, on a terminal.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// How often the line is written anew.
const EVERY: Duration = Duration::from_millis(100);

/// Counts what goes through a reader or writer, and shows it if wanted.
pub(crate) struct Progress<I> {
    inner: I,
    shown: bool,
    /// Where the transfer began, in bytes.
    offset: u64,
    moved: u64,
    total: Option<u64>,
    begun: Instant,
    written: Option<Instant>,
}

impl<I> Progress<I> {
    /// Shows nothing unless `shown`; `total` includes `offset`.
    pub(crate) fn new(inner: I, shown: bool, offset: u64, total: Option<u64>) -> Self {
        Self { inner, shown, offset, moved: 0, total, begun: Instant::now(), written: None }
    }

    /// How long it took, for the last word.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    fn moved(&mut self, bytes: usize) {
        self.moved += bytes as u64;
        if self.shown && self.written.is_none_or(|at| at.elapsed() >= EVERY) {
            self.written = Some(Instant::now());
            let total = self.total.map_or(String::new(), |total| format!(" of {}", bytes_for_people(total)));
            let rate = rate(self.moved, self.begun.elapsed());
            let done = bytes_for_people(self.offset + self.moved);
            // `\x1b[K` clears what a longer line left behind.
            let _ = write!(io::stderr().lock(), "\r{done}{total}, {rate}\x1b[K");
        }
    }
}

impl<I> Drop for Progress<I> {
    fn drop(&mut self) {
        if self.written.is_some() {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

impl<I: Read> Read for Progress<I> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(into)?;
        self.moved(n);
        Ok(n)
    }
}

impl<I: Write> Write for Progress<I> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.moved(n);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
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

    #[test]
    fn bytes_pass_unchanged() {
        let mut writer = Progress::new(Vec::new(), false, 0, None);
        writer.write_all(b"abc").expect("a Vec takes everything");
        assert_eq!((writer.inner.as_slice(), writer.moved), (&b"abc"[..], 3));
    }
}
