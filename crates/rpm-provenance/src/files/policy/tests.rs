//! Accounts of files against the site's decisions and its allow-list.

use super::*;
use crate::policy::Ruling;

fn lines(outcomes: &[RuleOutcome], ruling: Ruling) -> Vec<String> {
    outcomes.iter().filter(|o| o.ruling == ruling).map(RuleOutcome::line).collect()
}

fn record(path: &str, class: Class, code: Code) -> Record {
    Record {
        path: path.into(),
        class,
        code,
        runs: None,
        size: 1,
        kind: "file".into(),
        layer: Some(0),
        owner: None,
        differs: Vec::new(),
        source: None,
        sha256: None,
    }
}

fn account(records: Vec<Record>) -> FileAccount {
    let mut account = FileAccount { layers: vec!["RUN make-it".into()], ..FileAccount::default() };
    records.into_iter().for_each(|r| account.add(r));
    account
}

#[test]
fn unexplained_programs_are_refused_and_data_is_warned_of() {
    let found = account(vec![
        record("/opt/tool", Class::Unexplained, Code::Binary),
        record("/opt/data", Class::Unexplained, Code::None),
        record("/etc/x", Class::Configured, Code::None),
    ]);
    let judged = FilePolicy::default().judge(&found, "2030-01-01");
    assert_eq!(lines(&judged, Ruling::Refused), ["1 unexplained programs: /opt/tool (RUN make-it)"]);
    assert_eq!(lines(&judged, Ruling::Warned), ["1 unexplained files: /opt/data (RUN make-it)"]);
    assert_eq!(lines(&judged, Ruling::Allowed), ["1 edited configuration files of RPMs: /etc/x (RUN make-it)"]);
    assert!(judged.iter().all(|o| !o.reason.is_empty() && !o.remedy.is_empty() && o.check == "files"));
}

#[test]
fn the_first_five_paths_are_named_and_the_rest_is_counted() {
    let found = account((0..7000).map(|n| record(&format!("/opt/{n:04}"), Class::Unexplained, Code::Script)).collect());
    let refused = lines(&FilePolicy::default().judge(&found, "2030-01-01"), Ruling::Refused);
    assert!(refused[0].starts_with("7000 unexplained programs: /opt/0000"), "{refused:?}");
    assert!(refused[0].ends_with("/opt/0004 (RUN make-it) and 6995 more"), "{refused:?}");
}

#[test]
fn an_allowed_path_passes_until_its_day_and_no_longer() {
    let allow = AllowedPath { path: "/opt/**".into(), until: "2030-06-30".into(), reason: "vendor tool, ticket 7".into() };
    let policy = FilePolicy { allow: vec![allow], ..FilePolicy::default() };
    let found = account(vec![record("/opt/a/tool", Class::Unexplained, Code::Binary)]);
    assert!(policy.judge(&found, "2030-06-30").iter().all(|o| o.ruling == Ruling::Passed));
    let late = policy.judge(&found, "2030-07-01");
    assert_eq!(lines(&late, Ruling::Refused).len(), 1);
    assert_eq!(lines(&late, Ruling::Warned), ["policy: /opt/** was allowed until 2030-06-30 (vendor tool, ticket 7)"]);
}

#[test]
fn entries_of_the_allow_list_need_a_day_a_path_and_a_reason() {
    let entry = |path: &str, until: &str, reason: &str| FilePolicy {
        allow: vec![AllowedPath { path: path.into(), until: until.into(), reason: reason.into() }],
        ..FilePolicy::default()
    };
    assert!(entry("/a", "2030-01-31", "why").check().is_ok());
    for bad in [entry("/a", "2030-13-31", "why"), entry("/a", "never", "why"), entry("a", "2030-01-31", "why")] {
        assert!(bad.check().is_err());
    }
    assert!(entry("/a", "2030-01-31", " ").check().is_err());
}
