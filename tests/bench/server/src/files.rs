//! The file tree that is not there: sizes and listings follow from the names.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;

/// Modification time of everything, as MDTM gives it.
pub(crate) const MODIFIED: &str = "20260901120000";
const SMALL: u64 = 4096;

/// The size of the file `path` in octets: `…NNNMiB.bin` is that large, `f` and digits is 4 KiB.
pub(crate) fn size(path: &str) -> Option<u64> {
    let name = path.rsplit('/').next()?;
    if let Some(stem) = name.strip_suffix("MiB.bin") {
        let digits = stem.trim_start_matches(|c: char| !c.is_ascii_digit());
        return Some(digits.parse::<u64>().ok()? << 20);
    }
    let digits = name.strip_prefix('f')?;
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some(SMALL)
}

/// How many entries the directory `path` has: `…/list-NNN` has that many, any other three.
fn entries(path: &str) -> usize {
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or("");
    name.strip_prefix("list-").and_then(|digits| digits.parse().ok()).unwrap_or(3)
}

/// The body of MLSD, NLST or LIST for `path`.
pub(crate) fn listing(verb: &str, path: &str) -> String {
    let count = entries(path);
    let mut text = String::with_capacity(count * 96);
    for index in 0..count {
        let (hour, minute) = (index % 24, index % 60);
        match verb {
            "MLSD" => write!(
                text,
                "type=file;size=4096;modify=20260901{hour:02}{minute:02}00;perm=adfr;\
                 unique=fd00U{index:x};UNIX.mode=0644; f{index:05}\r\n"
            ),
            "NLST" => write!(text, "f{index:05}\r\n"),
            _ => {
                write!(text, "-rw-r--r--    1 1000     1000         4096 Sep 01 {hour:02}:{minute:02} f{index:05}\r\n")
            }
        }
        .expect("a String takes everything");
    }
    text
}

/// Sizes of what was uploaded, so that SIZE afterwards tells the truth.
#[derive(Default)]
pub(crate) struct Uploads(RefCell<HashMap<String, u64>>);

impl Uploads {
    /// Paths remembered; more than any run uploads.
    const LIMIT: usize = 65536;

    pub(crate) fn record(&self, path: &str, size: u64) {
        let mut sizes = self.0.borrow_mut();
        if sizes.len() < Self::LIMIT || sizes.contains_key(path) {
            sizes.insert(path.to_owned(), size);
        }
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        let moved = self.0.borrow_mut().remove(from);
        if let Some(size) = moved {
            self.record(to, size);
        }
    }

    pub(crate) fn size(&self, path: &str) -> Option<u64> {
        self.0.borrow().get(path).copied()
    }
}
