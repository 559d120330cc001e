//! XMPP's STARTTLS (RFC 6120 §5.4): a stream is opened, its features are read, TLS is asked for in an element.

use super::clear::{Clear, refused, strange, turned_away};
use crate::error::{Error, Result};
use crate::transport::Stream;

const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";

pub(super) async fn ask<S: Stream>(clear: &mut Clear<'_, S>, host: &str, namespace: &str) -> Result<Vec<u8>> {
    if host.contains(['\'', '"', '<', '>', '&']) || host.chars().any(char::is_control) {
        return Err(Error::invalid_argument("a host's name has no quotes, angle brackets or control characters"));
    }
    let header = format!(
        "<?xml version='1.0'?><stream:stream to='{host}' version='1.0' xmlns='{namespace}' \
         xmlns:stream='http://etherx.jabber.org/streams'>"
    );
    clear.say(&header, header.as_bytes()).await?;
    let features = features(clear).await?;
    if !offers_tls(&features) {
        return Err(refused(b"no starttls among its stream features"));
    }
    let wish = format!("<starttls xmlns='{TLS}'/>");
    clear.say(&wish, wish.as_bytes()).await?;
    let answer = tag(clear).await?;
    // White space between elements was skipped; an element may be closed in a tag of its own.
    match name(&answer) {
        _ if !answer.starts_with('<') => Err(strange("<proceed/>", answer.as_bytes())),
        "proceed" if !is_about_tls(&answer) => Err(strange("<proceed/> about TLS", answer.as_bytes())),
        "proceed" if answer.ends_with("/>") => Ok(features.into_bytes()),
        "proceed" => match tag(clear).await? {
            end if name(&end) == "/proceed" => Ok(features.into_bytes()),
            end => Err(strange("the end of <proceed>", end.as_bytes())),
        },
        "failure" => Err(refused(answer.as_bytes())),
        _ => Err(strange("<proceed/>", answer.as_bytes())),
    }
}

/// The server's stream header and its features, as text.
async fn features<S: Stream>(clear: &mut Clear<'_, S>) -> Result<String> {
    let mut text = String::new();
    let mut opened = false;
    loop {
        let tag = tag(clear).await?;
        text.push_str(&tag);
        match name(&tag) {
            declaration if declaration.starts_with('?') && !opened => {}
            "stream:stream" if !opened => opened = true,
            "stream:error" => return Err(turned_away(&error(clear, tag).await)),
            "/stream:stream" => return Err(turned_away(text.as_bytes())),
            "stream:features" if opened && tag.ends_with("/>") => return Ok(text),
            "/stream:features" if opened => return Ok(text),
            _ if opened => {}
            _ => return Err(strange("a stream of XMPP", tag.as_bytes())),
        }
    }
}

/// A stream's error to its end, as far as it comes.
async fn error<S: Stream>(clear: &mut Clear<'_, S>, mut text: String) -> Vec<u8> {
    while !text.ends_with("</stream:error>") {
        match tag(clear).await {
            Ok(tag) => text.push_str(&tag),
            Err(_) => break,
        }
    }
    text.into_bytes()
}

/// The next tag, with the text before it. In attributes no server writes a bare `>`: what looks like a tag's end is one.
async fn tag<S: Stream>(clear: &mut Clear<'_, S>) -> Result<String> {
    let bytes = clear.until(b'>').await?;
    let text = String::from_utf8(bytes).map_err(|error| strange("XML", error.as_bytes()))?;
    let text = text.trim_start();
    if !text.contains('<') {
        return Err(strange("XML", text.as_bytes()));
    }
    Ok(text.to_owned())
}

/// An element's name, with a slash in front where it ends; without the text before the tag.
fn name(tag: &str) -> &str {
    let inside = tag.rsplit_once('<').map_or(tag, |(_, inside)| inside);
    inside.split(|c: char| c.is_whitespace() || c == '>').next().unwrap_or_default().trim_end_matches('/')
}

fn offers_tls(features: &str) -> bool {
    features.split('<').any(|element| element.starts_with("starttls") && is_about_tls(element))
}

/// Whether the namespace is in it: what is called the same elsewhere is something else.
fn is_about_tls(element: &str) -> bool {
    element.contains(&format!("'{TLS}'")) || element.contains(&format!("\"{TLS}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tags() {
        for (tag, is) in [
            ("<proceed xmlns='urn:x'/>", "proceed"),
            ("<proceed/>", "proceed"),
            ("</stream:features>", "/stream:features"),
            ("PLAIN</mechanism>", "/mechanism"),
            ("<?xml version='1.0'?>", "?xml"),
        ] {
            assert_eq!(name(tag), is, "{tag}");
        }
    }

    #[test]
    fn only_the_real_feature_counts() {
        assert!(offers_tls("<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/>"));
        assert!(offers_tls("<starttls xmlns=\"urn:ietf:params:xml:ns:xmpp-tls\"/>"));
        assert!(!offers_tls("<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"));
        assert!(!offers_tls("<starttls xmlns='urn:other'/>"));
    }
}
