//! `OPERATION PORT CA_FILE ARGUMENT COUNT SECONDS`: one operation of the benchmark by our core, blocking.

use std::error::Error;
use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use starttls::ftp::EntryKind;
use starttls::ftp::mirror::{FileAction, FileReport, Mirror};
use starttls::smtp::{FileBody, MemoryBody};
use starttls::tls::TlsConfig;
use starttls::transport::{Blocking, Endpoint, block};
use starttls::{Options, ftp, smtp};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Of a mirror.
const SESSIONS: usize = 8;

struct Task {
    operation: String,
    server: Endpoint,
    options: Options,
    /// A message, a file to upload, or a remote name.
    argument: String,
    count: u64,
    limit: Duration,
    started: Instant,
}

impl Task {
    fn begin() -> Result<Self> {
        let started = Instant::now();
        let words: Vec<String> = std::env::args().skip(1).collect();
        let [operation, port, ca_file, argument, count, seconds] = &words[..] else {
            return Err("OPERATION PORT CA_FILE ARGUMENT COUNT SECONDS".into());
        };
        let tls = TlsConfig::new().ca_file(ca_file)?;
        Ok(Self {
            operation: operation.clone(),
            server: Endpoint { host: "localhost".into(), port: port.parse()? },
            options: Options { tls, ..Options::default() },
            argument: argument.clone(),
            count: count.parse()?,
            limit: Duration::from_secs_f64(seconds.parse()?),
            started,
        })
    }

    fn goes_on(&self, done: u64, start: Instant) -> bool {
        done < self.count && start.elapsed() < self.limit
    }
}

fn report(seconds: Duration, count: u64) {
    println!("{{\"seconds\":{},\"count\":{count}}}", seconds.as_secs_f64());
}

/// The same, with what the measured part added to this process's memory at its peak.
fn report_growth(seconds: Duration, count: u64, resident: Option<u64>) {
    match (resident, memory("VmHWM")) {
        (Some(before), Some(peak)) => {
            println!("{{\"seconds\":{},\"count\":{count},\"growth\":{}}}", seconds.as_secs_f64(), peak - before);
        }
        _ => report(seconds, count),
    }
}

/// Octets of this process's memory: `VmRSS` now, `VmHWM` at its peak; `None` where the system does not say.
fn memory(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    Some(line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
}

async fn send(task: &Task) -> Result<()> {
    let envelope = smtp::Envelope::new("a@example.com", ["b@example.com"])?;
    let mut client = smtp::Client::connect(Blocking::new(), &task.server, task.options.clone()).await?;
    client.login(&smtp::Credentials::password("user", "password")).await?;
    let resident = memory("VmRSS");
    let start = Instant::now();
    match task.operation.as_str() {
        "smtp-oneshot" => {
            let message = std::fs::read(&task.argument)?;
            accepted(client.send_and_quit(&envelope, MemoryBody::new(message)).await?)?;
            report(task.started.elapsed(), 1);
        }
        "smtp-large" => {
            accepted(client.send_body(&envelope, FileBody::new(File::open(&task.argument)?)?).await?)?;
            report_growth(start.elapsed(), 1, resident);
            client.quit().await;
        }
        "smtp-batch" => {
            let message = std::fs::read(&task.argument)?;
            let letters = (0..task.count).map(|_| (envelope.clone(), MemoryBody::new(&message)));
            let mut reports = client.send_many(letters);
            let mut sent = 0;
            while let Some(told) = reports.next().await {
                accepted(told?)?;
                sent += 1;
            }
            report(start.elapsed(), sent);
            client.quit().await;
        }
        _ => {
            let message = std::fs::read(&task.argument)?;
            let mut sent = 0;
            while task.goes_on(sent, start) {
                accepted(client.send(&envelope, &message).await?)?;
                sent += 1;
            }
            report(start.elapsed(), sent);
            client.quit().await;
        }
    }
    Ok(())
}

fn accepted(report: smtp::DeliveryReport) -> Result<()> {
    match report.outcome() {
        smtp::Outcome::Accepted => Ok(()),
        outcome => Err(format!("{outcome:?}").into()),
    }
}

async fn transfer(task: &Task) -> Result<()> {
    let mut client = ftp::Client::connect(Blocking::new(), &task.server, task.options.clone()).await?;
    client.login(&ftp::Credentials::password("user", "password")).await?;
    let start = Instant::now();
    let mut count = 0;
    match task.operation.as_str() {
        "ftp-download" | "ftp-upload" => {
            let resident = memory("VmRSS");
            let size = if task.operation == "ftp-upload" {
                client.put("up/upload.bin", &mut File::open(&task.argument)?).await?.size
            } else {
                client.get(&task.argument, &mut io::sink()).await?.size
            };
            report_growth(start.elapsed(), size, resident);
            client.quit().await;
            return Ok(());
        }
        "ftp-files" => {
            while task.goes_on(count, start) {
                client.get(&format!("{}/f{count:05}", task.argument), &mut io::sink()).await?;
                count += 1;
            }
        }
        "ftp-tree" => {
            let place = std::env::temp_dir().join(format!("bench-tree-{}", std::process::id()));
            let mut mirror = Mirror::download(&task.argument, &place);
            mirror.parallel = SESSIONS;
            let mut files = 0;
            let mut tell = |told: FileReport| {
                files += u64::from(told.kind == EntryKind::File && told.action == FileAction::Created);
                Ok(())
            };
            let outcome = client.mirror(&mirror, &mut tell).await;
            let elapsed = start.elapsed();
            std::fs::remove_dir_all(&place)?;
            let outcome = outcome?;
            client.quit().await;
            if !outcome.is_complete() {
                return Err("a file was not transferred".into());
            }
            report(elapsed, files);
            return Ok(());
        }
        "ftp-list" => count = client.entries(&task.argument).await?.len() as u64,
        other => return Err(format!("no operation {other}").into()),
    }
    let elapsed = start.elapsed();
    client.quit().await;
    report(elapsed, count);
    Ok(())
}

fn main() -> Result<()> {
    let task = Task::begin()?;
    block(async { if task.operation.starts_with("smtp") { send(&task).await } else { transfer(&task).await } })
}
