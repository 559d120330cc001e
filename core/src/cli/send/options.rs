//! What is asked of the server for a message, and how the session speaks.

use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};
use starttls::smtp::{
    BodyKind, DeliverBy, EhloName, Hold, LateAction, LineEnds, NotOffered, Notify, Parameter, RecipientPolicy, Return,
    SendOptions, Settings, Submitter,
};

use crate::failure::Failure;

const HEADING: &str = "What is asked of the server";
const SESSION: &str = "How the session speaks";

/// What is asked for beside sender and recipients. An extension that the server does not offer is an error.
#[derive(Args, Debug)]
pub(crate) struct Asked {
    /// Tell the sender what became of it: never, or some of success,failure,delay (DSN)
    #[arg(long, value_name = "WHEN", help_heading = HEADING)]
    notify: Option<Notify>,
    /// How much of the message a failure notice repeats (DSN)
    #[arg(long, value_name = "HOW MUCH", value_enum, help_heading = HEADING)]
    ret: Option<Ret>,
    /// A name for this sending that notices repeat (DSN)
    #[arg(long, value_name = "ID", help_heading = HEADING)]
    envid: Option<String>,
    /// Send to all recipients or to none
    #[arg(long, help_heading = HEADING)]
    all_or_none: bool,
    /// What becomes of line ends other than CRLF [default: normalise]
    #[arg(long, value_name = "HOW", value_enum, help_heading = HEADING)]
    line_ends: Option<Ends>,
    /// Send any bytes as they are (BINARYMIME); line ends stay
    #[arg(long, help_heading = HEADING)]
    binary: bool,
    /// Deliver within so many seconds, or return the message; behind a comma: notify, trace (DELIVERBY)
    #[arg(long, value_name = "SECONDS[,notify][,trace]", value_parser = deliver_by, allow_hyphen_values = true,
        help_heading = HEADING)]
    deliver_by: Option<DeliverBy>,
    /// From -9 to 9; 0 is normal (MT-PRIORITY)
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = HEADING)]
    priority: Option<i8>,
    /// Keep it so long first (FUTURERELEASE)
    #[arg(long, value_name = "SECONDS", conflicts_with = "hold_until", help_heading = HEADING)]
    hold_for: Option<u64>,
    /// Keep it until then, such as 2026-12-24T18:00:00Z (FUTURERELEASE)
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = HEADING)]
    hold_until: Option<SystemTime>,
    /// Use TLS with a verified certificate on every hop, or return the message (REQUIRETLS)
    #[arg(long, help_heading = HEADING)]
    require_tls: bool,
    /// Who submitted it first; '' for nobody who is known (AUTH= of MAIL)
    #[arg(long, value_name = "ADDRESS", help_heading = HEADING)]
    submitter: Option<String>,
    /// A parameter for MAIL; repeat it for more
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = parameter, help_heading = HEADING)]
    param: Vec<Parameter>,
    /// A parameter for each RCPT; repeat it for more
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = parameter, help_heading = HEADING)]
    rcpt_param: Vec<Parameter>,
    /// Send without notices, --deliver-by, --priority and --submitter where the server does not offer them
    #[arg(long, help_heading = HEADING)]
    drop_unsupported: bool,
    /// The name to give in EHLO
    #[arg(long, value_name = "NAME", help_heading = SESSION)]
    ehlo: Option<String>,
    /// Send messages by DATA, never by BDAT
    #[arg(long, help_heading = SESSION)]
    no_chunking: bool,
    /// Bytes of a chunk of BDAT [default: 524288]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..), help_heading = SESSION)]
    chunk_size: Option<u32>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Ret {
    /// All of it
    Full,
    /// Its header
    Headers,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Ends {
    /// They become CRLF
    Normalise,
    /// They are an error
    Strict,
    /// They stay: needs CHUNKING
    Preserve,
}

impl Asked {
    /// For the envelope.
    pub(crate) fn options(&self) -> Result<SendOptions, Failure> {
        let submitter = match self.submitter.as_deref() {
            None => None,
            Some("") => Some(Submitter::Unknown),
            Some(address) => Some(Submitter::Mailbox(address.parse().map_err(Failure::early)?)),
        };
        let hold_for = self.hold_for.map(|seconds| Hold::For(Duration::from_secs(seconds)));
        Ok(SendOptions {
            recipient_policy: if self.all_or_none { RecipientPolicy::All } else { RecipientPolicy::Any },
            line_ends: match self.line_ends {
                Some(Ends::Normalise) => LineEnds::Normalise,
                Some(Ends::Strict) => LineEnds::Strict,
                Some(Ends::Preserve) => LineEnds::Preserve,
                None if self.binary => LineEnds::Preserve,
                None => LineEnds::Normalise,
            },
            body: self.binary.then_some(BodyKind::Binary),
            dsn_return: self.ret.map(|ret| match ret {
                Ret::Full => Return::Full,
                Ret::Headers => Return::Headers,
            }),
            envelope_id: self.envid.clone(),
            notify: self.notify.iter().map(|notify| (None, *notify)).collect(),
            original: Vec::new(),
            deliver_by: self.deliver_by,
            priority: self.priority,
            hold: hold_for.or(self.hold_until.map(Hold::Until)),
            require_tls: self.require_tls,
            submitter,
            parameters: self.param.clone(),
            recipient_parameters: self.rcpt_param.iter().map(|parameter| (None, parameter.clone())).collect(),
            not_offered: if self.drop_unsupported { NotOffered::Drop } else { NotOffered::Refuse },
        })
    }

    /// For the session.
    pub(crate) fn settings(&self, lmtp: bool, pipelining: bool) -> Result<Settings, Failure> {
        let defaults = Settings::default();
        Ok(Settings {
            name: self.ehlo.as_ref().map_or_else(|| Ok(EhloName::default()), EhloName::new).map_err(Failure::early)?,
            lmtp,
            pipelining,
            chunking: !self.no_chunking,
            chunk_size: self.chunk_size.map_or(defaults.chunk_size, |size| size as usize),
            ..defaults
        })
    }
}

fn parameter(text: &str) -> Result<Parameter, String> {
    let (keyword, value) = text.split_once('=').map_or((text, None), |(keyword, value)| (keyword, Some(value)));
    Parameter::new(keyword, value).map_err(|error| error.to_string())
}

fn deliver_by(text: &str) -> Result<DeliverBy, String> {
    let mut words = text.split(',');
    let seconds = words.next().unwrap_or_default().parse().map_err(|_| "a number of seconds comes first")?;
    let mut by = DeliverBy { seconds, late: LateAction::Return, trace: false };
    for word in words {
        match word {
            "return" => by.late = LateAction::Return,
            "notify" => by.late = LateAction::Notify,
            "trace" => by.trace = true,
            _ => return Err(format!("{word:?} is none of return, notify, trace")),
        }
    }
    Ok(by)
}

/// A moment in UTC, as reports have it (RFC 3339).
fn time(text: &str) -> Result<SystemTime, String> {
    let read = || {
        let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
        let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
        let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
        let fits = year >= 1970 && (1..=12).contains(&month) && day >= 1 && hour < 24 && minute < 60 && second < 61;
        if !fits {
            return None;
        }
        // Years begin in March here, so that a leap day is a year's last.
        let years = if month > 2 { year } else { year - 1 };
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let days = years * 365 + years / 4 - years / 100 + years / 400 + day_of_year - 719_468;
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(((days * 24 + hour) * 60 + minute) * 60 + second);
        // The 30th of February is none.
        (second == 60 || starttls::report::timestamp(at) == text).then_some(at)
    };
    read().ok_or_else(|| "a time such as 2026-12-24T18:00:00Z".into())
}

fn numbers(text: &str, separator: char, digits: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(separator);
    let mut next = |digits: usize| {
        let part = parts.next().filter(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()))?;
        part.parse().ok()
    };
    let found = [next(digits[0])?, next(digits[1])?, next(digits[2])?];
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2026-11-22T01:02:03Z", 1_795_309_323),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            assert_eq!(time(text).unwrap(), SystemTime::UNIX_EPOCH + Duration::from_secs(seconds), "{text}");
        }
        for bad in [
            "",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01",
            "1969-12-31T23:59:59Z",
        ] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_to_deliver_by() {
        let by = deliver_by("-5,notify,trace").unwrap();
        assert_eq!((by.seconds, by.late, by.trace), (-5, LateAction::Notify, true));
        assert!(deliver_by("soon").is_err() && deliver_by("5,later").is_err());
    }
}
