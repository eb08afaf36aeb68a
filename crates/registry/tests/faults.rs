//! Registries that are away, refuse, lie or break off: what is retried, what is not, and whose move it is.

mod support;

use std::sync::atomic::Ordering;

use build_model::{Blame, Diagnose};
use registry::{ImageReference, IndexMember, RegistryConfig, RegistryError};
use support::proxy::{Fault, Proxy};
use support::{DockerRegistry, client, client_of, files, image, layer, store, tag, x86_64};

fn reference(text: &str) -> ImageReference {
    text.parse().expect("a reference")
}

#[tokio::test]
async fn a_name_nobody_knows_is_the_packagers_move() {
    let server = DockerRegistry::start();
    let registry = client(&[&server.host]);
    let err = registry.resolve(&reference(&format!("{}/no/such:1", server.host)), &x86_64()).await.expect_err("absent");
    assert_eq!((err.kind(), err.blame(), err.is_transient()), ("image-not-found", Blame::Packager, false));
    assert!(err.hint().is_some());
}

#[tokio::test]
async fn a_port_nobody_listens_on_is_the_sites_move() {
    // Bound and closed again: nobody listens there now.
    let host = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").to_string();
    let registry = client(&[&host]);
    let err = registry.resolve(&reference(&format!("{host}/web:1")), &x86_64()).await.expect_err("nobody there");
    assert!(matches!(err, RegistryError::Unreachable { .. }), "{err:?}");
    assert_eq!((err.blame(), err.is_transient()), (Blame::Site, true));
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_unreachable_too() {
    let registry = client(&[]);
    let err = registry.resolve(&reference("registry.invalid/web:1"), &x86_64()).await.expect_err("no such host");
    assert!(matches!(err, RegistryError::Unreachable { .. }), "{err:?}");
}

#[tokio::test]
async fn a_plain_registry_that_is_not_listed_as_insecure_is_a_tls_problem() {
    let server = DockerRegistry::start();
    let err = client(&[]).resolve(&reference(&format!("{}/web:1", server.host)), &x86_64()).await.expect_err("no TLS there");
    assert!(matches!(err, RegistryError::Tls { .. }), "{err:?}");
    assert!(!err.is_transient() && err.hint().expect("a hint").contains("insecure"));
}

#[tokio::test]
async fn access_needs_the_right_password_from_the_auth_file() {
    let server = DockerRegistry::start_with_password();
    let (dir, ours) = store();
    let made = image(&ours, &x86_64(), false, &[layer(&ours, 1, 1000)]);
    let with = |entry: Option<&str>| {
        // base64 of builder:s3cret:x and of builder:wrong
        let auth_file = entry.map(|auth| {
            let file = dir.path().join("auth.json");
            std::fs::write(&file, format!(r#"{{"auths": {{"{}/f40": {{"auth": "{auth}"}}}}}}"#, server.host)).expect("write");
            file
        });
        client_of(RegistryConfig { insecure: vec![server.host.clone()], auth_file, ..RegistryConfig::default() })
    };
    for refused in [with(None), with(Some("YnVpbGRlcjp3cm9uZw=="))] {
        let err = refused.push(&ours, &made, &server.host, "f40/web", &[tag("1")], &|_| {}).await.expect_err("refused");
        assert_eq!((err.kind(), err.blame(), err.is_transient()), ("registry-unauthorized", Blame::Site, false), "{err}");
        let name = reference(&format!("{}/f40/web:1", server.host));
        assert!(matches!(refused.resolve(&name, &x86_64()).await, Err(RegistryError::Unauthorized { .. })));
    }
    let allowed = with(Some("YnVpbGRlcjpzM2NyZXQ6eA=="));
    allowed.push(&ours, &made, &server.host, "f40/web", &[tag("1")], &|_| {}).await.expect("push");
    let (_dir, theirs) = store();
    let name = reference(&format!("{}/f40/web:1", server.host));
    assert_eq!(allowed.pull(&name, &x86_64(), &theirs, &|_| {}).await.expect("pull"), made);
    let mut writer = ours.blob_writer().expect("a writer");
    let growing = writer.follow().expect("a reader");
    std::io::Write::write_all(&mut writer, b"written with a login").expect("written");
    let (digest, _) = writer.finish(None).expect("finished");
    assert_eq!(allowed.upload_followed(growing.clone(), &server.host, "f40/web").await.expect("sent"), digest);
    let err = with(None).upload_followed(growing, &server.host, "f40/web").await.expect_err("no login");
    assert!(matches!(err, RegistryError::Unauthorized { .. }), "{err}");
    let err = allowed.push(&ours, &made, &server.host, "f41/web", &[], &|_| {}).await.expect_err("the entry is for f40 only");
    assert!(matches!(err, RegistryError::Unauthorized { .. }), "{err}");
}

#[tokio::test]
async fn a_busy_registry_is_asked_again_and_given_up_in_the_end() {
    let server = DockerRegistry::start();
    let (_dir, ours) = store();
    let made = image(&ours, &x86_64(), false, &[layer(&ours, 1, 1000)]);
    client(&[&server.host]).push(&ours, &made, &server.host, "web", &[tag("1")], &|_| {}).await.expect("push");
    for code in [429, 503] {
        let line = Proxy::start(&server.host, Fault::Status { code, connections: 2 });
        let found = client(&[&line.host])
            .resolve(&reference(&format!("{}/web:1", line.host)), &x86_64())
            .await
            .expect("the third attempt");
        assert_eq!(found.digest, made.manifest_digest);
        let line = Proxy::start(&server.host, Fault::Status { code, connections: 1000 });
        let err =
            client(&[&line.host]).resolve(&reference(&format!("{}/web:1", line.host)), &x86_64()).await.expect_err("always busy");
        assert!(matches!(err, RegistryError::Busy { status, .. } if status == code), "{err}");
    }
}

#[tokio::test]
async fn a_download_that_breaks_off_goes_on_where_it_was() {
    let server = DockerRegistry::start();
    let (_dir, ours) = store();
    let big = layer(&ours, 1, 2_000_000);
    let size = big.1;
    let made = image(&ours, &x86_64(), false, &[big]);
    client(&[&server.host]).push(&ours, &made, &server.host, "web", &[tag("1")], &|_| {}).await.expect("push");
    // Manifest, config and the start of the layer come over the first connection; the second breaks off as well.
    let line = Proxy::start(&server.host, Fault::CutAfter { bytes: 900_000, connections: 2 });
    let (_dir, theirs) = store();
    let name = reference(&format!("{}/web:1", line.host));
    assert_eq!(client(&[&line.host]).pull(&name, &x86_64(), &theirs, &|_| {}).await.expect("pull"), made);
    assert_eq!(line.cuts.load(Ordering::SeqCst), 2);
    let received = line.received.load(Ordering::SeqCst);
    assert!(received < size + size / 4, "{received} bytes for a layer of {size}: nothing was fetched twice");
    let line = Proxy::start(&server.host, Fault::CutAfter { bytes: 100_000, connections: 1000 });
    let (_dir, theirs) = store();
    let name = reference(&format!("{}/web:1", line.host));
    let err = client(&[&line.host]).pull(&name, &x86_64(), &theirs, &|_| {}).await.expect_err("never complete");
    assert!(matches!(err, RegistryError::Unreachable { .. }), "{err:?}");
    assert!(!theirs.has_blob(&made.layers()[0].digest));
    assert_eq!(files(&theirs.root().join("tmp")).iter().filter(|f| f.to_string_lossy().contains("blob-")).count(), 0);
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_repeated() {
    let server = DockerRegistry::start();
    let (_dir, ours) = store();
    let made = image(&ours, &x86_64(), false, &[layer(&ours, 1, 2_000_000)]);
    let line = Proxy::start(&server.host, Fault::CutUpload { bytes: 1_000_000, times: 2 });
    client(&[&line.host]).push(&ours, &made, &line.host, "web", &[tag("1")], &|_| {}).await.expect("push");
    assert_eq!(line.cuts.load(Ordering::SeqCst), 2, "both connections were cut");
    let (_dir, theirs) = store();
    let name = reference(&format!("{}/web:1", server.host));
    assert_eq!(client(&[&server.host]).pull(&name, &x86_64(), &theirs, &|_| {}).await.expect("pull"), made);
}

#[tokio::test]
async fn a_layer_the_registry_changed_never_gets_into_the_store() {
    let server = DockerRegistry::start();
    let registry = client(&[&server.host]);
    let (_dir, ours) = store();
    let made = image(&ours, &x86_64(), false, &[layer(&ours, 1, 50_000)]);
    registry.push(&ours, &made, &server.host, "web", &[tag("1")], &|_| {}).await.expect("push");
    let name = reference(&format!("{}/web:1", server.host));
    let file = server.blob_file(&made.layers()[0].digest);
    let mut bytes = std::fs::read(&file).expect("the registry's copy");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).expect("write");
    let (_dir, theirs) = store();
    let err = registry.pull(&name, &x86_64(), &theirs, &|_| {}).await.expect_err("changed");
    assert!(matches!(err, RegistryError::DigestMismatch { .. }), "{err:?}");
    assert_eq!((err.blame(), err.is_transient()), (Blame::Site, false));
    assert!(!theirs.has_blob(&made.layers()[0].digest));
    bytes.push(0);
    std::fs::write(&file, &bytes).expect("write");
    let err = registry.pull(&name, &x86_64(), &theirs, &|_| {}).await.expect_err("longer");
    assert!(matches!(err, RegistryError::BlobSize { .. } | RegistryError::DigestMismatch { .. }), "{err:?}");
    std::fs::remove_file(&file).expect("remove");
    let err = registry.pull(&name, &x86_64(), &theirs, &|_| {}).await.expect_err("lost");
    assert!(matches!(err, RegistryError::LostBlob { .. }), "{err:?}");
    assert_eq!(err.blame(), Blame::Site);
}

#[tokio::test]
async fn an_index_over_an_image_that_was_not_pushed_is_refused() {
    let server = DockerRegistry::start();
    let registry = client(&[&server.host]);
    let (_dir, ours) = store();
    let made = image(&ours, &x86_64(), false, &[layer(&ours, 1, 100)]);
    let err =
        registry.push_index(&[IndexMember::of(&x86_64(), &made)], &server.host, "web", &[tag("1")]).await.expect_err("not there");
    assert!(matches!(err, RegistryError::Refused { .. }), "{err:?}");
    assert_eq!(err.blame(), Blame::Site);
    let err = registry.push_index(&[], &server.host, "web", &[tag("1")]).await.expect_err("empty");
    assert!(matches!(err, RegistryError::IndexMembers { .. }), "{err:?}");
}

#[tokio::test]
async fn a_blob_damaged_in_the_store_is_not_pushed() {
    let server = DockerRegistry::start();
    let (_dir, ours) = store();
    let made = image(&ours, &x86_64(), false, &[layer(&ours, 1, 5000)]);
    std::fs::write(ours.blob_path(&made.layers()[0].digest), b"short").expect("write");
    let err = client(&[&server.host]).push(&ours, &made, &server.host, "web", &[tag("1")], &|_| {}).await.expect_err("damaged");
    assert!(matches!(err, RegistryError::Store { .. }), "{err:?}");
}

#[tokio::test]
async fn an_own_authority_is_trusted_when_it_is_configured() {
    let server = DockerRegistry::start_with_tls();
    let (_dir, ours) = store();
    let made = image(&ours, &x86_64(), false, &[layer(&ours, 1, 1000)]);
    let err = client(&[]).push(&ours, &made, &server.host, "web", &[], &|_| {}).await.expect_err("unknown authority");
    assert!(matches!(err, RegistryError::Tls { .. }), "{err:?}");
    assert!(err.hint().expect("a hint").contains("CA"));
    let ca_files = vec![server.file("bundle.pem")];
    let trusting = client_of(RegistryConfig { ca_files, ..RegistryConfig::default() });
    trusting.push(&ours, &made, &server.host, "web", &[tag("1")], &|_| {}).await.expect("push over TLS");
    let mut writer = ours.blob_writer().expect("a writer");
    let growing = writer.follow().expect("a reader");
    std::io::Write::write_all(&mut writer, b"written over TLS").expect("written");
    let (digest, _) = writer.finish(None).expect("finished");
    assert_eq!(trusting.upload_followed(growing, &server.host, "web").await.expect("sent"), digest);
}

#[test]
fn files_that_cannot_be_used_are_found_at_the_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("write");
        path
    };
    let with_ca = |path| RegistryConfig { ca_files: vec![path], ..RegistryConfig::default() };
    let with_auth = |path| RegistryConfig { auth_file: Some(path), ..RegistryConfig::default() };
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (config, kind) in [
        (with_ca(dir.path().join("absent")), "registry-file"),
        (with_ca(file("empty.pem", "no certificate")), "registry-file"),
        (with_ca(file("damaged.pem", damaged)), "registry-client"),
        (with_auth(dir.path().join("absent")), "registry-file"),
        (with_auth(file("auth.json", "{")), "registry-file"),
    ] {
        let err = registry::Registry::new(config).expect_err(kind);
        assert_eq!((err.kind(), err.blame()), (kind, Blame::Site), "{err}");
    }
}
