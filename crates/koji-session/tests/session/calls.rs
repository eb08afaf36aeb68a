//! Call numbers, repeats, waiting, and what is not repeated.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use build_model::{Blame, Diagnose as _, FaultCode, TaskId};
use koji_session::{HubError, Session, Value};

use crate::fake_hub::{Reply, hub, patience};

#[tokio::test]
async fn calls_carry_the_session_and_count_up() {
    let hub = hub(|_| Reply::Value(Value::Nil));
    let session = hub.login().await;
    session.call("getLastEvent", vec![]).await.expect("answered");
    session.call_kw("getBuild", vec!["x-1-1".into()], vec![("strict", true.into())]).await.expect("answered");
    let requests = hub.requests();
    let [login, first, second] = requests.as_slice() else { panic!("{requests:#?}") };
    assert_eq!((login.path.as_str(), login.callnum()), ("/kojihub", None));
    assert_eq!(login.params, ["worker".into(), "s3cret".into()]);
    for (request, callnum) in [(first, "0"), (second, "1")] {
        assert_eq!(request.header("koji-session-id"), Some("7"));
        assert_eq!(request.header("koji-session-key"), Some("key-1"));
        assert_eq!(request.header("koji-session-callnum"), Some(callnum));
        assert_eq!(request.header("koji-callnum"), Some(callnum), "hubs 1.31 to 1.35 read this one");
        assert_eq!(request.header("content-type"), Some("text/xml"));
        assert_eq!(request.header("content-length"), Some(request.body.len().to_string().as_str()));
        assert_eq!(request.header("transfer-encoding"), None);
        assert_eq!(request.header("expect"), None);
    }
    assert_eq!(second.kwarg("strict"), Some(Value::Bool(true)));
    assert_eq!(session.calls_made(), 3);
    assert_eq!(session.hub_version().await.expect("known"), "1.35.3");
    assert_eq!(hub.requests().len(), 3, "the version came with the answers");
}

#[tokio::test]
async fn a_repeat_carries_the_same_number() {
    let hub = hub(|request| match request.number {
        1 | 2 => Reply::HangUp,
        3 => Reply::Status(503, "busy"),
        _ => Reply::Value(Value::Int(42)),
    });
    let session = hub.login().await;
    assert_eq!(session.call("getLastEvent", vec![]).await.expect("answered"), Value::Int(42));
    session.call("getLastEvent", vec![]).await.expect("answered");
    let numbers: Vec<_> = hub.requests().iter().filter_map(|r| r.callnum()).collect();
    assert_eq!(numbers, [0, 0, 0, 0, 1]);
}

#[tokio::test]
async fn a_call_that_was_done_but_not_answered_is_told_from_one_that_was_not() {
    // the hub's own rule: a number that was stored with changes is not taken again
    let done = AtomicBool::new(false);
    let hub = hub(
        move |_| {
            if done.swap(true, Ordering::SeqCst) { Reply::Fault(1009, "unable to retry call 0") } else { Reply::HangUp }
        },
    );
    let session = hub.login().await;
    let error = session.call("CGImport", vec![]).await.expect_err("the answer is lost");
    assert!(matches!(&error, HubError::AnswerLost { method, callnum: 0, session_id: 7 } if method == "CGImport"), "{error}");
    assert_eq!((error.kind(), error.is_transient()), ("hub-answer-lost", false));
}

#[tokio::test]
async fn a_lost_answer_that_says_nothing_is_no_loss() {
    let hub = hub(|request| match (request.method.as_str(), request.callnum()) {
        ("host.closeTask", Some(0)) if request.number == 1 => Reply::HangUp,
        ("host.closeTask", Some(0)) => Reply::Fault(1009, "unable to retry"),
        _ => Reply::Value(Value::Nil),
    });
    let session = hub.login().await;
    session.close_task(TaskId(1), &Value::Nil).await.expect("closed");
    assert_eq!(hub.requests().len(), 3);
}

#[tokio::test]
async fn a_retry_error_without_a_repeat_is_a_plain_fault() {
    let hub = hub(|_| Reply::Fault(1009, "unable to retry"));
    let error = hub.login().await.close_task(TaskId(1), &Value::Nil).await.expect_err("refused");
    assert_eq!(error.fault_code(), Some(FaultCode::RetryError), "{error}");
}

#[tokio::test]
async fn patience_ends_after_the_configured_tries() {
    let hub = hub(|_| Reply::HangUp);
    let session = hub.login().await;
    let error = session.call("getLastEvent", vec![]).await.expect_err("nobody answers");
    assert_eq!(hub.requests().len(), 1 + 4);
    assert_eq!((error.kind(), error.blame(), error.is_transient()), ("hub-unreachable", Blame::Site, true));
    assert!(error.to_string().contains("getLastEvent") && error.to_string().contains(&hub.url), "{error}");
}

#[tokio::test]
async fn an_offline_hub_is_waited_for_without_counting_tries() {
    let hub = hub(|request| if request.number < 9 { Reply::Fault(1014, "database outage") } else { Reply::Value(Value::Int(1)) });
    let config = koji_session::HubConfig { retry: patience(1), ..hub.config() };
    let session = Session::login(&config).await.expect("logged in");
    assert_eq!(session.call("getLastEvent", vec![]).await.expect("back again"), Value::Int(1));
    assert!(hub.requests()[1..].iter().all(|r| r.callnum() == Some(0)));
}

#[tokio::test]
async fn what_cannot_get_better_is_not_repeated() {
    for (reply, kind) in [
        (|| Reply::Status(404, "<h1>no such page</h1>"), "hub-http-status"),
        (|| Reply::Status(302, ""), "hub-http-status"),
        (|| Reply::Status(400, "Invalid request"), "hub-http-status"),
        (|| Reply::Fault(1004, "no"), "hub-not-allowed"),
        (|| Reply::Fault(1, "<class 'KeyError'>: 'x'"), "hub-exception"),
        (|| Reply::Body(b"<html>maintenance</html>".to_vec()), "hub-answer-unreadable"),
        (|| Reply::Body(vec![]), "hub-answer-unreadable"),
    ] as [(fn() -> Reply, &str); 7]
    {
        let hub = hub(move |_| reply());
        let error = hub.login().await.call("getLastEvent", vec![]).await.expect_err(kind);
        assert_eq!((error.kind(), error.is_transient()), (kind, false), "{error}");
        assert_eq!(hub.requests().len(), 2, "{error}");
    }
}

#[tokio::test]
async fn a_redirection_is_named_and_not_followed() {
    let hub = hub(|_| Reply::Status(301, ""));
    let error = hub.login().await.call("x", vec![]).await.expect_err("redirected");
    assert!(error.to_string().contains("301"), "{error}");
    assert!(error.hint().is_some_and(|h| h.contains("final URL")));
    assert!(hub.requests().iter().all(|r| r.path == "/kojihub"));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_one_session_never_overlap() {
    let (inside, overlaps) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&overlaps);
    let hub = hub(move |_| {
        if inside.fetch_add(1, Ordering::SeqCst) > 0 {
            seen.fetch_add(1, Ordering::SeqCst);
        }
        std::thread::yield_now();
        inside.fetch_sub(1, Ordering::SeqCst);
        Reply::Value(Value::Nil)
    });
    let session = hub.login().await;
    let calls: Vec<_> =
        (0..40).map(|_| session.clone()).map(|s| tokio::spawn(async move { s.call("x", vec![]).await })).collect();
    for call in calls {
        call.await.expect("no panic").expect("answered");
    }
    let numbers: Vec<_> = hub.requests().iter().filter_map(|r| r.callnum()).collect();
    assert_eq!(numbers, (0..40).collect::<Vec<_>>(), "in the order of arrival");
    assert_eq!(overlaps.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_dropped_call_leaves_the_session_usable() {
    let arrived = Arc::new(tokio::sync::Notify::new());
    let (gate, signal) = (Arc::new(tokio::sync::Notify::new()), Arc::clone(&arrived));
    let closed = Arc::clone(&gate);
    let hub = hub(move |request| {
        if request.method == "slow" {
            signal.notify_one();
            Reply::WaitFor(Arc::clone(&closed), Value::Nil)
        } else {
            Reply::Value(Value::Nil)
        }
    });
    let session = hub.login().await;
    tokio::select! {
        _ = session.call("slow", vec![]) => panic!("answered"),
        () = arrived.notified() => {}
    }
    session.call("quick", vec![]).await.expect("answered");
    assert_eq!(hub.requests().last().and_then(crate::fake_hub::Request::callnum), Some(1));
    gate.notify_one();
}

#[tokio::test]
async fn many_calls_go_in_one_request() {
    let hub = hub(|_| {
        let fault =
            Value::from_pairs([("faultCode", Value::Int(1000)), ("faultString", "no such".into()), ("traceback", Value::Nil)]);
        Reply::Value(Value::Array(vec![Value::Array(vec![Value::Int(1)]), fault, Value::Array(vec![Value::Nil])]))
    });
    let session = hub.login().await;
    assert!(session.multicall(vec![]).await.expect("nothing to do").is_empty());
    let calls = ["a", "b", "c"].map(|m| (m.to_owned(), vec![Value::from(m)])).to_vec();
    let answers = session.multicall(calls.clone()).await.expect("answered");
    assert_eq!((answers[0].as_ref(), answers[2].as_ref()), (Ok(&Value::Int(1)), Ok(&Value::Nil)));
    let fault = answers[1].as_ref().expect_err("a fault");
    assert_eq!((fault.method.as_str(), fault.code), ("b", 1000));
    let requests = hub.requests();
    assert_eq!((requests.len(), requests[1].method.as_str()), (2, "multiCall"));
    let list = requests[1].params[0].as_array().expect("a list");
    assert_eq!(list[1].get("methodName"), Some(&"b".into()));
    assert_eq!(list[1].get("params"), Some(&Value::Array(vec!["b".into()])));
    let error = session.multicall(calls[..2].to_vec()).await.expect_err("three outcomes for two calls");
    assert_eq!(error.kind(), "hub-answer-unexpected");
}

#[tokio::test]
async fn questions_that_are_asked_meanwhile_go_in_one_request() {
    let arrived = Arc::new(tokio::sync::Notify::new());
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let (told, gate) = (Arc::clone(&arrived), Mutex::new(gate));
    let hub = hub(move |request| {
        let calls = request.params[0].as_array().expect("a list").len();
        told.notify_one();
        // Held back until the test has asked everything else.
        gate.lock().expect("no panic").recv().expect("the test goes on");
        Reply::Value(Value::Array(vec![Value::Array(vec![Value::Array(Vec::new())]); calls]))
    });
    let session = hub.login().await;
    let ask = |id: i64| {
        let session = session.clone();
        tokio::spawn(async move { session.query_rpm_sigs(&[id]).await })
    };
    let first = ask(0);
    arrived.notified().await;
    let others: Vec<_> = (1..20).map(ask).collect();
    // All of them have been polled once before this task runs again, and wait for the first.
    tokio::task::yield_now().await;
    (0..2).for_each(|_| open.send(()).expect("the hub listens"));
    assert_eq!(first.await.expect("no panic").expect("answered"), vec![vec![]]);
    for other in others {
        assert_eq!(other.await.expect("no panic").expect("answered"), vec![vec![]]);
    }
    let asked: Vec<usize> = hub
        .requests()
        .iter()
        .filter(|r| r.method == "multiCall")
        .map(|r| r.params[0].as_array().expect("a list").len())
        .collect();
    assert_eq!(asked, [1, 19]);
}

#[tokio::test]
async fn a_long_answer_is_read_whole() {
    let rows =
        Value::Array((0..40_000).map(|i| Value::from_pairs([("id", Value::Int(i)), ("name", "package".into())])).collect());
    let sent = rows.clone();
    let hub = hub(move |_| Reply::Value(sent.clone()));
    assert_eq!(hub.login().await.call("listRPMs", vec![]).await.expect("answered"), rows);
}
