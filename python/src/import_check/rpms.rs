//! The RPM components of an import: each must be an RPM of this Koji with equal digests, of a complete build.
//!
//! SIGMD5 is compared with `payloadhash`; header digests where both sides have them (the hub since 1.36). All of them are
//! claims of whoever imports: the hub never sees the RPMs of an image.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Check, Offence};

/// How many offenders one message names; the rest is counted.
const NAMED: usize = 10;
/// koji.BUILD_STATES
const COMPLETE: i64 = 1;
const DELETED: i64 = 2;
/// Digests of a header, as keys of a component and columns of rpminfo.
const HEADER_DIGESTS: [&str; 3] = ["sha3_256header", "sha256header", "sha1header"];

/// What identifies an RPM in Koji.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct RpmKey {
    name: String,
    version: String,
    release: String,
    arch: String,
}

impl std::fmt::Display for RpmKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}.{}", self.name, self.version, self.release, self.arch)
    }
}

/// One RPM an image claims to hold. The key is flat, so that the plugin can read it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Component {
    #[serde(flatten)]
    key: RpmKey,
    /// Whether the metadata speaks of an epoch at all.
    states_epoch: bool,
    /// The epoch it states; `None` for none.
    epoch: Option<i64>,
    /// Lower-case hex; `None` when the metadata has none (then header digests must be there).
    sigmd5: Option<String>,
    /// By name, lower-case hex.
    header: BTreeMap<String, String>,
}

impl Component {
    /// Reads a component; `None` when it names no RPM.
    pub fn read(entry: &Value) -> Option<Self> {
        let part = |key: &str| entry.get(key).and_then(Value::as_str).filter(|s| !s.is_empty());
        let digest = |key: &str| part(key).map(str::to_ascii_lowercase);
        let text = |key: &str| part(key).map(str::to_owned);
        Some(Self {
            key: RpmKey { name: text("name")?, version: text("version")?, release: text("release")?, arch: text("arch")? },
            states_epoch: entry.get("epoch").is_some(),
            epoch: entry.get("epoch").and_then(Value::as_i64),
            sigmd5: digest("sigmd5"),
            header: HEADER_DIGESTS.iter().filter_map(|key| Some(((*key).to_owned(), digest(key)?))).collect(),
        })
    }
}

/// A row of rpminfo, with the state of its build.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct RpmRow {
    #[serde(flatten)]
    key: RpmKey,
    epoch: Option<i64>,
    payloadhash: String,
    external_repo_id: i64,
    draft: Option<bool>,
    build_state: Option<i64>,
    sha3_256header: Option<String>,
    sha256header: Option<String>,
    sha1header: Option<String>,
}

impl RpmRow {
    /// A header digest, from its column or from the `payloadhash` of RPMs that have no SIGMD5 (`sha256::…`).
    fn header_digest(&self, name: &str) -> Option<String> {
        let column = match name {
            "sha3_256header" => &self.sha3_256header,
            "sha256header" => &self.sha256header,
            _ => &self.sha1header,
        };
        let prefix = match name {
            "sha3_256header" => "sha3-256::",
            "sha256header" => "sha256::",
            _ => "sha1::",
        };
        let column = column.as_deref().filter(|sum| !sum.is_empty()).or_else(|| self.payloadhash.strip_prefix(prefix));
        column.map(str::to_ascii_lowercase)
    }

    fn sigmd5(&self) -> Option<String> {
        let hex = !self.payloadhash.is_empty() && !self.payloadhash.contains(':');
        hex.then(|| self.payloadhash.to_ascii_lowercase())
    }
}

/// What is wrong with the components, one offence for all of them.
pub(super) fn offences<'a>(components: impl IntoIterator<Item = &'a Component>, rows: &[RpmRow]) -> Option<Offence> {
    let mut known: BTreeMap<&RpmKey, Vec<&RpmRow>> = BTreeMap::new();
    for row in rows {
        known.entry(&row.key).or_default().push(row);
    }
    let (mut total, mut found) = (0, Vec::new());
    for component in components {
        total += 1;
        if let Some(why) = wrong(component, known.get(&component.key).map(Vec::as_slice).unwrap_or_default()) {
            found.push(format!("{} ({why})", component.key));
        }
    }
    if found.is_empty() {
        return None;
    }
    let named = found.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let rest = found.len().saturating_sub(NAMED);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let text = format!("{} of its {total} RPMs are not RPMs of this Koji: {named}{more}", found.len());
    Some(Offence::new(Check::Components, text, "build the packages in this Koji, or install the copies it built"))
}

fn wrong(component: &Component, rows: &[&RpmRow]) -> Option<String> {
    if rows.is_empty() {
        return Some("not built here".to_owned());
    }
    let internal: Vec<&RpmRow> = rows.iter().filter(|row| row.external_repo_id == 0).copied().collect();
    let Some(first) = internal.first() else { return Some("only seen in an external repository".to_owned()) };
    if component.sigmd5.is_none() && component.header.is_empty() {
        return Some("the metadata has no sigmd5 for it".to_owned());
    }
    // A draft and the final build can share a name; the digests choose.
    let Some(row) = internal.iter().find(|row| difference(component, row).is_none()) else { return difference(component, first) };
    if row.draft == Some(true) {
        return Some("a draft build".to_owned());
    }
    match row.build_state {
        Some(COMPLETE) => {}
        Some(DELETED) => return Some("its build was deleted".to_owned()),
        _ => return Some("its build is not complete".to_owned()),
    }
    if component.states_epoch && component.epoch != row.epoch {
        let word = |epoch: Option<i64>| epoch.map_or("no epoch".to_owned(), |epoch| format!("epoch {epoch}"));
        return Some(format!("{}, Koji's has {}", word(component.epoch), word(row.epoch)));
    }
    None
}

/// How the digests differ; `None` when all that both sides have are equal, and there is one.
fn difference(component: &Component, row: &RpmRow) -> Option<String> {
    let mut equal = false;
    let pairs = std::iter::once(("sigmd5", component.sigmd5.clone(), row.sigmd5()))
        .chain(HEADER_DIGESTS.iter().map(|name| (*name, component.header.get(*name).cloned(), row.header_digest(name))));
    for (name, ours, kojis) in pairs {
        if let (Some(ours), Some(kojis)) = (ours, kojis) {
            if ours != kojis {
                return Some(format!("same name, other content: {name} {ours}, Koji's is {kojis}"));
            }
            // SHA-1 can be made to collide, and nothing that matters has only that.
            equal |= name != "sha1header";
        }
    }
    (!equal).then(|| "the metadata and Koji have no digest in common".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bash(digests: Value) -> Value {
        let mut bash = json!({"name": "bash", "version": "5.2", "release": "1", "arch": "x86_64"});
        for (key, value) in digests.as_object().expect("a struct") {
            bash[key] = value.clone();
        }
        bash
    }

    fn row(more: Value) -> Value {
        let mut row = bash(json!({"payloadhash": "ab", "external_repo_id": 0, "draft": false, "build_state": 1, "epoch": null}));
        for (key, value) in more.as_object().expect("a struct") {
            row[key] = value.clone();
        }
        row
    }

    fn text(component: Value, rows: Value) -> Option<String> {
        let component = Component::read(&bash(component)).expect("a component");
        let rows: Vec<RpmRow> = serde_json::from_value(rows).expect("rows");
        offences([&component], &rows).map(|offence| offence.text)
    }

    #[test]
    fn equal_digests_pass() {
        assert_eq!(text(json!({"sigmd5": "AB"}), json!([row(json!({}))])), None);
        let both = json!({"sigmd5": "ab", "sha256header": "cd"});
        assert_eq!(text(both.clone(), json!([row(json!({"sha256header": "CD", "sha1header": "ef"}))])), None);
        assert_eq!(text(both, json!([row(json!({}))])), None, "a hub before 1.36 has no header digests");
        let v6 = row(json!({"payloadhash": "sha3-256::0a", "sha256header": "cd"}));
        assert_eq!(text(json!({"sha256header": "cd"}), json!([v6.clone()])), None);
        assert_eq!(text(json!({"sha3_256header": "0A"}), json!([v6])), None);
    }

    #[test]
    fn every_way_not_to_be_kojis_is_refused_with_its_reason() {
        let md5 = json!({"sigmd5": "ab"});
        let why = |rows: Value| text(md5.clone(), rows).expect("refused");
        assert!(why(json!([])).contains("bash-5.2-1.x86_64 (not built here)"));
        assert!(why(json!([row(json!({"external_repo_id": 3}))])).contains("external repository"));
        assert!(why(json!([row(json!({"payloadhash": "cd"}))])).contains("sigmd5 ab, Koji's is cd"));
        assert!(why(json!([row(json!({"draft": true}))])).contains("draft"));
        assert!(why(json!([row(json!({"build_state": 2}))])).contains("deleted"));
        assert!(why(json!([row(json!({"build_state": 3}))])).contains("not complete"));
        assert!(why(json!([row(json!({"build_state": null}))])).contains("not complete"));
        assert!(text(json!({}), json!([row(json!({}))])).expect("refused").contains("no sigmd5"));
        let epoch = json!({"sigmd5": "ab", "epoch": 1});
        assert!(text(epoch, json!([row(json!({}))])).expect("refused").contains("epoch 1, Koji's has no epoch"));
    }

    #[test]
    fn one_digest_that_differs_is_enough_and_sha1_alone_is_not() {
        let kojis = json!([row(json!({"sha256header": "cd", "sha1header": "ef"}))]);
        let text = |digests: Value| text(digests, kojis.clone()).expect("refused");
        assert!(text(json!({"sigmd5": "ab", "sha256header": "ce"})).contains("sha256header ce, Koji's is cd"));
        assert!(text(json!({"sha1header": "ef"})).contains("no digest in common"));
    }

    #[test]
    fn the_final_build_counts_where_a_draft_has_its_name() {
        let rows = json!([row(json!({"draft": true, "payloadhash": "cd"})), row(json!({}))]);
        assert_eq!(text(json!({"sigmd5": "ab"}), rows.clone()), None);
        assert!(text(json!({"sigmd5": "cd"}), rows).expect("refused").contains("draft"));
    }

    #[test]
    fn a_long_list_of_offenders_is_cut() {
        let many: Vec<Component> = (0..25)
            .map(|n| json!({"name": format!("p{n}"), "version": "1", "release": "1", "arch": "noarch", "sigmd5": "0"}))
            .map(|entry| Component::read(&entry).expect("a component"))
            .collect();
        assert!(offences(&many, &[]).expect("refused").text.contains("and 15 more"));
    }
}
