//! Where a session is in the server's tree, for the session that may have to replace it.

/// How many steps are remembered before the server is asked where they led.
const STEPS: usize = 32;

/// The current directory: one that is known, or the login's, and the steps from there.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// By which way one comes there.
    Known {
        /// An absolute path; `None`: where the login led.
        from: Option<Vec<u8>>,
        /// What CWD was told since then; `..` stands for CDUP.
        steps: Vec<Vec<u8>>,
    },
    /// A change of directory was said, and nobody heard what came of it.
    Unknown,
}

impl Place {
    /// Where a login leads.
    pub(super) fn login() -> Self {
        Self::Known { from: None, steps: Vec::new() }
    }

    /// The server said so.
    pub(super) fn told(path: Vec<u8>) -> Self {
        Self::Known { from: Some(path), steps: Vec::new() }
    }

    /// What CWD made of it.
    pub(super) fn then(self, path: &[u8]) -> Self {
        match self {
            _ if path.starts_with(b"/") => Self::told(path.to_vec()),
            Self::Known { from, mut steps } => {
                steps.push(path.to_vec());
                Self::Known { from, steps }
            }
            Self::Unknown => Self::Unknown,
        }
    }

    /// Whether the way has become so long that the server should be asked for a shorter one.
    pub(super) fn is_roundabout(&self) -> bool {
        matches!(self, Self::Known { steps, .. } if steps.len() >= STEPS)
    }
}
