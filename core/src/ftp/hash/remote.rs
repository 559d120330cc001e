//! What servers compute: HASH (draft-bryan-ftpext-hash), and the older XCRC, XMD5, XSHA…, MD5 with their many ways of
//! saying it.
//!
//! A digest counts only if it has exactly the digits its algorithm has, and, where the reply names algorithm and range,
//! if those are the ones asked for.

use std::ops::Range;

use super::{Algorithm, Digest};
use crate::error::{Error, Phase, Result};
use crate::ftp::features::Features;
use crate::ftp::{Client, commands};
use crate::reply::Reply;
use crate::transport::Transport;

impl Features {
    /// The hash functions that the server computes, the preferred ones first: by HASH, by one of the older commands, or by
    /// both.
    pub fn hashes(&self) -> Vec<Algorithm> {
        Algorithm::ALL.into_iter().filter(|&it| self.hash_knows(it) || self.older_command(it).is_some()).collect()
    }

    /// The names behind HASH; the selected one has an asterisk (`SHA-1*;MD5`).
    fn hash_names(&self) -> impl Iterator<Item = &str> {
        let names = self.iter().filter(|(name, _)| *name == "HASH").flat_map(|(_, names)| names.split(';'));
        names.map(str::trim).filter(|name| !name.is_empty())
    }

    fn hash_knows(&self, algorithm: Algorithm) -> bool {
        self.hash_names().any(|name| name.trim_end_matches('*').parse().is_ok_and(|it: Algorithm| it == algorithm))
    }

    /// What HASH uses if nothing else was selected.
    fn hash_default(&self) -> Option<Algorithm> {
        self.hash_names().find_map(|name| name.strip_suffix('*')?.parse().ok())
    }

    /// Whether it computes digests of parts of files, too.
    pub(in crate::ftp) fn hashes_parts(&self, algorithm: Algorithm) -> bool {
        let older = self.older_command(algorithm).is_some_and(takes_range);
        older || (self.hash_knows(algorithm) && self.offers("RANG"))
    }

    fn older_command(&self, algorithm: Algorithm) -> Option<&'static str> {
        let verbs: &[_] = match algorithm {
            Algorithm::Sha256 => &["XSHA256"],
            Algorithm::Sha512 => &["XSHA512"],
            Algorithm::Sha384 => &["XSHA384"],
            Algorithm::Sha1 => &["XSHA1", "XSHA"],
            // MMD5 takes several files, and one, too (draft-twine-ftpmd5).
            Algorithm::Md5 => &["XMD5", "MD5", "MMD5"],
            Algorithm::Crc32 => &["XCRC"],
        };
        verbs.iter().copied().find(|verb| self.offers(verb))
    }
}

impl<T: Transport> Client<T> {
    /// The digest of a file as the server computes it: by `algorithm`, or by the best that is offered; of the bytes in
    /// `range`, or of all. An empty file may be refused. The reply may take as long as a transfer's last one
    /// ([`Timeouts::finish`](crate::Timeouts::finish)).
    ///
    /// # Errors
    /// [`InvalidState`](crate::ErrorKind::InvalidState) if the server does not offer the algorithm, or not for parts of
    /// files; [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a range without bytes;
    /// [`Rejected`](crate::ErrorKind::Rejected) if there is no such file; a violation for an answer that is no digest, or
    /// one by another algorithm or of another range.
    pub async fn hash(
        &mut self,
        path: impl AsRef<[u8]>,
        algorithm: Option<Algorithm>,
        range: Option<Range<u64>>,
    ) -> Result<Digest> {
        let path = path.as_ref();
        self.idle().await?;
        let features = &self.session.features;
        let Some(algorithm) = algorithm.or_else(|| features.hashes().first().copied()) else {
            return Err(self.explain(Error::invalid_state("the server does not offer to compute digests")));
        };
        let (by_hash, older) = (features.hash_knows(algorithm), features.older_command(algorithm));
        let ranges = features.offers("RANG");
        match range {
            Some(range) if range.is_empty() => Err(Error::invalid_argument("a range without bytes has no digest")),
            // Some servers offer RANG and HASH and do not put them together.
            Some(range) => match older.filter(|verb| takes_range(verb)) {
                Some(verb) => self.hash_by_older_command(verb, algorithm, path, Some(range)).await,
                None if by_hash && ranges => self.hash_range(algorithm, path, range).await,
                None => Err(self.not_offered(algorithm, " for parts of files")),
            },
            None if by_hash => self.hash_whole(algorithm, path).await,
            None => match older {
                Some(verb) => self.hash_by_older_command(verb, algorithm, path, None).await,
                None => Err(self.not_offered(algorithm, "")),
            },
        }
    }

    fn not_offered(&self, algorithm: Algorithm, what_for: &str) -> Error {
        self.explain(Error::invalid_state(format!("the server does not offer {algorithm}{what_for}")))
    }

    async fn hash_whole(&mut self, algorithm: Algorithm, path: &[u8]) -> Result<Digest> {
        let line = commands::hash(path)?;
        self.select_hash(algorithm).await?;
        let reply = self.session.expect_late(&line).await?;
        let (told, digest) = self.told(read_hash(&reply, algorithm), "HASH", &reply)?;
        if told.start != 0 {
            return Err(self.nonsense("HASH", &reply));
        }
        Ok(digest)
    }

    async fn hash_range(&mut self, algorithm: Algorithm, path: &[u8], range: Range<u64>) -> Result<Digest> {
        let line = commands::hash(path)?;
        self.select_hash(algorithm).await?;
        let reply = self.session.dialogue.exchange(&commands::rang(&range)).await;
        let reply = reply.map_err(|error| error.during(Phase::Command))?;
        if !reply.code().is_intermediate() {
            return Err(self.session.refused(reply, Phase::Command));
        }
        let outcome = self.session.expect_late(&line).await;
        // Whoever does not use up the range with HASH would use it for the next transfer.
        if self.session.dialogue.ready().is_ok() {
            self.session.dialogue.exchange(&commands::rang_none()).await?;
        }
        let reply = outcome?;
        let (told, digest) = self.told(read_hash(&reply, algorithm), "HASH", &reply)?;
        // Drafts and servers differ in whether the end that is told belongs to it.
        if told.start != range.start || (told.end != range.end && told.end != range.end - 1) {
            return Err(self.nonsense("HASH", &reply));
        }
        Ok(Digest { range: Some(range), ..digest })
    }

    /// OPTS HASH, if another algorithm is selected.
    async fn select_hash(&mut self, algorithm: Algorithm) -> Result<()> {
        let session = &mut self.session;
        if session.hash.or_else(|| session.features.hash_default()) != Some(algorithm) {
            session.expect(&commands::opts_hash(algorithm.name())).await?;
            session.hash = Some(algorithm);
        }
        Ok(())
    }

    async fn hash_by_older_command(
        &mut self,
        verb: &'static str,
        algorithm: Algorithm,
        path: &[u8],
        range: Option<Range<u64>>,
    ) -> Result<Digest> {
        let line = commands::older_hash(verb, path, takes_range(verb), range.as_ref())?;
        let reply = self.session.expect_late(&line).await?;
        let digest = self.told(read_older(&reply, algorithm, path), verb, &reply)?;
        Ok(Digest { range, ..digest })
    }

    fn told<R>(&self, read: Option<R>, verb: &str, reply: &Reply) -> Result<R> {
        read.ok_or_else(|| self.nonsense(verb, reply))
    }

    fn nonsense(&self, verb: &str, reply: &Reply) -> Error {
        let error = Error::violation(format!("the answer to {verb} is not the digest that was asked for"));
        self.explain(error.with_reply(reply.clone()).during(Phase::Command))
    }
}

/// Those that begin with X take a range, and quotes; the drafts of MD5 have the rest of the line as a path.
fn takes_range(verb: &str) -> bool {
    verb.starts_with('X')
}

/// `SHA-256 0-1234 <digits> path`, in the last line. The range is as the server tells it.
fn read_hash(reply: &Reply, algorithm: Algorithm) -> Option<(Range<u64>, Digest)> {
    let line = String::from_utf8_lossy(reply.last_line());
    let mut words = line.split_ascii_whitespace();
    if words.next()?.parse::<Algorithm>().ok()? != algorithm {
        return None;
    }
    let (start, end) = words.next()?.split_once('-')?;
    let number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    let digest = Digest::from_hex(algorithm, words.next()?).ok()?;
    Some((number(start)?..number(end)?, digest))
}

/// A digest somewhere in the reply: the one word with the right number of hexadecimal digits, the path apart. CRC-32 may
/// have lost its leading zeros where it stands alone.
fn read_older(reply: &Reply, algorithm: Algorithm, path: &[u8]) -> Option<Digest> {
    let lines: Vec<_> = reply.raw_lines().map(|line| without(line, path)).collect();
    let last = candidates(lines.last()?, algorithm);
    let found =
        if last.is_empty() { lines.iter().flat_map(|line| candidates(line, algorithm)).collect() } else { last };
    match &found[..] {
        [first, rest @ ..] => rest.iter().all(|other| other == first).then(|| first.clone()),
        [] if algorithm == Algorithm::Crc32 => {
            let alone = String::from_utf8_lossy(lines.last()?).into_owned();
            let digits = bare(alone.trim());
            let short = (1..8).contains(&digits.len()).then(|| format!("{digits:0>8}"))?;
            Digest::from_hex(algorithm, &short).ok()
        }
        [] => None,
    }
}

fn candidates(line: &[u8], algorithm: Algorithm) -> Vec<Digest> {
    let words = line.split(|b| b" \t\",;:=()".contains(b)).filter_map(|word| std::str::from_utf8(word).ok());
    words.filter_map(|word| Digest::from_hex(algorithm, bare(word)).ok()).collect()
}

fn bare(word: &str) -> &str {
    let word = word.trim_matches(['"', '.', '\'']);
    word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")).unwrap_or(word)
}

/// The line without the path, whose words could look like a digest.
fn without(line: &[u8], path: &[u8]) -> Vec<u8> {
    // A path that is a digest by its looks, and stands in the line, is not taken for one.
    match memchr::memmem::find(line, path) {
        Some(at) if !path.is_empty() => [&line[..at], b" ", &line[at + path.len()..]].concat(),
        _ => line.to_vec(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::reply::{Assembler, Budget, Dialect};

    fn reply(text: &str) -> Reply {
        let mut assembler = Assembler::new(Dialect::Ftp, Budget::DEFAULT);
        text.split('|').find_map(|line| assembler.push(line.as_bytes()).unwrap()).unwrap()
    }

    fn features(lines: &str) -> Features {
        Features::parse(&reply(&format!("211-Features|{lines}|211 End")))
    }

    #[test]
    fn what_is_offered() {
        let offered = features(" HASH CRC32;MD5;SHA-1*;SHA-256;WHIRLPOOL| XSHA512| MMD5");
        use Algorithm as A;
        assert_eq!(offered.hashes(), [A::Sha256, A::Sha512, A::Sha1, A::Md5, A::Crc32]);
        assert_eq!(offered.hash_default(), Some(A::Sha1));
        assert_eq!(offered.older_command(A::Md5), Some("MMD5"));
        assert_eq!(features(" SIZE").hashes(), []);
        assert_eq!(features(" XCRC filename;start;end| XMD5 filename;start;end").hashes(), [A::Md5, A::Crc32]);
    }

    #[test]
    fn hash_in_its_grammar() {
        let sum = "a9993e364706816aba3e25717850c26c9cd0d89d";
        let (range, digest) =
            read_hash(&reply(&format!("213-Computing SHA-1 digest|213 SHA-1 0-3 {sum} a b")), Algorithm::Sha1).unwrap();
        assert_eq!((range, digest.to_string()), (0..3, sum.to_owned()));
        for wrong in [
            format!("213 MD5 0-3 {sum} a"),
            format!("213 SHA-1 0-+3 {sum} a"),
            format!("213 SHA-1 03 {sum} a"),
            format!("213 SHA-1 0-3 {} a", &sum[1..]),
            format!("213 SHA-1 0-3 {sum}0 a"),
            format!("213 SHA-1 0-99999999999999999999 {sum} a"),
            format!("213 {sum}"),
            "213".to_owned(),
        ] {
            assert_eq!(read_hash(&reply(&wrong), Algorithm::Sha1), None, "{wrong}");
        }
    }

    #[test]
    fn older_answers() {
        let md5 = "900150983cd24fb0d6963f7d28e17f72";
        for text in [
            format!("250 {md5}"),
            format!("250-Computing MD5 digest|250 {}", md5.to_uppercase()),
            format!("251 \"a.bin\" {md5}"),
            format!("251 a.bin {md5}"),
            format!("252 \"a.bin\" {md5}."),
            format!("250 XMD5 = \"{md5}\""),
            format!("250-MD5: {md5}|250 Done"),
        ] {
            assert_eq!(read_older(&reply(&text), Algorithm::Md5, b"a.bin").unwrap().to_string(), md5, "{text}");
        }
        // A name that is itself a digest.
        let name = "d41d8cd98f00b204e9800998ecf8427e";
        let named = read_older(&reply(&format!("251 {name} {md5}")), Algorithm::Md5, name.as_bytes());
        assert_eq!(named.unwrap().to_string(), md5);
        for wrong in ["250 ok", &format!("250 {md5} {name}"), &format!("250 {md5}0"), "250"] {
            assert_eq!(read_older(&reply(wrong), Algorithm::Md5, b"a"), None, "{wrong}");
        }
        for (text, value) in [("250 352441C2", "352441c2"), ("250 0x52441C2", "052441c2"), ("250 52441C2", "052441c2")]
        {
            assert_eq!(read_older(&reply(text), Algorithm::Crc32, b"a").unwrap().to_string(), value, "{text}");
        }
        assert_eq!(read_older(&reply("250 it is bad"), Algorithm::Crc32, b"a"), None);
    }
}
