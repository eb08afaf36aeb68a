//! The proof of one unpacked image against a hub, as a build makes it: rpmdb and file lists, Koji's answers, and every
//! path accounted for. A whole process, so that start-up and connection count.
//!
//! `cargo bench -p builder-worker --bench proof -- ROOT HUB STATE_DIR` prints one line of JSON. Called by
//! `tests/bench/proof.py`, which makes the image, starts a hub and compares with `rpm -qa` and one `getRPM` per package.

#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;
use std::time::Instant;

use builder_worker::file_digests::FileDigests;
use builder_worker::koji_rpms::HubRpms;
use image_layers::MergedView;
use koji_session::{Credentials, HubConfig, RetryPolicy, Session};
use rpm_provenance::files::{Accounting, Class, LayerSource, NewLayer, account};
use rpm_provenance::rpmdb::read_view_with_files;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [root, hub, state] = arguments.as_slice() else { return }; // `cargo test --benches` and plain `cargo bench`
    let began = Instant::now();
    let (db, files) = read_view_with_files(&MergedView::new(vec![root.into()])).unwrap();
    let read = began.elapsed();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let proof = runtime.block_on(async {
        let config = HubConfig { url: hub.clone(), credentials: Credentials::Anonymous, ca: None, retry: RetryPolicy::default() };
        let session = Session::anonymous(&config).await.unwrap();
        let lookup = HubRpms::new(session).with_digests(FileDigests::in_dir(Path::new(state), hub));
        rpm_provenance::prove(&db, None, &[], &lookup).await.unwrap()
    });
    let proven = began.elapsed();
    let account = account(&Accounting {
        layers: vec![root.into()],
        new_layers: &[NewLayer { instruction: "RUN dnf install".into(), source: LayerSource::Any }],
        digests: &[],
        packages: &files,
        parent: &[],
        elsewhere: &[],
        commit: None,
        config: &[],
        working_dir: "/",
    })
    .unwrap();
    let whole = began.elapsed();
    assert!(proof.all_proven(), "{:#?}", proof.problems.first());
    println!(
        "{}",
        serde_json::json!({
            "rpms": proof.packages.len(), "files": account.count(Class::Rpm).paths,
            "read": read.as_secs_f64(), "koji": (proven - read).as_secs_f64(),
            "files_seconds": (whole - proven).as_secs_f64(), "whole": whole.as_secs_f64(),
        })
    );
}
