//! Whole files, both ways, over connections that break and servers that lie.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "files/server.rs"]
mod server;

use std::fs;
use std::io::{Cursor, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant, SystemTime};

use server::{ALL, Fault, World, lock};
use starttls::ftp::{
    Changed, Client, Credentials, Download, LocalFailure, Once, Placement, RateLimit, RemoteFile, ServerMemory,
    Settings, Status, Upload, Verify,
};
use starttls::transport::{Blocking, block};
use starttls::{Error, ErrorKind, Options, Security, Timeouts};

const PLAIN: &[&str] = &["SIZE", "MDTM", "REST STREAM", "EPSV"];

fn connect(world: &World) -> Client<Blocking> {
    connect_with(world, &Settings::default())
}

fn connect_with(world: &World, settings: &Settings) -> Client<Blocking> {
    let options = Options {
        security: Security::Plaintext,
        timeouts: Timeouts::all(Duration::from_secs(5)),
        ..Options::default()
    };
    block(async {
        let mut client = Client::connect_with(Blocking::new(), &world.endpoint(), options, settings).await.unwrap();
        client.login(&Credentials::anonymous()).await.unwrap();
        client
    })
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8 ^ (i / 65_536) as u8).collect()
}

/// A folder that is gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("starttls-files-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().to_string_lossy().into_owned();
        let mut names: Vec<_> = fs::read_dir(&self.0).unwrap().map(name).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Downloads, without waiting between attempts.
fn download(world: &World, to: &Path, how: Download) -> Result<starttls::ftp::TransferReceipt, Error> {
    let how = Download { backoff: Duration::ZERO, ..how };
    block(connect(world).download("a", to, &how, None))
}

fn upload(world: &World, content: &[u8], how: Upload) -> Result<starttls::ftp::TransferReceipt, Error> {
    let how = Upload { backoff: Duration::ZERO, ..how };
    block(connect(world).upload_from(&mut Cursor::new(content), "a", &how, None))
}

fn with(content: &[u8], features: &[&'static str]) -> Arc<World> {
    let world = World::serve(features);
    world.put("a", content, 7);
    world
}

#[test]
fn a_file_is_there_when_it_is_whole() {
    let folder = Folder::new("whole");
    for length in [0, 1, 16_383, 16_384, 16_385, 1_000_000] {
        let content = pattern(length);
        let world = with(&content, ALL);
        let how = Download { verify: Verify::Hash, keep_times: true, ..Download::default() };
        let receipt = download(&world, &folder.at("b"), how).unwrap();
        assert_eq!((receipt.status, receipt.size, receipt.offset), (Status::Verified, length as u64, 0));
        assert_eq!((receipt.attempts, receipt.digest.is_some()), (1, true));
        assert_eq!(fs::read(folder.at("b")).unwrap(), content);
        let modified = fs::metadata(folder.at("b")).unwrap().modified().unwrap();
        let seconds = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(seconds, 1_577_836_807, "2020-01-01 00:00:07");
        assert_eq!(folder.names(), ["b"]);
    }
}

#[test]
fn a_cut_is_gone_on_with() {
    let folder = Folder::new("cut");
    let content = pattern(300_000);
    for fault in [Fault::Cut(0), Fault::Cut(1), Fault::Cut(100_000), Fault::Abort(100_000), Fault::Cut(300_000)] {
        for verify in [Verify::Size, Verify::Best] {
            let world = with(&content, ALL);
            world.will([fault.clone(), Fault::Cut(70_000), Fault::None]);
            let how = Download { retries: 2, verify, ..Download::default() };
            let receipt = download(&world, &folder.at("b"), how).unwrap();
            assert_eq!((receipt.status, receipt.size), (Status::Verified, 300_000), "{fault:?}");
            assert_eq!(receipt.attempts, 3, "{fault:?}");
            assert_eq!(fs::read(folder.at("b")).unwrap(), content, "{fault:?}");
            assert_eq!(folder.names(), ["b"]);
        }
    }
}

#[test]
fn a_writer_is_gone_on_with_too() {
    let content = pattern(300_000);
    let world = with(&content, PLAIN);
    world.will([Fault::Cut(100), Fault::Cut(150_000)]);
    let how = Download { retries: 5, backoff: Duration::ZERO, ..Download::default() };
    let mut got = Vec::new();
    let receipt = block(connect(&world).download_into("a", &mut got, 0, &how, None)).unwrap();
    assert_eq!((receipt.attempts, receipt.status), (3, Status::Verified));
    assert!(got == content);
    // From an offset on: what was there before is the caller's own business.
    world.will([Fault::Cut(100)]);
    let mut got = Vec::new();
    let receipt = block(connect(&world).download_into("a", &mut got, 1_000, &how, None)).unwrap();
    assert_eq!((receipt.offset, receipt.size), (1_000, 299_000));
    assert!(got == content[1_000..]);
}

#[test]
fn refusals_are_not_tried_again() {
    let folder = Folder::new("refused");
    let world = with(b"abc", PLAIN);
    world.will([Fault::Refuse("550 no"), Fault::None]);
    let error = download(&world, &folder.at("b"), Download { retries: 9, ..Download::default() }).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Rejected), "{error}");
    assert_eq!((world.heard("RETR"), folder.names().len()), (1, 0));
    // Nor when all attempts are used up.
    world.will(vec![Fault::Cut(1); 9]);
    let error = download(&world, &folder.at("b"), Download { retries: 2, ..Download::default() }).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ClosedByPeer), "{error}");
    assert_eq!((world.heard("RETR"), folder.names().len()), (4, 0));
}

#[test]
fn a_part_is_continued_only_by_its_own_file() {
    let folder = Folder::new("resume");
    let content = pattern(200_000);
    let mut other = content.clone();
    other[99_999] ^= 1;
    let keep = || Download { keep_part: true, ..Download::default() };
    let resume = |changed| Download { resume: true, changed, ..Download::default() };
    // (the file as it is now, when it was modified, whether that is the same file)
    let longer = pattern(200_001);
    let cases: [(&[u8], u64, bool); 5] = [
        (&content, 7, true),
        (&content, 8, false),
        (&longer, 7, false),
        (&content[..50_000], 7, false),
        (&other, 7, false),
    ];
    for (now, modified, same) in cases {
        for changed in [Changed::Refuse, Changed::Restart] {
            let world = with(&content, PLAIN);
            world.will([Fault::Cut(100_000)]);
            let error = download(&world, &folder.at("b"), keep()).unwrap_err();
            assert!(error.advice().unwrap().contains("b.part"), "{error}");
            assert_eq!(folder.names(), ["b.part", "b.part-of"]);
            assert!(fs::read(folder.at("b.part")).unwrap() == content[..100_000]);
            world.put("a", now, modified);
            match download(&world, &folder.at("b"), resume(changed)) {
                Ok(receipt) => {
                    assert!(same || changed == Changed::Restart);
                    assert_eq!(receipt.offset, if same { 100_000 } else { 0 });
                    assert_eq!(receipt.offset + receipt.size, now.len() as u64);
                    assert!(fs::read(folder.at("b")).unwrap() == now);
                    assert_eq!(folder.names(), ["b"]);
                    fs::remove_file(folder.at("b")).unwrap();
                }
                Err(error) => {
                    assert!(!same && changed == Changed::Refuse, "{error}");
                    assert!(matches!(error.kind(), ErrorKind::FileChanged(_)), "{error}");
                    assert_eq!(folder.names(), ["b.part", "b.part-of"]);
                    assert!(fs::read(folder.at("b.part")).unwrap() == content[..100_000], "nothing was added");
                    fs::remove_file(folder.at("b.part")).unwrap();
                    fs::remove_file(folder.at("b.part-of")).unwrap();
                }
            }
        }
    }
}

#[test]
fn a_part_of_nobody_knows_what_is_compared_by_its_end() {
    let folder = Folder::new("foreign");
    let content = pattern(200_000);
    for length in [1, 65_535, 65_536, 65_537, 199_999, 200_000] {
        // No SIZE, no MDTM: the end alone tells.
        let world = with(&content, &["REST STREAM"]);
        *lock(&world.refused) = vec!["SIZE", "MDTM"];
        fs::write(folder.at("b.part"), &content[..length]).unwrap();
        let how = || Download { resume: true, ..Download::default() };
        let receipt = download(&world, &folder.at("b"), how()).unwrap();
        assert_eq!((receipt.status, receipt.offset), (Status::Complete, length as u64));
        assert!(fs::read(folder.at("b")).unwrap() == content, "{length}");
        let mut wrong = content[..length].to_vec();
        wrong[length - 1] ^= 1;
        fs::write(folder.at("b.part"), &wrong).unwrap();
        let error = download(&world, &folder.at("b"), how()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::FileChanged(_)), "{error}");
        assert!(fs::read(folder.at("b.part")).unwrap() == wrong);
    }
}

#[test]
fn a_file_that_changes_between_attempts_is_not_spliced() {
    let folder = Folder::new("between");
    let (content, other) = (pattern(200_000), vec![b'x'; 200_000]);
    for changed in [Changed::Refuse, Changed::Restart] {
        let world = with(&content, PLAIN);
        world.will([Fault::Change(100_000, other.clone())]);
        let how = Download { retries: 1, changed, ..Download::default() };
        match download(&world, &folder.at("b"), how) {
            Ok(_) => assert!(changed == Changed::Restart && fs::read(folder.at("b")).unwrap() == other),
            Err(error) => {
                assert!(changed == Changed::Refuse && matches!(error.kind(), ErrorKind::FileChanged(_)), "{error}");
                assert!(folder.names().is_empty());
            }
        }
    }
}

#[test]
fn a_226_over_a_truncated_file_is_caught() {
    let folder = Folder::new("lie");
    let content = pattern(100_000);
    for (features, verify) in [(PLAIN, Verify::Size), (ALL, Verify::Hash), (PLAIN, Verify::Best)] {
        let world = with(&content, features);
        world.will([Fault::Lie(99_999)]);
        let error = download(&world, &folder.at("b"), Download { verify, ..Download::default() }).unwrap_err();
        let caught = matches!(error.kind(), ErrorKind::SizeMismatch { .. } | ErrorKind::DigestMismatch { .. });
        assert!(caught && folder.names().is_empty(), "{error}");
        world.will([Fault::Lie(99_999)]);
        let error = upload(&world, &content, Upload { verify, ..Upload::default() }).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::SizeMismatch { expected: 99_999, transferred: 100_000 }), "{error}");
    }
}

#[test]
fn uploads_go_on_where_the_server_says_they_end() {
    let content = pattern(300_000);
    for fault in [Fault::Cut(0), Fault::Cut(1), Fault::Cut(100_000), Fault::Abort(100_000), Fault::Cut(300_000)] {
        for (features, refused) in [(ALL, vec![]), (PLAIN, vec![]), (PLAIN, vec!["SIZE"])] {
            let world = World::serve(features);
            *lock(&world.refused) = refused.clone();
            world.will([fault.clone()]);
            let how = Upload { retries: 1, verify: Verify::Best, ..Upload::default() };
            let receipt = upload(&world, &content, how).unwrap();
            assert!(world.content("a").unwrap() == content, "{fault:?}");
            assert_eq!(receipt.size, 300_000);
            assert_eq!(receipt.attempts, 2, "{fault:?}");
            assert_eq!(receipt.digest.is_some(), features == ALL);
            assert_eq!(receipt.status, if refused.is_empty() { Status::Verified } else { Status::Complete });
        }
    }
}

#[test]
fn uploads_are_continued_only_behind_their_own_beginning() {
    let content = pattern(300_000);
    let mut wrong = content[..200_000].to_vec();
    wrong[199_000] ^= 1;
    for (there, same) in
        [(&content[..200_000], true), (&content[..1], true), (&wrong, false), (&pattern(300_001), false)]
    {
        for (changed, refused) in
            [(Changed::Refuse, vec![]), (Changed::Restart, vec![]), (Changed::Refuse, vec!["STOR"])]
        {
            let world = with(there, ALL);
            let how = Upload { resume: true, changed, verify: Verify::Hash, ..Upload::default() };
            let appended = !refused.is_empty();
            *lock(&world.refused) = refused;
            match upload(&world, &content, how) {
                Ok(receipt) => {
                    assert_eq!(receipt.offset, if same { there.len() as u64 } else { 0 });
                    assert!(same || changed == Changed::Restart);
                    assert_eq!(world.heard("APPE") == 1, appended);
                    assert!(world.content("a").unwrap() == content);
                }
                Err(error) => {
                    assert!(!same && matches!(error.kind(), ErrorKind::FileChanged(_)), "{error}");
                    assert!(world.content("a").unwrap() == there, "nothing was added");
                }
            }
        }
    }
}

#[test]
fn an_upload_has_its_name_when_it_is_whole() {
    let content = pattern(100_000);
    let how = |replace| Upload {
        part: Some(".part".into()),
        replace,
        modified: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(42)),
        ..Upload::default()
    };
    let world = with(b"old", ALL);
    world.will([Fault::Abort(50_000)]);
    upload(&world, &content, how(false)).unwrap_err();
    assert_eq!((world.content("a").unwrap(), world.names().len()), (b"old".to_vec(), 2), "the old file is untouched");
    let receipt = upload(&world, &content, Upload { resume: true, ..how(false) }).unwrap();
    assert_eq!(receipt.offset, 50_000);
    assert!(world.content("a").unwrap() == content);
    assert_eq!((world.names(), lock(&world.files)["a"].1), (vec!["a".to_owned()], 42));

    // A server that does not rename onto a file.
    *lock(&world.refused) = vec!["onto"];
    let error = upload(&world, b"new", how(false)).unwrap_err();
    assert!(error.advice().unwrap().contains("a.part") && error.advice().unwrap().contains("untouched"), "{error}");
    assert!(world.content("a").unwrap() == content && world.content("a.part").unwrap() == b"new");
    upload(&world, b"new", how(true)).unwrap();
    assert_eq!((world.content("a").unwrap(), world.names().len()), (b"new".to_vec(), 1));
}

#[test]
fn what_comes_once_is_sent_once() {
    let world = World::serve(ALL);
    let content = pattern(200_000);
    let how = Upload { retries: 3, backoff: Duration::ZERO, verify: Verify::Hash, ..Upload::default() };
    let mut client = connect(&world);
    let receipt = block(client.upload_from(&mut Once(&content[..]), "a", &how, None)).unwrap();
    assert!(receipt.digest.is_some() && world.content("a").unwrap() == content);
    world.will([Fault::Cut(1_000)]);
    block(client.upload_from(&mut Once(&content[..]), "a", &how, None)).unwrap_err();
    assert_eq!(world.heard("STOR"), 2);
}

#[test]
fn local_files_are_looked_at_first() {
    let folder = Folder::new("local");
    let world = with(b"abc", PLAIN);
    let path = |error: &Error| match error.kind() {
        ErrorKind::Local(error) => error.get_ref().unwrap().downcast_ref::<LocalFailure>().unwrap().path().to_owned(),
        _ => panic!("{error}"),
    };
    let error = download(&world, &folder.at("none/b"), Download::default()).unwrap_err();
    assert_eq!(path(&error), folder.at("none/b.part"));
    let error = download(&world, &folder.0, Download::default()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidArgument(_)), "{error}");
    let error = block(connect(&world).upload(folder.at("none"), "a", &Upload::default(), None)).unwrap_err();
    assert_eq!(path(&error), folder.at("none"));
    assert_eq!(world.heard("RETR") + world.heard("STOR"), 0);
    // A full disk.
    #[cfg(target_os = "linux")]
    {
        std::os::unix::fs::symlink("/dev/full", folder.at("full.part")).unwrap();
        let error = download(&world, &folder.at("full"), Download::default()).unwrap_err();
        assert_eq!(path(&error), folder.at("full.part"));
        assert!(folder.names().is_empty(), "{:?}", folder.names());
    }
}

#[test]
fn progress_is_told_and_can_end_it() {
    let folder = Folder::new("progress");
    let world = with(&pattern(500_000), PLAIN);
    let mut told = Vec::new();
    let limit = Some(RateLimit::new(1_000_000));
    let how = Download { rate_limit: limit.clone(), ..Download::default() };
    let began = Instant::now();
    let mut tell = |done, total| {
        told.push((done, total));
        Ok(())
    };
    block(connect(&world).download("a", folder.at("b"), &how, Some(&mut tell))).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(380), "{:?}", began.elapsed());
    assert!(told.len() > 2 && told.is_sorted(), "{told:?}");
    assert_eq!(told.last().unwrap().0, 500_000);
    // The session is good for more after a caller's error.
    let mut client = connect(&world);
    let mut stop = |_, _| Err(std::io::Error::other("enough"));
    let error = block(client.download("a", folder.at("c"), &how, Some(&mut stop))).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Local(_)), "{error}");
    assert_eq!(folder.names(), ["b"]);
}

fn segments(count: usize) -> Download {
    Download { segments: count.try_into().unwrap(), verify: Verify::Best, ..Download::default() }
}

#[test]
fn segments_are_put_together() {
    let folder = Folder::new("segments");
    let content = pattern(5_000_001);
    for (features, most, count) in [(ALL, 100, 4), (PLAIN, 100, 3), (PLAIN, 2, 8), (PLAIN, 1, 4)] {
        let world = with(&content, features);
        world.most.store(most, SeqCst);
        let receipt = download(&world, &folder.at("b"), segments(count)).unwrap();
        assert_eq!((receipt.status, receipt.size, receipt.offset), (Status::Verified, 5_000_001, 0));
        assert_eq!(receipt.digest.is_some(), features == ALL);
        assert!(fs::read(folder.at("b")).unwrap() == content);
        assert_eq!(folder.names(), ["b"]);
        assert!(world.heard("RETR") >= count.min(most), "{}", world.heard("RETR"));
    }
}

/// Further sessions, and those that take another's place, have the language that was chosen; not so after a new beginning.
#[test]
fn all_sessions_of_a_client_speak_its_language() {
    let folder = Folder::new("language");
    let world = with(&pattern(5_000_001), PLAIN);
    let mut client = connect(&world);
    block(client.language("fr")).unwrap();
    block(client.download("a", folder.at("b"), &segments(3), None)).unwrap();
    assert_eq!((world.heard("PASS"), world.heard("LANG fr")), (3, 3));
    world.will([Fault::Cut(1000)]);
    let how = Download { retries: 1, backoff: Duration::ZERO, ..Download::default() };
    block(client.download("a", folder.at("c"), &how, None)).unwrap();
    assert_eq!((world.heard("PASS"), world.heard("LANG fr")), (4, 4));
    // A refusal leaves it as it was.
    *lock(&world.refused) = vec!["LANG xx"];
    block(client.language("xx")).unwrap_err();
    drop(block(client.another()).unwrap());
    assert_eq!((world.heard("LANG xx"), world.heard("LANG fr")), (1, 5));
    block(client.reinitialize()).unwrap();
    block(client.login(&Credentials::anonymous())).unwrap();
    drop(block(client.another()).unwrap());
    assert_eq!((world.heard("PASS"), world.heard("LANG fr")), (7, 5));
}

/// Sessions of all downloads together are as many as are allowed, and as the server had room for.
#[test]
fn segments_share_what_room_there_is() {
    let folder = Folder::new("room");
    let content = pattern(5_000_001);
    let world = with(&content, PLAIN);
    let (memory, how) = (ServerMemory::new(), segments(4));
    let settings =
        |most: usize| Settings { max_connections: most.try_into().ok(), memory: memory.clone(), ..Settings::default() };
    // A server notices a little later that somebody left.
    let seen = |left: usize| {
        let deadline = Instant::now() + Duration::from_secs(10);
        while world.now.load(SeqCst) != left {
            assert!(Instant::now() < deadline, "{} sessions are left", world.now.load(SeqCst));
            std::thread::yield_now();
        }
        world.seen.swap(0, SeqCst)
    };
    let idle = connect_with(&world, &settings(3));
    let mut client = connect_with(&world, &settings(3));
    block(client.download("a", folder.at("b"), &how, None)).unwrap();
    assert_eq!(seen(2), 3, "one beside the two");
    drop(idle);
    seen(1);
    block(client.download("a", folder.at("b"), &how, None)).unwrap();
    assert_eq!(seen(1), 3, "two beside the one");
    let error = block(connect_with(&world, &settings(1)).another()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::LimitExceeded(_)), "{error}");
    seen(1);
    // What the server said is remembered, and nobody asks it again.
    world.most.store(2, SeqCst);
    client.settings().max_connections = None;
    block(client.download("a", folder.at("b"), &how, None)).unwrap();
    assert_eq!(seen(1), 3, "the third was turned away");
    block(client.download("a", folder.at("b"), &how, None)).unwrap();
    assert_eq!(seen(1), 2);
    assert!(fs::read(folder.at("b")).unwrap() == content);
}

/// Where the server is told where a segment ends, nothing has to be aborted; where it does not take that, the rest is.
#[test]
fn segments_end_where_the_server_is_told() {
    let folder = Folder::new("ranges");
    let content = pattern(8_000_001);
    let world = with(&content, ALL);
    download(&world, &folder.at("b"), segments(4)).unwrap();
    assert!(fs::read(folder.at("b")).unwrap() == content);
    assert_eq!((world.heard("RANG"), world.heard("REST"), world.heard("ABOR")), (3, 1, 0));
    for refused in ["RANG", "end of a range"] {
        let world = with(&content, ALL);
        *lock(&world.refused) = vec![refused];
        download(&world, &folder.at("b"), segments(4)).unwrap();
        assert!(fs::read(folder.at("b")).unwrap() == content);
        assert!(world.heard("RANG") >= 1 && world.heard("REST") <= 3, "{refused}");
    }
}

#[test]
fn a_part_of_a_file() {
    let content = pattern(5_000_000);
    for (features, refused) in [(ALL, vec![]), (ALL, vec!["beyond"]), (ALL, vec!["end of a range"]), (PLAIN, vec![])] {
        let world = with(&content, features);
        *lock(&world.refused) = refused;
        let mut client = connect(&world);
        for (offset, end) in
            [(0, 1), (1, 1_000), (100_000, 4_000_000), (4_999_999, 5_000_000), (7, 7), (4_000_000, 9_000_000)]
        {
            let how = Download { end: Some(end), verify: Verify::Size, ..Download::default() };
            let (mut got, mut told) = (Vec::new(), (0, None));
            let receipt = block(client.download_into(
                "a",
                &mut got,
                offset,
                &how,
                Some(&mut |done, total| {
                    told = (done, total);
                    Ok(())
                }),
            ))
            .unwrap();
            let last = end.min(5_000_000);
            assert!(got == content[offset as usize..last as usize], "{offset} to {end} of {features:?}");
            assert_eq!((receipt.offset, receipt.size, told.0), (offset, last - offset, last));
        }
        // The session is in step, and the next file is whole.
        let mut got = Vec::new();
        block(client.get("a", &mut got)).unwrap();
        assert!(got == content);
        assert_eq!(world.heard("RANG") > 0, features == ALL);
        let refused = |offset, how: Download| {
            block(connect(&world).download_into("a", &mut Vec::new(), offset, &how, None)).unwrap_err()
        };
        let error = refused(9, Download { end: Some(8), ..Download::default() });
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument(_)), "{error}");
        let error = refused(0, Download { end: Some(8), verify: Verify::Hash, ..Download::default() });
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument(_)), "{error}");
    }
}

/// What is cut in the middle of a part is gone on with; a range that was not used up is taken back.
#[test]
fn a_part_of_a_file_is_gone_on_with() {
    let content = pattern(500_000);
    for features in [ALL, PLAIN] {
        let world = with(&content, features);
        world.will([Fault::Cut(1_000), Fault::Cut(100_000)]);
        let how = Download { end: Some(400_000), retries: 5, backoff: Duration::ZERO, ..Download::default() };
        let mut got = Vec::new();
        let receipt = block(connect(&world).download_into("a", &mut got, 5, &how, None)).unwrap();
        assert_eq!((receipt.attempts, receipt.size), (3, 399_995));
        assert!(got == content[5..400_000]);
        world.will([Fault::Refuse("550 not now")]);
        let mut client = connect(&world);
        let error = block(client.download_into("a", &mut Vec::new(), 5, &how, None)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Rejected), "{error}");
        let mut got = Vec::new();
        block(client.get("a", &mut got)).unwrap();
        assert!(got == content);
    }
}

fn placed(placement: Placement) -> Upload {
    Upload { placement, backoff: Duration::ZERO, ..Upload::default() }
}

#[test]
fn what_is_added_is_gone_on_with() {
    let content = pattern(300_000);
    for fault in [Fault::Cut(0), Fault::Cut(100_000), Fault::Abort(299_999), Fault::Cut(300_000)] {
        let world = with(b"before", ALL);
        world.will([fault.clone(), Fault::None]);
        let how = Upload { retries: 1, verify: Verify::Hash, ..placed(Placement::End) };
        let receipt = upload(&world, &content, how).unwrap();
        assert_eq!((receipt.offset, receipt.size + receipt.offset), (6, 300_006), "{fault:?}");
        assert_eq!((receipt.status, receipt.attempts), (Status::Verified, 2));
        assert_eq!(receipt.digest.unwrap().range, Some(6..300_006));
        assert!(world.content("a").unwrap() == [b"before", &content[..]].concat(), "{fault:?}");
    }
    // To what is not there, and by a source that can be read only once.
    let world = with(b"", PLAIN);
    block(connect(&world).upload_from(&mut Once(&b"new"[..]), "b", &placed(Placement::End), None)).unwrap();
    assert_eq!(world.content("b").unwrap(), b"new");
    // What is told to be complete and is not.
    world.will([Fault::Lie(2)]);
    let error = upload(&world, b"four", placed(Placement::End)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::SizeMismatch { .. }), "{error}");
}

#[test]
fn what_is_written_over_a_part_is_gone_on_with() {
    let content = pattern(300_000);
    let world = with(&content[..1_000], ALL);
    world.will([Fault::Cut(100_000), Fault::None]);
    let how = Upload { retries: 1, verify: Verify::Hash, ..placed(Placement::At(500)) };
    let receipt = upload(&world, &content, how).unwrap();
    assert_eq!((receipt.offset, receipt.size, receipt.status), (500, 299_500, Status::Verified));
    assert!(world.content("a").unwrap() == content);
    // What can be read only once comes as it is.
    let receipt =
        block(connect(&world).upload_from(&mut Once(&b"xyz"[..]), "a", &placed(Placement::At(2)), None)).unwrap();
    assert_eq!((receipt.offset, receipt.size), (2, 3));
    assert_eq!(&world.content("a").unwrap()[..5], [content[0], content[1], b'x', b'y', b'z']);
    for how in [
        Upload { resume: true, ..placed(Placement::At(1)) },
        Upload { part: Some(".part".into()), ..placed(Placement::End) },
    ] {
        let error = upload(&world, b"x", how).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument(_)), "{error}");
    }
    let error =
        upload(&with(b"x", PLAIN), b"x", Upload { verify: Verify::Hash, ..placed(Placement::End) }).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotOffered(_)), "{error}");
}

#[test]
fn segments_need_a_server_that_begins_in_the_middle() {
    let folder = Folder::new("no-rest");
    let content = pattern(5_000_001);
    for features in [&["SIZE", "MDTM", "REST STREAM"][..], &["SIZE", "MDTM"]] {
        let world = with(&content, features);
        *lock(&world.refused) = vec!["REST"];
        let receipt = download(&world, &folder.at("b"), segments(4)).unwrap();
        assert_eq!(receipt.size, 5_000_001);
        assert!(fs::read(folder.at("b")).unwrap() == content);
        assert_eq!(folder.names(), ["b"]);
    }
}

#[test]
fn broken_segments_are_gone_on_with() {
    let folder = Folder::new("broken");
    let content = pattern(5_000_001);
    let world = with(&content, PLAIN);
    world.will([Fault::Cut(500_000), Fault::Cut(1), Fault::Abort(900_000), Fault::Cut(700_000)]);
    let how = Download { retries: 9, ..segments(4) };
    let receipt = download(&world, &folder.at("b"), how).unwrap();
    assert_eq!(receipt.status, Status::Verified);
    assert!(fs::read(folder.at("b")).unwrap() == content);

    // And by a later download, with as many or one.
    for count in [4, 1] {
        let world = with(&content, PLAIN);
        world.will(vec![Fault::Cut(500_000); 50]);
        let how = Download { keep_part: true, ..segments(4) };
        let error = download(&world, &folder.at("c"), how.clone()).unwrap_err();
        assert!(error.advice().unwrap().contains("c.parts"), "{error}");
        assert_eq!(folder.names(), ["b", "c.parts", "c.parts-of"]);
        world.will([]);
        let receipt = download(&world, &folder.at("c"), Download { resume: true, ..segments(count) }).unwrap();
        assert!(receipt.offset >= 500_000 && receipt.offset + receipt.size == 5_000_001, "{receipt:?}");
        assert!(fs::read(folder.at("c")).unwrap() == content);
        assert_eq!(folder.names(), ["b", "c"]);
        fs::remove_file(folder.at("c")).unwrap();
    }
}

#[test]
fn segments_of_two_files_are_not_put_together() {
    let folder = Folder::new("two");
    let (content, other) = (pattern(5_000_001), vec![b'x'; 5_000_001]);
    let world = with(&content, PLAIN);
    world.will([Fault::None, Fault::Change(100_000, other.clone()), Fault::None]);
    let error = download(&world, &folder.at("b"), Download { retries: 3, ..segments(3) }).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::FileChanged(_)), "{error}");
    assert!(folder.names().is_empty());
    // Nor when it changed in between.
    let world = with(&content, PLAIN);
    world.will(vec![Fault::Cut(500_000); 50]);
    download(&world, &folder.at("b"), Download { keep_part: true, ..segments(2) }).unwrap_err();
    world.put("a", &other, 8);
    world.will([]);
    let resume = |changed| Download { resume: true, changed, ..segments(2) };
    let error = download(&world, &folder.at("b"), resume(Changed::Refuse)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::FileChanged(_)), "{error}");
    download(&world, &folder.at("b"), resume(Changed::Restart)).unwrap();
    assert!(fs::read(folder.at("b")).unwrap() == other);
    assert_eq!(folder.names(), ["b"]);
}

#[test]
fn a_remote_file_is_read_at_any_place() {
    let content = pattern(700_000);
    let world = with(&content, PLAIN);
    world.put("c", b"other", 7);
    let mut client = connect(&world);
    block(async {
        let (mut file, mut other) = (RemoteFile::new("a"), RemoteFile::new("c"));
        assert_eq!(file.seek(&mut client, SeekFrom::End(-5)).await.unwrap(), 699_995);
        // Against the content itself: places and lengths as a generator has them.
        let (mut state, mut at) = (12_345_u64, 699_995_u64);
        let mut piece = vec![0; 100_000];
        for round in 0..60 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let most = (state >> 33) as usize % piece.len();
            let count = file.read(&mut client, &mut piece[..most]).await.unwrap();
            let right = &content[(at as usize).min(content.len())..];
            assert!(count <= most && piece[..count] == right[..count], "round {round} at {at}");
            assert!(count > 0 || most == 0 || right.is_empty(), "round {round} at {at}");
            at += count as u64;
            assert_eq!(file.position(), at);
            match state % 5 {
                0 => at = (state >> 20) % 720_000,
                1 => at += (state >> 20) % 300_000,
                2 => at = at.saturating_sub((state >> 20) % 1_000),
                // Somebody else has his turn.
                3 if round % 7 == 0 => {
                    let mut all = Vec::new();
                    other.seek_to(0);
                    while let 1.. = other.read(&mut client, &mut piece).await.unwrap() {
                        all.push(piece[0]);
                    }
                    assert_eq!(all.first(), Some(&b'o'));
                }
                _ => {}
            }
            file.seek_to(at);
        }
        file.close(&mut client).await;
        assert!(client.noop().await.is_ok(), "the session goes on");
        // To the end in order, there is a receipt.
        file.seek_to(0);
        let before = world.heard("RETR");
        let mut read = 0;
        while let count @ 1.. = file.read(&mut client, &mut piece).await.unwrap() {
            assert!(piece[..count] == content[read..read + count]);
            read += count;
        }
        assert_eq!((read, file.receipt().unwrap().size, world.heard("RETR") - before), (700_000, 700_000, 1));
        assert!(file.seek(&mut client, SeekFrom::Current(-700_001)).await.is_err());
    });
}
