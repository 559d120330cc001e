//! A TLS server on loopback for handshakes that must end as expected: certificates made for the occasion, and just enough of
//! SMTP to have a session.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;
use starttls::tls::{TlsConfig, TlsInfo};
use starttls::transport::{Blocking, Endpoint, block};
use starttls::{Error, Options, Security, smtp};

pub type Authority = CertifiedIssuer<'static, KeyPair>;

/// An authority of that name.
pub fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for `localhost`, and its key.
pub struct Issued {
    pub certificate: rcgen::Certificate,
    pub key: KeyPair,
}

/// A certificate that `authority` issued, with this serial number.
pub fn issue(authority: &Authority, serial: u64) -> Issued {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, format!("number {serial}"));
    params.serial_number = Some(serial.into());
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    Issued { certificate: params.signed_by(&key, authority).unwrap(), key }
}

impl Issued {
    /// As rustls has it.
    pub fn certified(&self) -> CertifiedKey {
        let key = PrivateKeyDer::Pkcs8(self.key.serialize_der().into());
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(vec![self.certificate.der().clone()], key, &provider).unwrap()
    }

    /// A server that shows it.
    pub fn server(&self) -> rustls::ServerConfig {
        let key = PrivateKeyDer::Pkcs8(self.key.serialize_der().into());
        rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.der().clone()], key)
            .unwrap()
    }
}

/// What a server saw of the client in one session.
#[derive(Debug, Default)]
pub struct Seen {
    /// The name asked for (SNI).
    pub server_name: Option<String>,
    /// The client's own certificate.
    pub client: Option<Vec<u8>>,
}

/// A server that takes this many sessions, one after another.
pub fn serve(config: rustls::ServerConfig, sessions: usize) -> (Endpoint, JoinHandle<Vec<Seen>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint { host: "localhost".into(), port: listener.local_addr().unwrap().port() };
    let config = Arc::new(config);
    let server = std::thread::spawn(move || {
        let mut seen = Vec::new();
        for _ in 0..sessions {
            let (socket, _) = listener.accept().unwrap();
            socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut tls = rustls::StreamOwned::new(connection, socket);
            // The client may refuse to go on: that is for it to say.
            let _ = converse(&mut tls);
            let connection = tls.conn;
            seen.push(Seen {
                server_name: connection.server_name().map(str::to_owned),
                client: connection.peer_certificates().map(|chain| chain[0].to_vec()),
            });
        }
        seen
    });
    (endpoint, server)
}

/// Just enough of SMTP.
pub fn converse(tls: &mut rustls::StreamOwned<rustls::ServerConnection, std::net::TcpStream>) -> std::io::Result<()> {
    tls.write_all(b"220 ready\r\n")?;
    let mut lines = BufReader::new(tls);
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let answer: &[u8] = if line.starts_with("QUIT") { b"221 bye\r\n" } else { b"250 ok\r\n" };
        lines.get_mut().write_all(answer)?;
    }
}

/// A session, opened and closed: what it agreed on, or why not.
pub fn visit(endpoint: &Endpoint, tls: &TlsConfig) -> Result<TlsInfo, Error> {
    let options = Options { security: Security::Implicit, tls: tls.clone(), ..Options::default() };
    block(async {
        let client = smtp::Client::connect(Blocking::new(), endpoint, options).await?;
        let info = client.tls().unwrap().clone();
        client.quit().await;
        Ok(info)
    })
}

/// One session with a server of this configuration.
pub fn handshake(config: rustls::ServerConfig, tls: &TlsConfig) -> (Result<TlsInfo, Error>, Seen) {
    let (endpoint, server) = serve(config, 1);
    let said = visit(&endpoint, tls);
    (said, server.join().unwrap().remove(0))
}

/// The same, which takes clients' certificates of these authorities only, and insists on one.
pub fn insisting(
    server: &Issued,
    authorities: &[&Authority],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ServerConfig {
    let mut roots = rustls::RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.der().clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_cert_resolver(server.server().cert_resolver)
}
