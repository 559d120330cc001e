//! A plugin that has no network of its own, and imports the component's connections.

use std::path::PathBuf;

use starttls_tests::daemon::{Daemon, built};
use starttls_tests::embedding::Host;

use crate::command::{folder, run, succeed};
use crate::component;

fn plugin() -> PathBuf {
    built("STARTTLS_PLUGIN", "wasm32-wasip2/release/starttls-plugin.wasm")
}

#[test]
fn it_asks_for_connections_and_for_no_network() {
    let imports = Host::new(&plugin()).expect("a component").imports();
    let names: Vec<_> = imports.iter().map(|import| import.name.as_str()).collect();
    assert!(names.contains(&"starttls:client/connection@0.1.0"), "{names:?}");
    for kept_out in ["wasi:sockets", "wasi:filesystem", "starttls:client/smtp", "starttls:client/ftp"] {
        assert!(!names.iter().any(|name| name.starts_with(kept_out)), "{kept_out}: {names:?}");
    }
}

#[test]
fn it_talks_under_tls_by_the_components_connections() {
    let imap = Daemon::start("imap", None);
    let folder = folder("plugin", &imap);
    let (component, port) = (component(), imap.port("port").to_string());
    let with = ["run", "--plug", component.to_str().expect("a path in Unicode"), "--", "localhost", &port];
    let allow = format!("--allow=127.0.0.1:{port}");
    let granted = [&[allow.as_str()][..], &with].concat();
    let authority = String::from_utf8(imap.authority()).expect("PEM text");
    let told = succeed(&folder, &plugin(), &[&granted[..], &[authority.as_str()]].concat());
    assert!(told.starts_with("* CAPABILITY IMAP4rev1 ") && told.contains("\n1 OK "), "{told}");
    assert!(told.contains("AUTH=PLAIN") && !told.contains("LOGINDISABLED"), "offered under TLS alone: {told}");

    // The certificate is checked in the component, and the host's policy is about both.
    for (words, why) in [
        (granted, "signed by an authority that is not trusted"),
        ([&with[..], &[authority.as_str()]].concat(), "access denied by the host's policy"),
    ] {
        let output = run(&folder, &plugin(), &words);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && told.contains(why), "{told}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn what_does_not_fit_together_is_told() {
    let error = Host::plugged(&component(), &plugin()).err().expect("the wrong way round");
    assert!(error.to_string().contains("no matching imports"), "{error:#}");
}
