//! SMTP by mail-send, asynchronous on one thread.

use std::time::Instant;

use mail_send::SmtpClientBuilder;
use mail_send::smtp::message::Message;
use peer_harness::{HOST, RECIPIENT, Result, SENDER, Task};
use tokio_rustls::TlsConnector;

async fn run(task: Task) -> Result<()> {
    let connector = TlsConnector::from(task.tls()?);
    let builder = SmtpClientBuilder::new_with_tls_connector(HOST, task.port, connector)
        .implicit_tls(false)
        .helo_host("localhost")
        .credentials(("user", "password"));
    let mut client = builder.connect().await?;
    let start = Instant::now();
    let message = std::fs::read(&task.argument)?;
    let mut sent = 0;
    while task.goes_on(sent, start.elapsed()) {
        client.send(Message::new(SENDER, [RECIPIENT], &message[..])).await?;
        sent += 1;
    }
    let elapsed = start.elapsed();
    client.quit().await?;
    match task.operation.as_str() {
        "smtp-oneshot" => task.report_whole(),
        _ => task.report(elapsed, sent),
    }
    Ok(())
}

fn main() -> Result<()> {
    let task = Task::begin()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(task))
}
