//! The same session against a real Koji hub. `KOJI_TEST_HUB` names the directory that `tools/real-hub/up` filled
//! (certificates in `ca/`, client configuration in `koji.conf`); without it these tests say so and do nothing.

use std::path::PathBuf;

use build_model::{Diagnose as _, FaultCode, KojiTag, Nvr, Nvra, TargetName, TaskId};
use koji_session::{BuildState, Credentials, Dispatch, HostReport, HubConfig, Session, TaskState, Value, decode_response};

use crate::fake_hub::patience;

/// The real hub, or `None` and one line saying that there is none.
fn config(user: &str) -> Option<HubConfig> {
    let Some(dir) = std::env::var_os("KOJI_TEST_HUB").map(PathBuf::from) else {
        // past the test harness, which hides what passing tests print
        let line = b"SKIPPED: KOJI_TEST_HUB is not set, nothing was tested against a real hub\n";
        std::io::Write::write_all(&mut std::io::stderr(), line).expect("stderr");
        return None;
    };
    let text = std::fs::read_to_string(dir.join("koji.conf")).expect("koji.conf");
    let url = text.lines().find_map(|line| line.strip_prefix("server = ")).expect("a server line").to_owned();
    let credentials = Credentials::Certificate { pem: dir.join(format!("ca/{user}.pem")), ca: Some(dir.join("ca/ca.crt")) };
    Some(HubConfig { url, credentials, retry: patience(3), ca: None })
}

/// Makes the tag, target, package, host and content generator that the test needs, once.
async fn prepare(admin: &Session) {
    for (method, params) in [
        ("createTag", vec!["ks-build".into()]),
        ("createTag", vec!["ks-dest".into()]),
        (
            "editTag2",
            vec!["ks-build".into(), Value::from_pairs([("arches", Value::from("x86_64")), ("__starstar", true.into())])],
        ),
        ("createBuildTarget", vec!["ks-target".into(), "ks-build".into(), "ks-dest".into()]),
        ("packageListAdd", vec!["ks-dest".into(), "ks-web".into(), "kojiadmin".into()]),
        ("addHost", vec!["builder1".into(), Value::Array(vec!["x86_64".into()])]),
        (
            "grantCGAccess",
            vec![
                "builder1".into(),
                "ks-cg".into(),
                Value::from_pairs([("create", Value::from(true)), ("__starstar", true.into())]),
            ],
        ),
    ] {
        match admin.call(method, params).await {
            Ok(_) => {}
            Err(e) if e.fault_code() == Some(FaultCode::GenericError) && e.to_string().contains("already") => {}
            Err(e) => panic!("{method}: {e}"),
        }
    }
}

#[tokio::test]
#[ignore = "needs a real hub, see the header of this file"]
async fn a_builders_day() {
    let (Some(admin), Some(builder)) = (config("kojiadmin"), config("builder1")) else { return };
    let admin = Session::login(&admin).await.expect("logged in as kojiadmin");
    prepare(&admin).await;

    let session = Session::login(&builder).await.expect("logged in as builder1");
    let version = session.hub_version().await.expect("a version");
    assert!(version.starts_with("1."), "{version}");
    assert_eq!(session.call("echo", vec!["OK".into()]).await.expect("echo"), Value::Array(vec!["OK".into()]));
    let error = session.get_host().await.expect_err("not exclusive yet");
    assert_eq!(error.fault_code(), Some(FaultCode::AuthError), "{error}");
    session.exclusive(true).await.expect("exclusive");
    let host = session.get_host().await.expect("a host");
    assert_eq!(host.name, "builder1");
    assert!(session.started_at().await.expect("a time") > 1.7e9);
    session.check_in(&READY, &mut Dispatch::default()).await.expect("checked in");
    session.get_tasks().await.expect("tasks");

    // text that XML-RPC finds hard, through the real parser; the hub's own answer writes a carriage return raw,
    // which every XML reader turns into a line feed
    let hard = "a\rb\r\nc\u{1b}[0m<&>]]>ü\u{1f4e6}\u{0}";
    let echoed = session.call("echo", vec![hard.into(), i64::MAX.into(), Value::Nil]).await.expect("echoed");
    let expected = "a\nb\nc\u{fffd}[0m<&>]]>ü\u{1f4e6}\u{fffd}";
    assert_eq!(echoed, Value::Array(vec![expected.into(), i64::MAX.into(), Value::Nil]));

    let event = session.last_event().await.expect("an event");
    let target = session.get_build_target(&TargetName("ks-target".into()), Some(event)).await.expect("asked").expect("a target");
    assert_eq!(target.dest_tag_name, KojiTag("ks-dest".into()));
    let config = session.get_build_config(&target.build_tag_name, Some(event)).await.expect("a configuration");
    assert_eq!(config.arches.len(), 1);
    assert!(!session.get_tag(&target.dest_tag_name).await.expect("asked").expect("a tag").locked);
    assert!(session.get_package_config(&target.dest_tag_name, "ks-web").await.expect("asked").is_some());
    assert_eq!(session.get_repo(&target.build_tag_name, None).await.expect("asked"), None);
    let request = session.request_repo(&target.build_tag_name).await.expect("requested");
    assert_eq!(session.check_request(request.id.expect("a request")).await.expect("asked").id, request.id);
    let nvra: Nvra = "no-such-1-1.noarch".parse().expect("an NVRA");
    assert_eq!(session.get_rpms(&[nvra.clone(), nvra]).await.expect("asked"), [None, None]);

    one_task(&admin, &session, host.id).await;
    one_reservation(&session).await;
    session.check_out().await.expect("checked out");
    session.logout().await.expect("logged out");
    admin.logout().await.expect("logged out");
}

const READY: HostReport<'_> = HostReport { load: 0.0, ready: true, methods: &["buildContainer"], maxjobs: 2 };

/// A task from make to close: assigned, opened, logged, closed.
async fn one_task(admin: &Session, session: &Session, host: i64) {
    let kwargs = vec![("assign", Value::Int(host)), ("channel", "default".into())];
    let task = admin
        .call_kw("makeTask", vec!["buildContainer".into(), Value::Array(vec!["git://h/r#1".into(), "t".into()])], kwargs)
        .await;
    let task = TaskId(task.expect("a task").as_i64().expect("a number"));
    let info = session.get_task_info(task, true).await.expect("asked").expect("a task");
    assert_eq!((info.state, info.request.map(|r| r.len())), (TaskState::Assigned, Some(2)));
    assert!(session.get_tasks().await.expect("tasks").iter().any(|t| t.id == task));
    assert!(session.open_task(task).await.expect("asked").is_some());
    assert!(session.open_task(task).await.expect("asked").is_none(), "it is open already");
    let job = session.subsession().await.expect("a subsession");
    let job = Session::resume(&config("builder1").expect("a hub"), &job.export()).expect("resumed");
    job.set_task_weight(task, 2.0).await.expect("weighed");
    let held = session.check_in(&READY, &mut Dispatch::default()).await.expect("checked in").held;
    assert!(held.iter().any(|t| t.id == task && t.weight > 1.9));

    let dir = format!("tasks/{}/{task}", task.0 % 10_000);
    let file = tempfile::NamedTempFile::new().expect("a file");
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| u8::try_from(i % 253).expect("a byte")).collect();
    std::fs::write(file.path(), &bytes).expect("written");
    let sum = job.upload_file(file.path(), &dir, "data.bin", &|_, _| ()).await.expect("uploaded");
    let check =
        job.call_kw("checkUpload", vec![dir.as_str().into(), "data.bin".into()], vec![("verify", "adler32".into())]).await;
    assert_eq!(check.expect("checked").get("hexdigest"), Some(&sum.adler32.as_str().into()));
    job.append_log(&dir, "build.log", 0, b"one\n").await.expect("written");
    job.append_log(&dir, "build.log", 4, b"two\n").await.expect("written");
    let text = session.call("downloadTaskOutput", vec![task.into(), "build.log".into()]).await.expect("read");
    assert_eq!(text.as_str(), Some("b25lCnR3bwo="), "one, two");

    let result = Value::from_pairs([("repositories", Value::Array(vec![])), ("koji_builds", Value::Array(vec![]))]);
    job.close_task(task, &result).await.expect("closed");
    assert_eq!(session.call("getTaskResult", vec![task.into()]).await.expect("a result"), result);
    let error = job.fail_task(task, FaultCode::ContainerError, "\u{1b}[31mtoo late\u{0}").await.expect_err("closed already");
    assert_eq!(error.fault_code(), Some(FaultCode::ActionNotAllowed), "{error}");
    job.logout().await.expect("logged out");

    // a failing one, with everything in its text that a log can hold
    let kwargs = vec![("assign", Value::Int(host)), ("channel", "default".into())];
    let task = admin
        .call_kw("makeTask", vec!["buildContainer".into(), Value::Array(vec!["git://h/r#2".into(), "t".into()])], kwargs)
        .await;
    let task = TaskId(task.expect("a task").as_i64().expect("a number"));
    session.open_task(task).await.expect("asked").expect("opened");
    session.fail_task(task, FaultCode::ContainerError, "step 3 \u{1b}[31mfailed\u{0} <&>\r\n").await.expect("failed");
    let error = session.call("getTaskResult", vec![task.into()]).await.expect_err("a fault");
    assert_eq!(error.fault_code(), Some(FaultCode::ContainerError));
    assert!(error.to_string().contains("step 3 failed <&>"), "{error}");
    let raw = session.call_kw("getTaskResult", vec![task.into()], vec![("raise_fault", false.into())]).await.expect("a struct");
    assert_eq!(raw.get("faultCode"), Some(&Value::Int(2001)));
    assert!(decode_response(koji_session::encode_response(&raw).as_bytes()).is_ok());
}

/// Reserve, collide, give back, reserve again.
async fn one_reservation(session: &Session) {
    let stamp = session.started_at().await.expect("a time");
    let nvr = Nvr { name: "ks-web".into(), version: "1".into(), release: format!("{stamp:.0}") };
    let reservation = session.init_build("ks-cg", &nvr, None).await.expect("reserved");
    let build = session.get_build(&nvr).await.expect("asked").expect("a build");
    assert_eq!((build.id, build.state), (reservation.build_id, BuildState::Building));
    let error = session.init_build("ks-cg", &nvr, None).await.expect_err("reserved already");
    assert_eq!(error.kind(), "hub-fault", "{error}");
    session.refund("ks-cg", &reservation, BuildState::Failed).await.expect("given back");
    let build = session.get_build(reservation.build_id).await.expect("asked").expect("a build");
    assert_eq!(build.state, BuildState::Failed);
    session.init_build("ks-cg", &nvr, None).await.expect("reserved again");
}

#[tokio::test]
#[ignore = "needs a real hub, see the header of this file"]
async fn two_exclusive_sessions_of_one_user_are_told_apart() {
    let Some(config) = config("builder2") else { return };
    let first = Session::login(&config).await.expect("logged in");
    first.exclusive(true).await.expect("exclusive");
    let second = Session::login(&config).await.expect("logged in");
    let error = second.exclusive(false).await.expect_err("there is one already");
    assert_eq!((error.fault_code(), error.kind()), (Some(FaultCode::AuthLockError), "hub-session-locked"), "{error}");
    second.exclusive(true).await.expect("forced");
    assert!(first.last_event().await.is_err(), "the first one is closed");
    second.logout().await.expect("logged out");
}

#[tokio::test]
#[ignore = "needs a real hub, see the header of this file"]
async fn a_repeated_call_is_recognised_by_the_real_hub() {
    let Some(config) = config("kojiadmin") else { return };
    let session = Session::login(&config).await.expect("logged in");
    let before = session.export();
    let name = format!("ks-twice-{}", before.session_id().unwrap_or_default());
    session.call("createTag", vec![name.as_str().into()]).await.expect("made");
    // the same number again, as after a lost answer: the hub must refuse it by its number, not by the tag's name
    let again = Session::resume(&config, &before).expect("resumed");
    let error = again.call("createTag", vec![name.as_str().into()]).await.expect_err("done before");
    assert_eq!(error.fault_code(), Some(FaultCode::RetryError), "{error}");
    session.logout().await.expect("logged out");
}

/// What the hub does after SessionRenewalTimeout, at once: needs the hub's database.
fn expire(session: &Session) {
    let dir = PathBuf::from(std::env::var_os("KOJI_TEST_HUB").expect("a hub"));
    let text = std::fs::read_to_string(dir.join("hub.conf")).expect("hub.conf");
    let port = text.lines().find_map(|line| line.strip_prefix("DBPort = ")).expect("a DBPort line").to_owned();
    let id = session.id().expect("logged in");
    let statement = format!("update sessions set expired = true where id = {id} or master = {id}");
    let done = std::process::Command::new("psql")
        .args(["-q", "-h", "/tmp", "-p", &port, "-U", "koji", "koji", "-c", &statement])
        .status()
        .expect("psql runs");
    assert!(done.success());
}

#[tokio::test]
#[ignore = "needs a real hub, see the header of this file"]
async fn expired_sessions_are_renewed_by_the_real_hub() {
    let (Some(admin), Some(config)) = (config("kojiadmin"), config("builder3")) else { return };
    let session = Session::login(&config).await.expect("logged in");
    let admin = Session::login(&admin).await.expect("logged in");
    match admin.call("grantPermission", vec!["builder3".into(), "admin".into()]).await {
        Err(e) if !e.to_string().contains("already") => panic!("{e}"),
        _ => admin.logout().await.expect("logged out"),
    }
    session.exclusive(true).await.expect("exclusive");
    let job = session.subsession().await.expect("a subsession");
    // calls that change something, so that the hub stores their numbers: a renewed session must count on from there
    for round in 0..2 {
        let name = |who: &str| Value::from(format!("ks-{}-{who}-{round}", session.id().unwrap_or_default()));
        let key = session.export();
        expire(&session);
        for (who, session) in [("job", &job), ("main", &session)] {
            session.call("createTag", vec![name(who)]).await.expect("renewed and done");
            session.call("getLoggedInUser", vec![]).await.expect("answered");
        }
        assert_eq!(session.export().session_id(), key.session_id());
        assert_ne!(session.export(), key, "there is a new key");
    }
    let info = session.call("getSessionInfo", vec![]).await.expect("answered");
    assert_eq!(info.get("exclusive"), Some(&true.into()), "{info:?}");
    job.logout().await.expect("logged out");
    session.logout().await.expect("logged out");
}
