//! What an instance remembers of a server between two of its sessions.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use starttls_tests::embedding::exports::smtp::{DeliveryReport, Outcome};
use starttls_tests::embedding::exports::types::{Endpoint, Error, ErrorCode, Security};
use starttls_tests::embedding::{Opening, Sandbox};

use crate::hostile::within;
use crate::mail::envelope;
use crate::{endpoint, open_mail, sandbox};

/// What the server is like in one session.
#[derive(Clone, Copy)]
struct Habit {
    offers: &'static str,
    /// To the first command in here it says nothing any more.
    silent_at: Option<&'static str>,
    /// This one it does not know.
    unknown: Option<&'static str>,
}

const KIND: Habit = Habit { offers: "HELP", silent_at: None, unknown: None };

/// Serves a session for each habit, in turn, and gives the commands of each.
fn serve(habits: Vec<Habit>) -> (Endpoint, JoinHandle<Vec<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let converse = move |habit: Habit| {
        let (socket, _) = listener.accept().expect("a connection");
        session(&socket, habit)
    };
    (endpoint("127.0.0.1", port), std::thread::spawn(move || habits.into_iter().map(converse).collect()))
}

fn session(mut socket: &TcpStream, habit: Habit) -> Vec<String> {
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("an option");
    let mut lines = BufReader::new(socket.try_clone().expect("a socket")).lines();
    let mut say = |text: &str| drop(socket.write_all(format!("{text}\r\n").as_bytes()));
    say("220 hi");
    let mut heard = Vec::new();
    let mut silent = false;
    while let Some(Ok(line)) = lines.next() {
        let verb = line.split_once([' ', ':']).map_or(&*line, |(verb, _)| verb).to_owned();
        heard.push(verb.clone());
        silent |= habit.silent_at == Some(&verb);
        match &*verb {
            _ if silent => {}
            _ if habit.unknown == Some(&verb) => say("500 5.5.2 what?"),
            "EHLO" => say(&format!("250-hi\r\n250 {}", habit.offers)),
            "DATA" => {
                say("354 go on");
                lines.by_ref().map_while(Result::ok).take_while(|line| line != ".").for_each(drop);
                say("250 ok");
            }
            "QUIT" => say("221 bye"),
            _ => say("250 ok"),
        }
    }
    heard
}

fn send(sandbox: &mut Sandbox, to: &Endpoint) -> Result<DeliveryReport, Box<Error>> {
    let opening = Opening { security: Some(Security::Plaintext), ..within(Duration::from_secs(1)) };
    let session = open_mail(sandbox, to, &opening)?;
    let Sandbox { store, client } = sandbox;
    let smtp = client.starttls_client_smtp();
    let sent = smtp.session().call_send(&mut *store, session, &envelope(&["bob@example.net"]), None, b"A: b\r\n");
    smtp.session().call_quit(&mut *store, session).expect("no trap");
    Ok(sent.expect("no trap")?)
}

#[test]
fn what_broke_is_not_used_again() {
    for (broken, kind) in [
        (Habit { offers: "PIPELINING", silent_at: Some("MAIL"), ..KIND }, Habit { offers: "PIPELINING", ..KIND }),
        (Habit { offers: "CHUNKING", unknown: Some("BDAT"), ..KIND }, Habit { offers: "CHUNKING", ..KIND }),
    ] {
        let (to, server) = serve(vec![broken, kind]);
        let mut sandbox = sandbox();
        send(&mut sandbox, &to).expect_err("it breaks");
        assert_eq!(send(&mut sandbox, &to).expect("a report").outcome, Outcome::Accepted);
        let heard = server.join().expect("the server");
        assert_eq!(heard[1], ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"], "{heard:?}");
    }
}

#[test]
fn an_upgrade_that_is_gone_is_a_downgrade() {
    let offering = Habit { offers: "STARTTLS", unknown: Some("STARTTLS"), ..KIND };
    let (to, server) = serve(vec![offering, KIND, KIND]);
    let mut sandbox = sandbox();
    let code =
        |sandbox: &mut Sandbox| open_mail(sandbox, &to, &within(Duration::from_secs(5))).expect_err("no TLS").code;
    assert!(matches!(code(&mut sandbox), ErrorCode::Rejected));
    assert!(matches!(code(&mut sandbox), ErrorCode::Downgraded(_)));
    let Sandbox { store, client } = &mut sandbox;
    client.starttls_client_smtp().call_forget_server(store, &to).expect("no trap");
    assert!(matches!(code(&mut sandbox), ErrorCode::UpgradeNotOffered));
    server.join().expect("the server");
}
