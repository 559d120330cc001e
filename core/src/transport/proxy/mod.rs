//! Connections through a proxy: SOCKS5 (RFC 1928) and HTTP CONNECT (RFC 9110 §9.3.6), over any transport.
//!
//! ```text
//!   connect(target) ─▶ connect(proxy) ─ negotiation, read byte by byte ─▶ the same stream, now the target's
//! ```
//!
//! The negotiation reads not one byte more than the proxy's answer has. What comes behind it, in the same segment or
//! later, is the target's and stays in the stream: SMTP and FTP servers speak first.

mod http;
mod socks5;

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::{Endpoint, ListenAt, Listener, Purpose, Stream, Transport};
use crate::error::{Error, Result};
use crate::url::{decode_text, host_and_port};

/// A proxy: where it is, what it speaks, and who we are to it. Its `Debug` and `Display` show no password.
///
/// Name and password go to it in clear text, and it sees where we connect to. What TLS protects it cannot see.
///
/// ```
/// use starttls::transport::Proxy;
/// let proxy = Proxy::parse("socks5://ada:s3cret@gate.example.org")?;
/// assert_eq!(proxy.to_string(), "socks5://gate.example.org:1080");
/// # Ok::<(), starttls::Error>(())
/// ```
#[derive(Clone)]
pub struct Proxy {
    scheme: Scheme,
    endpoint: Endpoint,
    login: Option<(String, Zeroizing<String>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Socks5,
    Http,
}

impl Proxy {
    /// Reads `socks5://[USER:PASSWORD@]HOST[:1080]` (`socks5h` is the same) or `http://[USER:PASSWORD@]HOST[:80]`.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) says which part cannot be used; it does not repeat the
    /// password.
    pub fn parse(url: &str) -> Result<Self> {
        let bad = || Error::invalid_argument("a proxy's URL is socks5://HOST[:PORT] or http://HOST[:PORT]");
        let (scheme, rest) = url.split_once("://").ok_or_else(bad)?;
        let (scheme, port) = match scheme.to_ascii_lowercase().as_str() {
            // In both the proxy looks names up: we would ask about hosts that only it can see.
            "socks5" | "socks5h" => (Scheme::Socks5, 1080),
            "http" => (Scheme::Http, 80),
            _ => return Err(bad()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, host) = rest.rsplit_once('@').map_or((None, rest), |(login, host)| (Some(login), host));
        let (host, port) = host_and_port(host, port)?;
        let login = login
            .map(|login| {
                let (user, password) = login.split_once(':').unwrap_or((login, ""));
                let user = decode_text("proxy's user", user)?;
                Ok::<_, Error>((user, Zeroizing::new(decode_text("proxy's password", password)?)))
            })
            .transpose()?;
        if let Some((user, password)) = &login {
            // RFC 1929 §2 has lengths of one byte, RFC 7617 §2 ends the user at the first colon.
            let fits = |text: &str| (1..=255).contains(&text.len());
            if scheme == Scheme::Socks5 && !(fits(user) && fits(password)) {
                let why = "a SOCKS5 proxy's user and password have 1 to 255 bytes each";
                return Err(Error::invalid_argument(why));
            }
            if scheme == Scheme::Http && user.contains(':') {
                return Err(Error::invalid_argument("an HTTP proxy's user has no colon"));
            }
        }
        Ok(Self { scheme, endpoint: Endpoint { host, port }, login })
    }

    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Has the proxy connect the stream to `to`.
    async fn negotiate<S: Stream>(&self, stream: &mut S, to: &Endpoint) -> io::Result<()> {
        let host = wire_host(to)?;
        let mut wire = Wire { stream, proxy: self };
        match self.scheme {
            Scheme::Socks5 => socks5::connect(&mut wire, &host, to, self.login.as_ref()).await,
            Scheme::Http => http::connect(&mut wire, &host, to.port, self.login.as_ref()).await,
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Socks5 => "socks5",
            Scheme::Http => "http",
        };
        write!(f, "{scheme}://{}", self.endpoint)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// The target's name as the proxy gets it: nothing that could end a line or a field.
fn wire_host(to: &Endpoint) -> io::Result<String> {
    let host = if to.ip().is_some() { Ok(to.host.clone()) } else { idna::domain_to_ascii(&to.host) };
    host.ok()
        .filter(|host| (1..=255).contains(&host.len()) && host.bytes().all(|b| b.is_ascii_graphic()))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "this host name cannot be told to a proxy"))
}

/// A transport whose connections go through a proxy, or straight where there is none.
///
/// FTP's data connections go the same way: what the control connection's peer is, only the proxy knows, so they go to
/// the host that was asked for, and still to nobody else.
#[derive(Clone, Debug)]
pub struct Proxied<T> {
    inner: T,
    proxy: Option<Arc<Proxy>>,
}

impl<T> Proxied<T> {
    /// Puts `proxy` before `inner`.
    pub fn new(inner: T, proxy: Option<Proxy>) -> Self {
        Self { inner, proxy: proxy.map(Arc::new) }
    }
}

impl<T: Transport> Transport for Proxied<T> {
    type Stream = ProxiedStream<T::Stream>;

    async fn connect(&self, to: &Endpoint, purpose: Purpose, within: Duration) -> io::Result<Self::Stream> {
        let Some(proxy) = &self.proxy else {
            let inner = self.inner.connect(to, purpose, within).await?;
            return Ok(ProxiedStream { inner, direct: true });
        };
        let began = Instant::now();
        let mut inner = self.inner.connect(&proxy.endpoint, purpose, within).await.map_err(|error| {
            let why = match error.get_ref().and_then(|inner| inner.downcast_ref::<super::Unreached>()) {
                Some(unreached) => format!("the proxy {proxy} cannot be reached: {unreached}"),
                None => format!("the proxy {proxy} cannot be reached"),
            };
            proxy.failure(error.kind(), why, false)
        })?;
        inner.set_deadline(within.saturating_sub(began.elapsed()));
        proxy.negotiate(&mut inner, to).await?;
        Ok(ProxiedStream { inner, direct: false })
    }

    fn pause(&self, time: Duration) -> impl Future<Output = io::Result<()>> + Send {
        self.inner.pause(time)
    }

    fn side_by_side<F>(&self, work: Vec<F>) -> impl Future<Output = Vec<F::Output>> + Send
    where
        F: Future + Send,
        F::Output: Send,
    {
        self.inner.side_by_side(work)
    }

    /// Not behind a proxy: what listens there is not ours.
    async fn listen(&self, at: &ListenAt, within: Duration) -> io::Result<Box<dyn Listener<Self::Stream>>> {
        match &self.proxy {
            Some(_) => Err(super::listen::unsupported()),
            None => Ok(Box::new(Direct(self.inner.listen(at, within).await?))),
        }
    }
}

/// The inner transport's listener, where there is no proxy.
struct Direct<S>(Box<dyn Listener<S>>);

impl<S: Stream> Listener<ProxiedStream<S>> for Direct<S> {
    fn local_addr(&self) -> SocketAddr {
        self.0.local_addr()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ProxiedStream<S>>> {
        self.0.poll_accept(cx).map_ok(|inner| ProxiedStream { inner, direct: true })
    }

    fn set_deadline(&mut self, within: Duration) {
        self.0.set_deadline(within);
    }
}

/// A stream to the target of a [`Proxied`] connection.
#[derive(Debug)]
pub struct ProxiedStream<S> {
    inner: S,
    direct: bool,
}

impl<S: Stream> Stream for ProxiedStream<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_read(cx, into)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_write(cx, bytes)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_close(cx)
    }

    fn set_deadline(&mut self, within: Duration) {
        self.inner.set_deadline(within);
    }

    /// `None` behind a proxy: our peer is the proxy, and the target's address is its business.
    fn peer_addr(&self) -> Option<SocketAddr> {
        if self.direct { self.inner.peer_addr() } else { None }
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.inner.local_addr()
    }
}

/// Why a proxy did not connect us. Inside an [`io::Error`] it becomes part of what [`Error`](crate::Error) tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyFailure {
    proxy: Endpoint,
    why: String,
    about_target: bool,
}

impl ProxyFailure {
    /// Where the proxy is.
    pub fn proxy(&self) -> &Endpoint {
        &self.proxy
    }

    /// Whether the proxy is fine and the target is not, as the proxy says.
    pub fn is_about_target(&self) -> bool {
        self.about_target
    }
}

impl fmt::Display for ProxyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for ProxyFailure {}

impl Proxy {
    fn failure(&self, kind: io::ErrorKind, why: String, about_target: bool) -> io::Error {
        io::Error::new(kind, ProxyFailure { proxy: self.endpoint.clone(), why, about_target })
    }
}

/// The stream during the negotiation.
struct Wire<'w, S> {
    stream: &'w mut S,
    proxy: &'w Proxy,
}

impl<S: Stream> Wire<'_, S> {
    async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match poll_fn(|cx| self.stream.poll_write(cx, bytes)).await {
                Ok(0) => return Err(self.lost(io::ErrorKind::BrokenPipe.into())),
                Ok(n) => bytes = &bytes[n..],
                Err(error) => return Err(self.lost(error)),
            }
        }
        Ok(())
    }

    /// Exactly as many bytes: what comes behind them is the target's.
    async fn read(&mut self, into: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < into.len() {
            match poll_fn(|cx| self.stream.poll_read(cx, &mut into[done..])).await {
                Ok(0) => return Err(self.lost(io::ErrorKind::UnexpectedEof.into())),
                Ok(n) => done += n,
                Err(error) => return Err(self.lost(error)),
            }
        }
        Ok(())
    }

    fn lost(&self, error: io::Error) -> io::Error {
        let proxy = self.proxy;
        match error.kind() {
            io::ErrorKind::TimedOut => {
                proxy.failure(error.kind(), format!("the proxy {proxy} did not answer in time"), false)
            }
            io::ErrorKind::Interrupted => error,
            _ => self.refused("it closed the connection without an answer"),
        }
    }

    /// The proxy will not do it, or does not speak its protocol.
    fn refused(&self, why: &str) -> io::Error {
        self.proxy.failure(io::ErrorKind::Other, format!("{}: {why}", self.proxy), false)
    }

    /// The proxy tells what is wrong with the target.
    fn target(&self, kind: io::ErrorKind, why: &str) -> io::Error {
        self.proxy.failure(kind, format!("the proxy {} says: {why}", self.proxy), true)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, shown) in [
            ("socks5://h", "socks5://h:1080"),
            ("SOCKS5H://u:p@[::1]:9/", "socks5://[::1]:9"),
            ("http://u%3a:p%40@h:3128", ""),
            ("http://u:p%40:@h:3128", "http://h:3128"),
            ("http://u@h", "http://h:80"),
            ("socks5://u:@h", ""),
            ("socks5://u@h", ""),
            ("https://h", ""),
            ("socks4://h", ""),
            ("h:1080", ""),
            ("http://h/path", ""),
            ("http://", ""),
            ("http://h:0", ""),
        ] {
            match Proxy::parse(url) {
                Ok(proxy) => assert_eq!(proxy.to_string(), shown, "{url}"),
                Err(error) => assert_eq!(shown, "", "{url}: {error}"),
            }
        }
        let proxy = Proxy::parse("socks5://ada:hunter2@h").unwrap();
        assert!(!format!("{proxy:?}{proxy}").contains("hunter2"));
        let error = Proxy::parse(&format!("socks5://ada:hunter2{}@h", "x".repeat(255))).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn names_for_the_proxy() {
        let host = |text: &str| wire_host(&Endpoint { host: text.into(), port: 25 });
        assert_eq!(host("bücher.example").unwrap(), "xn--bcher-kva.example");
        assert_eq!(host("::1").unwrap(), "::1");
        for bad in ["", "a b", "a\r\nX: y", &"a".repeat(256)] {
            assert_eq!(host(bad).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{bad:?}");
        }
    }
}
