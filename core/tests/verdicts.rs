//! Servers that answer what they should not, or when they should not: what each message is told of it.
#![allow(missing_docs, clippy::unwrap_used)]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use starttls::smtp::{
    Body, Client, DeliveryReport, Envelope, MemoryBody, Outcome, Pipeline, RecipientPolicy, ServerMemory, Settings,
};
use starttls::transport::{ChannelId, Endpoint, Host, Hosted, Request};
use starttls::{Error, Options, Security};

/// A server that gives the answer of `answer` to each command, to the end of DATA (`.`) and to each chunk.
struct Peer<A> {
    host: Host,
    channel: Option<ChannelId>,
    input: Vec<u8>,
    data: bool,
    chunk: Option<(String, usize)>,
    heard: Vec<String>,
    /// Lines of bodies.
    lines: Vec<String>,
    /// Commands that came while an answer was still to be read.
    early: Vec<String>,
    answers: String,
    answer: A,
}

/// What a server says to EHLO.
fn offers(words: &[&str]) -> String {
    let words: String = words.iter().map(|word| format!("250-{word}\r\n")).collect();
    format!("250-peer.example\r\n{words}250 HELP\r\n")
}

impl<A: FnMut(&str, usize) -> String> Peer<A> {
    fn new(answer: A) -> Self {
        let (channel, input, heard, early) = (None, Vec::new(), Vec::new(), Vec::new());
        let lines = Vec::new();
        let answers = "220 hi\r\n".to_owned();
        Self { host: Host::new(), channel, input, data: false, chunk: None, heard, lines, early, answers, answer }
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        loop {
            if let Some((command, size)) = &self.chunk {
                if self.input.len() < *size {
                    return;
                }
                self.input.drain(..*size);
                let command = command.clone();
                self.chunk = None;
                self.say(&command);
                continue;
            }
            let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") else { return };
            let line: Vec<u8> = self.input.drain(..end + 2).collect();
            let line = String::from_utf8_lossy(&line[..end]).into_owned();
            if self.data {
                if line == "." {
                    self.data = false;
                    self.say(".");
                } else {
                    self.lines.push(line);
                }
            } else if let Some(rest) = line.strip_prefix("BDAT ") {
                let size = rest.split(' ').next().unwrap().parse().unwrap();
                self.chunk = Some((line, size));
            } else {
                self.say(&line);
            }
        }
    }

    fn say(&mut self, command: &str) {
        if !self.answers.is_empty() {
            self.early.push(command.to_owned());
        }
        let times = self.heard.iter().filter(|heard| heard[..4.min(heard.len())] == command[..4.min(command.len())]);
        let said = (self.answer)(command, times.count());
        assert!(self.heard.len() < 1000, "the client goes on for ever: {:?}", &self.heard[..20]);
        self.heard.push(command.to_owned());
        if command == "DATA" && said.starts_with("354") {
            self.data = true;
        }
        self.answers.push_str(&said);
    }

    /// Runs `work`, for so many turns at most.
    fn run<T>(&mut self, work: impl Future<Output = T>, turns: usize) -> Option<T> {
        let mut work = pin!(work);
        for _ in 0..turns {
            if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return Some(done);
            }
            while let Some(request) = self.host.next_request() {
                match request {
                    Request::Connect { channel, .. } => {
                        self.host.connected(channel, None);
                        self.channel = Some(channel);
                    }
                    Request::Write { channel, bytes } => {
                        self.host.written(channel, bytes.len());
                        self.hear(&bytes);
                    }
                    _ => {}
                }
            }
            if let Some(channel) = self.channel {
                let said = std::mem::take(&mut self.answers);
                let (said, gone) = said.strip_suffix("<end>").map_or((said.as_str(), false), |said| (said, true));
                let (said, reset) = said.strip_suffix("<reset>").map_or((said, false), |said| (said, true));
                if !said.is_empty() {
                    self.host.received(channel, said.as_bytes());
                }
                if reset {
                    self.host.failed(channel, std::io::ErrorKind::ConnectionReset, "reset");
                }
                if gone {
                    self.host.received_eof(channel);
                }
            }
        }
        None
    }

    fn open(&mut self, settings: &Settings) -> Client<Hosted> {
        let endpoint = Endpoint { host: "peer.example".into(), port: 587 };
        let options = Options { security: Security::Plaintext, ..Options::default() };
        let transport = self.host.transport();
        self.run(Client::connect_with(transport, &endpoint, options, settings), 100).unwrap().unwrap()
    }

    fn send(&mut self, client: &mut Client<Hosted>, envelope: &Envelope) -> Result<DeliveryReport, Error> {
        self.run(client.send(envelope, b"text\r\n"), 1000).expect("the client waits for ever")
    }
}

fn settings() -> Settings {
    Settings { memory: ServerMemory::new(), ..Settings::default() }
}

fn envelope(recipients: &[&str]) -> Envelope {
    Envelope::new("a@example.org", recipients).unwrap()
}

fn verb(command: &str) -> &str {
    &command[..4.min(command.len())]
}

#[test]
fn the_good_bye_of_a_single_message_shares_its_flight() {
    let mut peer = Peer::new(|command, _| match verb(command) {
        "EHLO" => offers(&["PIPELINING", "CHUNKING"]),
        "QUIT" => "221 bye\r\n<end>".into(),
        _ => "250 ok\r\n".into(),
    });
    let client = peer.open(&settings());
    let body = MemoryBody::new(b"text\r\n".to_vec());
    let report = peer.run(client.send_and_quit(&envelope(&["b@example.org"]), body), 100).unwrap().unwrap();
    assert_eq!(report.outcome(), Outcome::Accepted);
    assert_eq!(
        peer.heard.iter().map(|command| verb(command)).collect::<Vec<_>>(),
        ["EHLO", "MAIL", "RCPT", "BDAT", "QUIT"]
    );
    // Said while the answers to the command before were still to be read: all of a flight but its first.
    assert_eq!(peer.early.iter().map(|command| verb(command)).collect::<Vec<_>>(), ["RCPT", "BDAT", "QUIT"]);
}

#[test]
fn no_room_after_the_body_is_a_verdict_and_no_invitation() {
    let mut peer = Peer::new(|command, _| match verb(command) {
        "LHLO" => offers(&["PIPELINING"]),
        "DATA" => "354 go\r\n".into(),
        "." => "452 no space for it\r\n552 over quota\r\n".into(),
        _ => "250 ok\r\n".into(),
    });
    let mut client = peer.open(&Settings { lmtp: true, ..settings() });
    let report = peer.send(&mut client, &envelope(&["b@example.org", "c@example.org"])).unwrap();
    assert_eq!(report.outcome(), Outcome::Refused);
    assert_eq!(peer.heard.iter().filter(|command| *command == ".").count(), 1);
}

#[test]
fn no_room_told_by_prdr_is_a_verdict_and_no_invitation() {
    let mut peer = Peer::new(|command, _| match verb(command) {
        "EHLO" => offers(&["PIPELINING", "PRDR"]),
        "DATA" => "354 go\r\n".into(),
        "." => "353 each\r\n250 ok\r\n452 no space for it\r\n250 queued\r\n".into(),
        _ => "250 ok\r\n".into(),
    });
    let mut client = peer.open(&settings());
    let report = peer.send(&mut client, &envelope(&["b@example.org", "c@example.org"])).unwrap();
    assert_eq!(report.outcome(), Outcome::Partial);
    assert_eq!(peer.heard.iter().filter(|command| *command == ".").count(), 1);
}

#[test]
fn all_or_none_asks_for_one_verdict_on_all() {
    let mut peer = Peer::new(|command, _| match verb(command) {
        "EHLO" => offers(&["PIPELINING", "PRDR"]),
        "DATA" => "354 go\r\n".into(),
        _ => "250 ok\r\n".into(),
    });
    let mut client = peer.open(&settings());
    let mut envelope = envelope(&["b@example.org", "c@example.org"]);
    envelope.recipient_policy = RecipientPolicy::All;
    let report = peer.send(&mut client, &envelope).unwrap();
    assert_eq!(report.outcome(), Outcome::Accepted);
    assert!(peer.heard.iter().all(|command| !command.contains("PRDR")), "{:?}", peer.heard);
}

#[test]
fn all_or_none_is_one_transaction() {
    let mut peer = Peer::new(|command, _| match verb(command) {
        "EHLO" => offers(&["PIPELINING", "CHUNKING", "LIMITS RCPTDOMAINMAX=1"]),
        _ if command.contains("@c.example") => "550 no\r\n".into(),
        _ => "250 ok\r\n".into(),
    });
    let mut client = peer.open(&settings());
    let mut envelope = envelope(&["x@b.example", "y@B.example"]);
    envelope.recipient_policy = RecipientPolicy::All;
    assert_eq!(peer.send(&mut client, &envelope).unwrap().outcome(), Outcome::Accepted);
    let heard = peer.heard.len();
    envelope =
        Envelope { recipients: vec!["x@b.example".parse().unwrap(), "y@c.example".parse().unwrap()], ..envelope };
    let error = peer.send(&mut client, &envelope).unwrap_err();
    assert!(error.to_string().contains("all or none"), "{error}");
    assert_eq!(peer.heard.len(), heard, "nothing was said");
}

#[test]
fn without_pipelining_every_command_waits() {
    for chunking in ["CHUNKING", "X-NONE"] {
        let mut peer = Peer::new(|command, _| match verb(command) {
            "EHLO" => offers(&[chunking]),
            "DATA" => "354 go\r\n".into(),
            _ => "250 ok\r\n".into(),
        });
        let mut client = peer.open(&settings());
        let letters = (0..3).map(|_| (envelope(&["b@example.org"]), MemoryBody::new(b"text\r\n")));
        let mut many = client.send_many(letters);
        while let Some(report) = peer.run(many.next(), 1000).expect("the client waits for ever") {
            assert_eq!(report.unwrap().outcome(), Outcome::Accepted);
        }
        assert!(peer.early.is_empty(), "{chunking}: {:?}", peer.early);
    }
}

#[test]
fn who_is_refused_at_once_is_not_unknown() {
    // An idle session that the server has ended: 421 to MAIL, and the end.
    let mut peer = Peer::new(|command, _| match verb(command) {
        "EHLO" => offers(&["PIPELINING", "CHUNKING"]),
        "MAIL" => "421 4.4.2 idle for too long\r\n<end>".into(),
        _ => String::new(),
    });
    let mut client = peer.open(&settings());
    let report = peer.send(&mut client, &envelope(&["b@example.org"])).unwrap();
    assert_eq!((report.outcome(), report.reply().unwrap().code().number()), (Outcome::Refused, 421));
    // Nobody is accepted, and the end comes before the verdict.
    let mut peer = Peer::new(|command, _| match verb(command) {
        "EHLO" => offers(&["PIPELINING", "CHUNKING"]),
        "RCPT" => "550 nobody\r\n".into(),
        "BDAT" => "<end>".into(),
        _ => "250 ok\r\n".into(),
    });
    let mut client = peer.open(&settings());
    let outcome = peer.send(&mut client, &envelope(&["b@example.org"]));
    assert!(!outcome.is_ok_and(|report| report.outcome() == Outcome::Unknown));
}

#[test]
fn an_answer_that_is_neither_yes_nor_no_ends_the_session() {
    for (command, nonsense) in [
        ("MAIL", "150 wait\r\n"),
        ("MAIL", "354 go\r\n"),
        ("RCPT", "150 wait\r\n"),
        ("RCPT", "334 \r\n"),
        ("DATA", "150 wait\r\n"),
        ("BDAT", "150 wait\r\n"),
        ("BDAT", "354 go\r\n"),
    ] {
        let chunking = if command == "DATA" { "X-NONE" } else { "CHUNKING" };
        let mut peer = Peer::new(|said, times| match verb(said) {
            "EHLO" => offers(&["PIPELINING", chunking]),
            // In front of the true answer, so that all others are one behind.
            it if it == command && times == 1 => format!("{nonsense}250 ok\r\n"),
            "DATA" => "354 go\r\n".into(),
            _ => "250 ok\r\n".into(),
        });
        let mut client = peer.open(&settings());
        let letters = (0..4).map(|_| (envelope(&["b@example.org", "c@example.org"]), MemoryBody::new(b"text\r\n")));
        let mut many = client.send_many(letters);
        let mut last = None;
        while let Some(report) = peer.run(many.next(), 1000).expect("the client waits for ever") {
            last = Some(report);
        }
        drop(many);
        assert!(client.is_closed(), "{command} {nonsense}: {last:?}");
        let told = last.unwrap();
        assert!(told.is_err() || told.is_ok_and(|told| told.outcome() == Outcome::Unknown), "{command} {nonsense}");
    }
}

#[test]
fn a_cancelled_push_ends_the_window() {
    // The body is larger than what may wait to be written, so that it is cut in the middle.
    let mut peer = Peer::new(|command, _| match verb(command) {
        "EHLO" => offers(&["PIPELINING", "CHUNKING"]),
        _ => "250 ok\r\n".into(),
    });
    let mut client = peer.open(&settings());
    let mut pipeline = Pipeline::new();
    let large = vec![b'x'; 4 << 20];
    peer.run(pipeline.push(&mut client, envelope(&["b@example.org"]), MemoryBody::new(b"text\r\n".to_vec())), 1)
        .unwrap();
    let cancelled = peer.run(pipeline.push(&mut client, envelope(&["b@example.org"]), MemoryBody::new(large)), 1);
    assert!(cancelled.is_none());
    peer.run(pipeline.push(&mut client, envelope(&["c@example.org"]), MemoryBody::new(b"text\r\n".to_vec())), 1000);
    let mut reports = Vec::new();
    while let Some(report) = peer.run(pipeline.next(&mut client), 1000).expect("the client waits for ever") {
        reports.push(report);
    }
    assert_eq!(reports.len(), 3);
    assert!(reports[1].is_err() && reports[2].is_err(), "{reports:?}");
    assert!(client.is_closed());
    assert!(peer.heard.iter().all(|heard| !heard.contains("c@example.org")), "{:?}", peer.heard);
    assert!(!String::from_utf8_lossy(&peer.input).contains("c@example.org"), "a command in a body");
}
#[test]
fn nothing_is_said_into_a_body_that_failed() {
    struct Torn(bool, bool);
    impl Body for Torn {
        fn size(&self) -> Option<u64> {
            None
        }
        fn next(&mut self) -> std::io::Result<Option<&[u8]>> {
            match (std::mem::replace(&mut self.1, true), self.0) {
                (false, _) => Ok(Some(b"text\r\n")),
                (true, true) => Err(std::io::Error::other("the disk is gone")),
                (true, false) => Ok(None),
            }
        }
        fn rewind(&mut self) -> std::io::Result<bool> {
            self.1 = false;
            Ok(true)
        }
    }
    let mut peer = Peer::new(|command, _| match verb(command) {
        "EHLO" => offers(&["PIPELINING"]),
        "DATA" => "354 go\r\n".into(),
        "RCPT" if command.contains("later@") => "452 too many\r\n".into(),
        _ => "250 ok\r\n".into(),
    });
    let mut client = peer.open(&settings());
    let letters = [false, true].map(|fails| (envelope(&["now@b.example", "later@b.example"]), Torn(fails, false)));
    let mut many = client.send_many(letters);
    let first = peer.run(many.next(), 1000).unwrap().unwrap().unwrap();
    assert_eq!(
        (first.outcome(), first.recipients()[1].reply.as_ref().unwrap().code().number()),
        (Outcome::Partial, 452)
    );
    assert!(first.error().is_some());
    assert!(peer.run(many.next(), 1000).unwrap().unwrap().is_err());
    assert!(peer.data && peer.lines.iter().all(|line| line == "text"), "{:?}", peer.lines);
    assert_eq!(peer.heard.iter().filter(|heard| verb(heard) == "MAIL").count(), 2, "{:?}", peer.heard);
}
#[test]
fn the_reason_of_a_server_that_hangs_up_is_its_own() {
    // The message before is accepted, one recipient of this one refused, then its first chunk, and the line is cut.
    let mut peer = Peer::new(|command, times| match verb(command) {
        "EHLO" => offers(&["PIPELINING", "CHUNKING"]),
        "RCPT" if command.contains("nobody@") => "550 5.1.1 nobody\r\n".into(),
        "BDAT" if times == 1 => "552 5.3.4 too large\r\n<reset>".into(),
        _ => "250 ok\r\n".into(),
    });
    let mut client = peer.open(&Settings { chunk_size: 128 * 1024, ..settings() });
    let letters = [
        (envelope(&["b@example.org"]), MemoryBody::new(b"text\r\n".to_vec())),
        (envelope(&["nobody@example.org", "b@example.org"]), MemoryBody::new(b"text\r\n".repeat(1 << 20))),
    ];
    let mut many = client.send_many(letters);
    let first = peer.run(many.next(), 1000).unwrap().unwrap().unwrap();
    assert_eq!(first.outcome(), Outcome::Accepted);
    let error = peer.run(many.next(), 1000).unwrap().unwrap().unwrap_err();
    assert_eq!(error.reply().unwrap().code().number(), 552, "{error}");
}
#[test]
fn a_verdict_that_came_before_the_line_was_cut_counts() {
    let mut peer = Peer::new(|command, _| match verb(command) {
        "EHLO" => offers(&["PIPELINING", "CHUNKING"]),
        "BDAT" => "250 ok\r\n<reset>".into(),
        _ => "250 ok\r\n".into(),
    });
    let mut client = peer.open(&settings());
    let mut pipeline = Pipeline::new();
    let body = || MemoryBody::new(b"text\r\n");
    peer.run(pipeline.push(&mut client, envelope(&["b@example.org"]), body()), 1).unwrap();
    peer.run(pipeline.flush(&mut client), 1).unwrap();
    // The verdict is there, and the connection is not.
    peer.run(std::future::pending::<()>(), 3);
    peer.run(pipeline.push(&mut client, envelope(&["b@example.org"]), body()), 1).unwrap();
    let first = peer.run(pipeline.next(&mut client), 1000).unwrap().unwrap();
    assert_eq!(first.unwrap().outcome(), Outcome::Accepted);
    let second = peer.run(pipeline.next(&mut client), 1000).unwrap().unwrap();
    assert!(second.is_ok_and(|report| report.outcome() == Outcome::Unknown));
}

#[test]
fn transactions_are_counted_and_not_messages() {
    let mut peer = Peer::new(|command, _| match verb(command) {
        "EHLO" => offers(&["PIPELINING", "CHUNKING", "LIMITS RCPTMAX=1 MAILMAX=2"]),
        _ => "250 ok\r\n".into(),
    });
    let mut client = peer.open(&settings());
    let report = peer.send(&mut client, &envelope(&["b@example.org", "c@example.org", "d@example.org"])).unwrap();
    assert_eq!(report.outcome(), Outcome::Partial);
    assert!(report.error().unwrap().to_string().contains("2 messages"), "{report:?}");
    assert!(report.recipients()[2].reply.is_none());
    assert_eq!(peer.heard.iter().filter(|heard| verb(heard) == "MAIL").count(), 2);
}
