//! Which stages a target needs: its base, the stages it copies or mounts from, and so on backwards.

use std::collections::BTreeSet;

use super::references::{Names, sources_of};
use super::{Base, FromRef, PlannedStage};
use crate::{Instruction, InstructionKind};

/// The positions of the stages that `targets` need, themselves included.
pub(super) fn needed(stages: &[PlannedStage], names: &Names, targets: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
    let mut needed = BTreeSet::new();
    let mut open: Vec<usize> = targets.into_iter().collect();
    while let Some(index) = open.pop() {
        let Some(stage) = stages.iter().find(|s| s.index == index) else { continue };
        if !needed.insert(index) {
            continue;
        }
        if let Base::Stage(base) = stage.base {
            open.push(base);
        }
        for instruction in run_here(stage, stages) {
            for (from, _) in sources_of(instruction) {
                if let Ok(FromRef::Stage(source)) = names.resolve(index, from) {
                    open.push(source);
                }
            }
        }
    }
    needed
}

/// What runs in a stage: the triggers of the stage it starts from, then its own instructions without its ONBUILDs.
pub(super) fn run_here<'a>(stage: &'a PlannedStage, stages: &'a [PlannedStage]) -> impl Iterator<Item = &'a Instruction> {
    let own = stage.instructions.iter().filter(|i| !matches!(i.kind, InstructionKind::OnBuild(_)));
    inherited_triggers(stage, stages).into_iter().chain(own)
}

/// The ONBUILD instructions of the stage this one starts from.
pub(super) fn inherited_triggers<'a>(stage: &PlannedStage, stages: &'a [PlannedStage]) -> Vec<&'a Instruction> {
    let Base::Stage(base) = stage.base else { return Vec::new() };
    let Some(base) = stages.iter().find(|s| s.index == base) else { return Vec::new() };
    base.instructions.iter().filter(|i| matches!(i.kind, InstructionKind::OnBuild(_))).collect()
}
