//! Escapes and words of the corpus' files.

/// Reads `\r`, `\n`, `\0`, `\t`, `\\`, `\"` and `\xNN`; everything else stands for its UTF-8.
pub(crate) fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        out.push(match chars.next() {
            Some('r') => b'\r',
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('"') => b'"',
            Some('x') => {
                let mut digit = || chars.next()?.to_digit(16);
                let byte = digit().zip(digit()).map(|(high, low)| high * 16 + low);
                byte.and_then(|byte| u8::try_from(byte).ok())
                    .ok_or_else(|| format!("\\x without two digits: {text}"))?
            }
            other => return Err(format!("unknown escape \\{other:?} in {text}")),
        });
    }
    Ok(out)
}

/// Splits into words at spaces; a word in double quotes may hold spaces and escapes; `@N` is N bytes of a pattern.
pub(crate) fn words(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (word, after) = if let Some(inside) = rest.strip_prefix('"') {
            let mut escaped = false;
            let end = inside.char_indices().find_map(|(i, c)| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends.then_some(i)
            });
            let end = end.ok_or_else(|| format!("a quote is not closed: {text}"))?;
            (unescape(&inside[..end])?, &inside[end + 1..])
        } else {
            let end = rest.find(' ').unwrap_or(rest.len());
            (expand(&rest[..end])?, &rest[end..])
        };
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

fn expand(word: &str) -> Result<Vec<u8>, String> {
    match word.strip_prefix('@').map(str::parse::<usize>) {
        Some(Ok(length)) => Ok(pattern(length)),
        _ => unescape(word),
    }
}

/// `length` bytes in which every position differs from its neighbours, 251 being prime.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

/// Bytes for a failure's text.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(120)];
    format!("\"{}\"{}", cut.escape_ascii(), if cut.len() < bytes.len() { "…" } else { "" })
}

/// Whether `needle` is in `hay`.
pub(crate) fn contains(hay: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && hay.windows(needle.len()).any(|window| window == needle)
}
