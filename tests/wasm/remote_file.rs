//! Remote files that are read at any place, out of the sandbox.

use std::fs;

use starttls_tests::daemon::Daemon;
use starttls_tests::embedding::Sandbox;
use starttls_tests::embedding::exports::types::{Error, ErrorCode};
use wasmtime::component::ResourceAny;

use crate::files::Files;
use crate::{assert_same, noise};

impl Files {
    fn open_file(&mut self, name: &str, offset: u64) -> Result<ResourceAny, Error> {
        let Sandbox { store, client } = &mut self.sandbox;
        let ftp = client.starttls_client_ftp();
        ftp.session().call_open_file(store, self.session, name.as_bytes(), offset).expect("no trap")
    }

    /// So many bytes, or what there is up to the end.
    fn read_file(&mut self, file: ResourceAny, mut count: usize) -> Vec<u8> {
        let Sandbox { store, client } = &mut self.sandbox;
        let ftp = client.starttls_client_ftp();
        let mut bytes = Vec::new();
        while count > 0 {
            let most = u32::try_from(count).expect("a count");
            let piece = ftp.file().call_read(&mut *store, file, most).expect("no trap").expect("bytes");
            if piece.is_empty() {
                break;
            }
            count -= piece.len();
            bytes.extend(piece);
        }
        bytes
    }
}

#[test]
fn a_file_is_read_at_any_place() {
    for daemon in ["vsftpd", "proftpd"] {
        let server = Daemon::start(daemon, None);
        let bytes = noise(1_000_000);
        fs::write(server.file("some"), &bytes).expect("written");
        let mut files = Files::of(&server);
        let file = files.open_file("some", 10).expect("a file");
        assert_same("from 10 on", &bytes[10..1_010], &files.read_file(file, 1_000));
        for place in [500_000, 0, 999_990] {
            let Sandbox { store, client } = &mut files.sandbox;
            let ftp = client.starttls_client_ftp();
            ftp.file().call_seek(&mut *store, file, place).expect("no trap");
            assert_eq!(ftp.file().call_position(&mut *store, file).expect("no trap"), place);
            let begin = usize::try_from(place).expect("a place");
            let end = bytes.len().min(begin + 70_000);
            assert_same("from there on", &bytes[begin..end], &files.read_file(file, 70_000));
        }
        let Sandbox { store, client } = &mut files.sandbox;
        let ftp = client.starttls_client_ftp();
        // The last one came to the end.
        let receipt = ftp.file().call_receipt(&mut *store, file).expect("no trap").expect("a receipt");
        assert_eq!((receipt.offset, receipt.size), (999_990, 10));
        assert_eq!(ftp.file().call_size(&mut *store, file).expect("no trap").expect("a size"), 1_000_000);
        let nothing = ftp.file().call_read(&mut *store, file, 0).expect("no trap").expect_err("nothing");
        assert!(matches!(nothing.code, ErrorCode::InvalidArgument(_)), "{nothing:?}");
        let gone = files.open_file("nothing", 0).expect_err("no such file");
        assert!(matches!(gone.code, ErrorCode::Rejected), "{gone:?}");
    }
}

#[test]
fn files_of_one_session_take_turns() {
    let server = Daemon::start("vsftpd", None);
    let (one, two) = (noise(300_000), noise(200_000));
    fs::write(server.file("one"), &one).expect("written");
    fs::write(server.file("two"), &two).expect("written");
    let mut files = Files::of(&server);
    let first = files.open_file("one", 0).expect("a file");
    let second = files.open_file("two", 0).expect("a file");
    let (mut from_one, mut from_two) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        from_one.extend(files.read_file(first, 100_000));
        from_two.extend(files.read_file(second, 70_000));
    }
    assert_same("one", &one, &from_one);
    assert_same("two", &two, &from_two);
    // Given up in the middle, it is in nobody's way.
    let Sandbox { store, client } = &mut files.sandbox;
    client.starttls_client_ftp().file().call_seek(&mut *store, first, 5).expect("no trap");
    files.read_file(first, 10);
    first.resource_drop(&mut files.sandbox.store).expect("no trap");
    assert_same("the rest", &two[100_000..], &{
        let Sandbox { store, client } = &mut files.sandbox;
        client.starttls_client_ftp().file().call_seek(&mut *store, second, 100_000).expect("no trap");
        files.read_file(second, 1_000_000)
    });
    files.upload("three", b"after");
}
