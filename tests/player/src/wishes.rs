//! What a task asks for beside sender and recipients, in the corpus' words.

use std::io;
use std::time::{Duration, SystemTime};

use starttls::smtp::{
    BodyKind, DeliverBy, Envelope, Hold, LateAction, LineEnds, NotOffered, Parameter, RecipientPolicy, Return,
    Settings, Submitter,
};
use starttls::{Error, Options, ftp};

/// The envelope of a `send`: sender, recipients with commas between, and words behind the message.
///
/// # Errors
/// The core's for what cannot be said.
pub fn envelope(sender: &str, recipients: &str, words: &[String]) -> Result<Envelope, Error> {
    let mut envelope = Envelope::new(sender, recipients.split(','))?;
    for word in words {
        wish(&mut envelope, word)?;
    }
    Ok(envelope)
}

/// `RECIPIENT>VALUE` is for one recipient, `VALUE` for all.
pub fn split_recipient(value: &str) -> (Option<&str>, &str) {
    value.split_once('>').map_or((None, value), |(recipient, value)| (Some(recipient), value))
}

/// `KEYWORD=VALUE`, or a keyword alone.
pub fn split_parameter(text: &str) -> (&str, Option<&str>) {
    text.split_once('=').map_or((text, None), |(keyword, value)| (keyword, Some(value)))
}

fn wish(envelope: &mut Envelope, word: &str) -> Result<(), Error> {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    match (name, value) {
        ("notify", value) => {
            let (only, words) = split_recipient(value);
            let notify = words.parse()?;
            for one in of(envelope, only) {
                one.notify = Some(notify);
            }
        }
        ("orcpt", value) => {
            let (only, original) = split_recipient(value);
            let original: starttls::smtp::Mailbox = original.parse()?;
            for one in of(envelope, only) {
                one.original = Some(original.clone());
            }
        }
        ("rcpt-param", value) => {
            let (only, parameter) = split_recipient(value);
            let (keyword, value) = split_parameter(parameter);
            let parameter = Parameter::new(keyword, value)?;
            for one in of(envelope, only) {
                one.parameters.push(parameter.clone());
            }
        }
        ("param", value) => {
            let (keyword, value) = split_parameter(value);
            envelope.parameters.push(Parameter::new(keyword, value)?);
        }
        ("ret", "full") => envelope.dsn_return = Some(Return::Full),
        ("ret", "headers") => envelope.dsn_return = Some(Return::Headers),
        ("envid", id) => envelope.envelope_id = Some(id.to_owned()),
        ("policy", "any") => envelope.recipient_policy = RecipientPolicy::Any,
        ("policy", "all") => envelope.recipient_policy = RecipientPolicy::All,
        ("ends", "normalise") => envelope.line_ends = LineEnds::Normalise,
        ("ends", "strict") => envelope.line_ends = LineEnds::Strict,
        ("ends", "preserve") => envelope.line_ends = LineEnds::Preserve,
        ("body", "7bit") => envelope.body = BodyKind::SevenBit,
        ("body", "8bit") => envelope.body = BodyKind::EightBit,
        ("body", "binary") => envelope.body = BodyKind::Binary,
        ("by", value) => {
            let (seconds, mode) = value.split_once(';').unwrap_or((value, "R"));
            envelope.deliver_by = Some(DeliverBy {
                seconds: number(seconds)?,
                late: if mode.starts_with('N') { LateAction::Notify } else { LateAction::Return },
                trace: mode.ends_with('T'),
            });
        }
        ("priority", value) => envelope.priority = Some(number(value)?),
        ("hold", value) => envelope.hold = Some(Hold::For(Duration::from_secs(number(value)?))),
        ("hold-until", value) => {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(number(value)?);
            envelope.hold = Some(Hold::Until(at));
        }
        ("requiretls", "") => envelope.require_tls = true,
        ("utf8", "") => envelope.utf8 = true,
        ("submitter", "") => envelope.submitter = Some(Submitter::Unknown),
        ("submitter", address) => envelope.submitter = Some(Submitter::Mailbox(address.parse()?)),
        ("not-offered", "refuse") => envelope.not_offered = NotOffered::Refuse,
        ("not-offered", "drop") => envelope.not_offered = NotOffered::Drop,
        _ => return Err(unknown(word)),
    }
    Ok(())
}

/// The recipients of this address, or all.
fn of<'e>(
    envelope: &'e mut Envelope,
    only: Option<&'e str>,
) -> impl Iterator<Item = &'e mut starttls::smtp::Recipient> {
    envelope.recipients.iter_mut().filter(move |one| only.is_none_or(|only| one.mailbox.as_str() == only))
}

/// The words behind `settings:`.
///
/// # Errors
/// A word that is none.
pub fn settings(words: &[String], lmtp: bool) -> Result<Settings, Error> {
    let mut settings = Settings { lmtp, ..Settings::default() };
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("no-pipelining", "") => settings.pipelining = false,
            ("no-chunking", "") => settings.chunking = false,
            ("chunk-size", size) => settings.chunk_size = number(size)?,
            _ => return Err(unknown(word)),
        }
    }
    Ok(settings)
}

/// The words behind `settings:` of a session with files.
///
/// # Errors
/// A word that is none.
pub fn file_settings(words: &[String]) -> Result<ftp::Settings, Error> {
    let mut settings = ftp::Settings { memory: ftp::ServerMemory::new(), ..ftp::Settings::default() };
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("active", "") => settings.active = Some(ftp::Active::default()),
            ("binding", binding) => settings.session_binding = binding.parse()?,
            ("compression", "") => settings.compression = true,
            ("announced-host", "") => settings.passive_host = ftp::PassiveHost::DangerAnnounced,
            ("auth", "ssl") => settings.auth = ftp::Auth::Ssl,
            ("virtual-host", name) => settings.virtual_host = Some(name.to_owned()),
            ("client-name", name) => settings.client_name = Some(name.to_owned()),
            ("language", tag) => settings.language = Some(tag.to_owned()),
            ("no-pipelining", "") => settings.pipelining = false,
            _ => return Err(unknown(word)),
        }
    }
    Ok(settings)
}

/// What a connection on its own is opened with: the words behind `settings:`, over `options`.
///
/// # Errors
/// A word that is none.
pub fn connection_options(words: &[String], mut options: Options) -> Result<Options, Error> {
    for word in words {
        match word.split_once('=') {
            Some(("server-name", name)) => options.server_name = Some(name.to_owned()),
            Some(("alpn", name)) => options.tls = options.tls.alpn([name]),
            _ => return Err(unknown(word)),
        }
    }
    Ok(options)
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, Error> {
    text.parse().map_err(|_| unknown(text))
}

fn unknown(word: &str) -> Error {
    io::Error::other(format!("unknown word {word}")).into()
}
