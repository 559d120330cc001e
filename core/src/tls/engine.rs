//! TLS from memory to memory: the small trait that `link` sees, and rustls behind it.

use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{ClientConfig, HandshakeKind};

use super::binding::Exporter;
use super::provider::{group_name, suite_name};
use super::session::RustlsSession;
use super::{ChannelBinding, ServerName, TlsInfo, Version, fault};
use crate::error::{Error, Result, TlsFault};

/// How far the peers got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The handshake needs more from the peer.
    Handshaking,
    /// Application data can flow.
    Traffic,
    /// The peer said close_notify: it sends no more.
    PeerClosed,
}

/// Where an engine puts the records that go to the peer.
pub trait Outgoing {
    /// At least `room` bytes of scratch space behind what was put before.
    fn spare(&mut self, room: usize) -> &mut [u8];

    /// The first `n` bytes of the scratch space are records now.
    fn advance(&mut self, n: usize);
}

/// A TLS client without I/O. `wire` is everything received and not yet used, on every call.
pub trait Engine: Send {
    /// Works until more is needed from the peer, handing plaintext to `plain`. Says how many bytes of `wire` are used
    /// up, also when it fails; but for an unfinished record, all are used up in the end. The first call, on nothing
    /// received, begins the handshake. What the peer is to be told, of a failure too, goes to `out`.
    ///
    /// A peer's end without close_notify is found by whoever reads the wire: an engine never hears of it.
    fn process(
        &mut self,
        wire: &mut [u8],
        out: &mut dyn Outgoing,
        plain: &mut dyn FnMut(&[u8]),
    ) -> (usize, Result<Progress>);

    /// Encrypts `bytes`.
    ///
    /// # Errors
    /// [`Tls`](crate::ErrorKind::Tls) if the connection's keys are used up, or the engine has failed before.
    fn encrypt(&mut self, wire: &mut [u8], bytes: &[u8], out: &mut dyn Outgoing) -> Result<()>;

    /// Says that we send no more: the peer may go on.
    ///
    /// # Errors
    /// As [`Engine::encrypt`].
    fn close_notify(&mut self, wire: &mut [u8], out: &mut dyn Outgoing) -> Result<()>;

    /// What was agreed, once the handshake is over.
    fn info(&self) -> TlsInfo;

    /// What ties a login to this connection, once the handshake is over: by itself, the hash of the server's certificate.
    fn channel_binding(&self) -> Option<ChannelBinding> {
        ChannelBinding::of_certificate(self.info().chain.first()?)
    }
}

/// The most that a record adds to its content: header, explicit nonce or content type, tag (RFC 5246, RFC 8446 §5.2).
const RECORD_OVERHEAD: usize = 40;

/// The most content a record carries.
const RECORD: usize = 16 * 1024;

/// rustls, in its unbuffered form: no copy is made between its records and our buffers.
pub(super) struct RustlsEngine {
    connection: UnbufferedClientConnection,
    session: RustlsSession,
    name: ServerName,
    exporter: Arc<Exporter>,
    /// rustls tells the peer's end once; we remember.
    peer_closed: bool,
    handshake: Stage,
}

/// How far the handshake is, to tell the ledger what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Not,
    Begun,
    Agreed,
    Failed,
}

impl RustlsEngine {
    pub(super) fn new(session: &RustlsSession, name: &ServerName) -> Result<Self> {
        let exporter = Arc::new(Exporter::with_log(session.key_log.clone()));
        let mut config = ClientConfig::clone(&session.config);
        config.key_log = exporter.clone();
        let connection =
            UnbufferedClientConnection::new(Arc::new(config), name.to_rustls()).map_err(fault::from_rustls)?;
        let (session, name) = (session.clone(), name.clone());
        session.shared.identities.forget();
        Ok(Self { connection, session, name, exporter, peer_closed: false, handshake: Stage::Not })
    }

    /// Tells the ledger what became of the handshake, and of the connection.
    fn account(&mut self, progress: &Result<Progress>) {
        let ledger = &self.session.shared.ledger;
        self.handshake = match (progress, self.handshake) {
            (Ok(Progress::Handshaking), _) => Stage::Begun,
            (Ok(_), Stage::Not | Stage::Begun) => {
                let resumed = self.connection.handshake_kind() == Some(HandshakeKind::Resumed);
                ledger.agreed(self.connection.negotiated_cipher_suite().map(|suite| suite.suite()), resumed);
                Stage::Agreed
            }
            (Ok(_), stage) => stage,
            (Err(_), Stage::Failed) => Stage::Failed,
            (Err(_), _) => {
                ledger.failed();
                Stage::Failed
            }
        };
    }

    /// Brings rustls to the state in which it writes, then lets `act` write.
    fn write(
        &mut self,
        wire: &mut [u8],
        out: &mut dyn Outgoing,
        act: impl FnOnce(&mut WriteTraffic<'_, ClientConnectionData>, &mut dyn Outgoing) -> Result<()>,
    ) -> Result<()> {
        loop {
            // What is complete in `wire` was processed when it arrived: nothing is used up here.
            let UnbufferedStatus { discard, state } = self.connection.process_tls_records(wire);
            debug_assert_eq!(discard, 0);
            match state.map_err(|error| explain(&self.session, error))? {
                ConnectionState::WriteTraffic(mut traffic) => return act(&mut traffic, out),
                ConnectionState::EncodeTlsData(mut data) => encode(&mut data, out)?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.peer_closed = true,
                _ => return Err(Error::invalid_state("the TLS connection cannot be written to")),
            }
        }
    }
}

/// A handshake may end without a record: the peer is gone, or says nothing.
impl Drop for RustlsEngine {
    fn drop(&mut self) {
        if self.handshake == Stage::Begun {
            self.session.shared.ledger.failed();
        }
    }
}

impl Engine for RustlsEngine {
    fn process(
        &mut self,
        wire: &mut [u8],
        out: &mut dyn Outgoing,
        plain: &mut dyn FnMut(&[u8]),
    ) -> (usize, Result<Progress>) {
        let mut used = 0;
        let mut failure = None;
        let outcome = loop {
            // After a failure only its alert is of interest, not the same record once more.
            if let Some(error) = failure.take_if(|_| !self.connection.wants_write()) {
                break Err(explain(&self.session, error));
            }
            let UnbufferedStatus { mut discard, state } = self.connection.process_tls_records(&mut wire[used..]);
            let progress = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(record) => {
                                discard += record.discard;
                                plain(record.payload);
                            }
                            Err(error) => {
                                failure = Some(error);
                                break;
                            }
                        }
                    }
                    None
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => match encode(&mut data, out) {
                    Ok(()) => None,
                    Err(error) => Some(Err(error)),
                },
                // What was encoded is in the outgoing buffer, in order: as good as sent.
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    None
                }
                Ok(ConnectionState::BlockedHandshake) => Some(Ok(Progress::Handshaking)),
                Ok(ConnectionState::PeerClosed) => {
                    self.peer_closed = true;
                    Some(Ok(Progress::PeerClosed))
                }
                Ok(ConnectionState::Closed) => Some(Ok(Progress::PeerClosed)),
                Ok(ConnectionState::WriteTraffic(_)) if self.peer_closed => Some(Ok(Progress::PeerClosed)),
                Ok(ConnectionState::WriteTraffic(_)) => Some(Ok(Progress::Traffic)),
                Ok(_) => Some(Err(Error::tls(TlsFault::PeerMisbehaved("an unexpected state".into())))),
                Err(error) if failure.is_none() => {
                    // Once more: the alert that tells the peer why is waiting to be encoded.
                    failure = Some(error);
                    None
                }
                Err(_) => Some(Ok(Progress::PeerClosed)),
            };
            used += discard;
            match (progress, failure.take()) {
                (Some(_), Some(error)) => break Err(explain(&self.session, error)),
                (Some(progress), None) => break progress,
                (None, pending) => failure = pending,
            }
        };
        self.account(&outcome);
        (used, outcome)
    }

    fn encrypt(&mut self, wire: &mut [u8], bytes: &[u8], out: &mut dyn Outgoing) -> Result<()> {
        self.write(wire, out, |traffic, out| {
            let mut room = bytes.len() + (bytes.len() / RECORD + 1) * RECORD_OVERHEAD;
            loop {
                match traffic.encrypt(bytes, out.spare(room)) {
                    Ok(n) => {
                        out.advance(n);
                        return Ok(());
                    }
                    Err(EncryptError::InsufficientSize(needs)) => room = needs.required_size,
                    Err(error @ EncryptError::EncryptExhausted) => {
                        return Err(Error::tls(TlsFault::PeerMisbehaved(error.to_string())));
                    }
                }
            }
        })
    }

    fn close_notify(&mut self, wire: &mut [u8], out: &mut dyn Outgoing) -> Result<()> {
        self.write(wire, out, |traffic, out| {
            let n = traffic
                .queue_close_notify(out.spare(RECORD_OVERHEAD + 2))
                .map_err(|error| Error::tls(TlsFault::PeerMisbehaved(error.to_string())))?;
            out.advance(n);
            Ok(())
        })
    }

    fn info(&self) -> TlsInfo {
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let suite = self.connection.negotiated_cipher_suite().map(|suite| suite_name(suite.suite()));
        let group = self.connection.negotiated_key_exchange_group().map(|group| group_name(group.name()));
        let version = self.connection.protocol_version().map(|version| match version {
            rustls::ProtocolVersion::TLSv1_2 => Version::Tls12.as_str().to_owned(),
            rustls::ProtocolVersion::TLSv1_3 => Version::Tls13.as_str().to_owned(),
            other => format!("{other:?}"),
        });
        let chain = self.connection.peer_certificates().unwrap_or_default();
        let judgement = chain.first().map(|shown| self.session.shared.judge.judgement(shown)).unwrap_or_default();
        TlsInfo {
            version: text(version.as_deref()),
            cipher_suite: text(suite.as_deref()),
            group: text(group.as_deref()),
            alpn: self.connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
            resumed: self.connection.handshake_kind() == Some(HandshakeKind::Resumed),
            server_name: self.name.to_string(),
            verified_by: judgement.verified_by,
            mta_sts: self.session.mta_sts,
            ocsp_response: judgement.ocsp_response,
            pinned: self.session.shared.judge.is_pinning(),
            binding: self.channel_binding().map(|binding| binding.kind()),
            chain: chain.iter().map(|c| c.to_vec()).collect(),
        }
    }

    fn channel_binding(&self) -> Option<ChannelBinding> {
        self.exporter.binding().or_else(|| {
            let server = self.connection.peer_certificates()?.first()?;
            ChannelBinding::of_certificate(server)
        })
    }
}

/// The error for what rustls says. A server which asked for a certificate, and was shown none, may say by any of these that it
/// insists: TLS 1.2 has no alert of its own for that (RFC 5246 §7.4.6).
fn explain(session: &RustlsSession, error: rustls::Error) -> Error {
    use rustls::AlertDescription as A;
    let insists = matches!(
        error,
        rustls::Error::AlertReceived(
            A::CertificateRequired
                | A::HandshakeFailure
                | A::BadCertificate
                | A::NoCertificate
                | A::AccessDenied
                // What TLS 1.2 of GnuTLS says to an empty list.
                | A::DecodeError
        )
    );
    match session.shared.identities.insisted() {
        Some(explained) if insists => explained,
        _ => fault::from_rustls(error),
    }
}

fn encode(
    data: &mut rustls::unbuffered::EncodeTlsData<'_, ClientConnectionData>,
    out: &mut dyn Outgoing,
) -> Result<()> {
    let mut room = 4096;
    loop {
        match data.encode(out.spare(room)) {
            Ok(n) => {
                out.advance(n);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(needs)) => room = needs.required_size,
            Err(error) => return Err(Error::tls(TlsFault::PeerMisbehaved(error.to_string()))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rustls::ServerConnection;

    use super::*;
    use crate::tls::{Resumable, SessionStore, Sharing, TlsConfig, TlsSession};
    use crate::transport::Endpoint;

    #[derive(Default)]
    struct Written(Vec<u8>, usize);

    impl Outgoing for Written {
        fn spare(&mut self, room: usize) -> &mut [u8] {
            self.0.resize(self.1 + room, 0);
            &mut self.0[self.1..]
        }

        fn advance(&mut self, n: usize) {
            self.1 += n;
        }
    }

    /// A whole handshake in memory, with what the server says after it.
    fn handshake(session: &TlsSession, config: &Arc<rustls::ServerConfig>) -> (TlsInfo, ServerConnection) {
        let mut client = session.engine(&ServerName::parse("localhost").unwrap()).unwrap();
        let mut server = ServerConnection::new(config.clone()).unwrap();
        let mut wire = Vec::new();
        loop {
            let mut out = Written::default();
            let (used, progress) = client.process(&mut wire, &mut out, &mut |_| {});
            wire.drain(..used);
            let mut sent = &out.0[..out.1];
            while !sent.is_empty() {
                server.read_tls(&mut sent).unwrap();
                server.process_new_packets().unwrap();
            }
            if progress.unwrap() == Progress::Traffic && !server.is_handshaking() && !server.wants_write() {
                return (client.info(), server);
            }
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
        }
    }

    /// What a control connection resumes may be a store's; its data connections resume what it brought itself, and what they
    /// leave goes to the store in the end.
    #[test]
    fn data_connections_take_nothing_from_a_store() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let generous = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let mut mean = generous.clone();
        mean.send_tls13_tickets = 0;
        let (generous, mean) = (Arc::new(generous), Arc::new(mean));
        let store = SessionStore::new();
        let tls = TlsConfig::new().ca_data(made.cert.der()).unwrap().sessions(store.clone());
        let (to, name) = (Endpoint { host: "localhost".into(), port: 21 }, ServerName::parse("localhost").unwrap());
        let control = || tls.session_with(&name, Sharing::Control(&to)).unwrap();

        let first = control();
        assert_eq!([false, true].map(|_| handshake(&first, &generous).0.resumed), [false, true]);
        assert!(store.is_empty(), "what is in use is nobody else's");
        let Resumable::Tickets(left) = first.resumable() else { panic!("{:?}", first.resumable()) };
        drop(first);
        assert_eq!((store.len(), left > 1), (left, true));

        let second = control();
        assert!(handshake(&second, &mean).0.resumed, "from the store");
        assert_eq!((store.len(), store.servers()[0].resumed), (left - 1, 1));
        assert!(!handshake(&second, &mean).0.resumed, "it brought nothing");
        drop(second);
        assert_eq!(store.len(), left - 1);
    }

    /// A server that would take early data is offered none, by a client that resumes (RFC 8446 §4.2.10); what was found
    /// about its certificate is told of the resumed connection, too.
    #[test]
    fn early_data_is_never_offered() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let mut config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert_with_ocsp(vec![made.cert.der().clone()], key, b"a response".to_vec())
            .unwrap();
        config.max_early_data_size = 16_384;
        let config = Arc::new(config);
        let session = TlsConfig::new().ca_data(made.cert.der()).unwrap().session().unwrap();
        for resumed in [false, true] {
            let (info, mut server) = handshake(&session, &config);
            assert_eq!((info.resumed, server.early_data().is_none()), (resumed, true));
            assert_eq!(info.verified_by, crate::tls::VerifiedBy::Authorities);
            assert_eq!(info.ocsp_response.as_deref(), Some(&b"a response"[..]));
        }
    }
}
