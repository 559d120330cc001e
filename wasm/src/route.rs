//! Several mail servers in the order to try.

use starttls::smtp;

use crate::exports::smtp::{Route, SrvOrigin, SrvRecord};
use crate::exports::types::{Error, Security};
use crate::options::security;

pub(crate) fn read(routes: Vec<Route>) -> Result<smtp::Routes, Error> {
    Ok(smtp::Routes::new(routes.into_iter().map(smtp::Route::from))?)
}

pub(crate) fn from_srv(
    domain: &str,
    submissions: Vec<SrvRecord>,
    submission: Vec<SrvRecord>,
    origin: SrvOrigin,
) -> Result<Vec<Route>, Error> {
    let records = |given: Vec<SrvRecord>| given.into_iter().map(smtp::SrvRecord::from).collect::<Vec<_>>();
    let origin = match origin {
        SrvOrigin::Secure => smtp::SrvOrigin::Secure,
        SrvOrigin::Insecure => smtp::SrvOrigin::Insecure,
    };
    let routes = smtp::Routes::from_srv(domain, &records(submissions), &records(submission), origin)?;
    Ok(routes.iter().map(Route::from).collect())
}

impl From<Route> for smtp::Route {
    fn from(Route { endpoint, security: when, lmtp, server_name }: Route) -> Self {
        Self { endpoint: endpoint.into(), security: security(when), lmtp, server_name }
    }
}

impl From<&smtp::Route> for Route {
    fn from(route: &smtp::Route) -> Self {
        let smtp::Route { endpoint, security, lmtp, server_name } = route.clone();
        let security = match security {
            starttls::Security::Upgrade => Security::Upgrade,
            starttls::Security::Implicit => Security::Implicit,
            starttls::Security::Plaintext => Security::Plaintext,
        };
        Self { endpoint: endpoint.into(), security, lmtp, server_name }
    }
}

impl From<SrvRecord> for smtp::SrvRecord {
    fn from(SrvRecord { priority, weight, port, target }: SrvRecord) -> Self {
        Self { priority, weight, port, target }
    }
}
