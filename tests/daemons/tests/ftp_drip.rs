//! A data connection that gives a byte now and then: the longest pause says nothing against it, the total does.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use starttls::ftp::{Client, Credentials};
use starttls::tls::TlsConfig;
use starttls::transport::{Blocking, Endpoint, block};
use starttls::{ErrorKind, Options, Timeouts};
use starttls_daemons::Daemon;

async fn session(server: &Daemon, total: Option<Duration>) -> Client<Blocking> {
    let tls = TlsConfig::new().ca_pem(&server.authority()).unwrap();
    let timeouts = Timeouts { stall: Duration::from_secs(1), total, ..Timeouts::default() };
    let options = Options { tls, timeouts, ..Options::default() };
    let endpoint = Endpoint { host: "localhost".into(), port: server.port("port") };
    let mut client = Client::connect(Blocking::new(), &endpoint, options).await.unwrap();
    client.login(&Credentials::password(server.text("user"), server.text("password"))).await.unwrap();
    client
}

#[test]
fn a_drip_goes_on_and_ends_with_the_total() {
    let server = Daemon::start("pyftpdlib-drip", None);
    std::fs::write(server.file("short"), [1; 20]).unwrap();
    std::fs::write(server.file("long"), [1; 2000]).unwrap();
    block(async {
        // Two seconds of drops, none later than the longest pause.
        let mut content = Vec::new();
        let mut client = session(&server, None).await;
        let receipt = client.get("/files/short", &mut content).await.unwrap();
        assert_eq!((receipt.size, content.len()), (20, 20));
        client.quit().await;

        let total = Duration::from_secs(2);
        let mut client = session(&server, Some(total)).await;
        let began = Instant::now();
        let error = client.get("/files/long", &mut content).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TimedOut), "{error}");
        assert!(began.elapsed() >= total && began.elapsed() < total * 3, "{:?}", began.elapsed());
    });
}
