//! What a `createContainer` task returns for one architecture: where its image is, what is in it, which files of its
//! output belong to the Koji build. The coordinating task reads it from the hub and makes index and import of it.

use build_model::{Arch, Blame, Diagnose, TaskId};
use content_generator::{ArchOutput, BuildrootHost, DockerInfo, LogFile, OutputFile, RpmComponent, Tool};
use koji_session::Value;
use registry::IndexMember;
use serde::{Deserialize, Serialize};

/// The image of one architecture, pushed and proven.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArchResult {
    /// The architecture.
    pub arch: Arch,
    /// Pull specifications, by digest first.
    pub repositories: Vec<String>,
    /// Its manifest, as the index will name it.
    pub member: IndexMember,
    /// The machine it was built on.
    pub host: BuildrootHost,
    /// Programs that took part.
    pub tools: Vec<Tool>,
    /// What Koji records of the image.
    pub docker: DockerInfo,
    /// RPMs inside the image.
    pub components: Vec<RpmComponent>,
    /// The uploaded image archive; none for scratch builds.
    pub archive: Option<OutputFile>,
    /// Logs and reports in the output of the task.
    pub logs: Vec<LogFile>,
    /// Remarks for the packager.
    pub warnings: Vec<String>,
}

/// A subtask answered something else.
#[derive(Debug, thiserror::Error)]
#[error("the result of task {task} ({arch}) is not understood")]
pub struct BadArchResult {
    task: TaskId,
    arch: Arch,
    source: serde_json::Error,
}

impl Diagnose for BadArchResult {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        "arch-result"
    }
    fn hint(&self) -> Option<String> {
        Some("all builders of a channel must run the same version of containerbuild; update them and submit again".into())
    }
}

impl ArchResult {
    /// Reads the result of a subtask.
    ///
    /// # Errors
    /// [`BadArchResult`], naming what does not fit.
    pub fn from_value(task: TaskId, arch: &Arch, value: &Value) -> Result<Self, BadArchResult> {
        serde_json::from_value(value.to_json()).map_err(|source| BadArchResult { task, arch: arch.clone(), source })
    }

    /// Its part of the import; `None` for scratch builds.
    pub fn output(&self) -> Option<ArchOutput> {
        Some(ArchOutput {
            arch: self.arch.clone(),
            host: self.host.clone(),
            tools: self.tools.clone(),
            host_components: Vec::new(),
            archive: self.archive.clone()?,
            docker: self.docker.clone(),
            components: self.components.clone(),
        })
    }
}

#[cfg(test)]
pub(in crate::task) mod tests {
    use std::collections::BTreeMap;

    use build_model::Digest;
    use content_generator::{Checksum, LayerSize};

    use super::*;

    /// The result of an architecture with these RPMs, for the tests of this module's users.
    pub(in crate::task) fn arch_result(arch: &str, rpms: &[&str]) -> ArchResult {
        let arch = Arch::canonical(arch).expect("an arch");
        let digest = Digest::from_sha256(&[7; 32]);
        let media_type = "application/vnd.docker.distribution.manifest.v2+json";
        let file = |name: String| OutputFile {
            name,
            dir: Some("tasks/9/10009".into()),
            size: 5_000_000_000,
            checksum: Checksum::Sha256("a".repeat(64)),
        };
        let component = |nvra: &&str| RpmComponent {
            nvra: nvra.parse().expect("an nvra"),
            epoch: None,
            sigmd5: Some("b".repeat(32)),
            sha256header: None,
            signature: None,
        };
        ArchResult {
            repositories: vec![format!("registry.example.org/f40/web@{digest}")],
            member: IndexMember { arch: arch.clone(), media_type: media_type.into(), digest: digest.clone(), size: 7 },
            host: BuildrootHost { os: "Linux".into(), arch: arch.clone() },
            tools: vec![Tool { name: "containerbuild".into(), version: "1".into() }],
            docker: DockerInfo {
                id: digest.clone(),
                parent_id: None,
                layer_sizes: vec![LayerSize::Compressed { digest: digest.clone(), size: 3 }],
                repositories: Vec::new(),
                tags: Vec::new(),
                digests: BTreeMap::from([(media_type.to_owned(), digest)]),
                config: serde_json::json!({"config": {"Env": ["A=1"], "Labels": null}}),
            },
            components: rpms.iter().map(component).collect(),
            archive: Some(file(format!("docker-image-0.{arch}.tar.gz"))),
            logs: vec![LogFile { file: file(format!("{arch}.log")), arch: Some(arch.clone()) }],
            warnings: Vec::new(),
            arch,
        }
    }

    #[test]
    fn a_result_survives_the_way_over_the_hub() {
        let result = arch_result("aarch64", &["bash-5.2-1.aarch64", "tzdata-2024a-1.noarch"]);
        let document = koji_session::encode_response(&Value::from_json(&serde_json::json!(result)));
        let value = koji_session::decode_response(document.as_bytes()).expect("XML").expect("a value");
        assert_eq!(ArchResult::from_value(TaskId(9), &result.arch, &value).expect("a result"), result);
        assert_eq!(result.output().map(|o| o.components.len()), Some(2));
    }

    #[test]
    fn another_result_names_task_and_arch() {
        let error = ArchResult::from_value(TaskId(9), &Arch::host(), &Value::Nil).expect_err("not a result");
        assert!(error.to_string().contains("task 9"), "{error}");
    }
}
