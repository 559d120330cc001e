//! A key log, for those who look into their own connections: whoever has it reads everything.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::error::{LocalFailure, Result};

/// Where the secrets of connections go, in the format of `SSLKEYLOGFILE` (RFC 9850): lines of a label, the client's random
/// value and a secret, in hexadecimal.
#[derive(Clone)]
pub(super) struct KeyLog(Arc<dyn Fn(&str) + Send + Sync>);

impl KeyLog {
    pub(super) fn to(sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Adds to a file, which nobody else may read.
    pub(super) fn file(path: &Path) -> Result<Self> {
        let file = Mutex::new(open(path).map_err(|error| LocalFailure::of(path, error))?);
        Ok(Self::to(move |line| {
            let line = Zeroizing::new(format!("{line}\n"));
            // A log that cannot be written is no reason to end a connection.
            let _ = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
        }))
    }

    pub(super) fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8], out: &mut String| {
            for byte in bytes {
                for digit in [byte >> 4, byte & 15] {
                    out.extend(char::from_digit(u32::from(digit), 16));
                }
            }
        };
        // Large enough from the beginning, so that no copy is left behind.
        let mut line =
            Zeroizing::new(String::with_capacity(label.len() + 2 * (client_random.len() + secret.len()) + 2));
        line.push_str(label);
        line.push(' ');
        hex(client_random, &mut line);
        line.push(' ');
        hex(secret, &mut line);
        (self.0)(&line);
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyLog")
    }
}
