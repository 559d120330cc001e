//! Messages in flight against a model of a server: whatever is refused, and wherever the connection is cut, each report
//! tells what happened to its own message, and no message reaches anybody it was not for.
#![allow(missing_docs, clippy::unwrap_used)]

mod model;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use model::{Delivered, Model, Offers};
use starttls::smtp::{
    Client, DeliveryReport, Envelope, LineEncoder, LineEnds, MemoryBody, Outcome, ReaderBody, RecipientPolicy,
    ServerMemory, Settings,
};
use starttls::transport::{Endpoint, Host, Request};
use starttls::{Error, Options, Security};

/// Random numbers, the same ones for the same seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

fn letter(dice: &mut Dice, number: usize) -> (Envelope, Vec<u8>) {
    let sender = if dice.one_in(8) { "s-refused" } else { "sender" };
    let count = if dice.one_in(3) { 1 + dice.below(9) } else { 1 };
    let recipients = (0..count).map(|i| {
        let kind = ["r", "r", "r", "r", "r", "r", "r-refused", "late-refused"][dice.below(8) as usize];
        format!("{kind}-{i}@m{number}.example")
    });
    let mut envelope = Envelope::new(&format!("{sender}-{number}@example.org"), recipients).unwrap();
    if dice.one_in(6) {
        envelope.recipient_policy = RecipientPolicy::All;
    }
    let mut body = format!("Subject: {number}\r\n\r\n").into_bytes();
    for _ in 0..dice.below(30) {
        let pieces: [&[u8]; 7] = [b"text\r\n", b".\r\n", b"..dots\r\n", b"\n", b"\r", b"more text", b"\r\n.\r\n"];
        body.extend_from_slice(pieces[dice.below(7) as usize]);
    }
    if dice.one_in(20) {
        body.extend(std::iter::repeat_n(b"0123456789 a line of a longer body\r\n", 100).flatten());
    }
    if dice.one_in(7) {
        body.extend_from_slice(b"REFUSE-END\r\n");
    }
    if dice.one_in(9) {
        body.extend_from_slice(b"REFUSE-CHUNK\r\n");
    }
    (envelope, body)
}

fn on_the_wire(body: &[u8]) -> Vec<u8> {
    let (mut lines, mut wire) = (LineEncoder::for_chunks(LineEnds::Normalise), Vec::new());
    lines.push(body, &mut wire).unwrap();
    lines.finish(&mut wire).unwrap();
    wire
}

struct Played {
    letters: Vec<(Envelope, Vec<u8>)>,
    reports: Vec<Result<DeliveryReport, Error>>,
    delivered: Vec<Delivered>,
    nonsense: Vec<String>,
    /// Bytes the server said.
    said: usize,
    /// The bodies can be read once only.
    readers: bool,
}

/// Sends `letters`, and cuts the connection behind so many bytes of the server's.
fn play(
    dice: &mut Dice,
    offers: Offers,
    chunk_size: usize,
    letters: Vec<(Envelope, Vec<u8>)>,
    cut: Option<usize>,
) -> Option<Played> {
    let host = Host::new();
    let endpoint = Endpoint { host: "model.example".into(), port: 587 };
    let options = Options { security: Security::Plaintext, ..Options::default() };
    let settings = Settings { chunk_size, lmtp: offers.lmtp, memory: ServerMemory::new(), ..Settings::default() };
    let sent = letters.clone();
    let readers = dice.one_in(4);
    let client = async {
        let mut client = Client::connect_with(host.transport(), &endpoint, options, &settings).await?;
        let mut reports = Vec::new();
        if readers {
            // A body that can be read once only.
            let letters = sent.iter().map(|(e, body)| (e.clone(), ReaderBody::new(body.as_slice(), None)));
            let mut many = client.send_many(letters);
            while let Some(report) = many.next().await {
                reports.push(report);
            }
        } else {
            let letters = sent.iter().map(|(e, body)| (e.clone(), MemoryBody::new(body.as_slice())));
            let mut many = client.send_many(letters);
            while let Some(report) = many.next().await {
                reports.push(report);
            }
        }
        Ok::<_, Error>(reports)
    };
    let mut client = pin!(client);
    let (mut model, mut channel, mut said) = (Model::new(offers), None, 0);
    for _ in 0..10_000_000_u32 {
        if let Poll::Ready(reports) = client.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            // A cut before the session began is no case of ours.
            let reports = reports.ok()?;
            return Some(Played {
                letters,
                reports,
                delivered: model.delivered,
                nonsense: model.nonsense,
                said,
                readers,
            });
        }
        while let Some(request) = host.next_request() {
            match request {
                Request::Connect { channel: id, .. } => {
                    host.connected(id, None);
                    channel = Some(id);
                }
                Request::Write { channel, bytes } => {
                    host.written(channel, bytes.len());
                    if cut.is_none_or(|cut| said < cut) {
                        model.receive(&bytes);
                    }
                }
                _ => {}
            }
        }
        let Some(channel) = channel else { continue };
        let most = 1 + dice.below(400) as usize;
        let most = cut.map_or(most, |cut| most.min(cut - said));
        let piece: Vec<u8> = (0..most.min(model.replies.len())).filter_map(|_| model.replies.pop_front()).collect();
        said += piece.len();
        if !piece.is_empty() {
            host.received(channel, &piece);
        }
        if cut == Some(said) {
            host.received_eof(channel);
        }
    }
    panic!("the client waits for ever");
}

fn check(played: &Played, cut: bool) {
    let Played { letters, reports, delivered, nonsense, .. } = played;
    assert_eq!(letters.len(), reports.len(), "a report for each message");
    assert!(nonsense.is_empty(), "{nonsense:?}");
    for (number, ((envelope, body), report)) in letters.iter().zip(reports).enumerate() {
        let domain = format!("@m{number}.example");
        let arrived: Vec<_> = delivered.iter().filter(|one| one.recipient.ends_with(&domain)).collect();
        let sender = envelope.sender.as_ref().unwrap().as_str();
        for one in &arrived {
            assert_eq!(one.sender, sender, "the sender is its own");
            assert_eq!(one.message, on_the_wire(body), "the message is its own, and whole");
            let twice = arrived.iter().filter(|other| other.recipient == one.recipient).count();
            assert_eq!(twice, 1, "{} got it twice", one.recipient);
        }
        let has = |recipient: &str| arrived.iter().any(|one| one.recipient == recipient);
        let report = match report {
            Ok(report) => report,
            Err(error) => {
                assert!(arrived.is_empty(), "message {number} was delivered, and the report says not sent: {error}");
                assert!(cut, "message {number} fails without a cut: {error}");
                continue;
            }
        };
        assert!(cut || report.outcome() != Outcome::Unknown, "nothing is unknown without a cut: {report:?}");
        for verdict in report.recipients() {
            let there = has(verdict.recipient.as_str());
            match (report.outcome(), verdict.is_accepted()) {
                // It may have been.
                (Outcome::Unknown, true) => {}
                (_, told) => assert_eq!(there, told, "{} of {report:?}", verdict.recipient),
            }
        }
        assert_eq!(report.recipients().len(), envelope.recipients.len());
        let refused = |words: &[u8]| body.windows(words.len()).any(|bytes| bytes == words);
        let good = sender.starts_with("sender") && !refused(b"REFUSE-END") && !refused(b"REFUSE-CHUNK");
        if good && !cut && !played.readers && envelope.recipient_policy == RecipientPolicy::Any {
            for recipient in envelope.recipients.iter().map(|recipient| recipient.mailbox.as_str()) {
                assert!(
                    has(recipient) || !recipient.starts_with("r-") || recipient.starts_with("r-refused"),
                    "{report:?}"
                );
            }
        }
        if envelope.recipient_policy == RecipientPolicy::All && !cut {
            assert_ne!(report.outcome(), Outcome::Partial, "all or none: {report:?}");
        }
    }
    let domains: usize = (0..letters.len())
        .map(|n| delivered.iter().filter(|one| one.recipient.ends_with(&format!("@m{n}.example"))).count())
        .sum();
    assert_eq!(domains, delivered.len(), "nobody got what was not for them");
}

fn offers(dice: &mut Dice) -> Offers {
    let lmtp = dice.one_in(6);
    Offers {
        pipelining: !dice.one_in(4),
        chunking: !dice.one_in(3),
        prdr: dice.one_in(4) && !lmtp,
        lmtp,
        strict: dice.one_in(4),
        room: dice.one_in(3).then(|| 1 + dice.below(4) as usize),
        told: dice.one_in(6).then(|| 1 + dice.below(4) as usize),
        limit_code: if dice.one_in(2) { 452 } else { 552 },
    }
}

/// One random session, whole, and then cut at a random byte of the server's.
fn session(seed: u64) {
    let mut dice = Dice(seed);
    let mut offers = offers(&mut dice);
    let chunk_size = [5, 64, 700, 512 * 1024][dice.below(4) as usize];
    let count = 1 + dice.below(40) as usize;
    let mut letters: Vec<_> = (0..count).map(|number| letter(&mut dice, number)).collect();
    if offers.prdr || offers.lmtp {
        // Verdicts after the body are no matter of the policy about RCPT.
        letters.iter_mut().for_each(|(envelope, _)| envelope.recipient_policy = RecipientPolicy::Any);
    }
    if offers.room.is_some() || offers.told.is_some() {
        // What is read once cannot be sent twice: those are refused beforehand, which is another test's matter.
        offers.told = offers.told.filter(|_| false);
        letters.iter_mut().for_each(|(envelope, _)| envelope.recipient_policy = RecipientPolicy::Any);
    }
    let whole = play(&mut dice, offers, chunk_size, letters.clone(), None).expect("an uncut session begins");
    check(&whole, false);
    let cut = 1 + dice.below(whole.said as u64) as usize;
    if let Some(played) = play(&mut dice, offers, chunk_size, letters, Some(cut)) {
        check(&played, true);
    }
}

#[test]
fn every_verdict_finds_its_message() {
    let seed: Option<u64> = std::env::var("STARTTLS_SEED").ok().and_then(|text| text.parse().ok());
    for seed in seed.map_or(1..1_000, |seed| seed..seed + 1) {
        let played = std::panic::catch_unwind(|| session(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        assert!(played.is_ok(), "STARTTLS_SEED={seed} plays it again");
    }
}

/// Wherever the work on many messages is dropped, the session says nothing more unless everything was answered.
#[test]
fn a_window_that_is_dropped_ends_the_session() {
    for seed in 1..400_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let offers = offers(&mut dice);
        let letters: Vec<_> = (0..20).map(|number| letter(&mut dice, number)).collect();
        let host = Host::new();
        let endpoint = Endpoint { host: "model.example".into(), port: 587 };
        let options = Options { security: Security::Plaintext, ..Options::default() };
        let settings = Settings { lmtp: offers.lmtp, memory: ServerMemory::new(), ..Settings::default() };
        let mut model = Model::new(offers);
        let mut client = drive(&host, &mut model, &mut dice, None, async {
            Client::connect_with(host.transport(), &endpoint, options, &settings).await.unwrap()
        })
        .unwrap();
        let patience = 1 + dice.below(60);
        let reported = std::cell::Cell::new(0);
        drive(&host, &mut model, &mut dice, Some(patience), async {
            let messages = letters.iter().map(|(e, body)| (e.clone(), MemoryBody::new(body.as_slice())));
            let mut many = client.send_many(messages);
            while many.next().await.is_some() {
                reported.set(reported.get() + 1);
            }
        });
        let answered = model.delivered.len();
        let again = drive(&host, &mut model, &mut dice, None, client.noop()).unwrap();
        if reported.get() < letters.len() {
            assert!(again.is_err(), "seed {seed}: a reply of the window was taken for another command's");
            assert_eq!(model.delivered.len(), answered, "seed {seed}: something was sent after the drop");
        }
    }
}

/// Polls `work` against the model, so many times at most.
fn drive<T>(
    host: &Host,
    model: &mut Model,
    dice: &mut Dice,
    mut patience: Option<u64>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    for _ in 0..1_000_000 {
        if let Poll::Ready(output) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(output);
        }
        if patience == Some(0) {
            return None;
        }
        patience = patience.map(|left| left - 1);
        while let Some(request) = host.next_request() {
            match request {
                Request::Connect { channel, .. } => {
                    host.connected(channel, None);
                    model.channel = Some(channel);
                }
                Request::Write { channel, bytes } => {
                    host.written(channel, bytes.len());
                    model.receive(&bytes);
                }
                _ => {}
            }
        }
        let most = 1 + dice.below(200) as usize;
        let piece: Vec<u8> = (0..most.min(model.replies.len())).filter_map(|_| model.replies.pop_front()).collect();
        if let Some(channel) = model.channel.filter(|_| !piece.is_empty()) {
            host.received(channel, &piece);
        }
    }
    panic!("the client waits for ever");
}
