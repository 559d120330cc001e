//! Sends standard input as one message: `submit smtp://user:password@host:port CA.pem FROM TO…`

use std::io::{Read, Write, stdin, stdout};

use starttls::{
    Error, Options, smtp,
    tls::TlsConfig,
    trace::Trace,
    transport::{Blocking, block},
    url::Url,
};

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, ca, from, to @ ..] = arguments.as_slice() else { panic!("submit URL CA FROM TO…") };
    let url = Url::parse(url)?;
    let envelope = smtp::Envelope::new(from, to)?;
    let mut message = Vec::new();
    stdin().read_to_end(&mut message).map_err(Error::local)?;
    let options = Options {
        security: url.security,
        tls: TlsConfig::new().ca_file(ca)?,
        trace: Trace::new(|event| {
            let _ = writeln!(stdout(), "{event}");
        }),
        ..Options::default()
    };
    block(async {
        let mut client = smtp::Client::connect(Blocking::new(), &url.endpoint, options).await?;
        if let (Some(user), Some(password)) = (&url.user, &url.password) {
            client.login(&smtp::Credentials::password(user, password.as_str())).await?;
        }
        let report = client.send(&envelope, &message).await?;
        let _ = writeln!(stdout(), "{:?}, queue id {:?}", report.outcome(), report.queue_id());
        client.quit().await;
        Ok(())
    })
}
