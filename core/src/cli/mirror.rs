//! `starttls mirror`: a tree made equal to another one.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use starttls::ErrorKind;
use starttls::ftp::Direction;
use starttls::ftp::mirror::{self, Compare, FileAction, FileReport, Filter, MirrorReport, Symlinks};
use starttls::transport::block;
use starttls::url::Protocol;

use crate::common::{Common, Target};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Report};
use crate::progress::bytes_for_people;
use crate::view;

/// Make a directory equal to another one: from a server to here, or from here to a server
///
/// What is there and as it should be is not transferred, so a mirror that was stopped is continued by the same command.
/// With --json there is one line for each file, and one for all.
#[derive(Args, Debug)]
pub(crate) struct Mirror {
    /// Where from: ftp://[USER@]HOST[:PORT]/PATH, ftps://…, or a directory here
    source: String,
    /// Where to: a directory here, or a URL
    destination: String,
    #[command(flatten)]
    rules: Rules,
    /// How to tell whether a file is as it should be: size+time, size, newer, hash or always
    #[arg(long, value_name = "HOW", default_value = "size+time", value_parser = compare)]
    compare: Compare,
    /// What to do with symbolic links: skip, follow (inside the tree) or copy (as links, from a server)
    #[arg(long, value_name = "HOW", default_value = "skip", value_parser = symlinks)]
    symlinks: Symlinks,
    /// Delete what the source does not have, at the end, if every directory could be listed
    #[arg(long)]
    delete: bool,
    /// Delete nothing if it would be more than so many
    #[arg(long, value_name = "N", requires = "delete")]
    max_delete: Option<u64>,
    /// Only tell what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// The most sessions at a time
    #[arg(short = 'j', long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    parallel: u8,
    /// Upload files under their own names at once, instead of NAME.part
    #[arg(long)]
    in_place: bool,
    /// Do not keep the files' times
    #[arg(long)]
    no_times: bool,
}

/// Include and exclude rules, in the order in which they were given.
#[derive(Clone, Debug)]
struct Rules(Filter);

impl Args for Rules {
    fn augment_args(command: Command) -> Command {
        let pattern = |name, help| Arg::new(name).long(name).value_name("PATTERN").action(ArgAction::Append).help(help);
        command
            .arg(pattern("include", "Take what matches: *.txt, /top/**, cache/; the first rule that matches decides"))
            .arg(pattern("exclude", "Leave out what matches, and do not delete it"))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Rules {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut rules = Vec::new();
        for name in ["include", "exclude"] {
            let places = matches.indices_of(name).into_iter().flatten();
            let patterns = matches.get_many::<String>(name).into_iter().flatten();
            rules.extend(places.zip(patterns).map(|(place, pattern)| (place, name, pattern)));
        }
        rules.sort_unstable();
        let filter = rules.into_iter().try_fold(Filter::new(), |filter, (_, name, pattern)| {
            if name == "include" { filter.include(pattern) } else { filter.exclude(pattern) }
        });
        filter
            .map(Self)
            .map_err(|error| clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("{error}\n")))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Mirror {
    pub(crate) fn run(&self, common: &Common) -> Result<Report, Failure> {
        let remote = |text: &str| text.contains("://");
        let (url, local, direction) = match (remote(&self.source), remote(&self.destination)) {
            (true, false) => (&self.source, PathBuf::from(&self.destination), Direction::Down),
            (false, true) => (&self.destination, PathBuf::from(&self.source), Direction::Up),
            _ => return Err(Failure::usage("one of the two directories is a URL, and the other one is here")),
        };
        let target = common.target(url, Protocol::Ftp)?;
        let wanted = self.wanted(&target, local, direction);
        // Told before anybody is asked: it would be no mirror of anything.
        if direction == Direction::Up && !wanted.local.is_dir() {
            let missing = std::fs::metadata(&wanted.local).err();
            let error = missing.unwrap_or_else(|| std::io::ErrorKind::NotADirectory.into());
            return Err(Failure::file(Exit::NoInput, &wanted.local, &error));
        }
        let mut tell = |story: FileReport| tell(common, &story);
        let report = block(async {
            let mut client = target.ftp(common).await?;
            let done = client.mirror(&wanted, &mut tell).await;
            let report = done.map_err(|error| failed(&target, &wanted.local, direction, error))?;
            client.quit().await;
            Ok::<_, Failure>(report)
        })?;
        let exit = if report.is_complete() { Exit::Ok } else { Exit::Partial };
        let json = view::json(&report);
        Ok(Report { exit, json, data: String::new(), notes: notes(&report) })
    }

    fn wanted(&self, target: &Target, local: PathBuf, direction: Direction) -> mirror::Mirror {
        let base = match direction {
            Direction::Down => mirror::Mirror::download(&target.url.path, local),
            _ => mirror::Mirror::upload(local, &target.url.path),
        };
        mirror::Mirror {
            filter: self.rules.0.clone(),
            compare: self.compare,
            symlinks: self.symlinks,
            delete: self.delete,
            max_delete: self.max_delete,
            dry_run: self.dry_run,
            parallel: self.parallel.into(),
            in_place: self.in_place,
            keep_times: !self.no_times,
            ..base
        }
    }
}

/// A line for a file: data for programs, and for people what was done and what failed.
fn tell(common: &Common, story: &FileReport) -> std::io::Result<()> {
    let line = if common.json {
        view::json(story).to_string()
    } else {
        let path = view::printable(&String::from_utf8_lossy(&story.path));
        match story.action {
            FileAction::Unchanged => return Ok(()),
            FileAction::Failed => {
                let error = story.error.as_ref().map(|error| view::printable(&error.to_string()));
                let why = error.or(story.reason.map(str::to_owned)).unwrap_or_default();
                output::note(&format!("{path}: {why}"));
                return Ok(());
            }
            _ if common.quiet => return Ok(()),
            FileAction::Skipped => format!("{} {path} ({})", story.action.as_str(), story.reason.unwrap_or_default()),
            _ => format!("{} {path}", story.action.as_str()),
        }
    };
    output::line(&line)
}

fn notes(report: &MirrorReport) -> Vec<String> {
    let MirrorReport { created, updated, deleted, unchanged, skipped, failed, bytes, .. } = report;
    let would = if report.dry_run { "would be: " } else { "" };
    let mut counts = format!("{would}{created} created, {updated} updated, {deleted} deleted, {unchanged} unchanged");
    for (count, what) in [(skipped, "skipped"), (failed, "failed")] {
        if *count > 0 {
            counts.push_str(&format!(", {count} {what}"));
        }
    }
    let refused = report.deletions_refused.as_ref().map(|why| format!("nothing was deleted: {why}"));
    [format!("{counts}; {}", bytes_for_people(*bytes))].into_iter().chain(refused).collect()
}

fn failed(target: &Target, local: &Path, direction: Direction, error: starttls::Error) -> Failure {
    match error.kind() {
        // The reader of our output has read enough.
        ErrorKind::Local(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Failure::output(error),
        ErrorKind::Local(error) => {
            let exit = if direction == Direction::Down { Exit::CantCreate } else { Exit::NoInput };
            Failure::file(exit, local, error)
        }
        _ => target.failure(error, if direction == Direction::Down { Exit::NoInput } else { Exit::CantCreate }),
    }
}

fn compare(name: &str) -> Result<Compare, String> {
    let found = Compare::ALL.into_iter().find(|compare| compare.as_str() == name);
    found.ok_or_else(|| format!("one of {}", Compare::ALL.map(Compare::as_str).join(", ")))
}

fn symlinks(name: &str) -> Result<Symlinks, String> {
    let found = Symlinks::ALL.into_iter().find(|symlinks| symlinks.as_str() == name);
    found.ok_or_else(|| format!("one of {}", Symlinks::ALL.map(Symlinks::as_str).join(", ")))
}
