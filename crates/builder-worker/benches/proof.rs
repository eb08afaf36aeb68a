//! The proof of one image against a hub, as a build makes it: rpmdb and file lists, Koji's answers, and every path
//! accounted for, with the digests that were taken when the layer was packed. A whole process, so that start-up and
//! connection count.
//!
//! `cargo bench -p builder-worker --bench proof -- pack ROOT STORE` packs ROOT as a build packs what a RUN left, and prints
//! diff id, digest and size of the layer. `… -- prove ROOT HUB STATE_DIR LIST STORE DIFF_ID` proves it and prints one line of
//! JSON; LIST is the address of a repository's `rpmlist.jsonl` or empty. `… -- rpms ROOT HUB STATE_DIR LIST` proves the RPMs
//! alone. `… -- verify HUB STATE_DIR LIST STORE DIFF_ID DIGEST SIZE` proves the packed layer as `containerbuild verify` does
//! with what others built: it is unpacked, and its files are hashed on the way; with `afterwards` behind it, in a pass of
//! their own. Called by `tests/bench/proof.py`, which makes the image, starts a hub and compares with `rpm -qa` and one
//! `getRPM` per package.

#![allow(missing_docs, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use builder_worker::file_digests::FileDigests;
use builder_worker::koji_rpms::HubRpms;
use builder_worker::layer_digests;
use image_layers::{Compression, Descriptor, FileDigestAlgorithm, MergedView, PackOptions, Store, UnpackLimits, pack_layer};
use koji_session::{Credentials, HubConfig, RetryPolicy, Session};
use rpm_provenance::Proof;
use rpm_provenance::files::{Accounting, Class, LayerDigests, LayerSource, NewLayer, account};
use rpm_provenance::rpmdb::{RpmDb, read_view, read_view_whole};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["pack", root, store] => pack(root, store),
        ["rpms", root, hub, state, list] => rpms(root, hub, state, list),
        ["prove", root, hub, state, list, store, diff_id] => {
            let digests =
                || layer_digests::of_packed(&Store::open(Path::new(store)).unwrap(), &diff_id.parse().unwrap()).unwrap();
            prove(root.into(), [hub, state, list], Duration::ZERO, digests);
        }
        ["verify", hub, state, list, store, layer @ ..] => verify([hub, state, list], store, layer),
        _ => {} // `cargo test --benches` and plain `cargo bench`
    }
}

fn pack(root: &str, store: &str) {
    let options = PackOptions { file_digests: vec![FileDigestAlgorithm::Sha256], ..PackOptions::default() };
    let packed = pack_layer(&Store::open(Path::new(store)).unwrap(), Path::new(root), &[], &options).unwrap();
    println!("{} {} {}", packed.diff_id, packed.descriptor.digest, packed.descriptor.size);
}

/// The rpmdb by `read`, and the proof of what it lists.
fn prove_rpms<T: Send + 'static>(
    hub: &str,
    state: &str,
    list: &str,
    read: impl FnOnce() -> (RpmDb, T) + Send + 'static,
) -> (Duration, T, Proof) {
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let reading = tokio::task::spawn_blocking(read);
        let config =
            HubConfig { url: hub.to_owned(), credentials: Credentials::Anonymous, ca: None, retry: RetryPolicy::default() };
        let session = Session::anonymous(&config).await.unwrap();
        let lists = if list.is_empty() { Vec::new() } else { vec![list.to_owned()] };
        let lookup = HubRpms::new(session).with_lists(lists).with_digests(FileDigests::in_dir(Path::new(state), hub));
        // A build has read them when its gate released the first package.
        let (found, ()) = tokio::join!(reading, lookup.read_lists());
        let (db, rest) = found.unwrap();
        let read = began.elapsed();
        let proof = rpm_provenance::prove(&db, None, &[], &lookup).await.unwrap();
        assert!(proof.all_proven(), "{:#?}", proof.problems.first());
        (read, rest, proof)
    })
}

fn rpms(root: &str, hub: &str, state: &str, list: &str) {
    let view = MergedView::new(vec![root.into()]);
    let (read, (), proof) = prove_rpms(hub, state, list, move || (read_view(&view).unwrap(), ()));
    println!("{}", serde_json::json!({"rpms": proof.packages.len(), "read": read.as_secs_f64()}));
}

/// As `containerbuild verify` comes to a layer: unpacked in a store of its own, and then proven.
fn verify(koji: [&str; 3], store: &str, layer: &[&str]) {
    let began = Instant::now();
    let store = Store::open(Path::new(store)).unwrap();
    let store = if layer.contains(&"afterwards") { store } else { store.hashing_files() };
    let [diff_id, digest, size, ..] = layer else { panic!("DIFF_ID DIGEST SIZE") };
    let blob = Descriptor::new(Compression::default().media_type(), digest.parse().unwrap(), size.parse().unwrap());
    let unpacked = store.unpack_layer(&blob, &diff_id.parse().unwrap(), None, &UnpackLimits::default()).unwrap();
    prove(unpacked.dir.clone(), koji, began.elapsed(), || layer_digests::of_unpacked(&store, &unpacked));
}

/// The whole proof of `root`, which it took `unpack` to have.
fn prove(root: PathBuf, [hub, state, list]: [&str; 3], unpack: Duration, digests: impl FnOnce() -> LayerDigests) {
    let began = Instant::now();
    let view = MergedView::new(vec![root.clone()]);
    let (read, files, proof) = prove_rpms(hub, state, list, move || {
        let (db, files, _) = read_view_whole(&view).unwrap();
        (db, files)
    });
    let proven = began.elapsed();
    let digests = digests();
    let account = account(&Accounting {
        layers: vec![root],
        new_layers: &[NewLayer { instruction: "RUN dnf install".into(), source: LayerSource::Any }],
        digests: &[digests],
        packages: &files,
        parent: &[],
        elsewhere: &[],
        commit: None,
        config: &[],
        working_dir: "/",
    })
    .unwrap();
    let whole = began.elapsed();
    println!(
        "{}",
        serde_json::json!({
            "rpms": proof.packages.len(), "files": account.count(Class::Rpm).paths,
            "read": read.as_secs_f64(), "koji": (proven - read).as_secs_f64(),
            "files_seconds": (whole - proven).as_secs_f64(), "whole": (unpack + whole).as_secs_f64(),
            "unpack": unpack.as_secs_f64(),
        })
    );
}
