//! Images to a real registry and back, with skopeo as the second opinion.

mod support;

use std::sync::Mutex;

use build_model::{Arch, Blame, Diagnose};
use image_layers::media_types::{DOCKER_MANIFEST_LIST, OCI_INDEX};
use registry::{ImageReference, IndexMember, PullEvent, PushEvent, RegistryAlias, RegistryConfig, RegistryError};
use serde_json::json;
use support::{DockerRegistry, client, client_of, image, layer, skopeo, skopeo_inspect, store, tag, x86_64};

fn reference(text: &str) -> ImageReference {
    text.parse().expect("a reference")
}

#[tokio::test]
async fn an_image_comes_back_byte_for_byte_in_both_formats() {
    let server = DockerRegistry::start();
    let registry = client(&[&server.host]);
    let (_dir, ours) = store();
    for docker in [false, true] {
        let pushed = image(&ours, &x86_64(), docker, &[layer(&ours, 1, 3_000_000), layer(&ours, 2, 500)]);
        let repository = if docker { "f40/docker" } else { "f40/oci" };
        let result =
            registry.push(&ours, &pushed, &server.host, repository, &[tag("1.2-3"), tag("latest")], &|_| {}).await.expect("push");
        let name = format!("{}/{repository}", server.host);
        assert_eq!(result.digest, pushed.manifest_digest);
        assert_eq!(
            result.pull_specs,
            [format!("{name}@{}", pushed.manifest_digest), format!("{name}:1.2-3"), format!("{name}:latest")]
        );

        let seen = skopeo_inspect(&format!("{name}:latest"), &[]);
        assert_eq!(seen["Digest"], json!(pushed.manifest_digest));
        assert_eq!(seen["Layers"], json!(pushed.layers().iter().map(|l| &l.digest).collect::<Vec<_>>()));
        let raw = skopeo(&["inspect", "--tls-verify=false", "--raw", &format!("docker://{name}:1.2-3")]);
        assert_eq!(raw.trim_end().as_bytes(), pushed.manifest_bytes.trim_ascii_end(), "the very bytes");

        let (_dir, theirs) = store();
        let events = Mutex::new(Vec::new());
        let pulled = registry
            .pull(&reference(&format!("{name}:1.2-3")), &x86_64(), &theirs, &|e| events.lock().expect("lock").push(e))
            .await
            .expect("pull");
        assert_eq!(pulled, pushed);
        for blob in pulled.layers() {
            assert_eq!(std::fs::read(theirs.blob_path(&blob.digest)).ok(), std::fs::read(ours.blob_path(&blob.digest)).ok());
        }
        let events = events.into_inner().expect("lock");
        assert!(matches!(events[1], PullEvent::Layers { total: 2, missing: 2, .. }), "{events:?}");
        assert_eq!(events.len(), 4, "{events:?}");
    }
}

#[tokio::test]
async fn what_the_registry_has_is_not_sent_again_and_other_repositories_are_mounted_from() {
    let server = DockerRegistry::start();
    let registry = client(&[&server.host]);
    let (_dir, ours) = store();
    let base = image(&ours, &x86_64(), false, &[layer(&ours, 1, 100_000)]);
    let sent = |events: Vec<PushEvent>| events.into_iter().filter(|e| matches!(e, PushEvent::Blob { sent: true, .. })).count();
    let push = async |image, repository| {
        let events = Mutex::new(Vec::new());
        registry
            .push(&ours, image, &server.host, repository, &[], &|e| events.lock().expect("lock").push(e))
            .await
            .expect("push");
        sent(events.into_inner().expect("lock"))
    };
    assert_eq!(push(&base, "f40/base").await, 2, "layer and config");
    assert_eq!(push(&base, "f40/base").await, 0);
    let child = image(&ours, &x86_64(), false, &[layer(&ours, 1, 100_000), layer(&ours, 2, 100)]);
    assert_eq!(push(&child, "f40/web").await, 2, "new layer and config; the base's layer is mounted");
    // A client that knows nothing of the base's repository has to send it.
    let other = client(&[&server.host]);
    let events = Mutex::new(Vec::new());
    other.push(&ours, &child, &server.host, "f40/other", &[], &|e| events.lock().expect("lock").push(e)).await.expect("push");
    assert_eq!(sent(events.into_inner().expect("lock")), 3);
    // After a pull it knows.
    let knowing = client(&[&server.host]);
    let (_dir, theirs) = store();
    let base = format!("{}/f40/base@{}", server.host, base.manifest_digest);
    knowing.pull(&reference(&base), &x86_64(), &theirs, &|_| {}).await.expect("pull");
    let events = Mutex::new(Vec::new());
    knowing.push(&ours, &child, &server.host, "f40/third", &[], &|e| events.lock().expect("lock").push(e)).await.expect("push");
    assert_eq!(sent(events.into_inner().expect("lock")), 2);
}

#[tokio::test]
async fn what_a_repository_holds_is_told_by_its_tags_and_labels() {
    let server = DockerRegistry::start();
    let registry = client(&[&server.host]);
    let (_dir, ours) = store();
    let aarch64 = Arch::canonical("aarch64").expect("an arch");
    let images =
        [image(&ours, &aarch64, false, &[layer(&ours, 1, 1000)]), image(&ours, &x86_64(), false, &[layer(&ours, 2, 1000)])];
    for image in &images {
        registry.push(&ours, image, &server.host, "f40/web", &[], &|_| {}).await.expect("push");
    }
    let members = [IndexMember::of(&aarch64, &images[0]), IndexMember::of(&x86_64(), &images[1])];
    registry.push_index(&members, &server.host, "f40/web", &[tag("1.2-3"), tag("latest")]).await.expect("push the index");
    let (_dir, theirs) = store();
    let labels = async |name: &str| registry.labels(&reference(&format!("{}/{name}", server.host)), &theirs).await;
    assert_eq!(labels("f40/web:latest").await.expect("an answer"), Some(images[0].config.config.labels.clone()));
    let by_digest = format!("f40/web@{}", images[1].manifest_digest);
    assert_eq!(labels(&by_digest).await.expect("an answer"), Some(images[1].config.config.labels.clone()));
    assert_eq!(labels("f40/web:other").await.expect("an answer"), None);
    assert_eq!(labels("f40/none:latest").await.expect("an answer"), None);
    let mut tags = registry.tags(&server.host, "f40/web", 10).await.expect("tags");
    tags.sort();
    assert_eq!(tags, ["1.2-3", "latest"]);
    assert_eq!(registry.tags(&server.host, "f40/web", 1).await.expect("tags").len(), 1);
    assert!(registry.tags(&server.host, "f40/none", 10).await.expect("no tags").is_empty());
}

#[tokio::test]
async fn an_index_gives_each_architecture_its_image() {
    let server = DockerRegistry::start();
    let registry = client(&[&server.host]);
    let aarch64 = Arch::canonical("aarch64").expect("an arch");
    let (_dir, ours) = store();
    for (docker, media_type) in [(false, OCI_INDEX), (true, DOCKER_MANIFEST_LIST)] {
        let repository = if docker { "f40/list" } else { "f40/index" };
        let name = format!("{}/{repository}", server.host);
        let one = image(&ours, &x86_64(), docker, &[layer(&ours, 1, 1000)]);
        let two = image(&ours, &aarch64, docker, &[layer(&ours, 2, 1000)]);
        for image in [&one, &two] {
            registry.push(&ours, image, &server.host, repository, &[], &|_| {}).await.expect("push");
        }
        let images = [(x86_64(), &one), (aarch64.clone(), &two)];
        let members: Vec<_> = images.iter().map(|(arch, image)| IndexMember::of(arch, image)).collect();
        let index = registry.push_index(&members, &server.host, repository, &[tag("1.2-3")]).await.expect("push the index");
        assert_eq!(index.pull_specs, [format!("{name}@{}", index.digest), format!("{name}:1.2-3")]);

        for (arch, image) in &images {
            let resolved = registry.resolve(&reference(&format!("{name}:1.2-3")), arch).await.expect("resolve");
            assert_eq!((&resolved.digest, resolved.media_type.as_str()), (&index.digest, media_type));
            assert_eq!(resolved.platform_digest, image.manifest_digest);
            assert_eq!(resolved.reference.to_string(), format!("{name}:1.2-3@{}", index.digest));
            let (_dir, theirs) = store();
            assert_eq!(registry.pull(&resolved.reference, arch, &theirs, &|_| {}).await.expect("pull"), **image);
            let seen = skopeo(&[
                "inspect",
                "--tls-verify=false",
                "--no-tags",
                "--override-arch",
                arch.oci(),
                &format!("docker://{name}:1.2-3"),
            ]);
            assert!(seen.contains(image.layers()[0].digest.as_str()), "skopeo chooses the same image");
        }
        let s390x = Arch::canonical("s390x").expect("an arch");
        let err = registry.resolve(&reference(&format!("{name}:1.2-3")), &s390x).await.expect_err("not built for s390x");
        assert!(err.to_string().contains("linux/amd64") && err.to_string().contains("linux/arm64/v8"), "{err}");
        assert_eq!(err.blame(), Blame::Packager);
        let single = reference(&format!("{name}@{}", one.manifest_digest));
        let (_dir, theirs) = store();
        let err = registry.pull(&single, &s390x, &theirs, &|_| {}).await.expect_err("for amd64");
        assert!(matches!(err, RegistryError::WrongPlatform { .. }), "{err}");
    }
}

#[tokio::test]
async fn an_image_skopeo_pushed_is_pulled() {
    let server = DockerRegistry::start();
    let registry = client(&[&server.host]);
    let (_dir, ours) = store();
    let made = image(&ours, &x86_64(), false, &[layer(&ours, 7, 10_000)]);
    registry.push(&ours, &made, &server.host, "a/first", &[tag("1")], &|_| {}).await.expect("push");
    // skopeo reads it, converts it to Docker's format, and writes it elsewhere.
    let (from, to) = (format!("docker://{}/a/first:1", server.host), format!("docker://{}/b/second:1", server.host));
    skopeo(&["copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--format=v2s2", &from, &to]);
    let (_dir, theirs) = store();
    let pulled =
        registry.pull(&reference(&format!("{}/b/second:1", server.host)), &x86_64(), &theirs, &|_| {}).await.expect("pull");
    assert_eq!(pulled.config_bytes, made.config_bytes);
    assert_eq!(pulled.layers()[0].digest, made.layers()[0].digest);
    assert_ne!(pulled.manifest_media_type, made.manifest_media_type);
}

#[tokio::test]
async fn a_pinned_image_that_is_in_the_store_needs_no_registry() {
    let server = DockerRegistry::start();
    let registry = client(&[&server.host]);
    let (_dir, ours) = store();
    let made = image(&ours, &x86_64(), false, &[layer(&ours, 1, 1000)]);
    registry.push(&ours, &made, &server.host, "f40/web", &[], &|_| {}).await.expect("push");
    let index =
        registry.push_index(&[IndexMember::of(&x86_64(), &made)], &server.host, "f40/web", &[tag("1")]).await.expect("push");
    let (_dir, theirs) = store();
    let tagged = reference(&format!("{}/f40/web:1", server.host));
    registry.pull(&tagged, &x86_64(), &theirs, &|_| {}).await.expect("pull");
    drop(server);
    let pinned = tagged.with_digest(index.digest);
    assert_eq!(registry.pull(&pinned, &x86_64(), &theirs, &|_| {}).await.expect("from the store"), made);
    let err = registry.pull(&tagged, &x86_64(), &theirs, &|_| {}).await.expect_err("a tag must be asked for");
    assert_eq!((err.kind(), err.blame(), err.is_transient()), ("registry-unreachable", Blame::Site, true));
}

#[tokio::test]
async fn a_tag_moves_and_the_old_image_stays() {
    let server = DockerRegistry::start();
    let registry = client(&[&server.host]);
    let (_dir, ours) = store();
    let old = image(&ours, &x86_64(), false, &[layer(&ours, 1, 100)]);
    let new = image(&ours, &x86_64(), false, &[layer(&ours, 2, 100)]);
    registry.push(&ours, &old, &server.host, "web", &[tag("latest")], &|_| {}).await.expect("push");
    registry.push(&ours, &new, &server.host, "web", &[], &|_| {}).await.expect("push");
    let name = format!("{}/web", server.host);
    let latest = reference(&format!("{name}:latest"));
    assert_eq!(registry.resolve(&latest, &x86_64()).await.expect("resolve").digest, old.manifest_digest);
    let known = registry.resolve_known(&latest, &x86_64(), &ours).await.expect("resolve");
    assert_eq!(known, registry.resolve(&latest, &x86_64()).await.expect("resolve"));
    registry.put_tag(&server.host, "web", &new.manifest_digest, &tag("latest")).await.expect("tag");
    assert_eq!(registry.resolve(&latest, &x86_64()).await.expect("resolve").digest, new.manifest_digest);
    assert_eq!(registry.resolve_known(&latest, &x86_64(), &ours).await.expect("resolve").digest, new.manifest_digest);
    assert_eq!(skopeo_inspect(&format!("{name}:latest"), &[])["Digest"], json!(new.manifest_digest));
    assert!(registry.exists(&reference(&format!("{name}@{}", old.manifest_digest))).await.expect("an answer"));
    assert!(!registry.exists(&reference(&format!("{name}:other"))).await.expect("an answer"));
    let absent = support::sha256(b"nothing");
    let err = registry.put_tag(&server.host, "web", &absent, &tag("latest")).await.expect_err("no such manifest");
    assert!(matches!(err, RegistryError::NotFound { .. }), "{err}");
}

#[tokio::test]
async fn an_alias_is_spoken_to_and_the_public_name_is_recorded() {
    let server = DockerRegistry::start();
    let registry = client_of(RegistryConfig {
        insecure: vec![server.host.clone()],
        aliases: vec![RegistryAlias { prefix: "registry.example.com".into(), location: format!("{}/mirror", server.host) }],
        ..RegistryConfig::default()
    });
    let (_dir, ours) = store();
    let made = image(&ours, &x86_64(), false, &[layer(&ours, 1, 100)]);
    let pushed = registry.push(&ours, &made, "registry.example.com", "f40/web", &[tag("1")], &|_| {}).await.expect("push");
    assert_eq!(pushed.pull_specs[1], "registry.example.com/f40/web:1");
    assert_eq!(skopeo_inspect(&format!("{}/mirror/f40/web:1", server.host), &[])["Digest"], json!(made.manifest_digest));
    let resolved = registry.resolve(&reference("registry.example.com/f40/web:1"), &x86_64()).await.expect("resolve");
    assert_eq!(resolved.reference.registry, "registry.example.com");
    let err = registry.resolve(&reference("registry.example.com/f40/web:2"), &x86_64()).await.expect_err("no such tag");
    assert!(err.to_string().contains(&format!("registry.example.com/f40/web:2 (at {}/mirror", server.host)), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_and_pulls_run_as_tasks_of_their_own() {
    let server = DockerRegistry::start();
    let registry = client(&[&server.host]);
    let (_dir, ours) = store();
    let layers: Vec<_> = (0..6).map(|n| layer(&ours, n, 400_000)).collect();
    let made = image(&ours, &x86_64(), false, &layers);
    let push = tokio::spawn({
        let (registry, ours, made, host) = (registry.clone(), ours.clone(), made.clone(), server.host.clone());
        async move { registry.push(&ours, &made, &host, "many", &[tag("1")], &|_| {}).await }
    });
    push.await.expect("a task").expect("push");
    let (_dir, theirs) = store();
    let name = reference(&format!("{}/many:1", server.host));
    let tasks: Vec<_> = (0..2)
        .map(|_| {
            let (registry, theirs, name) = (registry.clone(), theirs.clone(), name.clone());
            tokio::spawn(async move { registry.pull(&name, &x86_64(), &theirs, &|_| {}).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.expect("a task").expect("pull"), made);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_is_sent_while_it_is_written_and_the_push_finds_it_there() {
    use std::io::Write as _;
    let server = DockerRegistry::start();
    let registry = client(&[&server.host]);
    let (_dir, ours) = store();
    let content: Vec<u8> = (0..2_500_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let mut writer = ours.blob_writer().expect("a writer");
    let growing = writer.follow().expect("a reader");
    let upload = tokio::spawn({
        let (registry, host) = (registry.clone(), server.host.clone());
        async move { registry.upload_followed(growing, &host, "f40/web").await }
    });
    let digest = tokio::task::spawn_blocking(move || {
        // More than two requests' worth, in pieces that fit none.
        content.chunks(777_777).for_each(|piece| writer.write_all(piece).expect("written"));
        writer.finish(None).expect("finished").0
    });
    let digest = digest.await.expect("no panic");
    assert_eq!(upload.await.expect("no panic").expect("sent"), digest);
    assert_eq!(std::fs::read(server.blob_file(&digest)).expect("there"), std::fs::read(ours.blob_path(&digest)).expect("here"));

    let mut abandoned = ours.blob_writer().expect("a writer");
    let growing = abandoned.follow().expect("a reader");
    abandoned.write_all(b"begun").expect("written");
    drop(abandoned);
    let error = registry.upload_followed(growing, &server.host, "f40/web").await.expect_err("given up");
    assert!(error.to_string().contains("f40/web"), "{error}");
}
