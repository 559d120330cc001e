//! What people are told: texts that can be printed, times, and what servers say of theirs.

use std::time::Duration;

use crate::error::Error;
use crate::reply::Reply;

/// The longest text.
const LONGEST: usize = 600;

/// A text on one line, without control characters, of a bounded length.
pub(super) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LONGEST));
    for (position, c) in text.chars().enumerate() {
        if position == LONGEST {
            out.push('…');
            break;
        }
        match c {
            '\n' => out.push_str(" / "),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// An error without its advice, which is a finding's remedy.
pub(super) fn of(error: &Error) -> String {
    let text = error.to_string();
    let advice = error.advice().map(|advice| format!("; {advice}"));
    match advice.and_then(|advice| text.strip_suffix(&advice).map(str::to_owned)) {
        Some(without) => without,
        None => text,
    }
}

/// A reply in quotation marks.
pub(super) fn said(reply: &Reply) -> String {
    format!("\"{} {}\"", reply.code(), reply.text())
}

/// A time as people say it.
pub(super) fn time(span: Duration) -> String {
    match span.as_secs() {
        0..2 => format!("{} ms", span.as_millis()),
        seconds @ 2..120 => format!("{seconds} s"),
        // Rounded: a clock that is read a second later is two hours ahead all the same.
        seconds @ 120..7000 => format!("{} min", (seconds + 30) / 60),
        seconds @ 7000..172_800 => format!("{} h", (seconds + 1800) / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// The idle time that a line speaks of, and no line has to.
pub(super) fn idle_time(line: &str) -> Option<Duration> {
    let line = line.to_ascii_lowercase();
    if !["timeout", "time-out", "inactiv", "idle", "disconnected after"].iter().any(|word| line.contains(word)) {
        return None;
    }
    let digits = line.find(|c: char| c.is_ascii_digit())?;
    let rest = &line[digits..];
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let number: u64 = rest[..end].parse().ok().filter(|&n| n > 0 && n < 1_000_000)?;
    let unit = if line.contains("minute") || line.contains(" min") {
        60
    } else if line.contains("hour") {
        3600
    } else {
        1
    };
    Some(Duration::from_secs(number * unit))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn idle_times_as_servers_tell_them() {
        for (line, seconds) in [
            ("     Session timeout in seconds is 300", Some(300)),
            ("You will be disconnected after 15 minutes of inactivity.", Some(900)),
            (" Idle time-out: 600 seconds", Some(600)),
            ("Control connection timeout: 300", Some(300)),
            ("IDLE 1 hour", Some(3600)),
            ("ProFTPD Server ready", None),
            ("no timeout", None),
            ("timeout 0", None),
            ("timeout 99999999999999999999", None),
            ("220 files", None),
        ] {
            assert_eq!(idle_time(line), seconds.map(Duration::from_secs), "{line}");
        }
    }

    #[test]
    fn nothing_that_a_terminal_would_obey() {
        assert_eq!(shown("a\x1b[2Jb\nc\r"), "a\\u{1b}[2Jb / c\\r");
        assert_eq!(shown(&"x".repeat(10_000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn times_as_people_say_them() {
        for (seconds, text) in [
            (0, "0 ms"),
            (1, "1000 ms"),
            (59, "59 s"),
            (150, "3 min"),
            (7198, "2 h"),
            (10_000, "3 h"),
            (500_000, "5 days"),
        ] {
            assert_eq!(time(Duration::from_secs(seconds)), text);
        }
    }
}
