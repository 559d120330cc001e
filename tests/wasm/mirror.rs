//! A tree made equal to another one by the command line in its sandbox: in the directory that is granted, and nowhere else.

use std::fs;
use std::path::Path;

use starttls_tests::daemon::Daemon;

use crate::command::{cli, folder, run, succeed};
use crate::{assert_same, noise, read};

/// The words before a verb: sockets of this address, and this directory.
const GRANTS: [&str; 5] = ["--allow=127.0.0.1:*", "run", "--dir", ".", "--"];
const COMMON: [&str; 4] = ["--ca-file", "ca.pem", "--password-file", "password"];

fn mirror(folder: &Path, source: &str, destination: &str, more: &[&str]) -> String {
    succeed(folder, &cli(), &[&GRANTS[..], &["mirror", source, destination], &COMMON, more].concat())
}

fn url(server: &Daemon, path: &str) -> String {
    format!("ftp://ftp@localhost:{}/files/{path}", server.port("port"))
}

#[test]
fn a_tree_goes_up_and_comes_down_in_a_granted_directory() {
    let server = Daemon::start("proftpd-lenient", None);
    let folder = folder("mirror", &server);
    let tree = [("a.txt", 5), ("deep/er/b.bin", 100_000), ("deep/empty", 0), ("deep/c.tmp", 10)];
    for (name, size) in tree {
        let file = folder.join("up").join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        fs::write(file, noise(size)).expect("written");
    }
    mirror(&folder, "up", &url(&server, "tree"), &["--exclude", "*.tmp"]);
    mirror(&folder, &url(&server, "tree"), "down", &[]);
    for (name, size) in &tree[..3] {
        assert_same(name, &noise(*size), &read(&server.file(&format!("tree/{name}"))));
        assert_same(name, &noise(*size), &read(&folder.join("down").join(name)));
    }
    assert!(!server.file("tree/deep/c.tmp").exists());
    // Again: nothing is to be transferred. And what is gone there goes here, by choice.
    fs::remove_file(server.file("tree/a.txt")).expect("removed");
    let told = mirror(&folder, &url(&server, "tree"), "down", &["--delete", "--json"]);
    let last: serde_json::Value = serde_json::from_str(told.lines().last().expect("lines")).expect("JSON");
    let counts = ["created", "updated", "deleted", "failed"].map(|key| last[key].as_u64());
    assert_eq!(counts, [Some(0), Some(0), Some(1), Some(0)], "{last}");
    assert!(!folder.join("down/a.txt").exists() && folder.join("down/deep/er/b.bin").exists());
}

#[test]
fn nothing_outside_of_the_granted_directory_is_touched() {
    let server = Daemon::start("proftpd-lenient", None);
    let outside = folder("mirror-outside", &server);
    let inside = folder("mirror-inside", &server);
    fs::create_dir(server.file("tree")).expect("made");
    fs::write(server.file("tree/a.txt"), b"content").expect("written");
    // By a way up, and by a link that is there already.
    #[cfg(unix)]
    std::os::unix::fs::symlink(&outside, inside.join("link")).expect("a link");
    let tree = url(&server, "tree");
    for destination in ["../mirror-outside/by-way-up", "link/by-link"] {
        let words = [&GRANTS[..], &["mirror", &tree, destination], &COMMON].concat();
        let output = run(&inside, &cli(), &words);
        assert!(!output.status.success(), "{destination}: {}", String::from_utf8_lossy(&output.stderr));
    }
    // And by a link in the tree, where a directory is to be.
    fs::create_dir(server.file("tree/sub")).expect("made");
    fs::write(server.file("tree/sub/b.txt"), b"content").expect("written");
    fs::create_dir(inside.join("down")).expect("made");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&outside, inside.join("down/sub")).expect("a link");
    let words = [&GRANTS[..], &["mirror", &tree, "down"], &COMMON].concat();
    let output = run(&inside, &cli(), &words);
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_same("beside it", b"content", &read(&inside.join("down/a.txt")));
    let mut left: Vec<_> =
        fs::read_dir(&outside).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
    left.sort();
    assert_eq!(left, ["ca.pem", "password"]);
}
