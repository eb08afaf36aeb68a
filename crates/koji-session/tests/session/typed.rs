//! The typed calls: what they send, and that strange or newer answers are read or refused with a name.

use std::sync::Arc;

use build_model::{BuildId, Diagnose as _, EventId, FaultCode, KojiTag, Nvr, Nvra, TargetName, TaskId};
use koji_session::{BuildState, CheckIn, Dispatch, HostReport, Offered, Session, Subtask, TaskState, Value, decode_response};

use crate::fake_hub::{FakeHub, Reply, hub};

fn row(json: serde_json::Value) -> Reply {
    Reply::Value(Value::from_json(&json))
}

async fn session(answer: impl Fn(&crate::fake_hub::Request) -> Reply + Send + Sync + 'static) -> (FakeHub, Session) {
    let hub = hub(answer);
    let session = hub.login().await;
    (hub, session)
}

#[tokio::test]
async fn a_task_is_opened_or_is_not_ours_any_more() {
    let (hub, session) = session(|request| match request.params[0] {
        Value::Int(1) => row(serde_json::json!({"id": 1, "request": "<?xml"})),
        Value::Int(2) => Reply::Value(Value::Nil),
        _ if request.method == "getTaskInfo" => row(serde_json::json!({"id": 3, "state": 1})),
        _ if request.number == 3 => Reply::HangUp,
        _ => Reply::Fault(1009, "unable to retry"),
    })
    .await;
    assert!(session.open_task(TaskId(1)).await.expect("answered").is_some());
    assert!(session.open_task(TaskId(2)).await.expect("answered").is_none());
    let opened = session.open_task(TaskId(3)).await.expect("opened, though the answer was lost").expect("a row");
    assert_eq!(opened.get("id"), Some(&Value::Int(3)));
    assert_eq!(hub.requests().last().map(|r| r.method.clone()).as_deref(), Some("getTaskInfo"));
}

#[tokio::test]
async fn task_rows_are_read_with_nulls_and_unknown_members() {
    let (hub, session) = session(|request| match request.params[0] {
        Value::Int(5) => row(serde_json::json!({
            "id": 5, "state": 1, "method": "buildContainer", "owner": 3, "host_id": 2, "arch": "noarch", "channel_id": 9,
            "parent": null, "label": null, "priority": 20, "weight": 2, "create_ts": 1.5, "start_ts": null,
            "request": ["git://h/r#1", "target", {"scratch": true}], "invented_in_1.40": {"x": []},
        })),
        Value::Int(6) => row(serde_json::json!({"id": 6, "state": 17, "method": "x"})),
        Value::Int(7) => row(serde_json::json!({"id": 7, "state": 0})),
        _ => Reply::Value(Value::Nil),
    })
    .await;
    let task = session.get_task_info(TaskId(5), true).await.expect("answered").expect("a task");
    assert_eq!((task.state, task.weight, task.parent, task.create_ts), (TaskState::Open, 2.0, None, Some(1.5)));
    assert_eq!(task.request.expect("a request")[1], Value::from("target"));
    assert_eq!(hub.requests()[1].kwarg("request"), Some(true.into()));
    assert_eq!(session.get_task_info(TaskId(99), false).await.expect("answered"), None);
    for (id, problem) in [(6, "17 is no task state"), (7, "`method` is missing")] {
        let error = session.get_task_info(TaskId(id), false).await.expect_err(problem);
        assert_eq!(error.kind(), "hub-answer-unexpected");
        assert!(error.to_string().contains(problem), "{error}");
    }
}

#[tokio::test]
async fn results_and_faults_are_whole_documents() {
    let (hub, session) = session(|_| Reply::Value(Value::Nil)).await;
    let result = Value::from_pairs([("koji_builds", Value::Array(vec!["12".into()]))]);
    session.close_task(TaskId(1), &result).await.expect("closed");
    session.fail_task(TaskId(1), FaultCode::ContainerError, "step 3: \u{1b}[31mno\u{1b}[0m\u{0}\r\n").await.expect("failed");
    session.refuse_task(TaskId(1), false, "unknown method").await.expect("refused");
    session.free_tasks(&[TaskId(1), TaskId(2)]).await.expect("freed");
    let requests = hub.requests();
    let document = |n: usize| requests[n].params[1].as_str().expect("a string").to_owned();
    assert!(document(1).starts_with("<?xml") && document(2).starts_with("<?xml"));
    assert_eq!(decode_response(document(1).as_bytes()).expect("a document").expect("a value"), result);
    let fault = decode_response(document(2).as_bytes()).expect("a document").expect_err("a fault");
    assert_eq!((fault.code, fault.message.as_str()), (2001, "step 3: no\n"));
    assert_eq!((requests[3].kwarg("soft"), requests[3].kwarg("msg")), (Some(false.into()), Some("unknown method".into())));
    assert_eq!(requests[4].params, [Value::Array(vec![1.into(), 2.into()])]);
}

#[tokio::test]
async fn the_host_reports_and_reads_its_work() {
    let (hub, session) = session(|request| match request.method.as_str() {
        "host.getHost" => row(serde_json::json!({"id": 4, "user_id": 5, "name": "b1", "arches": "x86_64 i686", "task_load": 0, "capacity": 2.0, "ready": null, "enabled": true})),
        "multiCall" => row(serde_json::json!([
            [[{"id": 1, "waiting": null, "weight": 2.0}, {"id": 2, "waiting": true, "weight": null, "alert": true}]],
            [null],
            [{"id": 4, "user_id": 5, "name": "b1", "arches": "x86_64", "task_load": 2.0, "capacity": 2.0, "ready": false, "enabled": true}],
        ])),
        "host.getTasks" => row(serde_json::json!([{"id": 3, "state": 4, "channel_id": 1, "host_id": 4, "arch": "noarch", "method": "buildContainer", "priority": 20}])),
        "host.taskWaitResults" => row(serde_json::json!([[8, {"faultCode": 1, "faultString": "x"}]])),
        "host.subtask" => row(serde_json::json!(77)),
        _ => Reply::Value(Value::Nil),
    })
    .await;
    let host = session.get_host().await.expect("a host");
    assert_eq!((host.ready, host.arches.len(), host.capacity), (false, 2, 2.0));
    assert_eq!(session.get_tasks().await.expect("tasks")[0].state, TaskState::Assigned);
    let report = HostReport { load: f64::NAN, ready: false, methods: &["buildContainer"], maxjobs: 10 };
    let CheckIn { held, host, offered } = session.check_in(&report, &mut Dispatch::default()).await.expect("checked in");
    assert_eq!((held[0].waiting, held[0].alert, held[1].alert, held[1].weight), (false, false, true, 0.0));
    assert_eq!((host.task_load, offered), (2.0, Offered::Assigned(Vec::new())), "it is not ready, and is offered nothing");
    let calls = hub.requests().pop().expect("a request").params.remove(0);
    let update = calls.as_array().expect("calls")[1].get("params").and_then(Value::as_array).expect("parameters").to_vec();
    assert_eq!(update[..2], [Value::Double(0.0), false.into()]);
    assert_eq!(update[2].get("data").and_then(|data| data.get("maxjobs").cloned()), Some(Value::Int(10)));
    let results = session.task_wait_results(TaskId(1), &[], &[TaskId(8)]).await.expect("results");
    assert_eq!((results[0].0, hub.requests().pop().expect("a request").params[1].is_nil()), (TaskId(8), true));
    let subtask = Subtask {
        method: "buildContainerArch".into(),
        params: vec![],
        parent: TaskId(1),
        label: "x86_64".into(),
        arch: build_model::Arch::canonical("x86_64").ok(),
        channel: None,
        priority: None,
    };
    assert_eq!(session.subtask(&subtask).await.expect("a task"), TaskId(77));
    let request = hub.requests().pop().expect("a request");
    assert_eq!((request.kwarg("label"), request.kwarg("channel")), (Some("x86_64".into()), None));
}

#[tokio::test]
async fn targets_tags_and_builds_are_read() {
    let (hub, session) = session(|request| match request.method.as_str() {
        "getLastEvent" => row(serde_json::json!({"id": 100, "ts": 1.0})),
        "getBuildTarget" if request.params[0] == "none".into() => Reply::Value(Value::Nil),
        "getBuildTarget" => row(serde_json::json!({"id": 1, "name": "t", "build_tag": 2, "build_tag_name": "b", "dest_tag": 3, "dest_tag_name": "d"})),
        "getBuildConfig" => row(serde_json::json!({"id": 2, "name": "b", "arches": "x86_64 i686 i386", "extra": {"k": 1}})),
        "getTag" => row(serde_json::json!({"id": 3, "name": "d", "locked": true, "perm": null})),
        "getPackageConfig" => row(serde_json::json!({"package_id": 1, "package_name": "p", "blocked": false, "owner_name": "o"})),
        "getBuild" => row(serde_json::json!({"id": 9, "name": "n", "version": "1", "release": "2", "state": 1, "task_id": null, "extra": null})),
        "getNextRelease" => row(serde_json::json!("3")),
        "CGInitBuild" => row(serde_json::json!({"build_id": 9, "token": "tok"})),
        "CGImport" => row(serde_json::json!({"id": 9, "build_id": 9, "nvr": "n-1-2"})),
        "repo.request" => row(serde_json::json!({"repo": {"id": 5, "state": 1, "create_event": 100, "dist": false}, "request": null, "duplicate": false})),
        "getRepo" => Reply::Value(Value::Nil),
        "evalPolicy" => row(serde_json::json!("allow use_common")),
        "listArchives" => row(serde_json::json!([{"id": 1, "build_id": 9, "filename": "f", "size": 9_000_000_000_i64, "checksum": "00", "checksum_type": 2, "btype": "image", "extra": {"image": {"arch": "x86_64"}}}])),
        _ => Reply::Value(Value::Nil),
    })
    .await;
    let event = session.last_event().await.expect("an event");
    assert_eq!(event, EventId(100));
    let target = session.get_build_target(&TargetName("t".into()), Some(event)).await.expect("answered").expect("a target");
    assert_eq!(target.dest_tag_name, KojiTag("d".into()));
    assert_eq!(hub.requests().pop().expect("a request").kwarg("event"), Some(Value::Int(100)));
    assert_eq!(session.get_build_target(&TargetName("none".into()), None).await.expect("answered"), None);
    let config = session.get_build_config(&target.build_tag_name, Some(event)).await.expect("a configuration");
    assert_eq!(config.arches.iter().map(|a| a.as_str()).collect::<Vec<_>>(), ["x86_64", "i386"]);
    assert!(session.get_tag(&target.dest_tag_name).await.expect("answered").expect("a tag").locked);
    assert!(!session.get_package_config(&target.dest_tag_name, "p").await.expect("answered").expect("listed").blocked);
    let nvr: Nvr = "n-1-2".parse().expect("an NVR");
    let build = session.get_build(&nvr).await.expect("answered").expect("a build");
    assert_eq!((build.id, build.state, build.nvr == nvr), (BuildId(9), BuildState::Complete, true));
    assert_eq!(session.next_release("n", "1").await.expect("a release"), "3");
    let reservation = session.init_build("atomic-reactor", &nvr, Some(TaskId(4))).await.expect("reserved");
    let request = hub.requests().pop().expect("a request");
    assert_eq!(request.params[1].get("task_id"), Some(&Value::Int(4)));
    assert_eq!(session.import("metadata.json", "dir", &reservation.token).await.expect("imported"), BuildId(9));
    session.refund("atomic-reactor", &reservation, BuildState::Canceled).await.expect("refunded");
    assert_eq!(hub.requests().pop().expect("a request").params[3], Value::Int(4));
    let request = session.request_repo(&target.build_tag_name).await.expect("answered");
    assert_eq!((request.id, request.repo.map(|r| r.id.0)), (None, Some(5)));
    assert_eq!(session.get_repo(&target.build_tag_name, None).await.expect("answered"), None);
    let data = Value::from_pairs([("scm_host", Value::from("h"))]);
    assert_eq!(session.eval_policy("build_from_scm", data).await.expect("an action"), "allow use_common");
    let archives = session.list_archives(BuildId(9), Some("image")).await.expect("archives");
    assert_eq!(archives[0].size, 9_000_000_000);
    session.tag_build_as_owner(TaskId(4), &target.dest_tag_name, BuildId(9)).await.expect("tagged");
    assert_eq!(hub.requests().pop().expect("a request").method, "host.tagBuild");
}

#[tokio::test]
async fn rpms_are_looked_up_in_batches_and_unknown_ones_are_none() {
    let (hub, session) = session(|request| {
        let calls = request.params[0].as_array().expect("calls").iter();
        let answers = calls.map(|call| {
            let Some([rpm]) = call.get("params").and_then(Value::as_array) else { panic!("one parameter") };
            let found = serde_json::json!({
                "id": 1, "name": "jq", "version": "1.6", "release": "2", "arch": "x86_64", "epoch": null, "build_id": 7,
                "payloadhash": "ab", "external_repo_id": 0, "draft": null, "size": 5_000_000_000_i64, "extra": null,
            });
            Value::Array(vec![if rpm.get("name") == Some(&"jq".into()) { Value::from_json(&found) } else { Value::Nil }])
        });
        Reply::Value(Value::Array(answers.collect()))
    })
    .await;
    let jq: Nvra = "jq-1.6-2.x86_64".parse().expect("an NVRA");
    let other: Nvra = "other-1-1.noarch".parse().expect("an NVRA");
    let asked: Vec<Nvra> = (0..501).map(|i| if i == 500 { jq.clone() } else { other.clone() }).collect();
    let found = session.get_rpms(&asked).await.expect("answered");
    assert_eq!((found.len(), found.iter().flatten().count()), (501, 1));
    let rpm = found[500].as_ref().expect("jq");
    assert_eq!((&rpm.nvra, rpm.epoch, rpm.draft, rpm.size), (&jq, None, false, Some(5_000_000_000)));
    let names: Arc<str> = hub.requests().iter().map(|r| r.method.as_str()).collect::<Vec<_>>().join(" ").into();
    assert_eq!(&*names, "login multiCall multiCall");
}

#[tokio::test]
async fn builds_are_looked_up_in_one_request_with_their_states() {
    let (hub, session) = session(|request| {
        let calls = request.params[0].as_array().expect("calls").iter();
        let answers = calls.map(|call| {
            let Some([build]) = call.get("params").and_then(Value::as_array) else { panic!("one parameter") };
            let found = serde_json::json!({
                "id": 7, "name": "jq", "version": "1.6", "release": "2", "state": 2, "task_id": null, "owner_name": "o",
                "cg_name": null, "source": null, "completion_ts": 1.5, "extra": null,
            });
            Value::Array(vec![if *build == Value::Int(7) { Value::from_json(&found) } else { Value::Nil }])
        });
        Reply::Value(Value::Array(answers.collect()))
    })
    .await;
    let found = session.get_builds(&[BuildId(8), BuildId(7)]).await.expect("answered");
    let states: Vec<_> = found.iter().map(|build| build.as_ref().map(|b| b.state)).collect();
    assert_eq!(states, [None, Some(koji_session::BuildState::Deleted)]);
    assert_eq!(session.get_builds(&[]).await.expect("nothing asked"), []);
    assert_eq!(hub.requests().iter().filter(|r| r.method == "multiCall").count(), 1);
}
