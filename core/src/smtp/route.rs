//! Several servers for one job, in the order to try: given by the caller, or made of SRV records (RFC 6186, RFC 8314).

use super::client::Client;
use super::settings::Settings;
use crate::error::{Error, ErrorKind, Result};
use crate::options::{Options, Security};
use crate::transport::{Endpoint, Transport};

/// One way to a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// Where to connect to.
    pub endpoint: Endpoint,
    /// When the connection becomes TLS.
    pub security: Security,
    /// Whether it is spoken to in LMTP, as [`Settings::lmtp`] has it for all of them.
    pub lmtp: bool,
    /// The name in the server's certificate; `None`: the host connected to.
    pub server_name: Option<String>,
}

impl Route {
    /// A server, under its own name.
    pub fn new(endpoint: Endpoint, security: Security) -> Self {
        Self { endpoint, security, lmtp: false, server_name: None }
    }
}

/// An SRV record (RFC 2782), as a resolver gives it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SrvRecord {
    /// Lower ones are tried first.
    pub priority: u16,
    /// The share among those of the same priority.
    pub weight: u16,
    /// The TCP port.
    pub port: u16,
    /// The host; `.` says that there is no such service.
    pub target: String,
}

/// How the records came here. It decides which name the server's certificate must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SrvOrigin {
    /// Validated by DNSSEC, or configured: nobody in between can have changed them, and the certificate is checked
    /// against the record's target (RFC 7817 §3).
    Secure,
    /// Anybody may have made them: a certificate for the target would prove nothing, so it must be for the domain that
    /// the user trusts (RFC 6125 §6.2.1, RFC 6186 §6).
    Insecure,
}

/// Servers in the order to try, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes(Vec<Route>);

impl Routes {
    /// These, in this order.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for none.
    pub fn new(routes: impl IntoIterator<Item = Route>) -> Result<Self> {
        let routes: Vec<_> = routes.into_iter().collect();
        if routes.is_empty() {
            Err(Error::invalid_argument("there is no server to connect to"))
        } else {
            Ok(Self(routes))
        }
    }

    /// The plan for submitting mail of `domain`: `submissions` are the records of `_submissions._tcp` (TLS from the first
    /// byte, RFC 8314 §5.1), which go first, as RFC 8314 §3.3 prefers it; `submission` those of `_submission._tcp`
    /// (STARTTLS, RFC 6186 §3.1). Within each: by priority, and by chance according to weight (RFC 2782).
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if there are no records, if the domain says that it has no such
    /// service (the target is `.`), or for a target that is no host.
    pub fn from_srv(
        domain: &str,
        submissions: &[SrvRecord],
        submission: &[SrvRecord],
        origin: SrvOrigin,
    ) -> Result<Self> {
        Self::by_chance(domain, submissions, submission, origin, &mut chance)
    }

    fn by_chance(
        domain: &str,
        submissions: &[SrvRecord],
        submission: &[SrvRecord],
        origin: SrvOrigin,
        below: &mut dyn FnMut(u64) -> u64,
    ) -> Result<Self> {
        let all = || submissions.iter().chain(submission);
        if all().next().is_some() && all().all(|record| record.target == ".") {
            let why = format!("{domain} says that it has no submission service (SRV target \".\")");
            return Err(Error::invalid_argument(why));
        }
        let mut routes = Vec::new();
        for (records, security) in [(submissions, Security::Implicit), (submission, Security::Upgrade)] {
            for record in in_order(records.iter().filter(|record| record.target != ".").collect(), below) {
                let host = record.target.strip_suffix('.').unwrap_or(&record.target).to_owned();
                if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c.is_control()) || record.port == 0 {
                    return Err(Error::invalid_argument(format!(
                        "{:?} port {} is no SRV target",
                        record.target, record.port
                    )));
                }
                let server_name = match origin {
                    SrvOrigin::Secure => None,
                    SrvOrigin::Insecure => Some(domain.to_owned()),
                };
                let endpoint = Endpoint { host, port: record.port };
                routes.push(Route { endpoint, security, lmtp: false, server_name });
            }
        }
        Self::new(routes)
    }

    /// The servers, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.iter()
    }
}

impl From<Route> for Routes {
    fn from(route: Route) -> Self {
        Self(vec![route])
    }
}

/// RFC 2782: by priority; of equal ones, each next by chance, with the probability of its weight.
fn in_order<'r>(mut records: Vec<&'r SrvRecord>, below: &mut dyn FnMut(u64) -> u64) -> Vec<&'r SrvRecord> {
    // Those of weight 0 first, so that they have their small chance.
    records.sort_by_key(|record| (record.priority, record.weight));
    let mut order = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let equals = records.iter().take_while(|record| record.priority == first.priority).count();
        let total: u64 = records[..equals].iter().map(|record| u64::from(record.weight)).sum();
        let mut mark = below(total + 1);
        let chosen = records[..equals].iter().position(|record| {
            let weight = u64::from(record.weight);
            if mark <= weight {
                return true;
            }
            mark -= weight;
            false
        });
        order.push(records.remove(chosen.unwrap_or(0)));
    }
    order
}

/// A number below `bound`. Nothing secret hangs on it: the seed that the standard library gives each of its maps will do.
fn chance(bound: u64) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(bound) % bound
}

impl<T: Transport + Clone> Client<T> {
    /// [`Client::connect_with`] the first of several servers that has time for us. The routes say what
    /// [`Options::security`] and [`Options::server_name`] would; a total is for all attempts together.
    ///
    /// The next one is tried where this one is out of order: no address, no connection, silence or an end before it was
    /// ready, or a reply of 4yz to greeting or EHLO. Whatever says that this is not the server we want, or that somebody
    /// interferes, ends the search, since the next server would hide it: a certificate or handshake that fails, an upgrade
    /// that is not offered, bytes that do not belong there, a reply of 5yz, a policy of this machine that forbids the
    /// connection. So does a login that is refused, later: the same password would be refused, or given, elsewhere.
    ///
    /// # Errors
    /// As [`Client::connect`], of the last server tried; [`Error::tried`] tells about all of them.
    pub async fn connect_any(transport: T, routes: &Routes, options: Options, settings: &Settings) -> Result<Self> {
        let began = std::time::Instant::now();
        let mut before: Vec<String> = Vec::new();
        for (i, route) in routes.iter().enumerate() {
            let mut options = Options {
                security: route.security,
                server_name: route.server_name.clone().or_else(|| options.server_name.clone()),
                ..options.clone()
            };
            let total = &mut options.timeouts.total;
            *total = total.map(|total| total.saturating_sub(began.elapsed()));
            let settings = Settings { lmtp: settings.lmtp || route.lmtp, ..settings.clone() };
            match Self::connect_with(transport.clone(), &route.endpoint, options, &settings).await {
                Ok(client) => return Ok(client),
                Err(error) if i + 1 < routes.0.len() && is_out_of_order(&error) => before.push(error.to_string()),
                Err(error) if before.is_empty() => return Err(error),
                Err(error) => return Err(error.tell(format!("tried before: {}", before.join(" | ")))),
            }
        }
        Err(Error::invalid_argument("there is no server to connect to"))
    }
}

/// Whether a server that could not be connected to may only be out of order.
fn is_out_of_order(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::NameUnresolvable
        | ErrorKind::ConnectionRefused
        | ErrorKind::Unreachable
        | ErrorKind::TimedOut
        | ErrorKind::ClosedByPeer => true,
        ErrorKind::Rejected => error.is_transient(),
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, target: &str) -> SrvRecord {
        SrvRecord { priority, weight, port: 465, target: target.into() }
    }

    fn hosts(routes: &Routes) -> Vec<&str> {
        routes.iter().map(|route| route.endpoint.host.as_str()).collect()
    }

    #[test]
    fn implicit_tls_first_then_priority() {
        let submissions = [record(20, 0, "b.example."), record(10, 0, "a.example.")];
        let submission = [SrvRecord { port: 587, ..record(0, 0, "c.example.") }];
        let routes = Routes::from_srv("example.org", &submissions, &submission, SrvOrigin::Secure).unwrap();
        assert_eq!(hosts(&routes), ["a.example", "b.example", "c.example"]);
        let security: Vec<_> = routes.iter().map(|route| (route.security, route.endpoint.port)).collect();
        assert_eq!(security[0], (Security::Implicit, 465));
        assert_eq!(security[2], (Security::Upgrade, 587));
        assert!(routes.iter().all(|route| route.server_name.is_none()));
        let routes = Routes::from_srv("example.org", &submissions, &submission, SrvOrigin::Insecure).unwrap();
        assert!(routes.iter().all(|route| route.server_name.as_deref() == Some("example.org")));
    }

    #[test]
    fn chance_follows_weight() {
        let records = [record(0, 0, "zero"), record(0, 30, "few"), record(0, 70, "many"), record(1, 9, "late")];
        let choose = |marks: &[u64]| {
            let mut marks = marks.iter().copied();
            let mut below = |bound: u64| marks.next().unwrap_or(0).min(bound - 1);
            let routes = Routes::by_chance("x", &records, &[], SrvOrigin::Secure, &mut below).unwrap();
            hosts(&routes).join(" ")
        };
        assert_eq!(choose(&[0, 0, 0]), "zero few many late");
        assert_eq!(choose(&[1]), "few zero many late");
        assert_eq!(choose(&[30]), "few zero many late");
        assert_eq!(choose(&[31]), "many zero few late");
        assert_eq!(choose(&[100, 30]), "many few zero late");
        // The real chance: with 70 of 100, "many" is mostly first, and not always.
        let first = |_| hosts(&Routes::from_srv("x", &records, &[], SrvOrigin::Secure).unwrap())[0] == "many";
        let times = (0..1000).filter(|i| first(*i)).count();
        assert!((550..850).contains(&times), "{times}");
    }

    #[test]
    fn no_service_is_an_error() {
        for (submissions, submission) in [
            (vec![], vec![]),
            (vec![record(0, 0, ".")], vec![]),
            (vec![record(0, 0, ".")], vec![record(0, 0, ".")]),
            (vec![record(0, 0, "a b")], vec![]),
            (vec![record(0, 0, "")], vec![]),
            (vec![SrvRecord { port: 0, ..record(0, 0, "a") }], vec![]),
        ] {
            let outcome = Routes::from_srv("example.org", &submissions, &submission, SrvOrigin::Secure);
            assert!(matches!(outcome.unwrap_err().kind(), ErrorKind::InvalidArgument(_)), "{submissions:?}");
        }
        // One service that is not there does not hide the other.
        let routes = Routes::from_srv("x", &[record(0, 0, ".")], &[record(0, 0, "a")], SrvOrigin::Secure).unwrap();
        assert_eq!(hosts(&routes), ["a"]);
    }
}
