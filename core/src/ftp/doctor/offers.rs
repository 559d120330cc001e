//! What the server offers (FEAT), and what that is good for.

use super::{Doctor, State, Topic, words};
use crate::ftp::client::Client;
use crate::ftp::commands;
use crate::ftp::features::Features;
use crate::transport::Transport;

/// Checksums as commands of their own, the better ones first.
const CHECKSUMS: [&str; 8] = ["XSHA512", "XSHA256", "XSHA1", "XSHA", "XMD5", "MD5", "XCRC", "MMD5"];

impl<T: Transport + Clone> Doctor<'_, T> {
    pub(super) async fn speak_of_offers(&mut self, client: &mut Client<T>) {
        let features = client.features().clone();
        self.diagnosis.features =
            features.iter().map(|(name, parameters)| (name.to_owned(), parameters.to_owned())).collect();
        self.names(client, &features).await;
        self.checksums(&features);
        self.resuming(&features);
        self.times(&features);
        let zlib = features.iter().any(|(name, parameters)| name == "MODE" && parameters.starts_with(['Z', 'z']));
        self.find(Topic::Compression, State::Good, if zlib { "MODE Z is offered" } else { "MODE Z is not offered" });
    }

    async fn names(&mut self, client: &mut Client<T>, features: &Features) {
        if !features.offers("UTF8") {
            self.find(Topic::Names, State::Notice, "UTF8 is not offered")
                .because("names may be in any encoding")
                .advise("names are kept as bytes here; if they look wrong, name the server's encoding");
            return;
        }
        let seen = match super::session::ask(client, &commands::opts_utf8()).await {
            Ok(reply) if reply.code().is_completion() => "UTF8 is offered, and OPTS UTF8 ON accepted".to_owned(),
            Ok(reply) => format!("UTF8 is offered and always on; OPTS UTF8 ON is answered {}", words::said(&reply)),
            Err(error) => format!("UTF8 is offered; OPTS UTF8 ON failed: {}", words::of(&error)),
        };
        self.find(Topic::Names, State::Good, seen);
    }

    fn checksums(&mut self, features: &Features) {
        let mut offered: Vec<_> = features
            .iter()
            .filter(|(name, _)| *name == "HASH")
            .map(|(_, algorithms)| format!("HASH ({})", algorithms.trim_end_matches(';')))
            .collect();
        offered.extend(CHECKSUMS.iter().filter(|name| features.offers(name)).map(|name| (*name).to_owned()));
        if offered.is_empty() {
            self.find(Topic::Checksums, State::Notice, "no command tells the checksum of a file")
                .because("the server has none, or its module for them is not loaded")
                .advise(
                    "files are compared by size; where that is not enough, the administrator may load such a module",
                );
        } else {
            self.find(Topic::Checksums, State::Good, offered.join(", "));
        }
    }

    fn resuming(&mut self, features: &Features) {
        let rest =
            features.iter().any(|(name, parameters)| name == "REST" && parameters.eq_ignore_ascii_case("STREAM"));
        let mut seen = vec![if rest { "REST STREAM is offered" } else { "REST STREAM is not offered" }];
        seen.push(if features.offers("SIZE") { "SIZE is" } else { "SIZE is not" });
        seen.extend(features.offers("RANG").then_some("RANG is"));
        let seen = seen.join(", ");
        if rest && features.offers("SIZE") {
            self.find(Topic::Resuming, State::Good, seen);
        } else {
            self.find(Topic::Resuming, State::Notice, seen)
                .because("the server does not say that it can begin in the middle of a file, or how long one is")
                .advise("after a cut, files may have to be transferred whole");
        }
    }

    fn times(&mut self, features: &Features) {
        let offers = |name: &str| features.offers(name);
        let setting: Vec<_> = ["MFMT", "MFCT", "MFF"].into_iter().filter(|name| offers(name)).collect();
        let reading = if offers("MDTM") { "times are read by MDTM" } else { "MDTM is not offered" };
        let set = if setting.is_empty() {
            "no command to set them is offered".to_owned()
        } else {
            format!("set by {}", setting.join(", "))
        };
        let seen = format!("{reading}; {set}");
        if offers("MDTM") && offers("MFMT") {
            self.find(Topic::Times, State::Good, seen);
        } else {
            self.find(Topic::Times, State::Notice, seen)
                .because("the server is from before MFMT, or the command is switched off")
                .advise("uploaded files have the time of their upload: compare by size or checksum instead");
        }
    }
}
