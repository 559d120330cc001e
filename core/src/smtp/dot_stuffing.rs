//! A message body on its way through DATA: line ends normalised, dots doubled (RFC 5321 §4.5.2).

/// Turns a body, given in pieces of any size, into what DATA carries.
///
/// Every bare CR and bare LF becomes CRLF, so that no reader can see an end of the message, or a line that begins with a
/// dot, where another does not. A dot that begins a line is doubled.
///
/// ```
/// use starttls::smtp::DotStuffing;
/// let (mut stuffing, mut wire) = (DotStuffing::new(), Vec::new());
/// stuffing.push(b"one\n.two\r", &mut wire);
/// stuffing.push(b"\nthree", &mut wire);
/// stuffing.finish(&mut wire);
/// assert_eq!(wire, b"one\r\n..two\r\nthree\r\n.\r\n");
/// ```
#[derive(Clone, Debug)]
pub struct DotStuffing {
    at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    LineStart,
    InLine,
    /// Behind a CR that is written only once it is known what follows.
    AfterCr,
}

impl Default for DotStuffing {
    fn default() -> Self {
        Self::new()
    }
}

impl DotStuffing {
    /// At the start of a body.
    pub fn new() -> Self {
        Self { at: At::LineStart }
    }

    /// Adds the next piece of the body to `wire`.
    pub fn push(&mut self, mut body: &[u8], wire: &mut Vec<u8>) {
        wire.reserve(body.len() + body.len() / 64 + 2);
        while let Some((&first, rest)) = body.split_first() {
            match (self.at, first) {
                (At::AfterCr, b'\n') => {
                    wire.extend_from_slice(b"\r\n");
                    self.at = At::LineStart;
                    body = rest;
                    continue;
                }
                (At::AfterCr, _) => {
                    wire.extend_from_slice(b"\r\n");
                    self.at = At::LineStart;
                    continue;
                }
                (At::LineStart, b'.') => wire.push(b'.'),
                _ => {}
            }
            // Whole lines that need no change go in one piece.
            let clean = clean_run(body);
            if clean > 0 {
                wire.extend_from_slice(&body[..clean]);
                self.at = At::LineStart;
                body = &body[clean..];
                continue;
            }
            let Some(end) = memchr::memchr2(b'\r', b'\n', body) else {
                wire.extend_from_slice(body);
                self.at = At::InLine;
                return;
            };
            wire.extend_from_slice(&body[..end]);
            if body[end] == b'\r' {
                self.at = At::AfterCr;
            } else {
                wire.extend_from_slice(b"\r\n");
                self.at = At::LineStart;
            }
            body = &body[end + 1..];
        }
    }

    /// Ends the body: the last line, if it is open, and the lone dot.
    pub fn finish(self, wire: &mut Vec<u8>) {
        wire.extend_from_slice(if self.at == At::LineStart { b".\r\n" } else { b"\r\n.\r\n" });
    }
}

/// How much of `body` is lines that end in CRLF, hold no other CR or LF, and (but for the first) begin with no dot.
fn clean_run(body: &[u8]) -> usize {
    let mut end = 0;
    let mut from = 0;
    while let Some(at) = memchr::memchr2(b'\r', b'\n', &body[from..]).map(|at| from + at) {
        if body[at] != b'\r' || body.get(at + 1) != Some(&b'\n') {
            break;
        }
        end = at + 2;
        from = end;
        if body.get(end) == Some(&b'.') {
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slow reference: one byte at a time, with the whole body at hand.
    fn reference(body: &[u8]) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
        let mut i = 0;
        while i < body.len() {
            match body[i] {
                b'\r' => {
                    lines.push(Vec::new());
                    i += usize::from(body.get(i + 1) == Some(&b'\n'));
                }
                b'\n' => lines.push(Vec::new()),
                byte => lines.last_mut().expect("never empty").push(byte),
            }
            i += 1;
        }
        if lines.last().is_some_and(Vec::is_empty) {
            lines.pop();
        }
        let mut out = Vec::new();
        for line in lines {
            if line.first() == Some(&b'.') {
                out.push(b'.');
            }
            out.extend(line);
            out.extend(b"\r\n");
        }
        out.extend(b".\r\n");
        out
    }

    #[test]
    fn every_body_of_a_small_alphabet_in_every_split() {
        // All 5,461 bodies of up to six bytes over these four, cut at every place: smuggling is in here somewhere.
        let alphabet = [b'\r', b'\n', b'.', b'x'];
        for length in 0..=6 {
            for number in 0..4usize.pow(length) {
                let body: Vec<u8> = (0..length).map(|i| alphabet[number / 4usize.pow(i) % 4]).collect();
                let expected = reference(&body);
                for cut in 0..=body.len() {
                    let (mut stuffing, mut wire) = (DotStuffing::new(), Vec::new());
                    stuffing.push(&body[..cut], &mut wire);
                    stuffing.push(&body[cut..], &mut wire);
                    stuffing.finish(&mut wire);
                    assert_eq!(wire, expected, "{body:?} cut at {cut}");
                }
            }
        }
    }
}
