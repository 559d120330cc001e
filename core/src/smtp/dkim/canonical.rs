//! The relaxed canonical forms (RFC 6376 §3.4.2, §3.4.4).

use ring::digest::{Context, Digest, SHA256};

/// Adds a header field without its line end: the name in lower case, white space as one space, none at the ends.
pub(super) fn field(name: &[u8], unfolded: &[u8], out: &mut Vec<u8>) {
    out.extend(name.iter().map(u8::to_ascii_lowercase));
    out.push(b':');
    let words = unfolded.split(|&byte| is_space(byte)).filter(|word| !word.is_empty());
    for (at, word) in words.enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// How much canonical text is gathered before it is hashed.
const GATHERED: usize = 8 * 1024;

/// A body on its way into the hash: white space as one space, none at a line's end, no empty lines at the body's end.
/// CRLF, CR and LF all end a line, as on the wire.
#[derive(Debug)]
pub(super) struct Body {
    hash: Hash,
    /// White space of this line that counts only if something follows.
    space: bool,
    /// Empty lines that count only if something follows.
    empty_lines: u64,
    in_line: bool,
    after_cr: bool,
}

impl Default for Body {
    fn default() -> Self {
        let hash = Hash { context: Context::new(&SHA256), text: Vec::with_capacity(GATHERED) };
        Self { hash, space: false, empty_lines: 0, in_line: false, after_cr: false }
    }
}

impl Body {
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            let after_cr = std::mem::take(&mut self.after_cr);
            match first {
                b'\n' if after_cr => {}
                b'\r' | b'\n' => {
                    self.after_cr = first == b'\r';
                    self.end_line();
                }
                b' ' | b'\t' => self.space = true,
                _ => {
                    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
                    let end = bytes.iter().position(|byte| !is_text(byte)).unwrap_or(bytes.len());
                    self.text(&bytes[..end]);
                    bytes = &bytes[end..];
                    continue;
                }
            }
            bytes = rest;
        }
    }

    fn text(&mut self, text: &[u8]) {
        for _ in 0..std::mem::take(&mut self.empty_lines) {
            self.hash.put(b"\r\n");
        }
        if std::mem::take(&mut self.space) {
            self.hash.put(b" ");
        }
        self.hash.put(text);
        self.in_line = true;
    }

    fn end_line(&mut self) {
        self.space = false;
        if std::mem::take(&mut self.in_line) {
            self.hash.put(b"\r\n");
        } else {
            self.empty_lines += 1;
        }
    }

    /// The hash of what was pushed. A last line without an end gets one.
    pub(super) fn digest(mut self) -> Digest {
        if self.in_line {
            self.end_line();
        }
        self.hash.finish()
    }
}

struct Hash {
    context: Context,
    text: Vec<u8>,
}

impl Hash {
    fn put(&mut self, text: &[u8]) {
        if self.text.len() + text.len() > GATHERED {
            self.context.update(&self.text);
            self.text.clear();
        }
        if text.len() > GATHERED {
            self.context.update(text);
        } else {
            self.text.extend_from_slice(text);
        }
    }

    fn finish(mut self) -> Digest {
        self.context.update(&self.text);
        self.context.finish()
    }
}

/// Not the text: it is somebody's letter.
impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &[u8]) -> Vec<u8> {
        let mut hashed = Body::default();
        hashed.push(body);
        hashed.digest().as_ref().to_vec()
    }

    #[test]
    fn bodies() {
        let hash = |text: &[u8]| ring::digest::digest(&SHA256, text).as_ref().to_vec();
        for (body, canonical) in [
            // The example of RFC 6376 §3.4.5.
            (&b" C \r\nD \t E\r\n\r\n\r\n"[..], &b" C\r\nD E\r\n"[..]),
            (b"", b""),
            (b"\r\n\n\r \t\r\n", b""),
            (b"a", b"a\r\n"),
            (b"a\nb\rc\r\r\nd\n", b"a\r\nb\r\nc\r\n\r\nd\r\n"),
            (b"\r\n \r\na\r\n\t\r\nb \t", b"\r\n\r\na\r\n\r\nb\r\n"),
            (b"a\r\n  ", b"a\r\n"),
            (b"a\r\n\x0b \x0c\r\n", b"a\r\n\x0b \x0c\r\n"),
        ] {
            assert_eq!(of(body), hash(canonical), "{body:?}");
            // However it is cut up.
            for cut in 0..=body.len() {
                let mut hashed = Body::default();
                hashed.push(&body[..cut]);
                hashed.push(&body[cut..]);
                assert_eq!(hashed.digest().as_ref(), hash(canonical), "{body:?} cut at {cut}");
            }
        }
        let long = b"word ".repeat(10_000);
        assert_eq!(of(&long), hash(&[long.trim_ascii_end(), b"\r\n"].concat()));
        let line = vec![b'x'; 3 * GATHERED];
        assert_eq!(of(&line), hash(&[&line[..], b"\r\n"].concat()));
    }

    #[test]
    fn fields() {
        for (name, body, canonical) in [
            (&b"A"[..], &b" X"[..], &b"a:X"[..]),
            (b"B ", b" Y\t\tZ  ", b"b :Y Z"),
            (b"SUBJect", b"", b"subject:"),
            (b"x", b" \t ", b"x:"),
        ] {
            let mut out = Vec::new();
            field(name, body, &mut out);
            assert_eq!(out, canonical);
        }
    }
}
