//! Downloads a file to standard output: `transfer ftp://user:password@host:port/path CA.pem`

use std::io::{Write, stderr, stdout};

use starttls::{
    Error, Options, ftp,
    tls::TlsConfig,
    trace::Trace,
    transport::{Blocking, block},
    url::Url,
};

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, ca] = arguments.as_slice() else { panic!("transfer URL CA") };
    let url = Url::parse(url)?;
    let options = Options {
        security: url.security,
        tls: TlsConfig::new().ca_file(ca)?,
        trace: Trace::new(|event| {
            let _ = writeln!(stderr(), "{event}");
        }),
        ..Options::default()
    };
    block(async {
        let mut client = ftp::Client::connect(Blocking::new(), &url.endpoint, options).await?;
        let credentials = match (&url.user, &url.password) {
            (Some(user), Some(password)) => ftp::Credentials::password(user, password.as_str()),
            _ => ftp::Credentials::anonymous(),
        };
        client.login(&credentials).await?;
        let receipt = client.get(&url.path, &mut stdout()).await?;
        let _ = writeln!(stderr(), "{}: {} bytes", receipt.status.as_str(), receipt.size);
        client.quit().await;
        Ok(())
    })
}
