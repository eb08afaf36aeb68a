//! The engine on a real kernel: overlay mounts, namespaces and containers (crun), on a root file system of one static
//! busybox. Needs root. Run one by its name: `cargo test -p image-build --test engine -- NAME`.
//!
//! No test harness of the usual kind: [`image_build::prepare_process`] has to be called before the first thread starts.

mod config;
mod copy;
mod corpus;
mod escape;
mod failures;
mod killed;
mod layers;
mod mounts;
mod network;
mod remote;
mod run;
mod world;

use std::process::ExitCode;

type Test = (&'static str, fn());

/// The argument that makes this program build on a machine without cgroups.
const NO_CGROUPS: &str = "--no-cgroups";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, dir, seconds] = args.as_slice()
        && flag == killed::VICTIM
    {
        image_build::prepare_process().expect("prepare_process");
        killed::be_killed(dir.as_ref(), seconds);
        return ExitCode::SUCCESS;
    }
    if let [flag, what @ ..] = args.as_slice()
        && flag == network::PROBE
    {
        if what.is_empty() {
            network::probe()
        } else {
            escape::probe(what)
        }
        return ExitCode::SUCCESS;
    }
    if args == [NO_CGROUPS] {
        escape::build_without_cgroups();
        return ExitCode::SUCCESS;
    }
    let mut tests: Vec<Test> = [run::TESTS, network::TESTS, copy::TESTS, layers::TESTS, config::TESTS, failures::TESTS].concat();
    tests.extend_from_slice(mounts::TESTS);
    tests.extend_from_slice(remote::TESTS);
    tests.extend_from_slice(killed::TESTS);
    tests.extend_from_slice(corpus::TESTS);
    tests.extend(escape::tests());
    // What cargo-nextest asks of a test binary.
    if args.iter().any(|a| a == "--list") {
        if !args.iter().any(|a| a == "--ignored") {
            tests.iter().for_each(|(name, _)| println!("{name}: test"));
        }
        return ExitCode::SUCCESS;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: the engine's tests need root");
        return ExitCode::SUCCESS;
    }
    image_build::prepare_process().expect("prepare_process");
    run_tests(&tests, &args)
}

fn run_tests(tests: &[Test], args: &[String]) -> ExitCode {
    let exact = args.iter().any(|a| a == "--exact");
    let filters: Vec<&String> = args.iter().filter(|a| !a.starts_with('-')).collect();
    let wanted =
        |name: &str| filters.is_empty() || filters.iter().any(|f| if exact { name == *f } else { name.contains(f.as_str()) });
    let mut failed = Vec::new();
    let mut passed = 0;
    for (name, test) in tests.iter().filter(|(name, _)| wanted(name)) {
        let begun = std::time::Instant::now();
        match std::panic::catch_unwind(test) {
            Ok(()) => passed += 1,
            Err(_) => failed.push(*name),
        }
        let how = if failed.last() == Some(name) { "FAILED" } else { "ok" };
        println!("test {name} ... {how} ({:.2} s)", begun.elapsed().as_secs_f64());
    }
    println!("\n{passed} passed, {} failed {failed:?}", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
