//! What the server says on standard output: where it listens, then what each session carried.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// Totals of one session, printed when it ends.
pub(crate) struct Session {
    pub(crate) protocol: &'static str,
    /// Messages taken, or transfers and listings finished.
    pub(crate) count: u64,
    /// Octets of their content, without dot stuffing.
    pub(crate) octets: u64,
    /// Times the client spoke after the server had, on the control connection: round trips.
    pub(crate) flights: u64,
    /// Data connections with a full TLS handshake.
    pub(crate) full: u64,
    /// Data connections whose TLS session was resumed.
    pub(crate) resumed: u64,
    pub(crate) suite: String,
}

impl Session {
    pub(crate) fn new(protocol: &'static str, suite: String) -> Self {
        Self { protocol, count: 0, octets: 0, flights: 0, full: 0, resumed: 0, suite }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Self { protocol, count, octets, flights, full, resumed, suite } = self;
        line(&format!(
            r#"{{"protocol":"{protocol}","count":{count},"octets":{octets},"flights":{flights},"full":{full},"resumed":{resumed},"suite":"{suite}"}}"#
        ));
    }
}

pub(crate) fn announce(ports: &[(&str, u16)], ca_file: &Path) {
    let mut text = String::from("{\"ports\":{");
    for (index, (name, port)) in ports.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(text, "{comma}\"{name}\":{port}").expect("a String takes everything");
    }
    // The path comes from the starter; escaped so that any path stays one JSON string.
    let path = ca_file.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
    write!(text, "}},\"ca_file\":\"{path}\"}}").expect("a String takes everything");
    line(&text);
}

/// One line, whole, at once; a starter that no longer reads is not an error.
fn line(text: &str) {
    let mut output = std::io::stdout().lock();
    let _ = writeln!(output, "{text}");
    let _ = output.flush();
}
