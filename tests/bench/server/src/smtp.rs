//! SMTP: every message is taken, counted and forgotten.

use std::io;
use std::rc::Rc;

use crate::Shared;
use crate::channel::Channel;
use crate::ledger::Session;

const EXTENSIONS: &str = "250-localhost\r\n250-PIPELINING\r\n250-SIZE 4294967296\r\n250-8BITMIME\r\n\
                          250-CHUNKING\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n";

pub(crate) async fn session(mut channel: Channel, shared: &Rc<Shared>) -> io::Result<()> {
    let mut ledger = Session::new("smtp", channel.suite());
    channel.say("220 localhost ESMTP\r\n");
    while let Some(line) = channel.line().await? {
        let mut words = line.split_ascii_whitespace();
        let verb = words.next().unwrap_or("").to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => {
                channel.say(EXTENSIONS);
                channel.say(match channel.is_secure() {
                    true => "250 AUTH PLAIN LOGIN\r\n",
                    false => "250 STARTTLS\r\n",
                });
            }
            "HELO" | "RSET" | "NOOP" | "MAIL" | "RCPT" => channel.say("250 2.0.0 Ok\r\n"),
            "STARTTLS" if channel.is_secure() => channel.say("503 5.5.1 TLS is on\r\n"),
            "STARTTLS" => {
                channel.say("220 2.0.0 Ready\r\n");
                channel.accept_tls(&shared.tls).await?;
                ledger.suite = channel.suite();
            }
            "AUTH" => authenticate(&mut channel, words).await?,
            "DATA" => {
                channel.say("354 Go ahead\r\n");
                ledger.octets += data(&mut channel).await?;
                ledger.count += 1;
                channel.say("250 2.0.0 Taken\r\n");
            }
            "BDAT" => {
                let size = words.next().and_then(|word| word.parse().ok());
                let Some(size) = size else {
                    channel.say("501 5.5.4 BDAT SIZE [LAST]\r\n");
                    continue;
                };
                chunk(&mut channel, size).await?;
                ledger.octets += size;
                ledger.count += u64::from(words.next().is_some());
                channel.say("250 2.0.0 Taken\r\n");
            }
            "QUIT" => {
                channel.say("221 2.0.0 Bye\r\n");
                ledger.flights = channel.flights();
                drop(ledger);
                channel.close().await?;
                channel.linger();
                return Ok(());
            }
            _ => channel.say("502 5.5.1 Not implemented\r\n"),
        }
        ledger.flights = channel.flights();
    }
    Ok(())
}

/// PLAIN in one or two lines, LOGIN in two or three: whatever is said is right.
async fn authenticate<'a>(channel: &mut Channel, mut words: impl Iterator<Item = &'a str>) -> io::Result<()> {
    // "Username:" and "Password:" in base64.
    let prompts: &[&str] = match words.next().map(str::to_ascii_uppercase).as_deref() {
        Some("PLAIN") => &["334 \r\n"],
        Some("LOGIN") => &["334 VXNlcm5hbWU6\r\n", "334 UGFzc3dvcmQ6\r\n"],
        _ => {
            channel.say("504 5.5.4 PLAIN or LOGIN\r\n");
            return Ok(());
        }
    };
    for prompt in &prompts[usize::from(words.next().is_some())..] {
        channel.say(prompt);
        channel.line().await?;
    }
    channel.say("235 2.7.0 Welcome\r\n");
    Ok(())
}

/// Takes the body after DATA; returns its octets without the dots stuffed in and the ending dot.
async fn data(channel: &mut Channel) -> io::Result<u64> {
    const END: &[u8] = b"\r\n.\r\n";
    let mut octets = 0;
    channel.flush().await?;
    // An empty body ends, and a first line is stuffed, without a line end of its own before the dot.
    while channel.inbox().len() < 3 {
        more(channel).await?;
    }
    if channel.inbox().starts_with(&END[2..]) {
        channel.consume(3);
        return Ok(0);
    }
    let mut stuffed = u64::from(channel.inbox().starts_with(b"."));
    loop {
        let inbox = channel.inbox();
        let mut end = None;
        // A dot needs two octets after it to be judged; the rest is looked at again with more.
        let judged = inbox.len().saturating_sub(END.len() - 1);
        for at in memchr::memmem::find_iter(inbox, b"\r\n.") {
            if at >= judged {
                break;
            }
            if inbox[at..].starts_with(END) {
                end = Some(at);
                break;
            }
            stuffed += 1;
        }
        if let Some(at) = end {
            channel.consume(at + END.len());
            return Ok(octets + at as u64 + 2 - stuffed);
        }
        octets += judged as u64;
        channel.consume(judged);
        more(channel).await?;
    }
}

async fn chunk(channel: &mut Channel, size: u64) -> io::Result<()> {
    let mut missing = size;
    loop {
        let present = missing.min(channel.inbox().len() as u64);
        channel.consume(present as usize);
        missing -= present;
        if missing == 0 {
            return Ok(());
        }
        more(channel).await?;
    }
}

async fn more(channel: &mut Channel) -> io::Result<()> {
    match channel.fill().await? {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the message was cut off")),
    }
}
