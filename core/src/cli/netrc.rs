//! The `.netrc` format: `machine NAME`, `default`, `login`, `password`, `account`, `macdef`.

use zeroize::Zeroizing;

/// What the file says about one machine.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Zeroizing<String>>,
}

/// The first entry for `host`, and for `user` if one is asked for; else the default's, if it comes before.
///
/// # Errors
/// What is wrong, and on which line; never what stands there, since it may be a password.
pub(crate) fn find(text: &str, host: &str, user: Option<&str>) -> Result<Option<Login>, String> {
    let mut entries = Entries::default();
    let mut tokens = Tokens { rest: text, line: 1 };
    while let Some((line, token)) = tokens.word()? {
        let mut value = |what: &str| match tokens.word()? {
            Some((_, value)) => Ok(value),
            None => Err(format!("line {line}: {what} without its value")),
        };
        match &**token {
            "machine" => {
                let name = value("machine")?;
                entries.begin(name.eq_ignore_ascii_case(host));
            }
            "default" => entries.begin(true),
            "login" => entries.current(line)?.user = Some(value("login")?.to_string()),
            "password" => entries.current(line)?.password = Some(value("password")?),
            "account" => drop(value("account")?),
            "macdef" => tokens.skip_to("\n\n"),
            comment if comment.starts_with('#') => tokens.skip_to("\n"),
            _ => return Err(format!("line {line}: none of machine, default, login, password, account, macdef")),
        }
    }
    let fits = |login: &Login| user.is_none() || login.user.is_none() || login.user.as_deref() == user;
    Ok(entries.0.into_iter().find_map(|(about_host, login)| (about_host && fits(&login)).then_some(login)))
}

/// Whether each entry is about the host, and what it says.
#[derive(Default)]
struct Entries(Vec<(bool, Login)>);

impl Entries {
    fn begin(&mut self, about_host: bool) {
        self.0.push((about_host, Login::default()));
    }

    fn current(&mut self, line: usize) -> Result<&mut Login, String> {
        self.0.last_mut().map(|(_, login)| login).ok_or_else(|| format!("line {line}: before any machine"))
    }
}

/// Words, or `"quoted \" words"`, with the line they begin on.
struct Tokens<'a> {
    rest: &'a str,
    line: usize,
}

impl Tokens<'_> {
    fn word(&mut self) -> Result<Option<(usize, Zeroizing<String>)>, String> {
        let mut word = Zeroizing::new(String::new());
        let trimmed = self.rest.trim_start();
        self.advance(self.rest.len() - trimmed.len());
        let line = self.line;
        let quoted = self.rest.starts_with('"');
        let mut chars = self.rest.char_indices().skip(usize::from(quoted));
        let mut end = self.rest.len();
        let mut closed = !quoted;
        while let Some((at, c)) = chars.next() {
            match c {
                '"' if quoted => {
                    (end, closed) = (at + 1, true);
                    break;
                }
                '\\' => word.extend(chars.next().map(|(_, escaped)| escaped)),
                c if c.is_whitespace() && !quoted => {
                    end = at;
                    break;
                }
                c => word.push(c),
            }
        }
        if !closed {
            return Err(format!("line {line}: a quote is not closed"));
        }
        self.advance(end);
        Ok((end > 0).then_some((line, word)))
    }

    fn advance(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at(bytes);
        self.line += passed.matches('\n').count();
        self.rest = rest;
    }

    /// A macro's body goes on to the next empty line, a comment to the line's end.
    fn skip_to(&mut self, end: &str) {
        self.advance(self.rest.find(end).unwrap_or(self.rest.len()));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn found(text: &str, host: &str, user: Option<&str>) -> Option<(Option<String>, Option<String>)> {
        find(text, host, user).unwrap().map(|login| (login.user, login.password.map(|p| p.to_string())))
    }

    fn some(user: &str, password: &str) -> Option<(Option<String>, Option<String>)> {
        Some((Some(user.into()), Some(password.into())))
    }

    #[test]
    fn entries() {
        let text = "# mine\nmachine a login ann password pw1\nmachine b\n\tlogin bob\n\tpassword \"p \\\" w\" account x\n\
                    macdef init\ncd /machine\nquit\n\nmachine A login eve password esc\\\\d#\ndefault login any password thing\n";
        assert_eq!(found(text, "A", None), some("ann", "pw1"));
        assert_eq!(found(text, "a", Some("eve")), some("eve", "esc\\d#"));
        assert_eq!(found(text, "b", None), some("bob", "p \" w"));
        assert_eq!(found(text, "c", None), some("any", "thing"));
        assert_eq!(found(text, "c", Some("bob")), None);
        assert_eq!(found("", "c", None), None);
    }

    #[test]
    fn mistakes_are_told_without_the_password() {
        for bad in ["login hunter2", "machine a\npassword \"hunter2", "machine a hunter2 b", "machine"] {
            let error = find(bad, "a", None).unwrap_err();
            assert!(error.starts_with("line ") && !error.contains("hunter2"), "{error}");
        }
    }
}
