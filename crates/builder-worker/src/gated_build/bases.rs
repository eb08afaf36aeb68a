//! The base images whose RUN steps use a package manager: what the gate's definitions and caches are laid over.

use std::collections::{BTreeMap, BTreeSet};

use build_model::{BoxedDiagnose, Digest};
use dockerfile::{Base, BuildPlan, InstructionKind, PlannedStage, RunScript};
use image_layers::{LocalImage, MergedView, Store, UnpackLimits};

use crate::pinned_images::PinnedImages;

/// A base image of at least one stage with a RUN.
pub(super) struct BaseOfRuns {
    /// As the Dockerfile names it.
    pub reference: String,
    pub image: LocalImage,
    /// Of its top layer.
    pub chain: Digest,
    pub view: MergedView,
    /// The package managers that its RUN steps name and that it has.
    pub tools: BTreeSet<&'static str>,
}

/// Package managers by the word a RUN names them with, and where they are.
const TOOLS: [(&str, &str); 5] = [
    ("dnf", "/usr/bin/dnf"),
    ("dnf-3", "/usr/bin/dnf-3"),
    ("dnf5", "/usr/bin/dnf5"),
    ("microdnf", "/usr/bin/microdnf"),
    ("yum", "/usr/bin/yum"),
];

/// The base images of a plan's stages that run commands; unpacks them.
pub(super) fn bases_of_runs(plan: &BuildPlan, images: &PinnedImages, store: &Store) -> Result<Vec<BaseOfRuns>, BoxedDiagnose> {
    let mut named: BTreeMap<&str, BTreeSet<&'static str>> = BTreeMap::new();
    for stage in &plan.stages {
        let Some(reference) = reference_of(plan, stage) else { continue };
        for instruction in &stage.instructions {
            if let InstructionKind::Run(run) = &instruction.kind {
                named.entry(reference).or_default().extend(tools_named(&run.script()));
            }
        }
    }
    let mut bases = Vec::new();
    for (reference, tools) in named {
        // Not among them is a reference the engine will complain about, with its place.
        let Some(image) = images.0.get(reference) else { continue };
        let layers = store.unpack_image(image, &UnpackLimits::default())?;
        let Some(chain) = layers.last().map(|l| l.chain_id.clone()) else { continue };
        let view = MergedView::new(layers.into_iter().rev().map(|l| l.dir).collect());
        let there = |tool: &&str| TOOLS.iter().any(|(word, path)| word == tool && view.lookup(path).is_some());
        let tools = tools.into_iter().filter(there).collect();
        bases.push(BaseOfRuns { reference: reference.to_owned(), image: image.clone(), chain, view, tools });
    }
    Ok(bases)
}

/// The image at the bottom of a stage.
fn reference_of<'a>(plan: &'a BuildPlan, mut stage: &'a PlannedStage) -> Option<&'a str> {
    loop {
        match &stage.base {
            Base::Image(reference) => return Some(reference),
            Base::Scratch => return None,
            Base::Stage(index) => stage = plan.stage(*index)?,
        }
    }
}

/// Words of a command that name a package manager. A script that calls one is not looked into: its first use of it
/// makes the caches for itself.
fn tools_named(script: &RunScript) -> BTreeSet<&'static str> {
    let text = match script {
        RunScript::Shell(text) | RunScript::File { body: text, .. } => text.clone(),
        RunScript::Exec(args) => args.join(" "),
    };
    let words: BTreeSet<&str> =
        text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/'))).map(last_part).collect();
    TOOLS.iter().map(|(word, _)| *word).filter(|word| words.contains(word)).collect()
}

fn last_part(word: &str) -> &str {
    word.rsplit_once('/').map_or(word, |(_, last)| last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_managers_are_found_as_words_only() {
        let named = |text: &str| tools_named(&RunScript::Shell(text.into())).into_iter().collect::<Vec<_>>();
        assert_eq!(named("set -e; dnf -y install x && dnf clean all"), ["dnf"]);
        assert_eq!(named("/usr/bin/microdnf install x || yum install x"), ["microdnf", "yum"]);
        assert_eq!(named("echo dnf.conf-like mydnf rm -rf /var/cache/dnf5x"), ["dnf"]);
        assert!(named("rm -rf /opt/mydnf; cat install-dnf.sh").is_empty());
        assert_eq!(
            tools_named(&RunScript::Exec(vec!["dnf5".into(), "install".into()])).into_iter().collect::<Vec<_>>(),
            ["dnf5"]
        );
    }
}
