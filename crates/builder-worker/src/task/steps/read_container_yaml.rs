//! After the checkout: `container.yaml` and the files beside it (docs/CONTAINER-YAML.md). What they say is known before
//! anything is pulled, reserved or built; `build_model::ContainerYaml` reads the text, this file the checkout.

use std::path::Path;

use build_model::{AdditionalTags, Arch, Blame, BoxedDiagnose, ContainerYaml, Diagnose, ImageTag};
use dockerfile::{Base, BuildPlan, Instruction, InstructionKind, KeyValue};

use super::commit_file::text_of;
use crate::task::run::TaskContext;

const CONTAINER_YAML: &str = "container.yaml";
const ADDITIONAL_TAGS: &str = "additional-tags";
/// Files of the earlier service that have no meaning here, and why.
const NOT_USED: [(&str, &str); 2] = [
    ("content_sets.yml", "content comes from the Koji tags of the target"),
    (".osbs-repo-config", "nothing rebuilds this image by itself yet"),
];
/// Files that made the earlier service bring in what is no RPM. A Dockerfile beside one counts on what it names.
const FETCHED: [&str; 3] = ["fetch-artifacts-koji.yaml", "fetch-artifacts-pnc.yaml", "fetch-artifacts-url.yaml"];
/// Either file is shorter, or something else.
const MAX_BYTES: u64 = ContainerYaml::MAX_BYTES as u64;

/// What the repository says about the build besides its Dockerfile.
#[derive(Debug)]
pub struct RepositorySettings {
    /// Architectures to build: those of the target that `platforms` leaves. At least one.
    pub arches: Vec<Arch>,
    /// Remarks for the packager, each with file and line.
    pub warnings: Vec<String>,
    yaml: ContainerYaml,
    additional: Vec<ImageTag>,
}

/// Why the files beside the Dockerfile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RepositorySettingsError {
    /// It would bring in what is no RPM.
    #[error("{name} is not supported: an image holds only RPMs of this Koji")]
    Fetched {
        /// The file.
        name: &'static str,
    },
    /// `platforms` excludes every arch.
    #[error("container.yaml: `platforms` leaves no arch to build: the target has {offered}, `only` is {only}, `not` is {not}")]
    NoArchLeft {
        /// Arches of the target.
        offered: String,
        /// As in the file.
        only: String,
        /// As in the file.
        not: String,
    },
}

impl Diagnose for RepositorySettingsError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        match self {
            RepositorySettingsError::NoArchLeft { .. } => "no-arch-left",
            RepositorySettingsError::Fetched { .. } => "repository-file",
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            RepositorySettingsError::NoArchLeft { .. } => {
                Some("correct `platforms`, or build for a target that has one of these arches".into())
            }
            RepositorySettingsError::Fetched { .. } => {
                Some("package what the file names as an RPM, or put it into the site's lookaside cache (`sources`)".into())
            }
        }
    }
}

/// Reads the files at the top of the checkout. Warnings go to `build.log` here and to the task's result at its end.
///
/// # Errors
/// Every problem of `container.yaml` at once, [`RepositorySettingsError`] or [`super::CommitFileError`] otherwise.
pub fn read_container_yaml(
    context: &TaskContext<'_>,
    root: &Path,
    offered: &[Arch],
) -> Result<RepositorySettings, BoxedDiagnose> {
    let settings = read(root, offered, context.settings.worker.max_task_seconds)?;
    for warning in &settings.warnings {
        context.log.step(&format!("warning: {warning}"));
    }
    if settings.arches != offered {
        context.log.step(&format!("container.yaml: platforms leave {} of {}", list(&settings.arches), list(offered)));
    }
    Ok(settings)
}

fn read(root: &Path, offered: &[Arch], site_seconds: u64) -> Result<RepositorySettings, BoxedDiagnose> {
    let mut warnings = Vec::new();
    // An empty one fetches nothing.
    let says_something = |name: &&&str| root.join(name).symlink_metadata().is_ok_and(|meta| meta.len() > 0);
    if let Some(name) = FETCHED.iter().find(says_something) {
        return Err(RepositorySettingsError::Fetched { name }.into());
    }
    let yaml = match text_of(root, CONTAINER_YAML, MAX_BYTES)? {
        Some(text) => ContainerYaml::parse(&text, CONTAINER_YAML)?,
        None => ContainerYaml::default(),
    };
    warnings.extend(yaml.warnings.iter().map(|w| format!("{CONTAINER_YAML}:{}: {}", w.line, w.message)));
    if let Some(seconds) = yaml.buildtime_limit.filter(|seconds| *seconds > site_seconds) {
        let message = format!("`buildtime_limit` of {seconds} s is more than the site allows; tasks end after {site_seconds} s");
        warnings.push(format!("{CONTAINER_YAML}: {message}"));
    }
    let arches = yaml.platforms.restrict(offered);
    if arches.is_empty() {
        let error = RepositorySettingsError::NoArchLeft {
            offered: list(offered),
            only: list(&yaml.platforms.only),
            not: list(&yaml.platforms.not),
        };
        return Err(error.into());
    }
    let additional = match text_of(root, ADDITIONAL_TAGS, MAX_BYTES)? {
        Some(_) if yaml.tags.is_some() => {
            warnings.push(format!("{ADDITIONAL_TAGS} is not read: container.yaml has `tags`"));
            Vec::new()
        }
        Some(text) => {
            let found = AdditionalTags::parse(&text);
            warnings.extend(found.warnings.iter().map(|w| format!("{ADDITIONAL_TAGS}:{}: {}", w.line, w.message)));
            found.tags
        }
        None => Vec::new(),
    };
    for (name, reason) in NOT_USED {
        if root.join(name).symlink_metadata().is_ok() {
            warnings.push(format!("{name} is not used: {reason}"));
        }
    }
    Ok(RepositorySettings { arches, warnings, yaml, additional })
}

fn list(arches: &[Arch]) -> String {
    match arches {
        [] => "empty".to_owned(),
        _ => arches.iter().map(Arch::as_str).collect::<Vec<_>>().join(" "),
    }
}

impl RepositorySettings {
    /// Seconds the build may take, where the repository asks for a limit.
    pub fn buildtime_limit(&self) -> Option<u64> {
        self.yaml.buildtime_limit
    }

    /// Whether the repository's submodules are wanted.
    pub fn wants_submodules(&self) -> bool {
        self.yaml.submodules
    }

    /// Whether the repository does without an architecture that fails.
    pub fn is_optional(&self, arch: &Arch) -> bool {
        self.yaml.platforms.optional.contains(arch)
    }

    /// The floating tags, where they are not the default ones: those of container.yaml alone, or the default ones with
    /// those of `additional-tags`.
    pub fn floating_tags(&self, version: &str) -> Option<Vec<String>> {
        if let Some(tags) = &self.yaml.tags {
            return Some(tags.iter().map(ToString::to_string).collect());
        }
        if self.additional.is_empty() {
            return None;
        }
        let mut tags = vec!["latest".to_owned(), version.to_owned()];
        for tag in &self.additional {
            if !tags.iter().any(|t| t == tag.as_str()) {
                tags.push(tag.to_string());
            }
        }
        Some(tags)
    }

    /// `set_release_env`: an ENV at the top of every stage that does not start from another one, as the earlier service
    /// put it there. RUN steps see it, and an ENV of the Dockerfile wins.
    pub fn set_release_env(&self, plan: &mut BuildPlan, release: &str) {
        let Some(name) = &self.yaml.set_release_env else { return };
        for stage in plan.stages.iter_mut().filter(|s| !matches!(s.base, Base::Stage(_))) {
            let pair = KeyValue { key: name.clone(), value: release.to_owned() };
            let source = format!("ENV {name}={release}");
            stage.instructions.insert(0, Instruction { span: stage.span, source, kind: InstructionKind::Env(vec![pair]) });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn checkout(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("tempdir");
        for (name, bytes) in files {
            std::fs::write(dir.path().join(name), bytes).expect("written");
        }
        dir
    }

    fn arches(names: &[&str]) -> Vec<Arch> {
        names.iter().map(|name| Arch::canonical(name).expect("an arch")).collect()
    }

    fn settings(files: &[(&str, &[u8])]) -> RepositorySettings {
        read(checkout(files).path(), &arches(&["x86_64", "aarch64"]), 600).expect("settings")
    }

    fn refusal(files: &[(&str, &[u8])]) -> String {
        read(checkout(files).path(), &arches(&["x86_64", "aarch64"]), 600).expect_err("must be refused").to_string()
    }

    #[test]
    fn a_repository_without_these_files_changes_nothing() {
        let found = settings(&[("Dockerfile", b"FROM x\n")]);
        assert_eq!((found.arches, found.warnings), (arches(&["x86_64", "aarch64"]), Vec::new()));
    }

    #[test]
    fn platforms_restrict_the_arches_and_must_leave_one() {
        assert_eq!(settings(&[(CONTAINER_YAML, b"platforms: {only: x86_64}")]).arches, arches(&["x86_64"]));
        let message = refusal(&[(CONTAINER_YAML, b"platforms:\n  only: [s390x]\n")]);
        assert!(
            message.contains("leaves no arch") && message.contains("x86_64 aarch64, `only` is s390x, `not` is empty"),
            "{message}"
        );
    }

    #[test]
    fn all_problems_of_the_file_reach_the_packager() {
        let message = refusal(&[(CONTAINER_YAML, b"tgas: [a]\nremote_source: {repo: x}\n")]);
        assert!(message.contains("container.yaml:1: unknown key `tgas`; did you mean `tags`?"), "{message}");
        assert!(message.contains("container.yaml:2: `remote_source` is not supported"), "{message}");
    }

    #[test]
    fn declared_tags_replace_the_default_ones_and_additional_tags_join_them() {
        assert_eq!(settings(&[]).floating_tags("1.2"), None);
        assert_eq!(settings(&[(CONTAINER_YAML, b"tags: []")]).floating_tags("1.2"), Some(Vec::new()));
        let joined = settings(&[(ADDITIONAL_TAGS, b"stable\nlatest\nv-1\n")]);
        assert_eq!(joined.floating_tags("1.2").unwrap_or_default(), ["latest", "1.2", "stable"]);
        assert!(joined.warnings[0].starts_with("additional-tags:3: `v-1` is skipped"));
        let both = settings(&[(CONTAINER_YAML, b"tags: [next]"), (ADDITIONAL_TAGS, b"stable\n")]);
        assert_eq!(both.floating_tags("1.2").unwrap_or_default(), ["next"]);
        assert!(both.warnings[0].contains("not read"));
    }

    #[test]
    fn what_is_not_used_is_told() {
        let found = settings(&[
            (CONTAINER_YAML, b"compose: {inherit: true}\nbuildtime_limit: 601\n"),
            ("content_sets.yml", b"x86_64: [a-rpms]\n"),
        ]);
        assert_eq!(found.buildtime_limit(), Some(601));
        assert!(found.warnings[0].starts_with("container.yaml:1: `compose.inherit` changes nothing"), "{:?}", found.warnings);
        assert!(found.warnings[1].contains("more than the site allows") && found.warnings[1].contains("600 s"));
        assert!(found.warnings[2].starts_with("content_sets.yml is not used"));
        assert_eq!(found.warnings.len(), 3);
    }

    #[test]
    fn files_that_would_bring_in_more_than_rpms_are_refused_by_name() {
        for name in FETCHED {
            let message = refusal(&[(name, b"- nvr: a-1-1\n")]);
            assert!(message.starts_with(name) && message.contains("only RPMs"), "{message}");
            assert_eq!(settings(&[(name, b"")]).warnings, Vec::<String>::new(), "an empty one fetches nothing");
        }
        let old = settings(&[(".osbs-repo-config", b"[autorebuild]\nenabled=true\n")]);
        assert!(old.warnings[0].starts_with(".osbs-repo-config is not used"), "{:?}", old.warnings);
    }

    #[test]
    fn only_a_text_file_of_the_checkout_is_read() {
        let dir = checkout(&[("real.yaml", b"platforms: {only: aarch64}")]);
        std::os::unix::fs::symlink("real.yaml", dir.path().join(CONTAINER_YAML)).expect("link");
        assert_eq!(read(dir.path(), &arches(&["x86_64", "aarch64"]), 600).expect("read").arches, arches(&["aarch64"]));
        assert_eq!(refusal(&[(CONTAINER_YAML, b"tags: []\n\xff\n")]), "container.yaml:2: the file is not UTF-8 text");
        assert_eq!(refusal(&[(CONTAINER_YAML, &[b' '; 2 << 20])]), "container.yaml is larger than 128 KiB");
    }

    #[test]
    fn the_release_is_an_env_of_every_stage_that_starts_from_an_image() {
        let text = b"FROM a AS one\nRUN x\nFROM one AS two\nRUN y\nFROM scratch\nCOPY --from=two / /\nENV REL=mine\n";
        let file = dockerfile::parse(text, "Dockerfile").expect("parsed");
        let platform = crate::build_context::platform(&Arch::host());
        let options = dockerfile::PlanOptions { target: None, build_args: BTreeMap::new(), platform };
        let mut plan = dockerfile::plan(&file, &options).expect("planned");
        settings(&[(CONTAINER_YAML, b"set_release_env: REL")]).set_release_env(&mut plan, "7.fc40");
        let first = |index: usize| plan.stages[index].instructions[0].source.as_str();
        assert_eq!((first(0), first(1), first(2)), ("ENV REL=7.fc40", "RUN y", "ENV REL=7.fc40"));
        let last = plan.stages[2].instructions.last().map(|i| i.source.as_str());
        assert_eq!(last, Some("ENV REL=mine"), "the Dockerfile's own ENV comes later");
    }
}
