//! A place below the root of a tree, on either side, and what a name must be to be part of one.

/// A path below the root: names with slashes between them; empty for the root itself. No name is empty, `.`, `..`, or has a
/// slash in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(Vec<u8>);

impl Place {
    /// What is in it under a name that was looked at.
    pub(super) fn join(&self, name: &[u8]) -> Self {
        debug_assert!(is_name(name), "{}", name.escape_ascii());
        let mut path = self.0.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Self(path)
    }

    /// A place that a relative path names from the directory `self`, without leaving the root.
    pub(super) fn resolve(&self, path: &[u8]) -> Option<Self> {
        let mut names: Vec<&[u8]> = self.names().collect();
        for part in path.split(|&b| b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => drop(names.pop()?),
                name => names.push(name),
            }
        }
        Some(Self(names.join(&b'/')))
    }

    /// The names on the way from the root.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|name| !name.is_empty())
    }

    pub(super) fn depth(&self) -> usize {
        self.names().count()
    }

    /// Where it is, and its name there; `None` for the root.
    pub(super) fn split(&self) -> Option<(Self, &[u8])> {
        let name = self.names().last()?;
        let above = self.0.len() - name.len();
        Some((Self(self.0[..above.saturating_sub(1)].to_vec()), name))
    }

    /// Whether `other` is this place or above it.
    pub(super) fn is_in(&self, other: &Self) -> bool {
        other.0.is_empty() || self.0 == other.0 || (self.0.starts_with(&other.0) && self.0[other.0.len()] == b'/')
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path, with a slash behind it unless it is the root's.
    pub(super) fn prefix(&self) -> Vec<u8> {
        if self.0.is_empty() { Vec::new() } else { [&self.0, &b"/"[..]].concat() }
    }

    /// The path on a server that has the root at `root`.
    pub(super) fn below(&self, root: &[u8]) -> Vec<u8> {
        let path = match (root, self.0.as_slice()) {
            (root, []) => return root.to_vec(),
            ([], path) => path.to_vec(),
            (root, path) if root.ends_with(b"/") => [root, path].concat(),
            (root, path) => [root, b"/", path].concat(),
        };
        // Servers take what begins like this for options, or do not see the space.
        if matches!(path.first(), Some(b'-' | b' ')) { [b"./", path.as_slice()].concat() } else { path }
    }
}

fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/')
}

/// Whether a server can have a file of this name: what a command cannot carry is told before.
pub(super) fn on_server(name: &[u8]) -> Result<(), &'static str> {
    if !is_name(name) || name.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')) {
        return Err("a name that cannot be said to a server");
    }
    Ok(())
}

/// Whether a file can have this name here, as it is.
pub(super) fn here(name: &[u8]) -> Result<(), &'static str> {
    if !is_name(name) || !crate::ftp::listing::is_safe_name(name) {
        return Err("a name that would be another place here");
    }
    if name.len() > 255 - super::plan::PART.len() {
        return Err("a name that is too long for files here");
    }
    if !cfg!(unix) && std::str::from_utf8(name).is_err() {
        return Err("a name that is no text, as names are here");
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let root = Place::default();
        let deep = root.join(b"a").join(b"b");
        assert_eq!((deep.as_bytes(), deep.depth(), root.depth()), (&b"a/b"[..], 2, 0));
        assert_eq!((deep.prefix(), root.prefix()), (b"a/b/".to_vec(), Vec::new()));
        assert_eq!(deep.below(b"/x"), b"/x/a/b");
        assert_eq!(deep.below(b"/"), b"/a/b");
        assert_eq!(root.below(b"/x"), b"/x");
        assert_eq!(root.join(b"-la").below(b""), b"./-la");
        assert!(deep.is_in(&root) && deep.is_in(&root.join(b"a")) && !root.join(b"ab").is_in(&root.join(b"a")));
        assert_eq!(deep.split().unwrap(), (root.join(b"a"), &b"b"[..]));
        assert_eq!(root.join(b"a").split().unwrap(), (root.clone(), &b"a"[..]));
        assert!(root.split().is_none());
        assert_eq!(deep.resolve(b"../c").unwrap().as_bytes(), b"a/c");
        assert_eq!(deep.resolve(b"../..//./").unwrap(), root);
        assert_eq!(deep.resolve(b"../../.."), None);
    }

    #[test]
    fn names_here_and_there() {
        for bad in ["", ".", "..", "../x", "/etc/x", "a/b", "C:\\x", "c:x", "a\0b", "a\r\nDELE b", &"x".repeat(252)] {
            assert!(here(bad.as_bytes()).is_err(), "{bad:?}");
        }
        for bad in ["", "..", "a\nb", "a\rb", "a\0"] {
            assert!(on_server(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(here(b"...").is_ok() && here("ü".as_bytes()).is_ok() && on_server(b"a\\b c:").is_ok());
    }
}
