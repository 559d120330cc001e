//! Examinations of file servers.

use starttls::ftp::{self, Credentials, Examination, State};
use starttls::transport::block;

use crate::exports::ftp::{Diagnosis, Finding, FindingState, Login};
use crate::exports::tls::ClientConfigBorrow;
use crate::exports::types::{Endpoint, OptionsBorrow};
use crate::options::Options;
use crate::tls::ClientConfig;

pub(crate) fn examine(
    to: Endpoint,
    tls: ClientConfigBorrow<'_>,
    options: OptionsBorrow<'_>,
    login: Option<Login>,
    examination: &Examination,
) -> Diagnosis {
    let options = options.get::<Options>();
    let session = options.with_tls(tls.get::<ClientConfig>().now());
    let credentials = login.map(|Login { user, password, account }| {
        let credentials = Credentials::password(user, password);
        account.into_iter().fold(credentials, Credentials::account)
    });
    let (network, settings) = (options.network(), options.files());
    block(ftp::doctor(&network, &to.into(), &session, &settings, credentials.as_ref(), examination)).into()
}

impl From<ftp::Diagnosis> for Diagnosis {
    fn from(found: ftp::Diagnosis) -> Self {
        Self { findings: found.findings.into_iter().map(Finding::from).collect(), error: found.error.map(Into::into) }
    }
}

impl From<ftp::Finding> for Finding {
    fn from(found: ftp::Finding) -> Self {
        Self {
            topic: found.topic.as_str().into(),
            state: match found.state {
                State::Good => FindingState::Good,
                State::Notice => FindingState::Notice,
                State::Problem => FindingState::Problem,
            },
            seen: found.seen,
            cause: found.cause,
            remedy: found.remedy,
        }
    }
}
