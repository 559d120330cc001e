//! Large messages on their way through DATA and BDAT, in pieces of every size, beside a server that reads them.

use starttls::smtp::{LineEncoder, LineEnds};

/// How much the client gathers and files are read by.
const PIECE: usize = 64 * 1024;

/// A small generator, so that a failure comes again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound
    }

    /// Lines of every length, with dots and line ends where they hurt; `tidy` if CRLF is the only one.
    fn body(&mut self, length: usize, tidy: bool) -> Vec<u8> {
        let ends: &[&[u8]] = if tidy { &[b"\r\n"] } else { &[b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r"] };
        let starts: [&[u8]; 6] = [b"", b".", b"..", b".\r\n", b"x", b"\xc3\xa4"];
        let mut body = Vec::with_capacity(length + 2_000);
        while body.len() < length {
            body.extend_from_slice(starts[self.below(starts.len())]);
            let long = if self.below(20) == 0 { 1_500 } else { 90 };
            let filled = body.len() + self.below(long);
            body.resize(filled, b'a');
            body.extend_from_slice(ends[self.below(ends.len())]);
        }
        body.truncate(length);
        if tidy && body.last() == Some(&b'\r') {
            body.pop();
        }
        body
    }

    /// Ways to cut `length` bytes.
    fn pieces(&mut self, length: usize) -> Vec<Vec<usize>> {
        let even = |size: usize| (0..length).step_by(size).skip(1).collect::<Vec<_>>();
        let mut cuts = vec![vec![], even(PIECE - 1), even(PIECE), even(PIECE + 1), even(1 + self.below(40))];
        let mut at = 0;
        cuts.push(
            std::iter::from_fn(|| Some(at + 1 + self.below(3_000)).inspect(|&next| at = next))
                .take_while(|&at| at < length)
                .collect(),
        );
        cuts
    }
}

/// Every CRLF, CR and LF a line end; an open last line closed.
fn normalised(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() * 2);
    let mut before = b'\n';
    for &byte in body {
        match byte {
            b'\n' if before == b'\r' => {}
            b'\r' | b'\n' => out.extend_from_slice(b"\r\n"),
            _ => out.push(byte),
        }
        before = byte;
    }
    if !out.is_empty() && !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// What a server makes of DATA (RFC 5321 §4.5.2). It sees no line end but CRLF, and everything must have been read when it
/// sees the end.
fn received(wire: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(wire.len());
    let mut rest = wire;
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").expect("a line ends in CRLF") + 2;
        let (line, behind) = rest.split_at(end);
        rest = behind;
        assert!(!line[..end - 2].contains(&b'\r') && !line[..end - 2].contains(&b'\n'), "a bare line end");
        if line == b".\r\n" {
            assert_eq!(rest, b"", "something is behind the end");
            return message;
        }
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
}

fn encoded(mut lines: LineEncoder, body: &[u8], cuts: &[usize]) -> Option<Vec<u8>> {
    let mut wire = Vec::new();
    let mut from = 0;
    for &to in cuts.iter().chain([&body.len()]) {
        lines.push(&body[from..to], &mut wire).ok()?;
        from = to;
    }
    lines.finish(&mut wire).ok()?;
    Some(wire)
}

#[test]
fn a_server_reads_what_was_meant_wherever_it_is_cut() {
    for seed in 0..24 {
        let mut random = Random(seed);
        let length = [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 7][seed as usize % 6];
        let tidy = seed % 4 == 0;
        let body = random.body(length, tidy);
        let meant = normalised(&body);
        for cuts in random.pieces(body.len()) {
            let what = format!("seed {seed}, {} bytes in {} pieces", body.len(), cuts.len() + 1);
            let data = encoded(LineEncoder::for_data(LineEnds::Normalise), &body, &cuts).expect("any body will do");
            assert!(received(&data) == meant, "DATA, {what}");
            let chunks = encoded(LineEncoder::for_chunks(LineEnds::Normalise), &body, &cuts).expect("any body will do");
            assert!(chunks == meant, "BDAT, {what}");
            let kept = encoded(LineEncoder::for_chunks(LineEnds::Preserve), &body, &cuts);
            assert!(kept.as_ref() == Some(&body), "BDAT as it is, {what}");
            // Nothing but the end of an open last line may differ, or it is refused.
            let is_tidy = meant.strip_prefix(&*body).is_some_and(|rest| matches!(rest, b"" | b"\r\n"));
            let strict = encoded(LineEncoder::for_data(LineEnds::Strict), &body, &cuts);
            assert_eq!(strict.is_some(), is_tidy, "{what}");
            assert!(strict.is_none_or(|wire| wire == data), "DATA, strict, {what}");
        }
    }
}
