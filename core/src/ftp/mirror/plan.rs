//! What is to be done in one directory, from what is there on both sides. Pure: no I/O, no clock.
//!
//! ```text
//!   source        destination
//!   file          -                 transfer
//!   file          file              compare: transfer, keep, or find out (a better clock, a digest)
//!   directory     - or directory    enter
//!   link          …                 as the policy says
//!   one kind      another           conflict: only with `delete` does the source's take its place
//!   -             anything          delete, if wanted and not excluded
//! ```

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use super::pattern::Filter;
use super::{Compare, Symlinks};
use crate::ftp::EntryKind;

/// One entry of a directory, on either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: Vec<u8>,
    pub(super) kind: EntryKind,
    pub(super) size: Option<u64>,
    pub(super) modified: Option<Moment>,
    /// Where a link points.
    pub(super) target: Option<Vec<u8>>,
}

/// A time, and how much it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) time: SystemTime,
    /// The time is this one or later, by less than so much.
    pub(super) within: Duration,
    /// Whether it is told in UTC; else in the server's own zone.
    pub(super) utc: bool,
}

impl Moment {
    /// Whether it can be the same moment. Times of files are kept to the second on the way.
    fn agrees(self, other: Self) -> bool {
        self.distance(other) < self.within.max(other.within).max(SECOND)
    }

    fn is_after(self, other: Self) -> bool {
        self.time > other.time && !self.agrees(other)
    }

    fn distance(self, other: Self) -> Duration {
        self.time.duration_since(other.time).unwrap_or_else(|error| error.duration())
    }

    /// Whether there may be a better one.
    fn is_vague(self) -> bool {
        !self.utc || self.within > SECOND
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// By how much two clocks of one world can differ: zones from -12 to +14 hours.
const ZONES: Duration = Duration::from_secs(26 * 3600);

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Same,
    Differs,
    /// The server's clock for this one file decides.
    AskTime,
    /// A digest decides.
    AskHash,
}

/// What of the rules concerns one directory.
pub(super) struct Rules<'r> {
    pub(super) filter: &'r Filter,
    pub(super) compare: Compare,
    pub(super) symlinks: Symlinks,
    pub(super) delete: bool,
    /// The destination keeps the times it is given.
    pub(super) keeps_times: bool,
    /// The server tells the time of one file exactly (MDTM).
    pub(super) exact_times: bool,
    /// Names that differ in case only are one at the destination.
    pub(super) folds_case: bool,
    /// What a name must be at the destination.
    pub(super) accepts: fn(&[u8]) -> Result<(), &'static str>,
}

/// What is to be done with one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A directory: make it if it is not there, and go on in it.
    Enter { name: Vec<u8>, exists: bool },
    /// A file that is to come, in place of what is there.
    Transfer(File),
    /// A file of which it must be found out whether it differs.
    Ask { file: File, there: Node, what: Verdict },
    /// A file that is as it should be.
    Keep(Node),
    /// A link to be made, or to be followed.
    Link(File),
    /// Something that is left out, and why.
    Skip { node: Node, why: &'static str },
    /// Something that cannot be done, and why.
    Fail { node: Node, why: &'static str },
    /// Something else stands in the way: it is to go first, then the step is to be done.
    Replace { there: Node, then: Box<Step> },
    /// Something that the source does not have.
    Delete(Node),
    /// What an earlier run left behind.
    Tidy(Vec<u8>),
}

/// A file that may be transferred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) node: Node,
    /// Whether something has its name.
    pub(super) replaces: bool,
    /// Its name until it is whole.
    pub(super) part: Vec<u8>,
    /// What an earlier run left under that name.
    pub(super) begun: Option<Node>,
}

/// Where a file grows until it is whole: beside it, under a name that the source does not have.
pub(super) fn part_name(name: &[u8], taken: &HashSet<&[u8]>) -> Vec<u8> {
    let mut part = name.to_vec();
    loop {
        part.extend_from_slice(PART);
        if !taken.contains(part.as_slice()) {
            return part;
        }
    }
}

pub(super) const PART: &[u8] = b".part";

/// The steps of one directory, whose path has a slash at its end unless it is the root's. In the source's order.
pub(super) fn steps(path: &[u8], source: Vec<Node>, destination: Vec<Node>, rules: &Rules<'_>) -> Vec<Step> {
    let included = |node: &Node| {
        let whole = [path, &node.name].concat();
        rules.filter.includes(&whole, node.kind == EntryKind::Directory)
    };
    // What cannot be named there is not touched.
    let there = destination.into_iter().filter(|node| (rules.accepts)(&node.name).is_ok());
    let mut there: HashMap<Vec<u8>, Node> = there.map(|node| (node.name.clone(), node)).collect();
    let names: HashSet<Vec<u8>> = source.iter().map(|node| node.name.clone()).collect();
    let taken: HashSet<&[u8]> = names.iter().map(Vec::as_slice).collect();
    let (mut seen, mut folded) = (HashSet::new(), HashSet::new());
    let mut steps = Vec::with_capacity(source.len());
    // What the source has, under names that the destination may not know, is never deleted.
    for node in source {
        let fail = |node, why| Step::Fail { node, why };
        if !included(&node) {
            there.remove(&node.name);
            steps.push(Step::Skip { node, why: "excluded" });
            continue;
        }
        if let Err(why) = (rules.accepts)(&node.name) {
            steps.push(fail(node, why));
            continue;
        }
        let other = there.remove(&node.name);
        if !seen.insert(node.name.clone()) {
            steps.push(fail(node, "listed twice"));
            continue;
        }
        if rules.folds_case && !folded.insert(String::from_utf8_lossy(&node.name).to_lowercase()) {
            steps.push(fail(node, "another name differs from it in case only, and here they are one"));
            continue;
        }
        let part = part_name(&node.name, &taken);
        let begun = match there.entry(part.clone()) {
            Entry::Occupied(begun) if is_file(&node) && is_file(begun.get()) => Some(begun.remove()),
            _ => None,
        };
        let leftover = begun.is_some();
        let step = step(File { node, replaces: other.is_some(), part: part.clone(), begun }, other, rules);
        // A transfer writes it anew, and renames it.
        if leftover && matches!(step, Step::Keep(_)) {
            steps.push(Step::Tidy(part));
        }
        steps.push(step);
    }
    if rules.delete {
        let mut gone: Vec<_> = there.into_values().filter(included).collect();
        gone.sort_by(|a, b| a.name.cmp(&b.name));
        steps.extend(gone.into_iter().map(Step::Delete));
    }
    steps
}

fn is_file(node: &Node) -> bool {
    node.kind == EntryKind::File
}

fn step(file: File, there: Option<Node>, rules: &Rules<'_>) -> Step {
    let name = file.node.name.clone();
    let is_directory = there.as_ref().is_some_and(|there| there.kind == EntryKind::Directory);
    let replace = |there: Option<Node>, node: Node, then: Step, why| match there.filter(|_| rules.delete) {
        Some(there) => Step::Replace { there, then: Box::new(then) },
        None => Step::Fail { node, why },
    };
    match (file.node.kind, there) {
        (EntryKind::Other, _) => Step::Skip { node: file.node, why: "neither file, directory nor link" },
        (EntryKind::Symlink, _) if rules.symlinks == Symlinks::Skip => {
            Step::Skip { node: file.node, why: "symbolic link" }
        }
        (EntryKind::Directory, None) => Step::Enter { name, exists: false },
        (EntryKind::Directory, Some(_)) if is_directory => Step::Enter { name, exists: true },
        (EntryKind::Directory, there) => replace(
            there,
            file.node,
            Step::Enter { name, exists: false },
            "there is something of that name that is no directory",
        ),
        (EntryKind::Symlink, Some(there))
            if rules.symlinks == Symlinks::Copy
                && there.kind == EntryKind::Symlink
                && there.target == file.node.target =>
        {
            Step::Keep(file.node)
        }
        // What it leads to decides what may stand there.
        (EntryKind::Symlink, _) if rules.symlinks == Symlinks::Follow => Step::Link(file),
        (kind, there) if is_directory => {
            let node = file.node.clone();
            let file = File { replaces: false, ..file };
            let then = if kind == EntryKind::File { Step::Transfer(file) } else { Step::Link(file) };
            replace(there, node, then, "there is a directory of that name")
        }
        (EntryKind::Symlink, _) => Step::Link(file),
        (EntryKind::File, Some(there)) if is_file(&there) => match compare(&file.node, &there, rules) {
            Verdict::Same => Step::Keep(file.node),
            Verdict::Differs => Step::Transfer(file),
            what => Step::Ask { file, there, what },
        },
        // A link or the like at the destination is replaced, not followed.
        (EntryKind::File, _) => Step::Transfer(file),
    }
}

/// Whether a file must be transferred.
pub(super) fn compare(source: &Node, there: &Node, rules: &Rules<'_>) -> Verdict {
    let sizes = source.size.zip(there.size).map(|(a, b)| a == b);
    let times = source.modified.zip(there.modified);
    let differs = |differs: bool| if differs { Verdict::Differs } else { Verdict::Same };
    match rules.compare {
        Compare::Always => Verdict::Differs,
        Compare::Size => differs(sizes != Some(true)),
        Compare::Hash if sizes == Some(false) => Verdict::Differs,
        Compare::Hash => Verdict::AskHash,
        Compare::Newer => match times {
            Some((source, there)) if source.agrees(there) => Verdict::Same,
            Some((source, there)) if may_be_zones(source, there) && rules.exact_times => Verdict::AskTime,
            Some((source, there)) => differs(source.is_after(there)),
            None => Verdict::Differs,
        },
        Compare::SizeAndTime if sizes != Some(true) => Verdict::Differs,
        Compare::SizeAndTime => match times {
            // Nothing to hold against it.
            None => Verdict::Same,
            Some((source, there)) if source.agrees(there) => Verdict::Same,
            Some((source, there)) if may_be_zones(source, there) && rules.exact_times => Verdict::AskTime,
            Some((source, there)) if !rules.keeps_times => {
                // It has the time of its transfer: it is as it should be if that was later.
                let slack = if source.utc && there.utc { Duration::ZERO } else { ZONES };
                differs(source.is_after(Moment { time: there.time + slack, ..there }))
            }
            Some(_) => Verdict::Differs,
        },
    }
}

/// Whether two times that do not agree may do so all the same, since one is vague.
fn may_be_zones(source: Moment, there: Moment) -> bool {
    let vague = source.is_vague() || there.is_vague();
    vague && source.distance(there) <= ZONES + source.within.max(there.within)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(seconds: u64, within: u64, utc: bool) -> Option<Moment> {
        let time = UNIX_EPOCH + Duration::from_secs(seconds);
        Some(Moment { time, within: Duration::from_secs(within), utc })
    }

    fn file(name: &str, size: u64, modified: Option<Moment>) -> Node {
        Node { name: name.into(), kind: EntryKind::File, size: Some(size), modified, target: None }
    }

    fn other(name: &str, kind: EntryKind) -> Node {
        Node { name: name.into(), kind, size: None, modified: None, target: None }
    }

    fn rules(filter: &Filter) -> Rules<'_> {
        Rules {
            filter,
            compare: Compare::SizeAndTime,
            symlinks: Symlinks::Skip,
            delete: true,
            keeps_times: true,
            exact_times: true,
            folds_case: false,
            accepts: |name| if name.contains(&b'/') { Err("a path") } else { Ok(()) },
        }
    }

    #[test]
    fn what_comparisons_say() {
        use Compare as C;
        use Verdict as V;
        const DAY: u64 = 86_400;
        let filter = Filter::new();
        let exact = at(1000 * DAY + 3605, 1, true);
        for (compare, source, there, verdict) in [
            (C::SizeAndTime, (1, exact), (2, exact), V::Differs),
            (C::SizeAndTime, (1, exact), (1, exact), V::Same),
            (C::SizeAndTime, (1, exact), (1, at(1000 * DAY + 3606, 1, true)), V::Differs),
            // To the minute, and to the day, in UTC.
            (C::SizeAndTime, (1, exact), (1, at(1000 * DAY + 3600, 60, true)), V::Same),
            (C::SizeAndTime, (1, exact), (1, at(1000 * DAY, DAY, true)), V::Same),
            (C::SizeAndTime, (1, exact), (1, at(1001 * DAY + 2 * 3600, 60, true)), V::AskTime),
            // Another zone, or another time.
            (C::SizeAndTime, (1, exact), (1, at(1000 * DAY + 3 * 3600, 60, false)), V::AskTime),
            (C::SizeAndTime, (1, exact), (1, at(1003 * DAY, 60, false)), V::Differs),
            (C::SizeAndTime, (1, exact), (1, None), V::Same),
            (C::Size, (1, exact), (1, at(0, 1, true)), V::Same),
            (C::Size, (1, exact), (2, exact), V::Differs),
            (C::Newer, (1, exact), (2, at(1001 * DAY, 1, true)), V::Same),
            (C::Newer, (1, exact), (2, at(999 * DAY, 1, true)), V::Differs),
            (C::Hash, (1, exact), (1, exact), V::AskHash),
            (C::Hash, (1, exact), (2, exact), V::Differs),
            (C::Always, (1, exact), (1, exact), V::Differs),
        ] {
            let rules = Rules { compare, ..rules(&filter) };
            let found = super::compare(&file("a", source.0, source.1), &file("a", there.0, there.1), &rules);
            assert_eq!(found, verdict, "{compare:?} {source:?} {there:?}");
        }
        // A server that does not keep times has that of the upload.
        let rules = Rules { keeps_times: false, ..rules(&filter) };
        let (old, new) = (file("a", 1, exact), file("a", 1, at(1010 * DAY, 1, true)));
        assert_eq!(super::compare(&old, &new, &rules), V::Same);
        assert_eq!(super::compare(&new, &old, &rules), V::Differs);
    }

    #[test]
    fn what_stands_in_the_way() {
        let filter = Filter::new().exclude("*.bak").unwrap();
        let source = vec![
            file("a", 1, at(5, 1, true)),
            other("d", EntryKind::Directory),
            other("l", EntryKind::Symlink),
            file("x/y", 1, None),
            file("twice", 1, None),
            file("twice", 1, None),
            file("n.bak", 1, None),
        ];
        let there = vec![
            other("a", EntryKind::Directory),
            file("d", 1, None),
            file("gone", 1, None),
            file("twice.part", 1, None),
            file("twice", 1, None),
            file("o.bak", 1, None),
            file("old.part", 1, None),
        ];
        let found = steps(b"", source.clone(), there.clone(), &rules(&filter));
        let kinds: Vec<_> = found
            .iter()
            .map(|step| match step {
                Step::Replace { then, .. } if matches!(**then, Step::Transfer(_)) => "replace by file",
                Step::Replace { .. } => "replace by directory",
                Step::Skip { why, .. } | Step::Fail { why, .. } => why,
                Step::Tidy(name) => std::str::from_utf8(name).unwrap(),
                Step::Keep(_) => "keep",
                Step::Delete(node) => std::str::from_utf8(&node.name).unwrap(),
                _ => "?",
            })
            .collect();
        let expected = [
            "replace by file",
            "replace by directory",
            "symbolic link",
            "a path",
            "twice.part",
            "keep",
            "listed twice",
            "excluded",
            "gone",
            "old.part",
        ];
        assert_eq!(kinds, expected);
        let found = steps(b"", source, there, &Rules { delete: false, ..rules(&filter) });
        let failed = |step: &&Step| matches!(step, Step::Fail { .. });
        assert_eq!(found.iter().filter(failed).count(), 4);
        assert!(!found.iter().any(|step| matches!(step, Step::Delete(_) | Step::Replace { .. })));
    }

    #[test]
    fn a_part_has_a_name_of_its_own() {
        let names: HashSet<&[u8]> = [&b"a"[..], b"a.part", b"a.part.part"].into();
        assert_eq!(part_name(b"a", &names), b"a.part.part.part");
        assert_eq!(part_name(b"b", &names), b"b.part");
    }

    /// Doing what the steps say makes both sides equal, and leaves alone what is excluded.
    #[test]
    fn steps_make_equal() {
        let mut seed = 88_172_645_463_325_252_u64;
        let mut random = move |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        let filter = Filter::new().exclude("x*").unwrap();
        for round in 0..5000 {
            let mut side = || {
                let mut nodes = BTreeMap::new();
                for _ in 0..random(8) {
                    let name = format!("{}{}", ["a", "x", "B", "b"][random(4) as usize], random(3));
                    let node = match random(4) {
                        0 => other(&name, EntryKind::Directory),
                        _ => file(&name, random(3), at(1000 + random(3), 1, true)),
                    };
                    nodes.insert(name.into_bytes(), node);
                }
                nodes
            };
            let (source, before) = (side(), side());
            let rules = Rules { delete: round % 2 == 0, folds_case: false, ..rules(&filter) };
            let found = steps(b"d/", source.values().cloned().collect(), before.values().cloned().collect(), &rules);
            let mut after = before.clone();
            for step in found {
                let step = match step {
                    Step::Replace { there, then } => {
                        assert_eq!(after.remove(&there.name), Some(there));
                        *then
                    }
                    other => other,
                };
                match step {
                    Step::Enter { name, exists } => {
                        assert_eq!(after.contains_key(&name), exists);
                        after.insert(name.clone(), source[&name].clone());
                    }
                    Step::Transfer(File { node, replaces, .. }) => {
                        assert_eq!(after.insert(node.name.clone(), node).is_some(), replaces);
                    }
                    Step::Keep(node) => assert_eq!(after[&node.name], node),
                    Step::Delete(node) => assert_eq!(after.remove(&node.name), Some(node)),
                    Step::Fail { node, .. } => assert!(!rules.delete && before[&node.name].kind != node.kind),
                    Step::Skip { node, .. } => assert!(node.name.starts_with(b"x")),
                    other => panic!("{other:?}"),
                }
            }
            let excluded = |name: &[u8]| name.starts_with(b"x");
            for (name, node) in &before {
                assert!(!excluded(name) || after.get(name) == Some(node));
            }
            for (name, node) in &source {
                let done = after.get(name) == Some(node);
                assert!(excluded(name) || done || (!rules.delete && before[name].kind != node.kind));
            }
            assert!(!rules.delete || after.keys().all(|name| source.contains_key(name) || excluded(name)));
        }
    }
}
