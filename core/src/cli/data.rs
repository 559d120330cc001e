//! The flags about FTP's data connections.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use clap::Args;
use starttls::ftp::{Active, PassiveHost, SessionBinding, Settings};

use crate::failure::Failure;
use crate::output::note;

const DATA: &str = "FTP data connections";

/// How files and listings come and go.
#[derive(Args, Debug)]
pub(crate) struct Data {
    /// Have the server connect to us (PORT, EPRT)
    #[arg(long, global = true, help_heading = DATA)]
    active: bool,
    /// With --active: listen on one of these ports
    #[arg(long, global = true, value_name = "FIRST-LAST", value_parser = ports, requires = "active", help_heading = DATA)]
    active_ports: Option<RangeInclusive<u16>>,
    /// With --active: tell the server this address, behind a NAT that passes connections on
    #[arg(long, global = true, value_name = "ADDRESS", requires = "active", help_heading = DATA)]
    active_address: Option<IpAddr>,
    /// Whether data connections resume the control connection's TLS session: require, prefer (as it is) or off
    #[arg(long, global = true, value_name = "POLICY", help_heading = DATA)]
    session_binding: Option<SessionBinding>,
    /// Compress on the way (MODE Z), where the server offers it
    #[arg(long, global = true, help_heading = DATA)]
    compress: bool,
    /// Connect wherever the server says, not to the server alone: it can have you connect to ANY machine
    #[arg(long, global = true, conflicts_with = "active", help_heading = DATA)]
    announced_host: bool,
}

impl Data {
    /// What the flags say, for a session with files.
    pub(crate) fn apply(&self, settings: &mut Settings) {
        settings.active =
            self.active.then(|| Active { ports: self.active_ports.clone(), address: self.active_address });
        settings.session_binding = self.session_binding.unwrap_or_default();
        settings.compression = self.compress;
        if self.announced_host {
            note("WARNING: --announced-host: the server says where data connections go; that may be anywhere");
            settings.passive_host = PassiveHost::DangerAnnounced;
        }
    }

    /// Mail has none of this.
    pub(crate) fn refuse_for_mail(&self) -> Result<(), Failure> {
        if self.active || self.session_binding.is_some() || self.compress || self.announced_host {
            let flags = "--active, --session-binding, --compress and --announced-host are about files";
            return Err(Failure::usage(flags));
        }
        Ok(())
    }
}

/// `50000-50100`, or one port.
fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.trim().parse().ok().filter(|&port: &u16| port > 0);
    match (port(first), port(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err("two ports, such as 50000-50100".into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::ports;

    #[test]
    fn ranges() {
        assert_eq!(ports("50000-50100").unwrap(), 50000..=50100);
        assert_eq!(ports("21").unwrap(), 21..=21);
        for bad in ["", "-", "0", "0-5", "7-6", "1-65536", "a-b", "1-2-3"] {
            assert!(ports(bad).is_err(), "{bad}");
        }
    }
}
