//! A mail server as the RFCs have it, at its nastiest where they leave room: it forgets no envelope before RSET, refuses
//! commands out of order, and says what it delivered.

use std::collections::VecDeque;

use starttls::transport::ChannelId;

/// What it offers, and where it stops taking recipients.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Offers {
    pub(crate) pipelining: bool,
    pub(crate) chunking: bool,
    pub(crate) prdr: bool,
    pub(crate) lmtp: bool,
    /// A message for more than it has room for is refused as a whole.
    pub(crate) strict: bool,
    /// Recipients of one envelope; more get 452, or 552.
    pub(crate) room: Option<usize>,
    /// LIMITS RCPTMAX.
    pub(crate) told: Option<usize>,
    pub(crate) limit_code: u16,
}

/// One message for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) sender: String,
    pub(crate) recipient: String,
    pub(crate) message: Vec<u8>,
}

#[derive(Debug)]
enum State {
    Commands,
    Data(Vec<u8>),
    Chunk { left: usize, last: bool },
}

/// Addresses and bodies say what becomes of them: a sender `s-refused…`, a recipient `r-refused…`, one that is refused
/// after the body by PRDR or LMTP, `late-refused…`, a body with `REFUSE-END`, a chunk with `REFUSE-CHUNK`.
pub(crate) struct Model {
    offers: Offers,
    state: State,
    sender: Option<String>,
    prdr: bool,
    recipients: Vec<String>,
    /// Chunks so far.
    message: Vec<u8>,
    /// A recipient was refused for want of room.
    crowded: bool,
    /// A chunk was refused: only RSET helps.
    spoilt: bool,
    input: Vec<u8>,
    /// The connection, for those who drive it in steps.
    pub(crate) channel: Option<ChannelId>,
    pub(crate) replies: VecDeque<u8>,
    pub(crate) delivered: Vec<Delivered>,
    /// Commands that no client should send.
    pub(crate) nonsense: Vec<String>,
}

impl Model {
    pub(crate) fn new(offers: Offers) -> Self {
        Self {
            offers,
            state: State::Commands,
            sender: None,
            prdr: false,
            recipients: Vec::new(),
            message: Vec::new(),
            crowded: false,
            spoilt: false,
            input: Vec::new(),
            channel: None,
            replies: b"220 model\r\n".to_vec().into(),
            delivered: Vec::new(),
            nonsense: Vec::new(),
        }
    }

    fn say(&mut self, line: &str) {
        self.replies.extend(line.bytes());
        self.replies.extend(b"\r\n");
    }

    fn reset(&mut self) {
        self.sender = None;
        self.recipients.clear();
        self.message.clear();
        self.spoilt = false;
        self.crowded = false;
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        loop {
            match &mut self.state {
                State::Commands => {
                    let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") else { return };
                    let line: Vec<u8> = self.input.drain(..end + 2).collect();
                    let line = String::from_utf8_lossy(&line[..end]).into_owned();
                    self.command(&line);
                }
                State::Data(body) => {
                    let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") else { return };
                    let line: Vec<u8> = self.input.drain(..end + 2).collect();
                    if line == b".\r\n" {
                        self.message = std::mem::take(body);
                        self.state = State::Commands;
                        self.end();
                        self.reset();
                    } else {
                        body.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
                    }
                }
                State::Chunk { left, last } => {
                    if self.input.len() < *left {
                        return;
                    }
                    let chunk: Vec<u8> = self.input.drain(..*left).collect();
                    let last = *last;
                    self.state = State::Commands;
                    self.chunk(&chunk, last);
                }
            }
        }
    }

    fn chunk(&mut self, chunk: &[u8], last: bool) {
        if self.sender.is_none() || self.recipients.is_empty() {
            self.spoilt = true;
            return self.say("503 5.5.1 no valid recipients");
        }
        if self.spoilt || (self.crowded && self.offers.strict) {
            self.spoilt = true;
            return self.say("554 5.5.3 not this transaction");
        }
        self.message.extend_from_slice(chunk);
        if chunk.windows(12).any(|bytes| bytes == b"REFUSE-CHUNK") {
            self.spoilt = true;
            self.say("552 5.3.4 not this chunk");
        } else if last {
            let refused = self.end();
            // The envelope of a message that was refused stays open: the letter of RFC 3030 lets it.
            if refused { self.spoilt = true } else { self.reset() }
        } else {
            self.say("250 2.0.0 chunk");
        }
    }

    /// The end of a message; whether it was refused as a whole.
    fn end(&mut self) -> bool {
        let refused = self.message.windows(10).any(|bytes| bytes == b"REFUSE-END");
        let recipients = self.recipients.clone();
        let late = |recipient: &String| recipient.starts_with("late-refused");
        let each = self.offers.lmtp || (self.prdr && recipients.len() > 1);
        if self.prdr && each && !self.offers.lmtp {
            self.say("353 each by itself");
        }
        for recipient in &recipients {
            let no = refused || (each && late(recipient));
            if each {
                self.say(if no { "550 5.7.1 not for this one" } else { "250 2.1.5 delivered" });
            }
            if !no {
                let (sender, message) = (self.sender.clone().unwrap_or_default(), self.message.clone());
                self.delivered.push(Delivered { sender, recipient: recipient.clone(), message });
            }
        }
        if !self.offers.lmtp {
            self.say(if refused { "554 5.7.1 not this message" } else { "250 2.0.0 queued as M1" });
        }
        refused
    }

    fn command(&mut self, line: &str) {
        let upper = line.to_ascii_uppercase();
        let address = || line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        if upper.starts_with("EHLO") || upper.starts_with("LHLO") {
            let mut words = vec!["model".to_owned(), "ENHANCEDSTATUSCODES".into(), "8BITMIME".into()];
            let Offers { pipelining, chunking, prdr, told, .. } = self.offers;
            words.extend(pipelining.then(|| "PIPELINING".to_owned()));
            words.extend(chunking.then(|| "CHUNKING".to_owned()));
            words.extend(prdr.then(|| "PRDR".to_owned()));
            words.extend(told.map(|most| format!("LIMITS RCPTMAX={most}")));
            let last = words.len() - 1;
            for (i, word) in words.iter().enumerate() {
                self.say(&format!("250{}{word}", if i == last { ' ' } else { '-' }));
            }
        } else if upper.starts_with("MAIL") {
            if self.sender.is_some() || self.spoilt {
                self.nonsense.push(format!("nested: {line}"));
                return self.say("503 5.5.1 nested MAIL");
            }
            let sender = address();
            if sender.starts_with("s-refused") {
                return self.say("550 5.1.8 not from you");
            }
            self.prdr = upper.contains(" PRDR");
            self.sender = Some(sender);
            self.say("250 2.1.0 ok");
        } else if upper.starts_with("RCPT") {
            let recipient = address();
            if self.sender.is_none() {
                return self.say("503 5.5.1 MAIL first");
            }
            if recipient.starts_with("r-refused") {
                return self.say("550 5.1.1 nobody");
            }
            if self.offers.room.is_some_and(|room| self.recipients.len() >= room) {
                let code = self.offers.limit_code;
                self.crowded = true;
                return self.say(&format!("{code} {}.5.3 too many", code / 100));
            }
            self.recipients.push(recipient);
            self.say("250 2.1.5 ok");
        } else if upper == "DATA" {
            if self.sender.is_none() || self.recipients.is_empty() {
                return self.say("554 5.5.1 no valid recipients");
            }
            if self.crowded && self.offers.strict {
                return self.say("554 5.5.3 too many recipients");
            }
            self.state = State::Data(Vec::new());
            self.say("354 go on");
        } else if let Some(rest) = upper.strip_prefix("BDAT ") {
            let mut words = rest.split(' ');
            let left = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
            self.state = State::Chunk { left, last: words.next() == Some("LAST") };
        } else if upper == "RSET" {
            self.reset();
            self.say("250 2.0.0 reset");
        } else if upper == "QUIT" {
            self.say("221 2.0.0 bye");
        } else {
            self.nonsense.push(line.to_owned());
            self.say("500 5.5.2 what");
        }
    }
}
