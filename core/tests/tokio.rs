//! The tokio driver runs the same dialogue as the others, on tokio's sockets and clock.
#![cfg(feature = "tokio")]
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/self_signed.rs"]
#[allow(unreachable_pub)]
mod self_signed;
#[path = "files/server.rs"]
#[allow(dead_code, unreachable_pub)]
mod server;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use self_signed::SelfSigned;
use starttls::tls::TlsConfig;
use starttls::trace::Trace;
use starttls::transport::{Endpoint, Tokio};
use starttls::{ErrorKind, Options, Phase, Security, Timeouts, ftp, smtp};

/// A submission server that knows one dialogue and takes one connection.
fn serve(listener: TcpListener, config: Arc<rustls::ServerConfig>) -> std::io::Result<String> {
    let (mut socket, _) = listener.accept()?;
    socket.write_all(b"220 ready\r\n")?;
    converse(&mut socket, &[("EHLO", "250-hi\r\n250 STARTTLS\r\n"), ("STARTTLS", "220 go\r\n")])?;
    let connection = rustls::ServerConnection::new(config).unwrap();
    let mut tls = rustls::StreamOwned::new(connection, socket);
    converse(
        &mut tls,
        &[
            ("EHLO", "250-hi\r\n250 PIPELINING\r\n"),
            ("MAIL", "250 ok\r\n"),
            ("RCPT", "250 ok\r\n"),
            ("DATA", "354 go\r\n"),
        ],
    )?;
    let mut body = String::new();
    let mut reader = BufReader::new(&mut tls);
    while !body.ends_with("\r\n.\r\n") {
        assert!(reader.read_line(&mut body)? > 0, "the body ends with a dot");
    }
    drop(reader);
    converse(&mut tls, &[("", "250 queued as T1\r\n"), ("QUIT", "221 bye\r\n")])?;
    Ok(body)
}

fn converse(stream: &mut (impl Read + Write), script: &[(&str, &str)]) -> std::io::Result<()> {
    for (verb, reply) in script {
        let mut line = Vec::new();
        while !verb.is_empty() && !line.ends_with(b"\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        assert!(line.starts_with(verb.as_bytes()), "{verb}: {}", String::from_utf8_lossy(&line));
        stream.write_all(reply.as_bytes())?;
    }
    Ok(())
}

fn authority() -> (Arc<rustls::ServerConfig>, String) {
    let SelfSigned { server, pem } = SelfSigned::new(&["localhost"]);
    (server, pem)
}

fn options(pem: &str) -> (Options, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = seen.clone();
    let options = Options {
        tls: TlsConfig::new().ca_pem(pem.as_bytes()).unwrap(),
        trace: Trace::new(move |event| sink.lock().unwrap().push(event.to_string())),
        ..Options::default()
    };
    (options, seen)
}

#[tokio::test]
async fn a_message_is_sent_from_a_spawned_task() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint { host: "localhost".into(), port: listener.local_addr().unwrap().port() };
    let (config, pem) = authority();
    let server = std::thread::spawn(move || serve(listener, config));
    let (options, seen) = options(&pem);
    // Spawning requires that the whole dialogue is `Send`.
    let report = tokio::spawn(async move {
        let mut client = smtp::Client::connect(Tokio::new(), &endpoint, options).await?;
        let envelope = smtp::Envelope::new("a@example.org", ["b@example.org"])?;
        let report = client.send(&envelope, b".hello\n").await?;
        client.quit().await;
        Ok::<_, starttls::Error>(report)
    })
    .await
    .unwrap()
    .unwrap();
    assert_eq!((report.outcome(), report.queue_id().as_deref()), (smtp::Outcome::Accepted, Some("T1")));
    assert_eq!(server.join().unwrap().unwrap(), "..hello\r\n.\r\n");
    let seen = seen.lock().unwrap();
    assert!(seen.iter().any(|event| event.starts_with("*  control secured: TLSv1.3")), "{seen:?}");
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port() };
    let timeouts = Timeouts { reply: Duration::from_millis(50), ..Timeouts::default() };
    let error =
        smtp::Client::connect(Tokio::new(), &endpoint, Options { timeouts, ..Options::default() }).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TimedOut), "{error}");
    assert_eq!(error.phase(), Some(Phase::Greeting));
    assert!(error.advice().unwrap().contains("smtps://"), "{error}");
}

/// Several sessions in one task: a tree, and a file in segments, over connections that break.
#[tokio::test]
async fn trees_and_segments_by_several_sessions() {
    let world = server::World::serve(&["SIZE", "MDTM", "REST STREAM", "MFMT", "EPSV", "MLST type*;size*;modify*;"]);
    let large: Vec<u8> = (0..5_000_000_u32).map(|i| (i % 251) as u8).collect();
    world.put("large", &large, 7);
    for i in 0..40 {
        world.put(&format!("f{i}"), format!("content of {i}").as_bytes(), i);
    }
    let folder = std::env::temp_dir().join(format!("starttls-tokio-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let options = Options {
        security: Security::Plaintext,
        timeouts: Timeouts::all(Duration::from_secs(5)),
        ..Options::default()
    };
    let mut client = ftp::Client::connect(Tokio::new(), &world.endpoint(), options).await.unwrap();
    client.login(&ftp::Credentials::anonymous()).await.unwrap();

    // The first transfer is the listing; two sessions are lost on the way.
    world.will([
        server::Fault::None,
        server::Fault::Cut(5),
        server::Fault::None,
        server::Fault::Abort(3),
        server::Fault::Cut(0),
    ]);
    let how = ftp::mirror::Mirror { parallel: 3, ..ftp::mirror::Mirror::download("", folder.join("tree")) };
    let mut told = Vec::new();
    let report = client
        .mirror(&how, &mut |file| {
            told.push((file.path, file.action));
            Ok(())
        })
        .await
        .unwrap();
    assert!(report.is_complete(), "{report:?} {told:?}");
    assert_eq!((report.created, report.sessions, told.len()), (41, 3, 41));
    for i in 0..40 {
        let content = std::fs::read_to_string(folder.join(format!("tree/f{i}"))).unwrap();
        assert_eq!(content, format!("content of {i}"));
    }
    assert!(std::fs::read(folder.join("tree/large")).unwrap() == large);

    world.will([server::Fault::Cut(700_000)]);
    let how = ftp::Download {
        segments: 4.try_into().unwrap(),
        retries: 3,
        backoff: Duration::ZERO,
        ..ftp::Download::default()
    };
    let receipt = client.download("large", folder.join("large"), &how, None).await.unwrap();
    assert_eq!((receipt.status, receipt.size), (ftp::Status::Verified, 5_000_000));
    assert!(std::fs::read(folder.join("large")).unwrap() == large);
    client.quit().await;
    std::fs::remove_dir_all(&folder).unwrap();
}
