//! By how much the clock of a server's listings differs from UTC: it is learnt from the first file of which the server tells
//! both times.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use super::plan::Node;

const UNKNOWN: i64 = i64::MAX;

/// By how many seconds it is ahead of UTC, once that is known.
pub(super) struct Zone(AtomicI64);

impl Default for Zone {
    fn default() -> Self {
        Self(AtomicI64::new(UNKNOWN))
    }
}

impl Zone {
    /// With its time in UTC, if that can be told.
    pub(super) fn in_utc(&self, mut node: Node) -> Node {
        let zone = self.0.load(Ordering::Relaxed);
        if let (Some(moment), true) = (&mut node.modified, zone != UNKNOWN)
            && !moment.utc
        {
            let shift = Duration::from_secs(zone.unsigned_abs());
            let shifted = if zone > 0 { moment.time.checked_sub(shift) } else { moment.time.checked_add(shift) };
            moment.time = shifted.unwrap_or(moment.time);
            moment.utc = moment.within < Duration::from_secs(3600);
        }
        node
    }

    /// A listing's time, and the exact one. Zones are whole quarters of an hour.
    pub(super) fn learn(&self, listed: SystemTime, exact: SystemTime) {
        let ahead = match listed.duration_since(exact) {
            Ok(ahead) => i64::try_from(ahead.as_secs()).unwrap_or_default(),
            Err(behind) => -i64::try_from(behind.duration().as_secs()).unwrap_or_default(),
        };
        let zone = (ahead + 450).div_euclid(900) * 900;
        if (ahead - zone).abs() <= 60 && zone.abs() <= 14 * 3600 {
            self.0.store(zone, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ftp::EntryKind;
    use crate::ftp::mirror::plan::Moment;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// What a listing's time of 100,000 s becomes, to the minute or to the day.
    fn listed(zone: &Zone, within: u64) -> (SystemTime, bool) {
        let moment = Moment { time: at(100_000), within: Duration::from_secs(within), utc: false };
        let node = Node { name: Vec::new(), kind: EntryKind::File, size: None, modified: Some(moment), target: None };
        let moment = zone.in_utc(node).modified.expect("it had a time");
        (moment.time, moment.utc)
    }

    #[test]
    fn a_zone_is_learnt_from_one_file() {
        let zone = Zone::default();
        assert_eq!(listed(&zone, 60), (at(100_000), false));
        // Two and a half hours to the east, listed to the minute.
        zone.learn(at(9_000 + 960), at(1_000));
        assert_eq!(listed(&zone, 60), (at(91_000), true));
        assert_eq!(listed(&zone, 24 * 3600), (at(91_000), false));
        zone.learn(at(50_000), at(50_000 + 5 * 3600));
        assert_eq!(listed(&zone, 60), (at(118_000), true));
        // That is no zone: two clocks, or two files.
        for (listed_at, exact) in [(1_000_000, 500), (50_400, 50_000)] {
            zone.learn(at(listed_at), at(exact));
            assert_eq!(listed(&zone, 60), (at(118_000), true));
        }
    }
}
