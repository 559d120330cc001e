//! A total for each operation, and what a greeting that never comes is told to be.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use starttls::transport::{Blocking, Endpoint, Host, Request, block};
use starttls::{Connection, ErrorKind, Options, Phase, Security, Timeouts, ftp, smtp};

/// A peer for one connection.
fn serve(peer: impl FnOnce(TcpStream) + Send + 'static) -> (Endpoint, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = spawn(move || peer(listener.accept().unwrap().0));
    (Endpoint { host: "127.0.0.1".into(), port }, served)
}

fn with_total(total: Duration) -> Options {
    let timeouts = Timeouts { total: Some(total), ..Timeouts::default() };
    Options { security: Security::Plaintext, timeouts, ..Options::default() }
}

#[test]
fn dribbling_stages_end_with_the_total() {
    // Each reply comes in far less than its stage may take; all together are longer than the total.
    let (server, served) = serve(|socket| {
        let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
        let mut socket = socket;
        socket.write_all(b"220 ready\r\n").unwrap();
        for _ in 0..100 {
            let Some(Ok(_)) = lines.next() else { return };
            std::thread::sleep(Duration::from_millis(200));
            let _ = socket.write_all(b"250 ok\r\n");
        }
    });
    block(async {
        let total = Duration::from_millis(900);
        let mut client = smtp::Client::connect(Blocking::new(), &server, with_total(total)).await.unwrap();
        // An operation's total is its own: these two would not fit one.
        client.noop().await.unwrap();
        client.noop().await.unwrap();
        client.noop().await.unwrap();
        client.noop().await.unwrap();
        let envelope = smtp::Envelope::new("a@example.org", ["b@example.org"; 50]).unwrap();
        let began = Instant::now();
        let error = client.send(&envelope, b"hi\r\n").await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TimedOut), "{error}");
        assert!(began.elapsed() >= total && began.elapsed() < total * 4, "{:?}", began.elapsed());
    });
    served.join().unwrap();
}

/// What an SMTP and an FTP client say of a peer with these first words.
fn advice(words: &'static [u8], security: Security) -> [String; 2] {
    [true, false].map(|mail| {
        let (server, served) = serve(move |mut socket| {
            let _ = socket.write_all(words);
            let _ = std::io::copy(&mut socket, &mut std::io::sink());
        });
        let timeouts = Timeouts::all(Duration::from_millis(500));
        let options = Options { security, timeouts, ..Options::default() };
        let error = block(async {
            if mail {
                smtp::Client::connect(Blocking::new(), &server, options).await.unwrap_err()
            } else {
                ftp::Client::connect(Blocking::new(), &server, options).await.unwrap_err()
            }
        });
        served.join().unwrap();
        assert!(error.peer().unwrap().ends_with(&format!(":{}", server.port)));
        error.advice().unwrap_or_default().replace(&server.port.to_string(), "PORT")
    })
}

#[test]
fn a_strangers_port_is_named_with_the_url_that_would_work() {
    let usual = ["smtps://127.0.0.1:465 or smtp://127.0.0.1:587", "ftps://127.0.0.1:990 or ftp://127.0.0.1:21"];
    for security in [Security::Upgrade, Security::Implicit] {
        for (words, name) in [
            (&b"* OK IMAP4rev1 ready\r\n"[..], "this port speaks IMAP"),
            (b"+OK ready\r\n", "this port speaks POP3"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "this port speaks HTTP"),
            (b"SSH-2.0-x\r\n", "this port speaks SSH"),
        ] {
            let expected = usual.map(|usual| format!("{name}: try {usual}"));
            assert_eq!(advice(words, security), expected, "{security:?}");
        }
    }
    let [mail, files] = advice(b"220 mail ESMTP\r\n", Security::Implicit);
    assert_eq!(mail, "this port begins in clear text and upgrades: try smtp://127.0.0.1:PORT");
    assert!(files.starts_with("an SMTP server is on this port: its URL is smtp://127.0.0.1:PORT"), "{files}");
    let [mail, files] = advice(b"220 FTP server ready\r\n", Security::Implicit);
    assert!(mail.starts_with("an FTP server is on this port: its URL is ftp://127.0.0.1:PORT"), "{mail}");
    assert_eq!(files, "this port begins in clear text and upgrades: try ftp://127.0.0.1:PORT");
    // An alert, and silence.
    let expected =
        ["smtps", "ftps"].map(|scheme| format!("this port expects TLS at once: try {scheme}://127.0.0.1:PORT"));
    assert_eq!(advice(b"\x15\x03\x01\0\x02\x02\x46", Security::Upgrade), expected);
    let expected =
        ["smtps", "ftps"].map(|scheme| format!("if this port expects TLS at once, try {scheme}://127.0.0.1:PORT"));
    assert_eq!(advice(b"", Security::Upgrade), expected);
}

#[test]
fn a_server_of_the_other_protocol_is_seen_by_its_greeting() {
    for (greeting, answer, mail) in
        [("220 FTP server ready\r\n", "500 unknown\r\n", true), ("220 mail ESMTP\r\n", "502 5.5.2 unknown\r\n", false)]
    {
        let (server, served) = serve(move |socket| {
            let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
            (&socket).write_all(greeting.as_bytes()).unwrap();
            while let Some(Ok(_)) = lines.next() {
                let _ = (&socket).write_all(answer.as_bytes());
            }
        });
        let options = Options { timeouts: Timeouts::all(Duration::from_secs(10)), ..Options::default() };
        let (error, url) = block(async {
            if mail {
                (smtp::Client::connect(Blocking::new(), &server, options).await.unwrap_err(), "ftp")
            } else {
                (ftp::Client::connect(Blocking::new(), &server, options).await.unwrap_err(), "smtp")
            }
        });
        served.join().unwrap();
        assert!(error.advice().unwrap().contains(&format!("its URL is {url}://{server};")), "{error}");
        assert_ne!(error.phase(), Some(Phase::Greeting));
    }
}

#[test]
fn a_total_that_is_up_says_nothing_about_pipelining() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Endpoint { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port() };
    let served = spawn(move || {
        [(); 2].map(|()| {
            let mut socket = listener.accept().unwrap().0;
            let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
            socket.write_all(b"220 ready\r\n").unwrap();
            let _ = lines.next();
            socket.write_all(b"250-here\r\n250 PIPELINING\r\n").unwrap();
            lines.map_while(Result::ok).count()
        })
    });
    let settings = smtp::Settings { memory: smtp::ServerMemory::new(), ..smtp::Settings::default() };
    let envelope = smtp::Envelope::new("a@example.org", ["b@example.org"]).unwrap();
    block(async {
        for _ in 0..2 {
            let options = with_total(Duration::from_millis(300));
            let mut client = smtp::Client::connect_with(Blocking::new(), &server, options, &settings).await.unwrap();
            let error = client.send(&envelope, b"hi\r\n").await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::TimedOut), "{error}");
        }
    });
    assert_eq!(served.join().unwrap(), [3, 3], "commands before an answer");
}

#[test]
fn however_large_a_chunk_is_each_flight_of_it_has_its_time() {
    const LARGE: usize = 4 << 20;
    let host = Host::new();
    let options = with_total(Duration::from_secs(600));
    let settings = smtp::Settings { chunk_size: LARGE, memory: smtp::ServerMemory::new(), ..smtp::Settings::default() };
    let envelope = smtp::Envelope::new("a@example.org", ["b@example.org"]).unwrap();
    let server = Endpoint { host: "peer.example".into(), port: 587 };
    let body = b"a line of a large message\r\n".repeat(LARGE / 27);
    let mut session = pin!(async {
        let mut client = smtp::Client::connect_with(host.transport(), &server, options, &settings).await?;
        client.send(&envelope, &body).await
    });
    let (mut written, mut at_once, mut most) = (0, 0, 0);
    let report = loop {
        if let Poll::Ready(report) = session.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            break report;
        }
        while let Some(request) = host.next_request() {
            match request {
                Request::Connect { channel, .. } => {
                    host.connected(channel, None);
                    host.received(channel, b"220 hi\r\n");
                }
                Request::Write { channel, bytes } => {
                    host.written(channel, bytes.len());
                    let before = written;
                    written += bytes.len();
                    at_once += bytes.len();
                    most = most.max(at_once);
                    if before == 0 {
                        host.received(channel, b"250-here\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
                    } else if before < body.len() && written >= body.len() {
                        host.received(channel, b"250 ok\r\n250 ok\r\n250 ok\r\n");
                    }
                }
                Request::Deadline { .. } => at_once = 0,
                _ => {}
            }
        }
    };
    assert_eq!(report.unwrap().outcome(), smtp::Outcome::Accepted);
    assert!(most < 512 * 1024, "{most} bytes in the time of one stall");
}

#[test]
#[cfg(unix)]
fn neither_side_waits_for_the_other_to_read() {
    // The server answers each chunk at length, and takes nothing more until the answer is out of its hands.
    let (server, served) = serve(|socket| {
        socket2::SockRef::from(&socket).set_send_buffer_size(16 * 1024).unwrap();
        let mut reader = BufReader::new(socket.try_clone().unwrap());
        let mut socket = socket;
        socket.write_all(b"220 ready\r\n").unwrap();
        let mut long: String = "250-all is well, and there is more to say about it\r\n".repeat(1_000);
        long.push_str("250 chunk\r\n");
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 0 {
            let words: Vec<_> = line.split_whitespace().collect();
            match words[0] {
                "EHLO" => socket.write_all(b"250-model\r\n250-PIPELINING\r\n250 CHUNKING\r\n").unwrap(),
                "BDAT" => {
                    let size: u64 = words[1].parse().unwrap();
                    std::io::copy(&mut std::io::Read::take(&mut reader, size), &mut std::io::sink()).unwrap();
                    socket.write_all(long.as_bytes()).unwrap();
                }
                "QUIT" => return socket.write_all(b"221 bye\r\n").unwrap(),
                _ => socket.write_all(b"250 ok\r\n").unwrap(),
            }
            line.clear();
        }
    });
    block(async {
        let options = with_total(Duration::from_secs(60));
        let mut client = smtp::Client::connect(Blocking::new(), &server, options).await.unwrap();
        let envelope = smtp::Envelope::new("a@example.org", ["b@example.org"]).unwrap();
        let message = b"0123456789 a line of a long message\r\n".repeat(1_000_000);
        let report = client.send(&envelope, &message).await.unwrap();
        assert_eq!(report.outcome(), smtp::Outcome::Accepted, "{report:?}");
        client.quit().await;
    });
    served.join().unwrap();
}

/// A long write that ran out of time left a hole: neither more words nor an end in order may hide it.
#[test]
fn a_write_that_ended_in_the_middle_is_the_last() {
    let (over, wait) = std::sync::mpsc::channel::<()>();
    let (server, served) = serve(move |socket| {
        let _ = wait.recv(); // and nothing is read
        drop(socket);
    });
    block(async {
        let timeouts = Timeouts { stall: Duration::from_millis(300), ..Timeouts::default() };
        let options = Options { security: Security::Plaintext, timeouts, ..Options::default() };
        let mut connection = Connection::open(&Blocking::new(), &server, &options).await.unwrap();
        connection.write(b"a line\r\n").await.unwrap();
        let error = connection.write(&vec![b'x'; 64 << 20]).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TimedOut), "{error}");
        for error in [connection.write(b"more").await.unwrap_err(), connection.shutdown().await.unwrap_err()] {
            assert!(matches!(error.kind(), ErrorKind::InvalidState(why) if why.contains("given up")), "{error}");
        }
    });
    over.send(()).unwrap();
    served.join().unwrap();
}
