use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;

use super::*;

/// A directory of the test's own, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("starttls-mirror-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("root/inner")).unwrap();
        Self(path)
    }

    fn tree(&self) -> LocalTree {
        LocalTree::open(&self.0.join("root"), false).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_are_written_beside_and_renamed() {
    let scratch = Scratch::new("rename");
    let tree = scratch.tree();
    let inner = Place::default().join(b"inner");
    tree.make_directory(&inner, b"deep").unwrap();
    tree.make_directory(&inner, b"deep").unwrap();
    let deep = inner.join(b"deep");
    let mut part = tree.write(&deep, b"a.part").unwrap();
    part.write_all(b"whole").unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    tree.commit(&deep, &part, b"a.part", b"a", Some(time)).unwrap();
    let nodes = tree.list(&deep, 10).unwrap();
    assert_eq!(nodes.len(), 1);
    assert_eq!((nodes[0].size, nodes[0].modified.unwrap().time), (Some(5), time));
    assert!(tree.list(&inner, 0).is_err());
    let mut text = String::new();
    tree.read(&deep, b"a").unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "whole");
    assert!(tree.remove(&inner, b"deep", true).is_err());
    tree.remove(&deep, b"a", false).unwrap();
    tree.remove(&inner, b"deep", true).unwrap();
}

#[test]
fn planted_links_lead_nowhere() {
    let scratch = Scratch::new("links");
    let outside = scratch.0.join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "x").unwrap();
    let tree = scratch.tree();
    let root = scratch.0.join("root");
    let (top, inner) = (Place::default(), Place::default().join(b"inner"));
    // The directory becomes a link after it was listed, and files become links.
    fs::remove_dir(root.join("inner")).unwrap();
    symlink(&outside, root.join("inner")).unwrap();
    symlink(outside.join("secret"), root.join("a")).unwrap();
    symlink(outside.join("new"), root.join("b.part")).unwrap();
    assert!(tree.list(&inner, 10).is_err());
    assert!(tree.write(&inner, b"x").is_err());
    assert!(tree.read(&inner, b"secret").is_err());
    assert!(tree.remove(&inner, b"secret", false).is_err());
    assert!(tree.make_directory(&top, b"inner").is_err());
    assert!(tree.make_directory(&inner, b"x").is_err());
    assert!(tree.read(&top, b"a").is_err());
    assert!(tree.write(&top, b"b.part").is_err());
    // A rename takes the link's place, and does not go through it.
    let part = tree.write(&top, b"a.part").unwrap();
    tree.commit(&top, &part, b"a.part", b"a", None).unwrap();
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "x");
    assert!(!outside.join("new").exists());
    assert!(fs::symlink_metadata(root.join("a")).unwrap().is_file());
}

#[test]
fn links_are_followed_inside_only() {
    let scratch = Scratch::new("follow");
    let root = scratch.0.join("root");
    fs::write(root.join("inner/file"), "abc").unwrap();
    symlink("inner/file", root.join("to-file")).unwrap();
    symlink("..", root.join("inner/up")).unwrap();
    symlink("../..", root.join("inner/out")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    let tree = scratch.tree();
    let (top, inner) = (Place::default(), Place::default().join(b"inner"));
    let (place, node) = tree.follow(&top.join(b"to-file")).unwrap().unwrap();
    assert_eq!((place, node.size), (inner.join(b"file"), Some(3)));
    let (place, node) = tree.follow(&inner.join(b"up")).unwrap().unwrap();
    assert_eq!((place, node.kind), (top.clone(), EntryKind::Directory));
    assert!(tree.follow(&inner.join(b"out")).unwrap().is_none());
    assert!(tree.follow(&top.join(b"dangling")).is_err());
    assert_eq!(tree.list(&inner, 10).unwrap().iter().filter(|node| node.target.is_some()).count(), 2);
    tree.link(&top, b"to-file", b"inner").unwrap();
    assert_eq!(fs::read_link(root.join("to-file")).unwrap(), Path::new("inner"));
}

#[test]
fn pipes_are_no_files() {
    let scratch = Scratch::new("pipe");
    let tree = scratch.tree();
    rustix::fs::mkfifoat(rustix::fs::CWD, scratch.0.join("root/pipe"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    assert!(tree.read(&Place::default(), b"pipe").is_err());
    assert!(tree.write(&Place::default(), b"pipe").is_err());
}
