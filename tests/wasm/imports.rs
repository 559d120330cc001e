//! What the component asks its host for.

use starttls_tests::embedding::{Host, Import};

use crate::host;

/// All of it. UDP, listening and the terminal's interfaces are what libc's sockets and streams come with: they are never
/// called, and the host of these tests denies the first two.
const IMPORTS: [&str; 24] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// Without their versions, in order.
fn names(found: &[Import]) -> Vec<&str> {
    for import in found {
        let (_, version) = import.name.split_once('@').expect("a version");
        assert!(version.starts_with("0.2."), "{} is no interface of WASI 0.2", import.name);
    }
    let mut names: Vec<_> = found.iter().map(|import| import.name.split('@').next().unwrap_or_default()).collect();
    names.sort_unstable();
    names
}

#[test]
fn no_files_and_nothing_else_that_is_not_listed() {
    assert_eq!(names(&host().imports()), IMPORTS);
}

#[test]
fn the_world_core_has_no_network() {
    let found = Host::new(&crate::core_world::path()).expect("a component").imports();
    let expected: Vec<_> = IMPORTS.into_iter().filter(|name| !name.starts_with("wasi:sockets/")).collect();
    assert_eq!(names(&found), expected);
}

#[test]
fn only_functions_that_wasi_0_2_0_has() {
    for import in host().imports() {
        for later in ["exit-with-code", "network-error-code", "timezone"] {
            assert!(!import.functions.iter().any(|function| function == later), "{}: {later}", import.name);
        }
    }
}
