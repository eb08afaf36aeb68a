//! Token logins, and answers outside the specification.

mod support;

use build_model::{Blame, Diagnose};
use registry::{ImageReference, RegistryConfig, RegistryError};
use support::canned::{Answer, Canned, Request};
use support::{client, client_of, image, layer, sha256, store, tag, x86_64};

const MANIFEST: &[u8] = br#"{"schemaVersion":2,"manifests":[]}"#;

fn web(host: &str) -> ImageReference {
    format!("{host}/f40/web:1").parse().expect("a reference")
}

fn ok(body: &[u8]) -> Answer {
    Answer(200, vec![], body.to_vec())
}

/// A registry with a token service: `builder:secret` gets the token given, which opens everything.
fn token_registry(token: &'static str) -> Canned {
    Canned::start(move |host, request: &Request| {
        if request.line.starts_with("GET /token") {
            // builder:secret
            return if request.header("authorization") == Some("Basic YnVpbGRlcjpzZWNyZXQ=") {
                ok(serde_json::json!({ "token": token }).to_string().as_bytes())
            } else {
                Answer(401, vec![], br#"{"errors":[{"code":"UNAUTHORIZED","message":"wrong password"}]}"#.to_vec())
            };
        }
        let expected = format!("Bearer {token}");
        if request.header("authorization") == Some(&expected) {
            ok(MANIFEST)
        } else {
            let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"test\"");
            Answer(401, vec![("WWW-Authenticate", challenge)], vec![])
        }
    })
}

fn with_password(host: &str, auth: &str) -> registry::Registry {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("auth.json");
    std::fs::write(&file, format!(r#"{{"auths": {{"{host}": {{"auth": "{auth}"}}}}}}"#)).expect("write");
    client_of(RegistryConfig { insecure: vec![host.to_owned()], auth_file: Some(file), ..RegistryConfig::default() })
}

#[tokio::test]
async fn a_token_is_fetched_for_the_repository_and_used() {
    let server = token_registry("abc.def");
    let err =
        with_password(&server.host, "YnVpbGRlcjpzZWNyZXQ=").resolve(&web(&server.host), &x86_64()).await.expect_err("empty");
    assert!(matches!(err, RegistryError::NoPlatform { .. }), "the manifest was read: {err:?}");
    let seen = server.seen.lock().expect("lock").clone();
    let token = seen.iter().find(|r| r.line.starts_with("GET /token")).expect("a token request");
    assert!(token.line.contains("scope=repository%3Af40%2Fweb%3Apull") && token.line.contains("service=test"), "{}", token.line);
}

#[tokio::test]
async fn a_wrong_password_is_told_as_such() {
    let server = token_registry("abc.def");
    // builder:wrong
    let err =
        with_password(&server.host, "YnVpbGRlcjp3cm9uZw==").resolve(&web(&server.host), &x86_64()).await.expect_err("refused");
    assert!(matches!(err, RegistryError::Unauthorized { .. }), "{err:?}");
    assert!(err.to_string().contains("wrong password"), "{err}");
    assert_eq!(err.blame(), Blame::Site);
}

#[tokio::test]
async fn a_token_no_header_can_carry_is_an_error() {
    let server = token_registry("abc\r\nX-Evil: 1");
    let err =
        with_password(&server.host, "YnVpbGRlcjpzZWNyZXQ=").resolve(&web(&server.host), &x86_64()).await.expect_err("refused");
    assert!(matches!(err, RegistryError::Protocol { .. }), "{err:?}");
}

#[tokio::test]
async fn a_login_does_not_follow_an_upload_to_another_host() {
    let elsewhere = Canned::start(|_, request| match request.line.split(' ').next() {
        Some("PATCH") => Answer(202, vec![("Location", "/elsewhere/2".into())], vec![]),
        _ => Answer(201, vec![], vec![]),
    });
    let place = format!("http://{}/elsewhere/1?state=x", elsewhere.host);
    let server = Canned::start(move |host, request| match request.line.split(' ').next() {
        Some("POST") => Answer(202, vec![("Location", place.clone())], vec![]),
        _ if request.line.starts_with("GET /token") => ok(br#"{"token": "abc.def"}"#),
        _ => Answer(401, vec![("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\",service=\"test\""))], vec![]),
    });
    let (_dir, ours) = store();
    let mut writer = ours.blob_writer().expect("a writer");
    let growing = writer.follow().expect("a reader");
    std::io::Write::write_all(&mut writer, b"content").expect("written");
    let (digest, _) = writer.finish(None).expect("finished");
    let sent = with_password(&server.host, "YnVpbGRlcjpzZWNyZXQ=").upload_followed(growing, &server.host, "f40/web").await;
    assert_eq!(sent.expect("sent"), digest);
    let header = |server: &Canned, method: &str| {
        let seen = server.seen.lock().expect("lock").clone();
        let request = seen.iter().find(|r| r.line.starts_with(method)).expect("a request").clone();
        (request.line.clone(), request.header("authorization").map(str::to_owned))
    };
    assert_eq!(header(&server, "POST").1.as_deref(), Some("Bearer abc.def"));
    assert_eq!(header(&elsewhere, "PATCH"), ("PATCH /elsewhere/1?state=x".to_owned(), None));
    let (line, authorization) = header(&elsewhere, "PUT");
    assert!(line.starts_with("PUT /elsewhere/2?digest=sha256%3A") && authorization.is_none(), "{line}");
}

#[tokio::test]
async fn a_registry_that_holds_something_else_after_a_push_is_noticed() {
    let server = Canned::start(|_, request| match request.line.split(' ').next() {
        Some("PUT") => Answer(201, vec![("Location", "/v2/x".into())], vec![]),
        Some("HEAD") => Answer(200, vec![("Docker-Content-Digest", sha256(b"other").to_string())], vec![]),
        _ => ok(b"{}"),
    });
    let (_dir, ours) = store();
    let made = image(&ours, &x86_64(), false, &[layer(&ours, 1, 100)]);
    let err = client(&[&server.host]).push(&ours, &made, &server.host, "f40/web", &[tag("1")], &|_| {}).await.expect_err("other");
    assert!(matches!(err, RegistryError::DigestMismatch { .. }), "{err:?}");
}

#[tokio::test]
async fn a_push_answered_without_a_location_is_checked_all_the_same() {
    let (_dir, ours) = store();
    let made = image(&ours, &x86_64(), false, &[layer(&ours, 1, 100)]);
    let digest = made.manifest_digest.to_string();
    let server = Canned::start(move |_, request| match request.line.split(' ').next() {
        Some("PUT") => Answer(201, vec![], vec![]),
        Some("HEAD") => Answer(200, vec![("Docker-Content-Digest", digest.clone())], vec![]),
        _ => ok(b"{}"),
    });
    let pushed = client(&[&server.host]).push(&ours, &made, &server.host, "f40/web", &[tag("1")], &|_| {}).await.expect("push");
    assert_eq!(pushed.digest, made.manifest_digest);
}

#[tokio::test]
async fn documents_that_are_no_manifests_are_errors() {
    let list = vec![0_u8; 5 << 20];
    for (body, kind) in [
        (b"<html>login</html>".to_vec(), "image-json"),
        (br#"{"schemaVersion":1}"#.to_vec(), "image-schema"),
        (br#"{"schemaVersion":2,"manifests":[],"layers":[],"config":{}}"#.to_vec(), "image-ambiguous"),
        (list, "image-manifest-size"),
    ] {
        let server = Canned::start(move |_, _| ok(&body));
        let err = client(&[&server.host]).resolve(&web(&server.host), &x86_64()).await.expect_err(kind);
        assert_eq!((err.kind(), err.is_transient()), (kind, false), "{err:?}");
    }
}

#[tokio::test]
async fn a_digest_header_that_does_not_fit_the_content_is_refused() {
    let server =
        Canned::start(|_, _| Answer(200, vec![("Docker-Content-Digest", sha256(b"other").to_string())], MANIFEST.to_vec()));
    let err = client(&[&server.host]).resolve(&web(&server.host), &x86_64()).await.expect_err("does not fit");
    assert!(matches!(err, RegistryError::DigestMismatch { .. }), "{err:?}");
}
