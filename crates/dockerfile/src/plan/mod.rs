//! From a [`Dockerfile`] to what is built: bases expanded, stages joined, those the target does not need left out.
//!
//! 1. `global_scope`: platform and global ARGs, with the build arguments over them.
//! 2. `references`: FROM, `COPY --from` and `RUN --mount=from=` to stages or images; every problem of the file is collected.
//! 3. `reach`: from the target backwards.

pub(crate) mod global_scope;
mod reach;
mod references;
mod settings;

use std::collections::BTreeMap;

use build_model::{Blame, Diagnose};

use crate::problem::did_you_mean;
use crate::{ArgDeclaration, Dockerfile, ExpandError, Instruction, Platform, Problem, Span, expand};
use references::Names;

/// What a plan depends on besides the file.
#[derive(Debug, Clone)]
pub struct PlanOptions {
    /// `--target`: a stage's name or number; the last stage where not given.
    pub target: Option<String>,
    /// `--build-arg`.
    pub build_args: BTreeMap<String, String>,
    /// What is built for, and on: they are the same here, builders do not emulate.
    pub platform: Platform,
}

/// The stages to build, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildPlan {
    /// The Dockerfile's name; for messages.
    pub file: String,
    /// The escape character for [`expand`].
    pub escape: char,
    /// Only those the target needs, in file order; the target is the last.
    pub stages: Vec<PlannedStage>,
    /// As given in the options.
    pub build_args: BTreeMap<String, String>,
    /// The file's warnings, and those of planning.
    pub warnings: Vec<Problem>,
    /// Stages the target does not need. An ONBUILD trigger of a base image may still ask for one.
    unneeded: Vec<PlannedStage>,
    names: Names,
}

/// A stage with its base known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedStage {
    /// Position in the file, from 0.
    pub index: usize,
    /// The name after AS.
    pub name: Option<String>,
    /// What it starts from.
    pub base: Base,
    /// `--platform`, expanded, in OCI spelling.
    pub platform: Option<String>,
    /// The FROM instruction.
    pub span: Span,
    /// In file order, unexpanded.
    pub instructions: Vec<Instruction>,
    /// What an `ARG NAME` without a default sees here: platform ARGs, global ARGs, build arguments.
    pub importable_args: BTreeMap<String, String>,
}

/// What a stage starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// Another stage, by its position in the file.
    Stage(usize),
    /// An image reference, expanded, not normalised.
    Image(String),
}

/// What a `--from` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromRef {
    /// A stage, by its position in the file.
    Stage(usize),
    /// An image reference.
    Image(String),
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// `--target` names no stage.
    #[error("{file} has no stage `{target}`")]
    NoTarget {
        /// The Dockerfile's name.
        file: String,
        /// The target asked for.
        target: String,
        /// The nearest stage name, if there is a near one.
        hint: Option<String>,
    },
    /// Stages do not fit together. Holds every problem found.
    #[error("{}", Problem::list(.problems, .file))]
    Stages {
        /// The Dockerfile's name.
        file: String,
        /// At least one.
        problems: Vec<Problem>,
    },
}

impl Diagnose for PlanError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        match self {
            PlanError::NoTarget { .. } => "dockerfile-target-missing",
            PlanError::Stages { .. } => "dockerfile-stages-invalid",
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            PlanError::NoTarget { hint, .. } => hint.clone(),
            PlanError::Stages { problems, .. } => problems.iter().find_map(|p| p.hint.clone()),
        }
    }
}

/// Plans the build of a target.
///
/// # Errors
/// An unknown target, or every stage that does not fit: an empty or unexpandable FROM, a platform that is none, a reference
/// to a stage that comes later. Stages the target does not need are held to the same rules.
pub fn plan(file: &Dockerfile, options: &PlanOptions) -> Result<BuildPlan, PlanError> {
    let mut problems = Vec::new();
    let names = Names::of(file);
    let target = match &options.target {
        None => file.stages.len().checked_sub(1),
        Some(target) => names.target(target),
    };
    let Some(target) = target else {
        let target = options.target.clone().unwrap_or_default();
        let named: Vec<&str> = file.stages.iter().filter_map(|s| s.name.as_deref()).collect();
        let hint = did_you_mean(&target, named.iter().copied())
            .or_else(|| (!named.is_empty()).then(|| format!("its stages are named {}", named.join(", "))));
        return Err(PlanError::NoTarget { file: file.file.clone(), target, hint });
    };
    settings::check(options, &mut problems);
    let scope = global_scope::evaluate(file, options, target, &mut problems);
    let mut stages = Vec::new();
    for stage in &file.stages {
        if let Some(stage) = references::plan_stage(file, stage, &names, &scope, &mut problems) {
            stages.push(stage);
        }
    }
    references::check_sources(file, &stages, &names, &mut problems);
    if !problems.is_empty() {
        problems.sort_by_key(|p| p.span);
        return Err(PlanError::Stages { file: file.file.clone(), problems });
    }
    let needed = reach::needed(&stages, &names, [target]);
    let (stages, unneeded): (Vec<_>, Vec<_>) = stages.into_iter().partition(|s| needed.contains(&s.index));
    let mut warnings = file.warnings.clone();
    warnings.extend(global_scope::unused_build_args(file, &stages, options));
    Ok(BuildPlan {
        file: file.file.clone(),
        escape: file.escape,
        stages,
        build_args: options.build_args.clone(),
        warnings,
        unneeded,
        names,
    })
}

impl BuildPlan {
    /// The stage that becomes the image.
    pub fn target(&self) -> Option<&PlannedStage> {
        self.stages.last()
    }

    /// A planned stage by its position in the file.
    pub fn stage(&self, index: usize) -> Option<&PlannedStage> {
        self.stages.iter().find(|s| s.index == index)
    }

    /// The images the build reads: FROM, `COPY --from`, mounts; in order, without duplicates.
    pub fn image_references(&self) -> Vec<(String, Span)> {
        let mut found: Vec<(String, Span)> = Vec::new();
        let mut add = |image: String, span: Span| {
            if !found.iter().any(|(known, _)| *known == image) {
                found.push((image, span));
            }
        };
        for stage in &self.stages {
            if let Base::Image(image) = &stage.base {
                add(image.clone(), stage.span);
            }
            for instruction in reach::run_here(stage, &self.stages) {
                for (from, span) in references::sources_of(instruction) {
                    if let Ok(FromRef::Image(image)) = self.names.resolve(stage.index, from) {
                        add(image, span);
                    }
                }
            }
        }
        found
    }

    /// What `--from` means inside a stage: an earlier stage by name (the nearest one before it) or number, else an image.
    pub fn resolve_from(&self, stage: usize, from: &str) -> FromRef {
        match self.names.resolve(stage, from) {
            Ok(reference) => reference,
            // `plan` refused these; an ONBUILD trigger of a base image can still hold one, and there is no such image.
            Err(_) => FromRef::Image(from.to_owned()),
        }
    }

    /// Adds a stage, and what it needs, that only an ONBUILD trigger of a base image asks for. True when the plan changed.
    /// Only stages above the target can be added.
    pub fn need(&mut self, index: usize) -> bool {
        if self.target().is_none_or(|target| target.index <= index) {
            return false;
        }
        let all: Vec<PlannedStage> = self.stages.iter().chain(&self.unneeded).cloned().collect();
        let needed = reach::needed(&all, &self.names, [index]);
        let (now, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.unneeded).into_iter().partition(|s| needed.contains(&s.index));
        self.unneeded = later;
        let changed = !now.is_empty();
        self.stages.extend(now);
        self.stages.sort_by_key(|s| s.index);
        changed
    }

    /// The value of one ARG inside a stage: build argument, else its own default, else the global value, else none.
    /// `lookup` sees the stage's variables before the instruction.
    ///
    /// # Errors
    /// When the default does not expand.
    pub fn arg_value(
        &self,
        stage: &PlannedStage,
        declaration: &ArgDeclaration,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<String>, ExpandError> {
        if let Some(value) = self.build_args.get(&declaration.name) {
            return Ok(Some(value.clone()));
        }
        match &declaration.default {
            Some(word) => expand(word, self.escape, lookup).map(Some).map_err(|e| e.at(declaration.span)),
            None => Ok(stage.importable_args.get(&declaration.name).cloned()),
        }
    }

    /// Proxy settings among the build arguments: every RUN gets them without an ARG, and no layer or history shows them.
    pub fn proxy_args(&self) -> BTreeMap<String, String> {
        self.build_args.iter().filter(|(name, _)| global_scope::is_proxy(name)).map(|(k, v)| (k.clone(), v.clone())).collect()
    }
}

#[cfg(test)]
mod tests;
