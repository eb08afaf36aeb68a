//! The rpmdb as it was after each instruction, read from the layers: it tells which instruction brought which RPM.

use std::path::PathBuf;

use image_layers::MergedView;
use rpm_provenance::report::LayerPackages;
use rpm_provenance::rpmdb;

/// Where distributions keep the rpmdb. A layer that has none of these does not change it.
const RPMDB_DIRS: [&str; 3] = ["var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm"];

/// Reads the rpmdb after each of the topmost layers that changes it. `layers` are all layers of the image and
/// `instructions` those that made the topmost ones, the lowest first.
///
/// A rpmdb that cannot be read says nothing here; what the last one is worth is for the proof to judge.
pub fn layer_packages(layers: &[PathBuf], instructions: &[String]) -> Vec<LayerPackages> {
    let inherited = layers.len().saturating_sub(instructions.len());
    let mut found = Vec::new();
    for (at, instruction) in instructions.iter().enumerate() {
        let Some(upto) = layers.get(..=inherited + at) else { break };
        let changed = upto.last().is_some_and(|dir| RPMDB_DIRS.iter().any(|db| dir.join(db).symlink_metadata().is_ok()));
        if !changed {
            continue;
        }
        if let Ok(db) = rpmdb::read_view(&MergedView::new(upto.iter().rev().cloned().collect())) {
            found.push(LayerPackages { instruction: instruction.clone(), db });
        }
    }
    found
}
