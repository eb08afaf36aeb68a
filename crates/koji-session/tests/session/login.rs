//! The life of a session: login, renewal, subsessions, hand-over, logout.

use std::sync::atomic::{AtomicUsize, Ordering};

use build_model::{Diagnose as _, FaultCode};
use koji_session::{Credentials, HubConfig, HubError, Session, SessionTicket, Value};

use crate::fake_hub::{FakeHub, Reply, hub, session_info};

#[tokio::test]
async fn an_expired_session_is_renewed_with_its_old_headers_and_counts_on() {
    let expired = AtomicUsize::new(0);
    let hub = FakeHub::start(move |request| match (request.method.as_str(), request.header("koji-session-key")) {
        ("login", None) => session_info(7, "key-1"),
        ("login", Some("key-1")) => session_info(7, "key-2"),
        ("exclusiveSession", _) => Reply::Value(Value::Nil),
        (_, Some("key-1")) if expired.fetch_add(1, Ordering::SeqCst) == 1 => Reply::Fault(1007, "session has expired"),
        _ => Reply::Value(Value::Int(1)),
    });
    let session = hub.login().await;
    session.exclusive(true).await.expect("exclusive");
    session.call("a", vec![]).await.expect("answered");
    session.call("b", vec![]).await.expect("renewed and answered");
    session.call("c", vec![]).await.expect("answered");
    let sent: Vec<_> = hub
        .requests()
        .into_iter()
        .map(|r| (r.method.clone(), r.callnum(), r.header("koji-session-key").map(str::to_owned)))
        .collect();
    let row = |method: &str, callnum, key: &str| (method.to_owned(), Some(callnum), Some(key.to_owned()));
    assert_eq!(sent[0], ("login".to_owned(), None, None));
    assert_eq!(
        sent[1..],
        [
            row("exclusiveSession", 0, "key-1"),
            row("a", 1, "key-1"),
            row("b", 2, "key-1"),
            row("login", 3, "key-1"),
            row("b", 4, "key-2"),
            row("c", 5, "key-2"),
        ]
    );
    let renewal = &hub.requests()[4];
    assert_eq!((renewal.kwarg("renew"), renewal.kwarg("exclusive")), (Some(true.into()), Some(true.into())));
    assert_eq!(hub.requests()[1].kwarg("force"), Some(true.into()));
}

#[tokio::test]
async fn a_session_that_expires_at_once_again_is_not_renewed_for_ever() {
    let hub = hub(|_| Reply::Fault(1007, "session has expired"));
    let error = hub.login().await.call("a", vec![]).await.expect_err("expired");
    assert_eq!(error.fault_code(), Some(FaultCode::AuthExpired));
    assert_eq!(hub.requests().iter().filter(|r| r.method == "a").count(), 2);
}

#[tokio::test]
async fn a_subsession_counts_for_itself() {
    let hub = hub(|request| match request.method.as_str() {
        "subsession" => session_info(8, "sub-key"),
        _ => Reply::Value(Value::Nil),
    });
    let session = hub.login().await;
    session.call("a", vec![]).await.expect("answered");
    let sub = session.subsession().await.expect("a subsession");
    sub.call("b", vec![]).await.expect("answered");
    session.call("c", vec![]).await.expect("answered");
    sub.logout().await.expect("logged out");
    sub.logout().await.expect("nothing left to do");
    let sent: Vec<_> = hub.requests()[1..]
        .iter()
        .map(|r| (r.method.clone(), r.header("koji-session-id").expect("an id").to_owned(), r.callnum().expect("a number")))
        .collect();
    let row = |method: &str, id: &str, callnum| (method.to_owned(), id.to_owned(), callnum);
    assert_eq!(sent, [row("a", "7", 0), row("subsession", "7", 1), row("b", "8", 0), row("c", "7", 2), row("logout", "8", 1)]);
    assert_eq!((sub.id(), session.id()), (None, Some(7)));
}

#[tokio::test]
async fn another_process_goes_on_where_this_one_stopped() {
    let hub = hub(|_| Reply::Value(Value::Nil));
    let session = hub.login().await;
    session.call("a", vec![]).await.expect("answered");
    let ticket = session.export();
    assert!(!format!("{ticket:?} {session:?}").contains("key-1"), "{ticket:?}");
    let text = serde_json::to_string(&ticket).expect("JSON");
    let ticket: SessionTicket = serde_json::from_str(&text).expect("a ticket");
    let resumed = Session::resume(&hub.config(), &ticket).expect("resumed");
    resumed.call("b", vec![]).await.expect("answered");
    let last = hub.requests().pop().expect("a request");
    assert_eq!((last.header("koji-session-key"), last.callnum()), (Some("key-1"), Some(1)));
    let elsewhere = HubConfig { url: "http://127.0.0.1:1/kojihub".into(), ..hub.config() };
    assert_eq!(Session::resume(&elsewhere, &ticket).expect_err("another hub").kind(), "hub-url");
}

#[tokio::test]
async fn anonymous_sessions_send_no_session_headers() {
    let hub = hub(|_| Reply::Value(Value::Nil));
    let session = Session::anonymous(&hub.config()).await.expect("a session");
    session.call("a", vec![]).await.expect("answered");
    let request = hub.requests().pop().expect("a request");
    assert!(request.headers.keys().all(|name| !name.starts_with("koji-")), "{request:?}");
    assert_eq!((session.id(), session.export().session_id()), (None, None));
}

#[tokio::test]
async fn wrong_passwords_are_the_sites_fault_and_never_shown() {
    let hub = FakeHub::start(|_| Reply::Fault(1002, "invalid username or password"));
    let error = Session::login(&hub.config()).await.expect_err("refused");
    assert_eq!((error.kind(), error.blame(), hub.requests().len()), ("hub-auth", build_model::Blame::Site, 1));
    assert!(error.hint().is_some());
    assert!(!format!("{:?} {error:?} {error}", hub.config()).contains("s3cret"));
}

#[tokio::test]
async fn a_hub_without_header_sessions_is_too_old() {
    let hub = FakeHub::start(|_| Reply::Value(Value::from_pairs([("session-id", Value::Int(1)), ("session-key", "k".into())])));
    let error = Session::login(&hub.config()).await.expect_err("too old");
    assert!(error.to_string().contains("1.31"), "{error}");
}

#[tokio::test]
async fn configurations_that_cannot_work_are_refused_before_any_call() {
    let dir = tempfile::tempdir().expect("a directory");
    let pem = dir.path().join("client.pem");
    let try_with = async |url: &str, credentials: Credentials| {
        let retry = koji_session::RetryPolicy::default();
        Session::login(&HubConfig { url: url.into(), credentials, retry, ca: None }).await.expect_err(url)
    };
    for (url, problem) in [
        ("hub", "no URL"),
        ("ftp://hub/kojihub", "https://"),
        ("https://hub/kojihub?x=1", "path"),
        ("https://user:s3cret@hub/kojihub", "password"),
    ] {
        let error = try_with(url, Credentials::Anonymous).await;
        assert!(matches!(error, HubError::Url { .. }) && error.to_string().contains(problem), "{error}");
    }
    let certificate = || Credentials::Certificate { pem: pem.clone(), ca: None };
    assert!(try_with("http://hub/kojihub", certificate()).await.to_string().contains("read the client certificate"));
    std::fs::write(&pem, "nonsense").expect("written");
    let error = try_with("https://hub/kojihub", certificate()).await;
    assert_eq!(error.kind(), "hub-credentials");
    assert!(error.to_string().contains("client.pem") && error.to_string().contains("no certificate"), "{error}");
    let ca = Credentials::Certificate { pem: pem.clone(), ca: Some(pem.clone()) };
    assert_eq!(try_with("https://hub/kojihub", ca).await.kind(), "hub-credentials");
}
