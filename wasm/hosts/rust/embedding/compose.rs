//! Two components made one: what the first imports, the second exports.

use std::fmt::Display;
use std::path::Path;

use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, PackageId};
use wasmtime::{Error, Result};

/// What `wac plug PLUGIN --plug WITH` writes. What the second component exports besides is left out, what either imports of
/// the host stays, and the exports are the plugin's.
pub(super) fn plug(plugin: &Path, with: &Path) -> Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let plugin = read(&mut graph, "plugin", plugin)?;
    let with = read(&mut graph, "with", with)?;
    wac_graph::plug(&mut graph, vec![with], plugin).map_err(failed)?;
    // The engine validates what it compiles.
    graph.encode(EncodeOptions { validate: false, ..EncodeOptions::default() }).map_err(failed)
}

fn read(graph: &mut CompositionGraph, name: &str, file: &Path) -> Result<PackageId> {
    let package = Package::from_file(name, None, file, graph.types_mut())
        .map_err(|error| Error::msg(format!("{}: {error:#}", file.display())))?;
    graph.register_package(package).map_err(failed)
}

fn failed(error: impl Display) -> Error {
    Error::msg(format!("cannot be made one component: {error:#}"))
}
