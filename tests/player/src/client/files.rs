//! What the corpus asks of a file session.

use std::time::{Duration, SystemTime};

use starttls::transport::{Endpoint, Transport};
use starttls::{Error, Options, ftp};

use super::{answer, bytes, describe, text};
use crate::script::{Script, Task};
use crate::wishes;

/// Opens a session and does everything that is asked of it, one result each; the error if it cannot be opened.
pub(super) async fn play<T: Transport>(
    transport: T,
    to: &Endpoint,
    options: Options,
    script: &Script,
    tell: impl Fn(String),
) -> Result<(), Error> {
    let settings = wishes::file_settings(&script.settings)?;
    let mut client = ftp::Client::connect_with(transport, to, options, &settings).await?;
    tell("ok".into());
    for task in &script.client[1..] {
        if task.verb == "quit" {
            client.quit().await;
            tell("ok".into());
            break;
        }
        tell(ask(&mut client, task).await.unwrap_or_else(|error| describe(&error)));
    }
    Ok(())
}

async fn ask<T: Transport>(client: &mut ftp::Client<T>, task: &Task) -> Result<String, Error> {
    let path = bytes(task, 0);
    match task.verb.as_str() {
        "login" => client.login(&ftp::Credentials::password(text(task, 0), text(task, 1))).await?,
        "login-account" => {
            let credentials = ftp::Credentials::password(text(task, 0), text(task, 1)).account(text(task, 2));
            client.login(&credentials).await?;
        }
        "clear-data" => client.settings().data_protection = ftp::DataProtection::Clear,
        "accept-missing-close-notify" => client.settings().accept_missing_close_notify = true,
        "noop" => drop(client.noop().await?),
        "relogin" => {
            client.reinitialize().await?;
            client.login(&ftp::Credentials::password(text(task, 0), text(task, 1))).await?;
        }
        "account" => drop(client.account(&text(task, 0)).await?),
        "status" => return Ok(answer(&client.status(path).await?)),
        "system" => return Ok(answer(&client.system().await?)),
        "help" => return Ok(answer(&client.help(&text(task, 0)).await?)),
        "language" => return Ok(answer(&client.language(&text(task, 0)).await?)),
        "site" => return Ok(answer(&client.site(path).await?)),
        "quote" => return Ok(answer(&client.quote(path).await?)),
        "chmod" => {
            let mode = u32::from_str_radix(&text(task, 1), 8).unwrap_or_default();
            drop(client.chmod(path, mode).await?);
        }
        "set-modified" => drop(client.set_modified(path, seconds(task, 1)).await?),
        "set-created" => drop(client.set_created(path, seconds(task, 1)).await?),
        "set-fact" => drop(client.set_facts(path, &[(&text(task, 1), &text(task, 2))]).await?),
        "available" => return Ok(client.available(path).await?.to_string()),
        "allocate" => drop(client.allocate(text(task, 0).parse().unwrap_or_default()).await?),
        "makedirs" => client.makedirs(path).await?,
        "remove-tree" => {
            let gone = client.remove_tree(path).await?;
            let left = gone.left.iter().map(|left| format!(" {}: {}", left.path.escape_ascii(), describe(&left.error)));
            return Ok(format!("{} {}{}", gone.files, gone.directories, left.collect::<String>()));
        }
        "get-text" => {
            client.start_download_text(path).await?;
            let mut content = Vec::new();
            let receipt = client.receive_all(&mut content).await?;
            let right = content == bytes(task, 1);
            return Ok(receipt_line(&receipt) + if right { "" } else { " with wrong content" });
        }
        "put-text" => {
            client.start_upload_text(path).await?;
            return Ok(receipt_line(&client.transmit_all(&mut bytes(task, 1)).await?));
        }
        "put-unique" => {
            let name = client.start_upload_unique(path).await?;
            let receipt = client.transmit_all(&mut bytes(task, 1)).await?;
            let name = name.map_or_else(|| "untold".into(), |name| name.escape_ascii().to_string());
            return Ok(format!("{} {name}", receipt_line(&receipt)));
        }
        "hash" => {
            let algorithm = task.arguments.get(1).map(|_| text(task, 1).parse()).transpose()?;
            let byte = |index| text(task, index).parse::<u64>().unwrap_or_default();
            let range = task.arguments.get(3).map(|_| byte(2)..byte(3));
            let digest = client.hash(path, algorithm, range).await?;
            return Ok(format!("{} {digest}", digest.algorithm));
        }
        "remove" => drop(client.remove(path).await?),
        "rename" => drop(client.rename(path, bytes(task, 1)).await?),
        "mkdir" => drop(client.mkdir(path).await?),
        "rmdir" => drop(client.rmdir(path).await?),
        "cwd" => drop(client.cwd(path).await?),
        "pwd" => return Ok(client.pwd().await?.escape_ascii().to_string()),
        "stat" => return Ok(entry(&client.stat(path).await?)),
        "names" => {
            let names = client.names(path).await?;
            if names.is_empty() {
                return Ok("empty".into());
            }
            return Ok(names.iter().map(|name| name.escape_ascii().to_string()).collect::<Vec<_>>().join(", "));
        }
        "exists" => return Ok(if client.exists(path).await? { "yes" } else { "no" }.into()),
        "count" => {
            client.list(path).await?;
            let mut count = 0;
            loop {
                match client.next_entries().await?.len() {
                    0 => break,
                    more => count += more,
                }
            }
            return Ok(format!("{count}, {} unknown", client.listing_report().unparsed));
        }
        "list" => {
            let entries = client.entries(path).await?;
            return Ok(if entries.is_empty() {
                "empty".into()
            } else {
                entries.iter().map(entry).collect::<Vec<_>>().join(", ")
            });
        }
        "get" => {
            let mut content = Vec::new();
            let receipt = client.get(path, &mut content).await?;
            let right = content == bytes(task, 1);
            return Ok(receipt_line(&receipt) + if right { "" } else { " with wrong content" });
        }
        "get-from" => {
            let offset = text(task, 1).parse().unwrap_or_default();
            client.start_download(path, offset).await?;
            let mut content = Vec::new();
            let receipt = client.receive_all(&mut content).await?;
            let right = content == bytes(task, 2);
            return Ok(receipt_line(&receipt) + if right { "" } else { " with wrong content" });
        }
        "get-part" => {
            let number = |index| text(task, index).parse().unwrap_or_default();
            let how = ftp::Download { end: Some(number(2)), ..ftp::Download::default() };
            let mut content = Vec::new();
            let receipt = client.download_into(path, &mut content, number(1), &how, None).await?;
            let right = content == bytes(task, 3);
            return Ok(receipt_line(&receipt) + if right { "" } else { " with wrong content" });
        }
        "put" => return Ok(receipt_line(&client.put(path, &mut bytes(task, 1)).await?)),
        "put-from" => {
            let offset = text(task, 1).parse().unwrap_or_default();
            client.start_upload(path, offset).await?;
            return Ok(receipt_line(&client.transmit_all(&mut bytes(task, 2)).await?));
        }
        verb => return Ok(format!("unknown verb {verb}")),
    }
    Ok("ok".into())
}

/// Seconds since 1970.
fn seconds(task: &Task, index: usize) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(text(task, index).parse().unwrap_or_default())
}

fn receipt_line(receipt: &ftp::TransferReceipt) -> String {
    format!("{} {}", receipt.status.as_str(), receipt.size)
}

fn entry(entry: &ftp::Entry) -> String {
    let size = entry.size.map(|size| format!(" {size}")).unwrap_or_default();
    format!("{} {}{size}", entry.kind.as_str(), entry.raw_name().escape_ascii())
}
