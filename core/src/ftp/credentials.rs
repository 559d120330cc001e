//! Who logs in.

use std::fmt;

use zeroize::Zeroizing;

/// Who logs in. Its `Debug` shows no secret; memory is wiped on drop.
#[derive(Clone)]
pub struct Credentials {
    pub(super) user: String,
    pub(super) password: Zeroizing<String>,
    pub(super) account: Option<Zeroizing<String>>,
}

impl Credentials {
    /// A user name and a password, as they are.
    pub fn password(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: Zeroizing::new(password.into()), account: None }
    }

    /// The account for servers that ask for one (ACCT, RFC 959 §4.1.1).
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(Zeroizing::new(account.into()));
        self
    }

    /// `anonymous`, with an address that is none as the password (RFC 1635).
    pub fn anonymous() -> Self {
        Self::password("anonymous", "anonymous@")
    }

    /// The user name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// What nobody may be shown.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        let all = [Some(&self.password), self.account.as_ref()].into_iter().flatten();
        all.filter(|_| !self.is_public()).map(|secret| secret.as_str())
    }

    /// Whether there is nothing to keep from those who listen.
    pub(super) fn is_public(&self) -> bool {
        matches!(self.user.as_str(), "anonymous" | "ftp")
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?}, ***)", self.user)
    }
}
