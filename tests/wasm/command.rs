//! The command line compiled for WASI, and the example host, as programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use starttls_tests::daemon::{Daemon, built};

use crate::{assert_same, component, noise, postfix, read};

pub(crate) fn cli() -> PathBuf {
    built("STARTTLS_CLI_WASM", "wasm32-wasip2/release/starttls.wasm")
}

/// Runs the host in `folder`.
pub(crate) fn run(folder: &Path, component: &Path, words: &[&str]) -> Output {
    let host = built("STARTTLS_HOST", "debug/examples/host");
    Command::new(host).current_dir(folder).arg(component).args(words).output().expect("the host runs")
}

pub(crate) fn succeed(folder: &Path, component: &Path, words: &[&str]) -> String {
    let Output { status, stdout, stderr } = run(folder, component, words);
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{words:?}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// A folder of this test's own, with the server's authority and password in it.
pub(crate) fn folder(name: &str, server: &Daemon) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("emptied");
    }
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("ca.pem"), server.authority()).expect("written");
    fs::write(folder.join("password"), server.text("password")).expect("written");
    folder
}

const MESSAGE: &[u8] = b"Subject: hello\r\n\r\n.dots\r\n..more\r\n";

#[test]
fn the_command_line_probes_and_sends_from_the_sandbox() {
    let server = postfix();
    let folder = folder("cli", server);
    fs::write(folder.join("m.eml"), MESSAGE).expect("written");
    let port = server.port("port");
    let (allow, url) = (format!("--allow=127.0.0.1:{port}"), format!("smtp://user%40example.test@localhost:{port}"));
    let grants = [allow.as_str(), "run", "--dir", ".", "--"];
    let common = [url.as_str(), "--ca-file", "ca.pem"];

    let told = succeed(&folder, &cli(), &[&grants[..], &["probe"], &common, &["--json"]].concat());
    let report: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert!(told.contains("TLSv1.3"), "{report:#}");

    let send = ["--password-file", "password", "--from", "ada@example.org", "--to", "cli@example.test", "-f", "m.eml"];
    succeed(&folder, &cli(), &[&grants[..], &["send"], &common, &send].concat());
    assert_same("by the command line", MESSAGE, &server.delivered("cli@example.test"));

    // Another port is denied, in words: an exit of WASI 0.2.0 says no more than yes or no.
    let denied = format!("smtp://localhost:{}", server.port("implicit_port"));
    let output = run(&folder, &cli(), &[&grants[..], &["probe", &denied, "--ca-file", "ca.pem"]].concat());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("access denied by the host's policy"), "{told}");
}

#[test]
fn the_host_does_the_main_job() {
    let (mail, files) = (postfix(), Daemon::start("vsftpd", None));
    let folder = folder("host", mail);
    fs::write(folder.join("m.eml"), MESSAGE).expect("written");
    let port = mail.port("port");
    let url = format!("smtp://user%40example.test@127.0.0.1:{port}");
    let common = ["--ca-file", "ca.pem", "--password-file", "password", "--trace"];
    let allow = format!("--allow=127.0.0.1:{port}");
    let send = [allow.as_str(), "send", &url, "--from", "a@example.org", "--to", "host@example.test", "-f", "m.eml"];
    succeed(&folder, &component(), &[&send[..], &common].concat());
    assert_same("by the host", MESSAGE, &mail.delivered("host@example.test"));

    let bytes = noise(100_000);
    fs::write(folder.join("up"), &bytes).expect("written");
    fs::write(folder.join("ca.pem"), files.authority()).expect("written");
    let at = |name: &str| format!("ftp://ftp@127.0.0.1:{}/files/{name}", files.port("port"));
    let allow = "--allow=127.0.0.1:*";
    succeed(&folder, &component(), &[&[allow, "put", "up", &at("file")][..], &common].concat());
    assert_same("stored", &bytes, &read(&files.file("file")));
    let listed = succeed(&folder, &component(), &[&[allow, "ls", &at("")][..], &common].concat());
    assert!(listed.contains("file") && listed.contains("100000"), "{listed}");
    succeed(&folder, &component(), &[&[allow, "get", &at("file"), "down"][..], &common].concat());
    assert_same("downloaded", &bytes, &read(&folder.join("down")));

    // Nothing half-written under the final name, and the denial in words.
    let denied = run(&folder, &component(), &[&["get", &at("file"), "never"][..], &common].concat());
    let told = String::from_utf8_lossy(&denied.stderr);
    assert!(!denied.status.success() && told.contains("access denied by the host's policy"), "{told}");
    assert!(!folder.join("never").exists());
}

#[test]
fn what_the_page_says_of_sandboxes_is_so() {
    let server = Daemon::start("proftpd-lenient", None);
    let folder = folder("page", &server);
    let bytes = noise(50_000);
    fs::write(folder.join("july.pdf"), &bytes).expect("written");
    fs::create_dir_all(folder.join("photos/2026")).expect("made");
    fs::write(folder.join("photos/2026/a.jpg"), &bytes).expect("written");
    let page = String::from_utf8(read(&starttls_tests::daemon::root().join("docs/ftp.md"))).expect("text");
    let at = format!("ftp://{}@127.0.0.1:{}/files", server.text("user"), server.port("port"));
    let mut count = 0;
    for line in page.lines().filter(|line| line.starts_with("host ")) {
        let line = line.replace("ftp://ann@192.0.2.7", &at).replace("192.0.2.7", "127.0.0.1");
        let words: Vec<&str> = line.split(' ').skip(1).collect();
        let what = if words[0] == "starttls.wasm" { cli() } else { component() };
        succeed(&folder, &what, &words[1..]);
        count += 1;
    }
    assert_eq!(count, 3);
    for name in [server.file("july.pdf"), folder.join("copy.pdf"), server.file("photos/2026/a.jpg")] {
        assert_same("by the page's words", &bytes, &read(&name));
    }
}
