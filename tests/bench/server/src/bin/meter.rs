//! `meter REPORT COMMAND ARGUMENT...`: runs a command and writes what it cost, as JSON, to a file.
//!
//! Measuring from a small process of its own keeps the memory of the benchmark's driver out of the
//! peak resident size, which a child inherits from whoever started it.

use std::process::{Command, ExitCode};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut words = std::env::args_os().skip(1);
    let report = words.next().ok_or("meter REPORT COMMAND ARGUMENT...")?;
    let command = words.next().ok_or("meter REPORT COMMAND ARGUMENT...")?;
    let start = Instant::now();
    let status = Command::new(command).args(words).status()?;
    let wall = start.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu = (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6;
    // Linux gives the peak in KiB.
    let peak = usage.max_rss() * 1024;
    std::fs::write(report, format!(r#"{{"wall":{wall},"cpu":{cpu},"peak":{peak}}}"#))?;
    Ok(match status.code() {
        Some(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        None => ExitCode::FAILURE,
    })
}
