//! Copies from server to server, between two peers that know one dialogue each: which of them is told what, whatever one of
//! them answers or breaks off; and that each session goes on in step, or is replaced.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod peer;
#[path = "../support/self_signed.rs"]
#[allow(unreachable_pub)]
mod self_signed;

use std::time::{Duration, Instant};

use peer::{Peer, QUIT, Words, login};
use self_signed::SelfSigned;
use starttls::ftp::fxp::{self, Options as How, Receipt};
use starttls::ftp::{Active, Client, Credentials, ServerMemory, Settings, Status};
use starttls::tls::TlsConfig;
use starttls::transport::{Blocking, Endpoint, block};
use starttls::{Error, ErrorKind, Options, Timeouts};

const SOURCE: &str = "127.0.0.1";
const TARGET: &str = "127.0.0.2";

/// Two sessions, and who is at their other ends.
struct Pair {
    source: Client<Blocking>,
    target: Client<Blocking>,
    peers: [Peer; 2],
}

fn connect(identity: &SelfSigned, server: &Endpoint) -> Client<Blocking> {
    let options = Options {
        tls: TlsConfig::new().ca_pem(identity.pem.as_bytes()).unwrap(),
        timeouts: Timeouts::all(Duration::from_secs(2)),
        ..Options::default()
    };
    let settings = Settings { memory: ServerMemory::new(), ..Settings::default() };
    block(async {
        let mut client = Client::connect_with(Blocking::new(), server, options, &settings).await.unwrap();
        client.login(&Credentials::password("ada", "pencil-secret")).await.unwrap();
        client
    })
}

impl Pair {
    /// Logged in, where the source and the target go on as the scripts say.
    fn play(source: &[&str], target: &[&str]) -> Self {
        Self::play_at([SOURCE, TARGET], source, target)
    }

    fn play_at(hosts: [&str; 2], source: &[&str], target: &[&str]) -> Self {
        let (identity, words) = (SelfSigned::new(&["127.0.0.1", "127.0.0.2", "::1"]), Words::default());
        let peers = [(hosts[0], source), (hosts[1], target)];
        let peers = peers.map(|(host, script)| {
            let (features, script) = script.split_first().unwrap();
            Peer::play(host, &identity, &words, format!("{}{}", login(features), script.join("\n")))
        });
        let [source, target] = [&peers[0], &peers[1]].map(|peer| connect(&identity, &peer.endpoint));
        Self { source, target, peers }
    }

    fn copy(&mut self) -> Result<Receipt, Error> {
        self.copy_as(&How::default())
    }

    fn copy_as(&mut self, how: &How) -> Result<Receipt, Error> {
        block(fxp::copy(&mut self.source, "a.bin", &mut self.target, "b.bin", how))
    }

    /// That the error is the source's, or the target's.
    fn blames(&self, error: &Error, at: usize) {
        assert_eq!(error.peer(), Some(self.peers[at].endpoint.to_string().as_str()), "{error}");
    }

    /// Both sessions have the answers to their own questions, and every dialogue is at its end.
    fn go_on(mut self) {
        block(async {
            assert_eq!(self.source.pwd().await.unwrap(), b"/source");
            assert_eq!(self.target.pwd().await.unwrap(), b"/target");
        });
        self.part();
    }

    fn part(self) {
        block(async {
            self.source.quit().await;
            self.target.quit().await;
        });
        self.peers.into_iter().for_each(Peer::join);
    }
}

const AT_SOURCE: &str = "C: PWD\nS: 257 \"/source\" is here";
const AT_TARGET: &str = "C: PWD\nS: 257 \"/target\" is here";
/// A new session in place of one.
const ANEW: &str = "swallow";

const SIZE: &str = "C: SIZE a.bin\nS: 213 5";
const ARRIVED: &str = "C: SIZE b.bin\nS: 213 5";
const RETR: &str = "C: RETR a.bin\nS: 150 here it comes\nwait STOR\nS: 226 sent";
const STOR: &str = "C: STOR b.bin\ntell STOR\nS: 150 go ahead\nS: 226 stored";
/// The address is not the source's own: the target is sent to where the source is, and nowhere else.
const PASV: &str = "C: PASV\nS: 227 Entering Passive Mode (10,9,8,7,200,10)";
const CPSV: &str = "C: CPSV\nS: 227 Entering Passive Mode (10,9,8,7,200,10)";
const PORT: &str = "C: PORT 127,0,0,1,200,10\nS: 200 so be it";
const SSCN_ON: &str = "C: SSCN ON\nS: 200 client it is";
const SSCN_OFF: &str = "C: SSCN OFF\nS: 200 server it is";

#[test]
fn the_target_is_the_client_by_sscn() {
    let mut pair = Pair::play(
        &["SIZE SSCN CPSV", SIZE, PASV, RETR, AT_SOURCE, QUIT],
        &["SIZE SSCN CPSV", SSCN_ON, PORT, STOR, SSCN_OFF, ARRIVED, AT_TARGET, QUIT],
    );
    let receipt = pair.copy().unwrap();
    assert_eq!((receipt.status, receipt.size, receipt.protected), (Status::Verified, Some(5), true));
    assert_eq!((receipt.source.text(), receipt.target.text()), ("sent".into(), "stored".into()));
    pair.go_on();
}

#[test]
fn the_source_is_the_client_by_sscn() {
    let mut pair = Pair::play(
        &["SIZE SSCN CPSV", SIZE, SSCN_ON, PASV, RETR, SSCN_OFF, AT_SOURCE, QUIT],
        &["SIZE", PORT, STOR, ARRIVED, AT_TARGET, QUIT],
    );
    assert!(pair.copy().unwrap().protected);
    pair.go_on();
}

#[test]
fn the_source_is_the_client_by_cpsv() {
    let mut pair =
        Pair::play(&["SIZE CPSV", SIZE, CPSV, RETR, AT_SOURCE, QUIT], &["SIZE", PORT, STOR, ARRIVED, AT_TARGET, QUIT]);
    let receipt = pair.copy().unwrap();
    assert_eq!((receipt.status, receipt.protected), (Status::Verified, true));
    pair.go_on();
}

#[test]
fn the_target_is_the_client_by_cpsv_and_is_connected_to() {
    let port = "C: PORT 127,0,0,2,200,10\nS: 200 so be it";
    let mut pair =
        Pair::play(&["SIZE", SIZE, port, RETR, AT_SOURCE, QUIT], &["SIZE CPSV", CPSV, STOR, ARRIVED, AT_TARGET, QUIT]);
    let receipt = pair.copy().unwrap();
    assert_eq!((receipt.status, receipt.protected), (Status::Verified, true));
    pair.go_on();
}

#[test]
fn cpsv_has_no_room_for_ipv6() {
    for (source, target) in [("CPSV", "SIZE"), ("SIZE", "CPSV")] {
        let mut pair = Pair::play_at(["::1", "::1"], &[source, AT_SOURCE, QUIT], &[target, AT_TARGET, QUIT]);
        let error = pair.copy().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidState(_)), "{error}");
        assert!(error.to_string().contains("connect over IPv4"), "{error}");
        pair.go_on();
    }
}

#[test]
fn over_ipv6_by_sscn() {
    let mut pair = Pair::play_at(
        ["::1", "::1"],
        &["SIZE", SIZE, "C: EPSV\nS: 229 here (|||51210|)", RETR, AT_SOURCE, QUIT],
        &["SSCN", SSCN_ON, "C: EPRT |2|::1|51210|\nS: 200 so be it", STOR, SSCN_OFF, AT_TARGET, QUIT],
    );
    assert_eq!(pair.copy().unwrap().status, Status::Complete);
    pair.go_on();
}

#[test]
fn a_target_that_refuses_the_sources_address() {
    for refusal in ["500 Illegal PORT command.", "504 Bad address.", "501 Foreign addresses are not for you."] {
        let refused = format!("C: PORT 127,0,0,1,200,10\nS: {refusal}");
        let mut pair = Pair::play(
            &["SIZE", SIZE, PASV, AT_SOURCE, QUIT],
            &["SIZE SSCN", SSCN_ON, &refused, SSCN_OFF, AT_TARGET, QUIT],
        );
        let error = pair.copy().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Rejected), "{error}");
        assert!(error.to_string().contains("its administrator must allow"), "{error}");
        pair.blames(&error, 1);
        pair.go_on();
    }
}

#[test]
fn a_target_that_refuses_eprt() {
    let mut pair = Pair::play_at(
        ["::1", "::1"],
        &["SIZE", SIZE, "C: EPSV\nS: 229 here (|||51210|)", AT_SOURCE, QUIT],
        &["SSCN", SSCN_ON, "C: EPRT |2|::1|51210|\nS: 522 use (1)", SSCN_OFF, AT_TARGET, QUIT],
    );
    let error = pair.copy().unwrap_err();
    assert_eq!(error.reply().map(|reply| reply.code().number()), Some(522), "{error}");
    pair.go_on();
}

#[test]
fn a_source_that_refuses_to_connect_elsewhere() {
    // CPSV of the target holds for the next transfer, which was to be this one: its session is replaced.
    let refused = "C: PORT 127,0,0,2,200,10\nS: 500 Illegal PORT command.";
    let anew = login("SIZE CPSV");
    let mut pair =
        Pair::play(&["SIZE", SIZE, refused, AT_SOURCE, QUIT], &["SIZE CPSV", CPSV, ANEW, &anew, AT_TARGET, QUIT]);
    let error = pair.copy().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Rejected), "{error}");
    pair.blames(&error, 0);
    pair.go_on();
}

#[test]
fn what_is_offered_may_be_refused() {
    for (offered, said) in [("CPSV", "C: CPSV\nS: 502 no"), ("SSCN", "C: SSCN ON\nS: 504 no")] {
        let mut pair = Pair::play(&[offered, said, AT_SOURCE, QUIT], &["SIZE", AT_TARGET, QUIT]);
        let error = pair.copy().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Rejected), "{error}");
        pair.blames(&error, 0);
        pair.go_on();
    }
}

#[test]
fn answers_to_pasv_and_cpsv_that_send_the_other_server_nowhere() {
    for answer in [
        "(10,9,8,7,0,0)",
        "(10,9,8,7,0,25)",
        "(10,9,8,7,3,255)",
        "(10,9,8,7,256,1)",
        "(10,9,8,7,200)",
        "(10,9,8,7,200,10,1)",
        "(10,9,8,7,99999999999999999999,10)",
        "(10,9,8,7,-1,10)",
        "(::1,200,10)",
        "(|||51210|)",
        "",
    ] {
        // PASV binds nothing, so the session goes on; CPSV does.
        let passive = format!("C: PASV\nS: 227 Entering Passive Mode {answer}");
        let mut pair =
            Pair::play(&["SIZE", SIZE, &passive, AT_SOURCE, QUIT], &["SSCN", SSCN_ON, SSCN_OFF, AT_TARGET, QUIT]);
        let error = pair.copy().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ProtocolViolation(_)), "{answer}: {error}");
        pair.blames(&error, 0);
        pair.go_on();

        let passive = format!("C: CPSV\nS: 227 Entering Passive Mode {answer}");
        let anew = login("CPSV");
        let mut pair = Pair::play(&["CPSV", &passive, ANEW, &anew, AT_SOURCE, QUIT], &["SIZE", AT_TARGET, QUIT]);
        let error = pair.copy().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ProtocolViolation(_)), "{answer}: {error}");
        pair.go_on();
    }
}

#[test]
fn a_file_that_is_not_there_leaves_the_target_as_it_is() {
    // SIZE is not offered: RETR tells.
    let mut pair = Pair::play(
        &["MDTM", PASV, "C: RETR a.bin\nS: 550 no such file", AT_SOURCE, QUIT],
        &["SSCN", SSCN_ON, PORT, SSCN_OFF, AT_TARGET, QUIT],
    );
    let error = pair.copy().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Rejected), "{error}");
    pair.go_on();
}

/// How a peer gives a transfer up.
const STOPPED: &str = "C: ABOR\nS: 426 given up\nS: 226 so it is";

#[test]
fn a_source_that_dies_in_the_middle() {
    let mut pair = Pair::play(
        &["SIZE", SIZE, PASV, "C: RETR a.bin\nS: 150 here it comes\nwait STOR\nclose"],
        &[
            "SSCN",
            SSCN_ON,
            PORT,
            "C: STOR b.bin\ntell STOR\nS: 150 go ahead",
            STOPPED,
            AT_TARGET,
            SSCN_OFF,
            AT_TARGET,
            QUIT,
        ],
    );
    let error = pair.copy().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ClosedByPeer), "{error:?}");
    pair.blames(&error, 0);
    block(async {
        assert_eq!(pair.target.pwd().await.unwrap(), b"/target");
        // Nothing is made of what is gone.
        assert!(matches!(pair.source.pwd().await.unwrap_err().kind(), ErrorKind::InvalidState(_)));
    });
    pair.part();
}

#[test]
fn a_target_that_dies_in_the_middle() {
    let anew = login("SSCN");
    let mut pair = Pair::play(
        &["SIZE", SIZE, PASV, "C: RETR a.bin\nS: 150 here it comes", STOPPED, AT_SOURCE, AT_SOURCE, QUIT],
        // It was the client of a copy, and nobody took that back: there is a new session, or none.
        &["SSCN", SSCN_ON, PORT, "C: STOR b.bin\nS: 150 go ahead\nclose", &anew, AT_TARGET, QUIT],
    );
    let error = pair.copy().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ClosedByPeer), "{error:?}");
    pair.blames(&error, 1);
    pair.go_on();
}

#[test]
fn a_target_that_says_goodbye() {
    let anew = login("SSCN");
    let mut pair = Pair::play(
        &["SIZE", SIZE, PASV, "C: RETR a.bin\nS: 150 here it comes", STOPPED, AT_SOURCE, AT_SOURCE, QUIT],
        &["SSCN", SSCN_ON, PORT, "C: STOR b.bin\nS: 150 go ahead\nS: 421 out of time\nclose", &anew, AT_TARGET, QUIT],
    );
    let error = pair.copy().unwrap_err();
    assert_eq!(error.reply().map(|reply| reply.code().number()), Some(421), "{error}");
    pair.go_on();
}

#[test]
fn what_one_refuses_ends_the_other() {
    // The target gives up, and the source, which has nobody to send to, says so when it is asked.
    let mut pair = Pair::play(
        &["SIZE", SIZE, PASV, "C: RETR a.bin\nS: 150 here it comes", STOPPED, AT_SOURCE, AT_SOURCE, QUIT],
        &[
            "SSCN",
            SSCN_ON,
            PORT,
            "C: STOR b.bin\nS: 150 go ahead\nS: 426 the handshake failed",
            // Another reply may follow that one.
            AT_TARGET,
            SSCN_OFF,
            AT_TARGET,
            QUIT,
        ],
    );
    let error = pair.copy().unwrap_err();
    assert_eq!(error.reply().map(|reply| reply.code().number()), Some(426), "{error}");
    pair.blames(&error, 1);
    pair.go_on();
}

#[test]
fn nobody_waits_for_ever() {
    let anew = login("SSCN");
    let mut pair = Pair::play(
        &["SIZE", SIZE, PASV, "C: RETR a.bin\nS: 150 here it comes", STOPPED, AT_SOURCE, AT_SOURCE, QUIT],
        // It says nothing more, not even to ABOR.
        &["SSCN", SSCN_ON, PORT, "C: STOR b.bin\nS: 150 go ahead\nC: ABOR", ANEW, &anew, AT_TARGET, QUIT],
    );
    let began = Instant::now();
    let error = pair.copy_as(&How { within: Duration::from_millis(500), ..How::default() }).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TimedOut), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    pair.go_on();
}

#[test]
fn a_reply_that_does_not_end_is_not_the_length_of_the_copy() {
    let mut pair = Pair::play(
        &["SIZE", SIZE, PASV, "C: RETR a.bin\nS: 150-here it comes", ANEW],
        &["SSCN", SSCN_ON, PORT, SSCN_OFF, AT_TARGET, QUIT],
    );
    let began = Instant::now();
    let error = pair.copy().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TimedOut), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(block(pair.target.pwd()).unwrap(), b"/target");
    pair.part();
}

#[test]
fn no_copy_is_complete_that_did_not_begin() {
    for words in ["226 sent", "250 ok", "150 here\nS: 150 here\nS: 150 here"] {
        let retr = format!("C: RETR a.bin\nS: {words}");
        let stopped = "C: STOR b.bin\nS: 150 go ahead\nC: ABOR\nS: 426 given up\nS: 226 so it is";
        // Where the first word is wrong, the target never hears of the file.
        let told: &[&str] = if words.starts_with("150") { &[stopped, AT_TARGET] } else { &[] };
        let target = [&["SSCN", SSCN_ON, PORT], told, &[SSCN_OFF, AT_TARGET, QUIT]].concat();
        let mut pair = Pair::play(&["SIZE", SIZE, PASV, &retr, ANEW], &target);
        let error = pair.copy().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ProtocolViolation(_)), "{words}: {error:?}");
        pair.blames(&error, 0);
        assert_eq!(block(pair.target.pwd()).unwrap(), b"/target");
        pair.part();
    }
}

#[test]
fn a_word_too_many_is_nobodys_answer() {
    let retr = "C: RETR a.bin\nS: 150 here it comes\nwait STOR\nS: 226 sent\nS: 226 and sent\ntell twice";
    let stor = "C: STOR b.bin\ntell STOR\nS: 150 go ahead\nwait twice\nS: 226 stored";
    let mut pair = Pair::play(
        &["SIZE", SIZE, PASV, retr, ANEW],
        &["SSCN SIZE", SSCN_ON, PORT, stor, SSCN_OFF, ARRIVED, AT_TARGET, QUIT],
    );
    assert_eq!(pair.copy().unwrap().target.text(), "stored");
    block(async {
        let error = pair.source.pwd().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unsolicited(_)), "{error:?}");
        assert_eq!(pair.target.pwd().await.unwrap(), b"/target");
    });
    pair.part();
}

#[test]
fn what_is_not_taken_back_holds_for_nothing_else() {
    // The copy is made all the same.
    let (anew, refused) = (login("SSCN"), "C: SSCN OFF\nS: 500 not now");
    let mut pair = Pair::play(
        &["SIZE", SIZE, PASV, RETR, AT_SOURCE, QUIT],
        &["SSCN", SSCN_ON, PORT, STOR, refused, ANEW, &anew, AT_TARGET, QUIT],
    );
    assert_eq!(pair.copy().unwrap().status, Status::Complete);
    pair.go_on();
}

#[test]
fn clear_text_is_for_one_file() {
    let (clear, private) = ("C: PROT C\nS: 200 clear", "C: PROT P\nS: 200 private");
    let refused = "C: PROT P\nS: 536 not any more";
    let anew = login("MDTM");
    let how = How { clear: true, ..How::default() };
    let mut pair = Pair::play(
        &["MDTM", clear, PASV, RETR, private, AT_SOURCE, QUIT],
        &["MDTM", clear, PORT, STOR, refused, ANEW, &anew, AT_TARGET, QUIT],
    );
    assert!(!pair.copy_as(&how).unwrap().protected);
    pair.go_on();

    let mut pair =
        Pair::play(&["MDTM", clear, private, AT_SOURCE, QUIT], &["MDTM", "C: PROT C\nS: 534 never", AT_TARGET, QUIT]);
    let error = pair.copy_as(&how).unwrap_err();
    pair.blames(&error, 1);
    pair.go_on();
}

#[test]
fn a_target_that_does_not_tell_the_size() {
    let untold = "C: SIZE b.bin\nS: 550 not for you";
    let mut pair = Pair::play(
        &["SIZE", SIZE, PASV, RETR, AT_SOURCE, QUIT],
        &["SIZE SSCN", SSCN_ON, PORT, STOR, SSCN_OFF, untold, AT_TARGET, QUIT],
    );
    let receipt = pair.copy().unwrap();
    assert_eq!((receipt.status, receipt.size), (Status::Complete, None));
    pair.go_on();
}

#[test]
fn another_size_is_another_file() {
    let less = "C: SIZE b.bin\nS: 213 4";
    let mut pair = Pair::play(
        &["SIZE", SIZE, PASV, RETR, AT_SOURCE, QUIT],
        &["SIZE SSCN", SSCN_ON, PORT, STOR, SSCN_OFF, less, AT_TARGET, QUIT],
    );
    let error = pair.copy().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::SizeMismatch { expected: 5, transferred: 4 }), "{error:?}");
    pair.go_on();
}

#[test]
fn a_source_whose_end_is_lost() {
    for (said, then) in [("S: 426 reset", AT_TARGET), ("S: 226 stored", "C: SIZE b.bin\nS: 213 4")] {
        let stor = format!("C: STOR b.bin\ntell STOR\nS: 150 go ahead\nwait sent\n{said}");
        let mut pair = Pair::play(
            &["SSCN SIZE", SIZE, SSCN_ON, PASV, RETR, "tell sent", SSCN_OFF, AT_SOURCE, QUIT],
            &["SIZE", PORT, &stor, then, AT_TARGET, QUIT],
        );
        let error = pair.copy().unwrap_err();
        assert!(error.to_string().contains("TLS 1.2"), "{error}");
        pair.blames(&error, 1);
        pair.go_on();
    }
}

#[test]
fn a_server_that_wants_its_session_resumed() {
    let retr = "C: RETR a.bin\nS: 150 here it comes";
    let stor = "C: STOR b.bin\nS: 150 go ahead\nS: 522 session reuse required";
    let mut pair = Pair::play(
        &["MDTM", PASV, retr, STOPPED, AT_SOURCE, AT_SOURCE, QUIT],
        &["SSCN", SSCN_ON, PORT, stor, SSCN_OFF, AT_TARGET, QUIT],
    );
    let error = pair.copy().unwrap_err();
    assert!(error.to_string().contains("no session to resume"), "{error}");
    pair.go_on();
}

#[test]
fn a_place_that_another_transfer_left_behind_is_not_this_ones() {
    let begun = "C~ EPRT |1|127.0.0.1|\nS: 200 ok\nC: REST 2\nS: 350 from there\nC: RETR c.bin\nS: 550 no such file";
    let taken_back = "C: REST 0\nS: 350 from the beginning";
    let mut pair = Pair::play(
        &["SIZE", begun, taken_back, SIZE, PASV, RETR, AT_SOURCE, QUIT],
        &["SSCN", SSCN_ON, PORT, STOR, SSCN_OFF, AT_TARGET, QUIT],
    );
    pair.source.settings().active = Some(Active::default());
    let error = block(pair.source.start_download("c.bin", 2)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Rejected), "{error}");
    pair.copy().unwrap();
    pair.go_on();
}
