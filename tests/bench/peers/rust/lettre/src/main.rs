//! SMTP by lettre, blocking.

use std::time::{Duration, Instant};

use lettre::Address;
use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Certificate, CertificateStore, SmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use peer_harness::{HOST, RECIPIENT, Result, SENDER, Task};

fn connect(task: &Task) -> Result<SmtpConnection> {
    let tls = TlsParameters::builder(HOST.to_owned())
        .certificate_store(CertificateStore::None)
        .add_root_certificate(Certificate::from_pem(&task.ca_pem)?)
        .build_rustls()?;
    let name = ClientId::Domain("localhost".to_owned());
    let timeout = Some(Duration::from_secs(60));
    let mut connection = SmtpConnection::connect((HOST, task.port), timeout, &name, None, None)?;
    connection.starttls(&tls, &name)?;
    let credentials = Credentials::new("user".to_owned(), "password".to_owned());
    connection.auth(&[Mechanism::Plain], &credentials)?;
    Ok(connection)
}

fn main() -> Result<()> {
    let task = Task::begin()?;
    let sender: Address = SENDER.parse()?;
    let envelope = Envelope::new(Some(sender), vec![RECIPIENT.parse()?])?;
    let mut connection = connect(&task)?;
    let start = Instant::now();
    let message = std::fs::read(&task.argument)?;
    let mut sent = 0;
    while task.goes_on(sent, start.elapsed()) {
        connection.send(&envelope, &message)?;
        sent += 1;
    }
    let elapsed = start.elapsed();
    connection.quit()?;
    match task.operation.as_str() {
        "smtp-oneshot" => task.report_whole(),
        _ => task.report(elapsed, sent),
    }
    Ok(())
}
