//! The labels a build will set, known before it runs: the worker needs name, version and release to reserve the build.
//!
//! Walks the target's chain of stages, following ENV and ARG as the build will. RUN cannot change variables, so this is exact
//! as long as the base image's environment is known and no ONBUILD trigger of it sets labels.

use std::collections::BTreeMap;

use crate::plan::{Base, BuildPlan, PlannedStage};
use crate::{ExpandError, Instruction, InstructionKind, KeyValue, Variables, expand};

/// The labels set by LABEL in the target and the stages below it, expanded. `base_env` gives the environment of an image by
/// its reference in the plan. Labels of base images are not among them.
///
/// # Errors
/// The first word on the way that does not expand, with its line.
pub fn target_labels(
    plan: &BuildPlan,
    base_env: &dyn Fn(&str) -> BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ExpandError> {
    // From the target down to the stage that starts from an image.
    let mut chain: Vec<&PlannedStage> = Vec::new();
    let mut next = plan.target();
    while let Some(stage) = next {
        chain.push(stage);
        next = match stage.base {
            // A base stands before its user in the file, so this ends.
            Base::Stage(index) => plan.stage(index),
            _ => None,
        };
    }
    let mut variables = match chain.last().map(|s| &s.base) {
        Some(Base::Image(reference)) => Variables::from_env(base_env(reference)),
        _ => Variables::default(),
    };
    let mut labels = BTreeMap::new();
    let mut triggers: Vec<&Instruction> = Vec::new();
    for stage in chain.into_iter().rev() {
        let mut own_triggers = Vec::new();
        for instruction in std::mem::take(&mut triggers).into_iter().chain(&stage.instructions) {
            match &instruction.kind {
                InstructionKind::OnBuild(trigger) => own_triggers.push(trigger.instruction.as_ref()),
                InstructionKind::Env(pairs) => {
                    // The whole instruction sees the environment before it.
                    for (key, value) in expanded(plan, instruction, pairs, &variables)? {
                        variables.set_env(key, value);
                    }
                }
                InstructionKind::Label(pairs) => labels.extend(expanded(plan, instruction, pairs, &variables)?),
                InstructionKind::Arg(declarations) => {
                    for declaration in declarations {
                        let value = plan.arg_value(stage, declaration, &|name| variables.get(name))?;
                        if let Some(value) = value {
                            variables.set_arg(declaration.name.clone(), value);
                        }
                    }
                }
                _ => {}
            }
        }
        triggers = own_triggers;
    }
    Ok(labels)
}

fn expanded(
    plan: &BuildPlan,
    instruction: &Instruction,
    pairs: &[KeyValue],
    variables: &Variables,
) -> Result<Vec<(String, String)>, ExpandError> {
    let word = |text: &str| expand(text, plan.escape, &|name| variables.get(name)).map_err(|e| e.at(instruction.span));
    pairs.iter().map(|pair| Ok((word(&pair.key)?, word(&pair.value)?))).collect()
}

#[cfg(test)]
mod tests;
