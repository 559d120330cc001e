//! Events that share flights, transfers that are given up, and files that are not there: every file server stays in step.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use starttls::ftp::{Client, Credentials, ServerMemory, Settings};
use starttls::tls::TlsConfig;
use starttls::trace::Trace;
use starttls::transport::{Blocking, Endpoint, block};
use starttls::{Error, Options};
use starttls_daemons::Daemon;

const SERVERS: [&str; 8] = [
    "vsftpd",
    "vsftpd-lenient",
    "vsftpd-strict",
    "proftpd",
    "proftpd-lenient",
    "pureftpd",
    "pureftpd-strict",
    "pyftpdlib",
];

/// Enough to be in the middle of it when it is given up.
const LARGE: usize = 32 << 20;

type Events = Arc<Mutex<Vec<String>>>;

async fn session(server: &Daemon) -> (Client<Blocking>, Events) {
    let events = Events::default();
    let sink = events.clone();
    let trace = Trace::new(move |event| {
        sink.lock().unwrap().push(event.to_string());
    });
    let tls = TlsConfig::new().ca_file(server.text("ca_file")).expect("an authority");
    let options = Options { tls, trace, ..Options::default() };
    let endpoint = Endpoint { host: "localhost".into(), port: server.port("port") };
    let keep_alive = Some(Duration::from_millis(2));
    let settings = Settings { memory: ServerMemory::new(), keep_alive, ..Settings::default() };
    let mut client = Client::connect_with(Blocking::new(), &endpoint, options, &settings).await.expect("a session");
    let credentials = Credentials::password(server.text("user"), server.text("password"));
    client.login(&credentials).await.expect("a login");
    client.cwd("files").await.expect("the folder to write to");
    (client, events)
}

async fn in_step(server: &Daemon) -> Result<(), (Error, Vec<String>)> {
    let (mut client, events) = session(server).await;
    let outcome = transfers(&mut client).await;
    client.quit().await;
    outcome.map_err(|error| (error, events.lock().unwrap().clone()))
}

async fn transfers(client: &mut Client<Blocking>) -> Result<(), Error> {
    let large: Vec<u8> = (0..LARGE).map(|i| (i % 251) as u8).collect();
    client.put("large.bin", &mut &large[..]).await?;
    for round in 0..8 {
        let name = format!("file{round}.bin");
        let content = vec![round as u8; 1_000 * round];
        client.put(&name, &mut &content[..]).await?;
        let mut back = Vec::new();
        client.get(&name, &mut back).await?;
        assert_eq!(back, content);
        let error = client.get("none.bin", &mut back).await.expect_err("there is none");
        assert_eq!(error.reply().map(|reply| reply.code().number()), Some(550));
        assert_eq!(client.entries("").await?.len(), round + 2);
        if round % 4 == 1 {
            // Given up at once, after some, and at the end of an upload's beginning.
            client.start_download("large.bin", 0).await?;
            client.abort().await;
            client.start_download("large.bin", 0).await?;
            for _ in 0..3 {
                assert!(client.receive(&mut |_| ()).await?);
            }
            client.abort().await;
            client.start_upload("given-up.bin", 0).await?;
            client.transmit(&large[..300_000]).await?;
            client.abort().await;
            client.remove("given-up.bin").await?;
        }
        assert_eq!(client.size(&name).await?, content.len() as u64);
    }
    let mut back = Vec::new();
    client.start_download("large.bin", 1_000_000).await?;
    client.receive_all(&mut back).await?;
    assert_eq!(back, large[1_000_000..]);
    Ok(())
}

#[test]
fn every_server_stays_in_step() {
    for tls in ["1.3", "1.2"] {
        for name in SERVERS {
            let server = Daemon::start(name, Some(tls));
            if let Err((error, events)) = block(in_step(&server)) {
                let last = &events[events.len().saturating_sub(40)..];
                panic!("{name} with TLS {tls}: {error}\n{}", last.join("\n"));
            }
        }
    }
}
