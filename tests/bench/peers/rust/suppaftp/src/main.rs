//! FTP by suppaftp, blocking.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use peer_harness::{BLOCK, HOST, Result, Task};
use suppaftp::list::ListParser;
use suppaftp::types::FileType;
use suppaftp::{FtpError, RustlsConnector, RustlsFtpStream};

fn open(task: &Task) -> Result<RustlsFtpStream> {
    let control = TcpStream::connect((HOST, task.port))?;
    control.set_nodelay(true)?;
    let connector = RustlsConnector::from(task.tls()?);
    let mut client = RustlsFtpStream::connect_with_stream(control)?
        .passive_stream_builder(|address| {
            let data = TcpStream::connect(address).map_err(FtpError::ConnectionError)?;
            data.set_nodelay(true).map_err(FtpError::ConnectionError)?;
            Ok(data)
        })
        .into_secure(connector, HOST)?;
    client.login("user", "password")?;
    client.transfer_type(FileType::Binary)?;
    Ok(client)
}

fn download(client: &mut RustlsFtpStream, name: &str, buffer: &mut [u8]) -> Result<u64> {
    let mut stream = client.retr_as_stream(name)?;
    let mut octets = 0;
    loop {
        match stream.read(buffer)? {
            0 => break,
            count => octets += count as u64,
        }
    }
    stream.finish()?;
    Ok(octets)
}

fn upload(client: &mut RustlsFtpStream, file: &str, buffer: &mut [u8]) -> Result<u64> {
    let mut file = File::open(file)?;
    let mut stream = client.put_with_stream("up/upload.bin")?;
    let mut octets = 0;
    loop {
        match file.read(buffer)? {
            0 => break,
            count => {
                stream.write_all(&buffer[..count])?;
                octets += count as u64;
            }
        }
    }
    stream.finish()?;
    Ok(octets)
}

fn main() -> Result<()> {
    let task = Task::begin()?;
    let mut client = open(&task)?;
    let mut buffer = vec![0; BLOCK];
    let start = Instant::now();
    let mut count = 0;
    match task.operation.as_str() {
        "ftp-download" => count = download(&mut client, &task.argument, &mut buffer)?,
        "ftp-upload" => count = upload(&mut client, &task.argument, &mut buffer)?,
        "ftp-files" | "ftp-tree" => {
            while task.goes_on(count, start.elapsed()) {
                let name = format!("{}/f{count:05}", task.argument);
                download(&mut client, &name, &mut buffer)?;
                count += 1;
            }
        }
        "ftp-list" => {
            for line in client.mlsd(Some(&task.argument))? {
                ListParser::parse_mlsd(&line)?;
                count += 1;
            }
        }
        other => return Err(format!("no operation {other}").into()),
    }
    let elapsed = start.elapsed();
    client.quit()?;
    task.report(elapsed, count);
    Ok(())
}
