//! A file of the corpus, parsed.

use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use starttls::Security;
use starttls::upgrade::Recipe;
use starttls::url::{Protocol, Url};

use crate::pki::Certificate;
use crate::scram::Scram;
use crate::text::{contains, unescape, words};

/// One session: both sides, and what must come out.
#[derive(Clone, Debug)]
pub struct Script {
    /// The file's name without folder and suffix.
    pub name: String,
    /// The rows of the threat table that it shows to fail; empty for an ordinary dialogue.
    pub rows: Vec<String>,
    /// The URL's scheme; `tcp` and `tls` for connections of no protocol in particular.
    pub scheme: String,
    /// Whether clear text was chosen by name (`?tls=none`).
    pub plaintext: bool,
    /// What every stage may take, in seconds.
    pub timeout: u64,
    /// What the server shows for itself.
    pub certificate: Certificate,
    /// What somebody else shows who answers on the data connections in the server's place.
    pub data_certificate: Option<Certificate>,
    /// The TLSA records that the client is given, in presentation format; in place of data, `server-key`, `authority-key`
    /// and `authority` stand for what the certificate has.
    pub tlsa: Vec<String>,
    /// The application protocols that the server agrees to, of those the client offers (RFC 7301).
    pub alpn: Vec<String>,
    /// In pieces of one byte the peers may fall out of step earlier or later: only the results are compared then, and
    /// each of the alternatives is right.
    pub timing: bool,
    /// How the client speaks: see the README.
    pub settings: Vec<String>,
    /// What the client is asked to do.
    pub client: Vec<Task>,
    /// What the server does.
    pub server: Vec<Step>,
    /// The events that must come out.
    pub trace: Vec<String>,
    /// Where it came from.
    pub path: PathBuf,
}

/// Who plays the client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A client for mail.
    Mail,
    /// A client for files.
    Files,
    /// A connection on its own.
    Connection,
}

impl Kind {
    /// In one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Files => "files",
            Self::Connection => "connection",
        }
    }
}

/// One thing the client is asked to do.
#[derive(Clone, Debug)]
pub struct Task {
    /// `connect`, `login`, `send`, `get` …
    pub verb: String,
    /// Its arguments; where one was left out that has a default, that.
    pub arguments: Vec<Vec<u8>>,
    /// The results that are right, the one of an undisturbed run first; none if it must not be reached.
    pub expected: Vec<String>,
}

/// One thing the server does, or waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Adds to the segment that goes out before the next step that waits.
    Say(Vec<u8>),
    /// Sends in clear text, whatever the connection is.
    Raw(Vec<u8>),
    /// Ends the segment.
    Break,
    /// Waits for exactly this line.
    Expect(Vec<u8>),
    /// Waits for a line that begins so.
    ExpectBeginning(Vec<u8>),
    /// Waits for exactly these bytes.
    ExpectBytes(Vec<u8>),
    /// Takes the client's side of a login by SCRAM, and gives the server's.
    Scram(Box<Scram>),
    /// Shakes hands.
    Tls,
    /// Shakes hands, and says this with the last of it.
    TlsWith(Vec<u8>),
    /// Begins a handshake that the client must not finish.
    TlsRefused,
    /// Waits for the first bytes of the client's handshake, and leaves them unanswered.
    Hello,
    /// Changes its keys, and asks the client to change its own (RFC 8446 §4.6.3).
    Rekey,
    /// Takes whatever comes, until the client closes.
    Swallow,
    /// Waits until the client closes.
    Gone,
    /// Ends our direction in order: close_notify under TLS.
    Close,
    /// Ends our direction without close_notify.
    Cut,
    /// Resets the connection.
    Reset,
    /// Waits for another control connection; the one before has had its time.
    Again,
    /// Waits for a data connection.
    DataOpen,
    /// Opens the data connection to where the client's EPRT or PORT says, and waits until it is open.
    DataConnect,
    /// Somebody else, from another address, connects there.
    DataStranger,
    /// Shakes hands on it.
    DataTls,
    /// Begins a handshake on it that the client must not finish.
    DataTlsRefused,
    /// Sends content on it.
    DataSay(Vec<u8>),
    /// Waits for exactly this content on it.
    DataExpect(Vec<u8>),
    /// Waits until the client ends it in order, with nothing more on it.
    DataEnd,
    /// Ends our direction of it in order.
    DataClose,
    /// Ends our direction of it without close_notify.
    DataCut,
    /// Resets it.
    DataReset,
}

/// What nobody writes on a connection on its own but under TLS.
pub const SECRET: &[u8] = b"pencil-secret";

impl Script {
    /// Reads a file.
    ///
    /// # Errors
    /// What cannot be read, with the line.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(path, &text)
    }

    /// Every file of a folder of the corpus, in order.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn load_all(folder: &Path) -> Result<Vec<Self>, String> {
        let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|suffix| suffix == "txt"));
        paths.sort();
        paths.iter().map(|path| Self::load(path)).collect()
    }

    fn parse(path: &Path, text: &str) -> Result<Self, String> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut script = Self {
            name,
            rows: Vec::new(),
            scheme: String::new(),
            plaintext: false,
            timeout: 10,
            certificate: Certificate::Good,
            data_certificate: None,
            tlsa: Vec::new(),
            alpn: Vec::new(),
            timing: false,
            settings: Vec::new(),
            client: Vec::new(),
            server: Vec::new(),
            trace: Vec::new(),
            path: path.to_owned(),
        };
        let mut section = "";
        for (number, line) in text.lines().enumerate() {
            let at = |why: String| format!("{}:{}: {why}", path.display(), number + 1);
            if let Some(item) = line.strip_prefix("  ") {
                match section {
                    "client" => script.client.push(task(item).map_err(at)?),
                    "server" => script.server.push(step(item).map_err(at)?),
                    "trace" => script.trace.push(item.to_owned()),
                    _ => return Err(at("an item outside of a section".into())),
                }
            } else if let Some((key, value)) = line.split_once(": ").filter(|_| !line.starts_with('#')) {
                script.header(key, value.trim()).map_err(at)?;
            } else if matches!(line, "client" | "server" | "trace") {
                section = line;
            } else if !line.is_empty() && !line.starts_with('#') {
                return Err(at(format!("neither header, section, item nor comment: {line}")));
            }
        }
        if script.kind() == Kind::Connection
            && script.protocol().is_none()
            && !["tcp", "tls"].contains(&&*script.scheme)
        {
            return Err(format!("{}: scheme {:?}", path.display(), script.scheme));
        }
        let recipe = script.recipe();
        script.client.iter_mut().for_each(|task| task.complete(recipe));
        Ok(script)
    }

    fn header(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "url" => {
                let (scheme, query) = value.split_once('?').map_or((value, None), |(s, q)| (s, Some(q)));
                self.scheme = scheme.to_owned();
                self.plaintext = match query {
                    None => false,
                    Some("tls=none") => true,
                    Some(other) => return Err(format!("query {other:?}")),
                };
            }
            "rows" => self.rows = value.split(' ').map(str::to_owned).collect(),
            "timeout" => self.timeout = value.parse().map_err(|_| format!("timeout {value:?}"))?,
            "certificate" => self.certificate = Certificate::parse(value)?,
            "data certificate" => self.data_certificate = Some(Certificate::parse(value)?),
            "tlsa" => self.tlsa.push(value.to_owned()),
            "settings" => {
                let text = |word: Vec<u8>| String::from_utf8(word).map_err(|error| error.to_string());
                self.settings = words(value)?.into_iter().map(text).collect::<Result<_, _>>()?;
            }
            "alpn" => self.alpn = value.split(' ').map(str::to_owned).collect(),
            "timing" => self.timing = value == "matters",
            _ => return Err(format!("unknown header {key:?}")),
        }
        Ok(())
    }

    /// Who plays the client's side.
    pub fn kind(&self) -> Kind {
        match self.scheme.as_str() {
            "smtp" | "smtps" | "lmtp" => Kind::Mail,
            "ftp" | "ftps" => Kind::Files,
            _ => Kind::Connection,
        }
    }

    /// When the connection becomes TLS.
    pub fn security(&self) -> Security {
        match self.scheme.as_str() {
            _ if self.plaintext => Security::Plaintext,
            "tls" => Security::Implicit,
            _ => self.protocol().map_or(Security::Upgrade, |(_, security)| security),
        }
    }

    /// How a connection on its own asks for TLS, if its protocol has a way.
    pub fn recipe(&self) -> Option<Recipe> {
        match self.protocol()? {
            (Protocol::Other(recipe), _) => Some(recipe),
            _ => None,
        }
    }

    fn protocol(&self) -> Option<(Protocol, Security)> {
        Url::parse(&self.url(1)).ok().map(|url| (url.protocol, url.security))
    }

    /// The URL of this session on a port, without credentials.
    pub fn url(&self, port: u16) -> String {
        let query = if self.plaintext { "?tls=none" } else { "" };
        format!("{}://127.0.0.1:{port}{query}", self.scheme)
    }

    /// What must never be seen in clear text, in a trace or in an error: passwords and tokens, raw and in Base64; on a
    /// connection on its own, the word [`SECRET`].
    pub fn secrets(&self) -> Vec<Vec<u8>> {
        let mut secrets = Vec::new();
        if self.client.iter().any(|task| task.verb == "write" && contains(&task.arguments[0], SECRET)) {
            secrets.push(SECRET.to_vec());
        }
        for task in self.client.iter().filter(|task| matches!(task.verb.as_str(), "login" | "login-token")) {
            let [user, password, ..] = task.arguments.as_slice() else { continue };
            if user == b"anonymous" {
                continue;
            }
            secrets.push(password.clone());
            secrets.push(BASE64_STANDARD.encode(password).into_bytes());
            secrets.push(BASE64_STANDARD.encode([b"\0", user.as_slice(), b"\0", password].concat()).into_bytes());
        }
        secrets
    }
}

impl Task {
    /// Puts the defaults in the place of what was left out.
    fn complete(&mut self, recipe: Option<Recipe>) {
        let number = |number: &str| Some(number.as_bytes().to_vec());
        let (at, default) = match self.verb.as_str() {
            "upgrade" => (0, recipe.map(|recipe| recipe.as_str().as_bytes().to_vec())),
            "read-line" => (0, number("8192")),
            "read" => (0, number("4096")),
            "read-until" => (1, number("65536")),
            _ => return,
        };
        if self.arguments.len() == at {
            self.arguments.extend(default);
        }
    }
}

fn task(item: &str) -> Result<Task, String> {
    let (item, expected) = match item.rsplit_once(" -> ") {
        Some((item, expected)) => (item, expected.split(" | ").map(str::to_owned).collect()),
        None => (item, Vec::new()),
    };
    let mut words = words(item)?;
    if words.is_empty() {
        return Err("no verb".into());
    }
    let verb = String::from_utf8(words.remove(0)).map_err(|error| error.to_string())?;
    Ok(Task { verb, arguments: words, expected })
}

fn step(item: &str) -> Result<Step, String> {
    let line = |text: &str| {
        unescape(text).map(|mut bytes| {
            bytes.extend_from_slice(b"\r\n");
            bytes
        })
    };
    if let Some(text) = item.strip_prefix("S: ").or_else(|| (item == "S:").then_some("")) {
        return Ok(Step::Say(line(text)?));
    }
    if let Some(text) = item.strip_prefix("C: ").or_else(|| (item == "C:").then_some("")) {
        return Ok(Step::Expect(unescape(text)?));
    }
    if let Some(text) = item.strip_prefix("C~ ") {
        return Ok(Step::ExpectBeginning(unescape(text)?));
    }
    if let Some(text) = item.strip_prefix("C+ ") {
        return Ok(Step::ExpectBytes(unescape(text)?));
    }
    if let Some(text) = item.strip_prefix("TLS with ") {
        return Ok(Step::TlsWith(line(text)?));
    }
    if let Some(text) = item.strip_prefix("S+ ") {
        return Ok(Step::Say(unescape(text)?));
    }
    if let Some(text) = item.strip_prefix("S* ") {
        let (times, text) = text.split_once(' ').ok_or("S* N TEXT")?;
        let times: usize = times.parse().map_err(|_| "S* N TEXT")?;
        return Ok(Step::Say(unescape(text)?.repeat(times)));
    }
    if let Some(text) = item.strip_prefix("raw: ") {
        return Ok(Step::Raw(line(text)?));
    }
    if let Some(text) = item.strip_prefix("data S* ") {
        let (times, text) = text.split_once(' ').ok_or("data S* N TEXT")?;
        let times: usize = times.parse().map_err(|_| "data S* N TEXT")?;
        return Ok(Step::DataSay(unescape(text)?.repeat(times)));
    }
    if let Some(text) = item.strip_prefix("SCRAM ") {
        let words = words(text)?.into_iter().map(String::from_utf8).collect::<Result<Vec<_>, _>>();
        let scram = Scram::parse(&words.map_err(|error| error.to_string())?)?;
        return Ok(Step::Scram(Box::new(scram)));
    }
    let content = |text: &str| Ok::<_, String>(words(text)?.concat());
    if let Some(text) = item.strip_prefix("data S ") {
        return content(text).map(Step::DataSay);
    }
    if let Some(text) = item.strip_prefix("data C ") {
        return content(text).map(Step::DataExpect);
    }
    Ok(match item {
        "break" => Step::Break,
        "TLS" => Step::Tls,
        "TLS refused" => Step::TlsRefused,
        "hello" => Step::Hello,
        "rekey" => Step::Rekey,
        "swallow" => Step::Swallow,
        "gone" => Step::Gone,
        "close" => Step::Close,
        "cut" => Step::Cut,
        "reset" => Step::Reset,
        "data connect" => Step::DataConnect,
        "data stranger" => Step::DataStranger,
        "again" => Step::Again,
        "data open" => Step::DataOpen,
        "data TLS" => Step::DataTls,
        "data TLS refused" => Step::DataTlsRefused,
        "data end" => Step::DataEnd,
        "data close" => Step::DataClose,
        "data cut" => Step::DataCut,
        "data reset" => Step::DataReset,
        other => return Err(format!("unknown step {other:?}")),
    })
}
