//! The task an image comes from: it must be open, of the right kind, its owner's, and run by the host that imports.
//!
//! The hub itself checks neither (CG_Importer.prep_build compares the id with the reservation's, when there is one).

use serde::Deserialize;

use super::claim::{Claim, SOURCE_METHOD};
use super::{Check, Offence};

/// koji.TASK_STATES
const OPEN: i64 = 1;
const STATES: [&str; 6] = ["FREE", "OPEN", "CLOSED", "CANCELED", "ASSIGNED", "FAILED"];
const HINT: &str = "images are imported by the task that builds them, while it runs";

/// A row of the table `task`, with its owner's name.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct TaskRow {
    id: i64,
    state: i64,
    method: String,
    owner_name: Option<String>,
    host_id: Option<i64>,
}

/// What is wrong with the task, and images whose task does not excuse that they list no RPM.
pub(super) fn offences(claim: &Claim, row: Option<&TaskRow>, methods: &[String]) -> Vec<Offence> {
    let mut found: Vec<Offence> =
        wrong(claim, row, methods).map(|text| Offence::new(Check::Task, text, HINT)).into_iter().collect();
    // An image of source packages holds them as files; its own rpmdb may be absent.
    if row.is_none_or(|row| row.method != SOURCE_METHOD) {
        for file in &claim.bare_images {
            let text = format!("{file} is an image that lists no RPM");
            found.push(Offence::new(Check::Components, text, "every image is imported with the list of its RPMs"));
        }
    }
    found
}

fn wrong(claim: &Claim, row: Option<&TaskRow>, methods: &[String]) -> Option<String> {
    let Some(id) = claim.task_id else { return Some("it names no task".to_owned()) };
    let Some(row) = row.filter(|row| row.id == id) else { return Some(format!("there is no task {id}")) };
    if !methods.contains(&row.method) {
        return Some(format!("task {id} is a {} task, not {}", row.method, methods.join(" or ")));
    }
    if row.state != OPEN {
        let state = usize::try_from(row.state).ok().and_then(|n| STATES.get(n)).copied().unwrap_or("in an unknown state");
        return Some(format!("task {id} is {state}, not OPEN"));
    }
    match (&claim.owner, &row.owner_name) {
        (Some(claimed), Some(owner)) if claimed != owner => {
            Some(format!("task {id} belongs to {owner}, the build would to {claimed}"))
        }
        (Some(claimed), None) => Some(format!("task {id} belongs to nobody, the build would to {claimed}")),
        _ => None,
    }
}

/// Whether somebody else than the host that runs the task imports.
pub(super) fn host_offence(row: Option<&TaskRow>, importer: Option<i64>) -> Option<Offence> {
    let row = row?;
    (importer.is_none() || importer != row.host_id).then(|| {
        let text = format!("task {} runs on another host than the one that imports", row.id);
        Offence::new(Check::Host, text, "give no other user the right to import for this content generator, or set check_host")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn text(build: Value, row: Option<Value>) -> Option<String> {
        let row: Option<TaskRow> = row.map(|row| serde_json::from_value(row).expect("a row"));
        let claim = Claim::read(&json!({ "build": build }));
        offences(&claim, row.as_ref(), &["buildContainer".into()]).first().map(|o| o.text.clone())
    }

    fn row(state: i64, method: &str) -> Option<Value> {
        Some(json!({"id": 7, "state": state, "method": method, "owner_name": "jo", "host_id": 4}))
    }

    #[test]
    fn only_an_open_task_of_the_right_kind_and_owner_will_do() {
        let build = json!({"task_id": 7, "owner": "jo"});
        assert_eq!(text(build.clone(), row(1, "buildContainer")), None);
        assert_eq!(text(json!({"owner": "jo"}), None).expect("none"), "it names no task");
        assert_eq!(text(build.clone(), None).expect("none"), "there is no task 7");
        assert_eq!(text(json!({"task_id": 8}), row(1, "buildContainer")).expect("other"), "there is no task 8");
        for (state, word) in [(0, "FREE"), (2, "CLOSED"), (3, "CANCELED"), (4, "ASSIGNED"), (5, "FAILED")] {
            assert_eq!(text(build.clone(), row(state, "buildContainer")).expect(word), format!("task 7 is {word}, not OPEN"));
        }
        assert!(text(build, row(1, "build")).expect("method").contains("task 7 is a build task"));
        assert!(text(json!({"task_id": 7, "owner": "eve"}), row(1, "buildContainer")).expect("owner").contains("belongs to jo"));
        assert_eq!(text(json!({"task_id": 7}), row(1, "buildContainer")), None, "the importer's own");
    }

    #[test]
    fn only_the_host_that_runs_the_task_may_import() {
        let row: TaskRow = serde_json::from_value(row(1, "buildContainer").expect("row")).expect("row");
        assert_eq!(host_offence(Some(&row), Some(4)), None);
        assert!(host_offence(Some(&row), Some(5)).is_some());
        assert!(host_offence(Some(&row), None).is_some());
        let unhosted = TaskRow { host_id: None, ..row };
        assert!(host_offence(Some(&unhosted), None).is_some(), "two unknown hosts are not one");
    }

    #[test]
    fn images_without_rpms_come_from_source_container_tasks_only() {
        let bare = json!({"filename": "i.tar.gz", "type": "docker-image"});
        let claim = Claim::read(&json!({"build": {"task_id": 7}, "output": [bare]}));
        let of = |method: &str| {
            let row: TaskRow = serde_json::from_value(row(1, method).expect("row")).expect("row");
            offences(&claim, Some(&row), &["buildContainer".into(), SOURCE_METHOD.into()])
        };
        assert!(of("buildContainer")[0].text.contains("i.tar.gz is an image that lists no RPM"));
        assert!(of(SOURCE_METHOD).is_empty());
    }
}
