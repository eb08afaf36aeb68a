//! The typed settings of a `container.yaml`.

use super::check::Findings;
use super::keys::TOP;
use super::problem::{ContainerYamlError, Remark};
use super::scalar::Scalar;
use super::yaml_tree::{self, Entry, Node, Value};
use crate::{Arch, ImageTag};

/// What a `container.yaml` asks for. The default is what a build without the file gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerYaml {
    /// Which of the build tag's architectures are built.
    pub platforms: Platforms,
    /// Floating tags instead of the default ones; an empty list means none.
    pub tags: Option<Vec<ImageTag>>,
    /// Longest the build may take, in seconds; never 0.
    pub buildtime_limit: Option<u64>,
    /// Environment variable that receives the release.
    pub set_release_env: Option<String>,
    /// Whether the repository's git submodules are part of the build context.
    pub submodules: bool,
    /// How the image wants to be rebuilt.
    pub autorebuild: Option<Autorebuild>,
    /// What the image wants of its content.
    pub compose: Option<Compose>,
    /// What the packager should know: keys that are ignored or change nothing.
    pub warnings: Vec<Remark>,
}

/// `platforms`: a restriction of the architectures.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Platforms {
    /// These alone; all when empty.
    pub only: Vec<Arch>,
    /// Not these.
    pub not: Vec<Arch>,
    /// When one of these fails, the others are imported without it.
    pub optional: Vec<Arch>,
}

/// `autorebuild`: kept for whoever rebuilds images; nothing does yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Autorebuild {
    /// Rebuild the newest commit of the branch.
    pub from_latest: bool,
    /// Add a time stamp to an explicit release.
    pub add_timestamp_to_release: bool,
    /// Isolated builds of the parent do not count.
    pub ignore_isolated_builds: bool,
}

/// `compose`: kept as remarks on the content; they narrow nothing today.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compose {
    /// RPM names; an empty list meant the whole build tag.
    pub packages: Option<Vec<String>>,
    /// Whether the parent's content was wanted too.
    pub inherit: bool,
    /// Name of a set of signing keys.
    pub signing_intent: Option<String>,
}

impl Platforms {
    /// The architectures of `offered` that are left, in their order.
    pub fn restrict(&self, offered: &[Arch]) -> Vec<Arch> {
        let left = |arch: &&Arch| (self.only.is_empty() || self.only.contains(arch)) && !self.not.contains(arch);
        offered.iter().filter(left).cloned().collect()
    }
}

impl ContainerYaml {
    /// A file larger than this is no settings file.
    pub const MAX_BYTES: usize = yaml_tree::MAX_BYTES;

    /// Reads the text of a `container.yaml`. `file` is its name for messages. An empty file asks for nothing.
    ///
    /// # Errors
    /// Every problem of the file with its line. Where the text is not YAML, that is the only one.
    pub fn parse(text: &str, file: &str) -> Result<Self, ContainerYamlError> {
        let failed = |problems| ContainerYamlError { file: file.to_owned(), problems };
        let Some(root) = yaml_tree::read(text).map_err(failed)? else { return Ok(Self::default()) };
        let entries = match &root.value {
            Value::Map(entries) => entries,
            Value::Scalar(Scalar::Null) => return Ok(Self::default()),
            _ => {
                let message = format!("the file must be a mapping of keys, not {}", root.type_name());
                return Err(failed(vec![Remark { line: root.line, message }]));
            }
        };
        let mut findings = Findings::default();
        findings.table(entries, TOP, "");
        if findings.problems.is_empty() { Ok(Self::of(entries, findings.warnings)) } else { Err(failed(findings.problems)) }
    }

    /// From entries that were checked: what is not there or null stays at its default.
    fn of(entries: &[Entry], warnings: Vec<Remark>) -> Self {
        let platforms = table(entries, "platforms").unwrap_or_default();
        Self {
            platforms: Platforms {
                only: arches(platforms, "only"),
                not: arches(platforms, "not"),
                optional: arches(platforms, "optional"),
            },
            // `filter_map` and `ok` drop nothing here: the check has seen every tag and arch.
            tags: texts(entries, "tags").map(|tags| tags.into_iter().filter_map(|t| ImageTag::new(t).ok()).collect()),
            buildtime_limit: whole(entries, "buildtime_limit").filter(|seconds| *seconds > 0),
            set_release_env: text(entries, "set_release_env"),
            submodules: flag(entries, "submodules"),
            autorebuild: table(entries, "autorebuild").map(|t| Autorebuild {
                from_latest: flag(t, "from_latest"),
                add_timestamp_to_release: flag(t, "add_timestamp_to_release"),
                ignore_isolated_builds: flag(t, "ignore_isolated_builds"),
            }),
            compose: table(entries, "compose").map(|t| Compose {
                packages: texts(t, "packages"),
                inherit: flag(t, "inherit"),
                signing_intent: text(t, "signing_intent"),
            }),
            warnings,
        }
    }
}

fn find<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Node> {
    entries.iter().find(|e| e.key == key).map(|e| &e.node)
}

fn table<'a>(entries: &'a [Entry], key: &str) -> Option<&'a [Entry]> {
    match &find(entries, key)?.value {
        Value::Map(inner) => Some(inner),
        _ => None,
    }
}

fn text(entries: &[Entry], key: &str) -> Option<String> {
    match &find(entries, key)?.value {
        Value::Scalar(Scalar::Text(text)) => Some(text.clone()),
        _ => None,
    }
}

fn flag(entries: &[Entry], key: &str) -> bool {
    find(entries, key).is_some_and(|node| node.value == Value::Scalar(Scalar::Flag(true)))
}

fn whole(entries: &[Entry], key: &str) -> Option<u64> {
    match &find(entries, key)?.value {
        Value::Scalar(scalar) => scalar.whole(),
        _ => None,
    }
}

/// A list of strings, or one string.
fn texts(entries: &[Entry], key: &str) -> Option<Vec<String>> {
    let text = |node: &Node| match &node.value {
        Value::Scalar(Scalar::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let node = find(entries, key)?;
    match &node.value {
        Value::List(items) => Some(items.iter().filter_map(text).collect()),
        _ => text(node).map(|one| vec![one]),
    }
}

fn arches(entries: &[Entry], key: &str) -> Vec<Arch> {
    texts(entries, key).unwrap_or_default().iter().filter_map(|name| Arch::canonical(name).ok()).collect()
}
