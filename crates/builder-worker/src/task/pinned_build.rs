//! What is decided once about a build and is the same for all of its architectures: source, name, one digest for every
//! image it starts from, one repository for every content source. The coordinating task decides it and hands it to each
//! `createContainer` subtask in its request; a coordinator that is run again, here or on another host, reads it back from
//! there, so that no decision is made twice.

use std::collections::BTreeMap;

use build_model::{Arch, Blame, BuildId, Diagnose, EventId, ImageTagSet, KojiTag, Nvr, RepoId, TargetName};
use koji_session::Value;
use rpm_provenance::ContentSource;
use rpm_provenance::report::{ParentBuild, ParentImage};
use serde::{Deserialize, Serialize};

/// Method of the task that builds one architecture. Its request is one struct that names its method, the form every Koji
/// client understands without knowing the method (koji/tasks.py parse_task_params).
pub const CREATE_CONTAINER: &str = "createContainer";

/// A build with everything pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedBuild {
    /// Source with its full commit hash.
    pub source: String,
    /// Branch of dist-git the commit belongs to.
    pub git_branch: String,
    /// The build target.
    pub target: TargetName,
    /// Where the build is tagged.
    pub dest_tag: KojiTag,
    /// The event all queries were made at.
    pub event: EventId,
    /// Name and id of the user the task belongs to.
    pub owner: Option<String>,
    /// The same user's id.
    pub owner_id: Option<i64>,
    /// No Koji build is made.
    pub scratch: bool,
    /// Name of the build; the release of a scratch build names its task.
    pub nvr: Nvr,
    /// The reserved build; none for scratch builds.
    pub build_id: Option<BuildId>,
    /// Repository path in the registry.
    pub repository: String,
    /// Architectures in their order.
    pub arches: Vec<PinnedArch>,
    /// Images by the reference the Dockerfile uses.
    pub parents: BTreeMap<String, PinnedParent>,
    /// The reference in `parents` that the last stage starts from.
    pub base: Option<String>,
    /// What RUN steps of each architecture are offered.
    pub content: BTreeMap<Arch, Vec<ContentSource>>,
    /// Those of the content sources that are Koji's.
    pub koji_repos: Vec<PinnedRepo>,
    /// Labels set on the image, besides its architecture.
    pub labels: BTreeMap<String, String>,
    /// Tags in the registry.
    pub tags: ImageTagSet,
    /// Whether the repository has a help file, which is in the image as a manual page.
    #[serde(default)]
    pub help: bool,
    /// When the build began, seconds since 1970.
    pub start_time: i64,
    /// Remarks for the packager.
    pub warnings: Vec<String>,
}

/// An architecture of the build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedArch {
    /// The architecture.
    pub arch: Arch,
    /// Whether the build goes on without it when it fails.
    pub optional: bool,
}

/// An image that the build starts from or copies from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedParent {
    /// Reference with the digest of what the tag named: for several architectures that of an index.
    pub pinned: String,
    /// Its Koji build; `None` only where the site allows foreign parents.
    pub build: Option<(BuildId, Nvr)>,
    /// Why it is none.
    pub foreign: Option<String>,
}

impl PinnedParent {
    /// The parent as the report has it.
    pub fn report(&self, reference: &str, base: Option<&str>) -> ParentImage {
        ParentImage {
            reference: reference.to_owned(),
            pinned: Some(self.pinned.clone()),
            build: self.build.as_ref().map(|(id, nvr)| ParentBuild { id: id.0, nvr: nvr.to_string() }),
            foreign: self.foreign.clone(),
            base: base == Some(reference),
        }
    }
}

/// A repository of a Koji tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedRepo {
    /// The tag.
    pub tag: KojiTag,
    /// The repository.
    pub repo_id: RepoId,
}

/// The request of a `createContainer` task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchRequest {
    #[serde(rename = "__method__")]
    method: String,
    /// The architecture to build.
    pub arch: Arch,
    /// The build it belongs to.
    pub build: PinnedBuild,
}

/// The request is not one that a coordinating task makes.
#[derive(Debug, thiserror::Error)]
#[error("the request of this {CREATE_CONTAINER} task is not understood")]
pub struct BadArchRequest(#[source] serde_json::Error);

impl Diagnose for BadArchRequest {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        "arch-request"
    }
    fn hint(&self) -> Option<String> {
        Some("all builders of a channel must run the same version of containerbuild; update them and submit again".into())
    }
}

impl ArchRequest {
    /// The request for one architecture of a build.
    pub fn new(arch: Arch, build: PinnedBuild) -> Self {
        Self { method: CREATE_CONTAINER.to_owned(), arch, build }
    }

    /// The parameters of the task.
    pub fn to_params(&self) -> Vec<Value> {
        vec![Value::from_json(&serde_json::json!(self))]
    }

    /// Reads the parameters of a task.
    ///
    /// # Errors
    /// [`BadArchRequest`], naming what does not fit.
    pub fn from_params(params: &[Value]) -> Result<Self, BadArchRequest> {
        let json = match params {
            [one] => one.to_json(),
            other => other.iter().map(Value::to_json).collect(),
        };
        serde_json::from_value(json).map_err(BadArchRequest)
    }
}

impl PinnedBuild {
    /// Whether the build goes on without an architecture that failed.
    pub fn is_optional(&self, arch: &Arch) -> bool {
        self.arches.iter().any(|a| a.arch == *arch && a.optional)
    }
}

#[cfg(test)]
pub(in crate::task) mod tests {
    use super::*;

    /// A build of two architectures, for the tests of this module's users.
    pub(in crate::task) fn pinned_build() -> PinnedBuild {
        let arch = |name: &str| Arch::canonical(name).expect("an arch");
        let digest = "0".repeat(64);
        PinnedBuild {
            source: "git+https://src.example.org/container/web.git#0123456789abcdef0123456789abcdef01234567".into(),
            git_branch: "f40".into(),
            target: TargetName("f40-container-candidate".into()),
            dest_tag: KojiTag("f40-container-updates-candidate".into()),
            event: EventId(9_000_000_000),
            owner: Some("packager".into()),
            owner_id: Some(3),
            scratch: false,
            nvr: "web-1.0-7".parse().expect("an nvr"),
            build_id: Some(BuildId(12)),
            repository: "f40/web".into(),
            arches: vec![
                PinnedArch { arch: arch("x86_64"), optional: false },
                PinnedArch { arch: arch("aarch64"), optional: true },
            ],
            parents: BTreeMap::from([(
                "registry.example.org/f40/base:40".to_owned(),
                PinnedParent {
                    pinned: format!("registry.example.org/f40/base:40@sha256:{digest}"),
                    build: Some((BuildId(4), "base-40-1".parse().expect("an nvr"))),
                    foreign: None,
                },
            )]),
            base: Some("registry.example.org/f40/base:40".into()),
            content: BTreeMap::from([(
                arch("x86_64"),
                vec![ContentSource {
                    name: "build".into(),
                    base_url: "https://hub.example.org/repos/f40-build/7/x86_64/".into(),
                    repomd_sha256: None,
                    gpgkeys: vec!["/etc/key".into()],
                    of_request: false,
                }],
            )]),
            koji_repos: vec![PinnedRepo { tag: KojiTag("f40-build".into()), repo_id: RepoId(7) }],
            labels: BTreeMap::from([("vendor".to_owned(), "Ex & Co".to_owned())]),
            tags: ImageTagSet::new(build_model::BuildKind::Normal, "f40", "77", "1.0", "7", None).expect("tags"),
            help: false,
            start_time: 1_795_478_399,
            warnings: vec!["a remark".into()],
        }
    }

    #[test]
    fn a_request_survives_the_way_over_the_hub() {
        let request = ArchRequest::new(Arch::canonical("aarch64").expect("an arch"), pinned_build());
        let document = koji_session::encode_call(CREATE_CONTAINER, &request.to_params());
        let call = koji_session::decode_call(document.as_bytes()).expect("a call");
        assert_eq!(ArchRequest::from_params(&call.params).expect("a request"), request);
        assert!(call.params[0].get("__method__").is_some_and(|m| m.as_str() == Some(CREATE_CONTAINER)));
    }

    #[test]
    fn a_request_of_another_version_is_refused_and_says_what_to_do() {
        let mut params = ArchRequest::new(Arch::host(), pinned_build()).to_params();
        if let Value::Struct(members) = &mut params[0] {
            members.push(("colour".into(), "blue".into()));
        }
        let error = ArchRequest::from_params(&params).expect_err("refused");
        assert!(error.0.to_string().contains("unknown field `colour`"), "{}", error.0);
        assert!(error.hint().is_some_and(|h| h.contains("same version")));
        assert!(ArchRequest::from_params(&[]).is_err());
    }
}
