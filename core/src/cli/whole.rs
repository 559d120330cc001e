//! What `get` and `put` have in common: how a whole file is transferred, and how that ends.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use clap::Args;
use starttls::Error;
use starttls::ftp::{Changed, RateLimit, TransferReceipt, Verify};

use crate::failure::Failure;
use crate::progress::{Line, bytes_for_people, rate};

/// How a whole file is transferred.
#[derive(Args, Debug)]
pub(crate) struct Whole {
    /// Go on where an earlier transfer ended, if what is there is the beginning of this very file
    #[arg(short = 'c', long = "continue")]
    pub(crate) resume: bool,
    /// If it is not: an error, or from the beginning
    #[arg(long, value_name = "refuse|restart", default_value = "refuse", value_parser = str::parse::<Changed>)]
    pub(crate) on_change: Changed,
    /// What must agree at the end, where the server tells: its size, its hash (which the server must have), the best there is
    #[arg(long, value_name = "none|size|hash|best", default_value = "size", value_parser = str::parse::<Verify>)]
    pub(crate) verify: Verify,
    /// Keep the time when the file was last modified
    #[arg(long)]
    pub(crate) keep_times: bool,
    /// At most so many bytes a second; 500k, 2M and 1G are thousands, millions, thousands of millions
    #[arg(long, value_name = "BYTES", value_parser = limit)]
    pub(crate) limit_rate: Option<u64>,
    /// Go on so often after the network failed
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) retries: u32,
}

impl Whole {
    pub(crate) fn rate_limit(&self) -> Option<RateLimit> {
        self.limit_rate.map(RateLimit::new)
    }
}

fn limit(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1_000),
        Some((at, 'M')) => (&text[..at], 1_000_000),
        Some((at, 'G')) => (&text[..at], 1_000_000_000),
        _ => (text, 1),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    number.filter(|&number| number > 0).ok_or_else(|| "a number of bytes above 0".into())
}

/// Shows how far a transfer is, and ends it when somebody presses Ctrl-C: what there is stays, and it is said where. A
/// second Ctrl-C ends the program at once.
pub(crate) struct Watch {
    line: Line,
    began: Instant,
}

/// Somebody pressed Ctrl-C while a file was on its way.
static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// That ends every wait, also for a server that says nothing.
pub(crate) fn interrupt() -> io::Result<()> {
    if INTERRUPTED.load(Relaxed) { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
}

impl Watch {
    pub(crate) fn new(shown: bool) -> Result<Self, Failure> {
        on_interrupt(&INTERRUPTED).map_err(|error| Failure::early(Error::local(error)))?;
        Ok(Self { line: Line::new(shown), began: Instant::now() })
    }

    pub(crate) fn tell(&mut self, done: u64, total: Option<u64>) -> io::Result<()> {
        interrupt()?;
        self.line.show(done, total, self.began);
        Ok(())
    }
}

#[cfg(unix)]
fn on_interrupt(interrupted: &Arc<AtomicBool>) -> io::Result<()> {
    use signal_hook::consts::SIGINT;
    signal_hook::flag::register_conditional_default(SIGINT, interrupted.clone())?;
    signal_hook::flag::register(SIGINT, interrupted.clone()).map(drop)
}

#[cfg(not(unix))]
fn on_interrupt(_: &Arc<AtomicBool>) -> io::Result<()> {
    Ok(())
}

/// `12.3 MB after the first 4.0 MB, 1.2 MB/s, verified by SHA-256, 2 attempts`.
pub(crate) fn note(receipt: &TransferReceipt) -> String {
    let mut note = bytes_for_people(receipt.size);
    if receipt.offset > 0 {
        note.push_str(&format!(" after the first {}", bytes_for_people(receipt.offset)));
    }
    note.push_str(&format!(", {}, {}", rate(receipt.size, receipt.duration), receipt.status.as_str()));
    if let Some(digest) = &receipt.digest {
        note.push_str(&format!(" by {}", digest.algorithm));
    }
    if receipt.attempts > 1 {
        note.push_str(&format!(", {} attempts", receipt.attempts));
    }
    note
}

#[cfg(test)]
mod tests {
    use super::limit;

    #[test]
    fn limits() {
        for (text, bytes) in [("1", 1), ("500k", 500_000), ("2M", 2_000_000), ("1G", 1_000_000_000), ("3K", 3_000)] {
            assert_eq!(limit(text), Ok(bytes));
        }
        for bad in ["", "0", "k", "-1", "1.5M", "1T", "99999999999999999999", "9999999999999999999G"] {
            assert!(limit(bad).is_err(), "{bad}");
        }
    }
}
