//! Attempts to get out of a RUN: over the network, to the host's files and devices, to other builds, and by using up the
//! machine. Each must fail, and nothing of it may be left on the host ([`World::build_watched`] looks after each build).

mod builds;
mod devices;
mod files;
mod kernel;
mod network;
mod owners;
mod resources;

use crate::world::{Options, Recorder, World};

pub fn tests() -> Vec<crate::Test> {
    [builds::TESTS, devices::TESTS, files::TESTS, kernel::TESTS, network::TESTS, owners::TESTS, resources::TESTS].concat()
}

pub use kernel::{probe, this_program};
pub use resources::build_without_cgroups;

/// Builds and returns the output; the build must end well.
fn output(world: &World, text: &str, options: &Options) -> Vec<String> {
    let recorder = Recorder::default();
    world.build_watched(text, options, &recorder).unwrap_or_else(|e| panic!("{e:?}\n{e}\n{:#?}", recorder.output()));
    recorder.output()
}

/// A directory of the host with something to find in it.
fn secret_place() -> (tempfile::TempDir, String) {
    let dir = tempfile::Builder::new().prefix("of-the-host-").tempdir().expect("tempdir");
    std::fs::write(dir.path().join("secret"), "of the host\n").expect("write");
    let path = dir.path().display().to_string();
    (dir, path)
}
