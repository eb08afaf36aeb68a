//! From the first stage to the target: numbering, progress, cancellation, and errors with their place.

use std::time::Instant;

use dockerfile::{Base, Instruction, InstructionKind, PlannedStage, Span};

use super::{Builder, Made};
use crate::copy::CopyError;
use crate::error::{BuildError, StepError, StepPlace};
use crate::progress::{ProgressEvent, StepInfo};
use crate::stage::{HistoryLine, StageState, apply};

impl Builder<'_> {
    /// Builds every stage of the plan; returns the target's state.
    pub(super) fn walk(&mut self) -> Result<StageState, BuildError> {
        self.grow_plan()?;
        let stages = self.plan.stages.clone();
        let total = stages.iter().map(|s| 1 + s.instructions.len()).sum();
        let mut number = 0;
        let mut last = None;
        for stage in &stages {
            let state = self.stage(stage, &mut number, total)?;
            self.stages.insert(stage.index, state.clone());
            last = Some(state);
        }
        last.ok_or(BuildError::NoStage)
    }

    /// Base images are fetched first: their triggers may need stages that nothing else does.
    fn grow_plan(&mut self) -> Result<(), BuildError> {
        let begun = Instant::now();
        loop {
            let mut grown = false;
            for stage in self.plan.stages.clone() {
                self.check_cancelled()?;
                grown |= self.plan_for_triggers(&stage).map_err(|cause| self.failed(from_text(&stage), stage.span, cause))?;
            }
            if !grown {
                self.spent("base", begun.elapsed().as_secs_f64());
                return Ok(());
            }
        }
    }

    fn stage(&mut self, stage: &PlannedStage, number: &mut usize, total: usize) -> Result<StageState, BuildError> {
        let info = |number: usize, span: Span, text: &str| StepInfo {
            stage: stage.index,
            stage_name: stage.name.clone(),
            number,
            total,
            span,
            text: text.to_owned(),
        };
        *number += 1;
        let text = from_text(stage);
        let step = info(*number, stage.span, &text);
        let (mut state, triggers) = self.timed(&step, "base", |builder| {
            let mut state = builder.begin(stage)?;
            let triggers = builder.take_triggers(&mut state, stage)?;
            Ok(((state, triggers), false))
        })?;
        let walked = self.steps(&mut state, stage, &triggers, number, &info);
        if let Err(error) = walked {
            self.unfinished = Some(state);
            return Err(error);
        }
        Ok(state)
    }

    fn steps(
        &mut self,
        state: &mut StageState,
        stage: &PlannedStage,
        triggers: &[Instruction],
        number: &mut usize,
        info: &dyn Fn(usize, Span, &str) -> StepInfo,
    ) -> Result<(), BuildError> {
        for trigger in triggers {
            self.step(state, stage, trigger, &info(*number, trigger.span, &trigger.source))?;
        }
        for instruction in &stage.instructions {
            *number += 1;
            self.step(state, stage, instruction, &info(*number, instruction.span, &instruction.source))?;
        }
        Ok(())
    }

    fn step(
        &mut self,
        state: &mut StageState,
        stage: &PlannedStage,
        instruction: &Instruction,
        step: &StepInfo,
    ) -> Result<(), BuildError> {
        let phase = match &instruction.kind {
            InstructionKind::Run(_) => "run",
            InstructionKind::Copy(_) | InstructionKind::Add(_) => "copy",
            _ => "config",
        };
        let made = self.timed(step, phase, |builder| {
            let made = builder.instruction(state, stage, instruction, step)?;
            Ok((made, made.cached))
        })?;
        state.history.push(HistoryLine { text: instruction.source.clone(), layer: made.layer });
        Ok(())
    }

    fn instruction(
        &mut self,
        state: &mut StageState,
        stage: &PlannedStage,
        instruction: &Instruction,
        step: &StepInfo,
    ) -> Result<Made, StepError> {
        match &instruction.kind {
            InstructionKind::Run(run) => self.run(state, run, step),
            InstructionKind::Copy(copy) => self.copy(state, copy, None, step),
            InstructionKind::Add(add) => self.copy(state, &add.copy, Some(add), step),
            InstructionKind::Workdir(path) => self.workdir(state, path, step),
            kind => {
                apply(state, kind, &self.plan, stage)?;
                Ok(Made { layer: None, cached: false })
            }
        }
    }

    /// Runs one step with progress around it, and gives its error a place.
    fn timed<T>(
        &mut self,
        step: &StepInfo,
        phase: &'static str,
        work: impl FnOnce(&mut Self) -> Result<(T, bool), StepError>,
    ) -> Result<T, BuildError> {
        self.check_cancelled()?;
        let begun = Instant::now();
        self.request.progress.event(ProgressEvent::StepStarted { step: step.clone() });
        let (result, cached) = work(self).map_err(|cause| self.failed(step.text.clone(), step.span, cause))?;
        let seconds = begun.elapsed().as_secs_f64();
        self.spent(phase, seconds);
        self.request.progress.event(ProgressEvent::StepFinished { step: step.clone(), seconds, cached });
        Ok(result)
    }

    fn check_cancelled(&self) -> Result<(), BuildError> {
        if self.request.cancel.is_cancelled() { Err(BuildError::Cancelled) } else { Ok(()) }
    }

    fn failed(&self, text: String, span: Span, cause: StepError) -> BuildError {
        match cause {
            StepError::Cancelled | StepError::Copy(CopyError::Cancelled) => BuildError::Cancelled,
            cause => BuildError::Step { place: self.place(text, span), cause: Box::new(cause) },
        }
    }

    pub(super) fn place(&self, text: String, span: Span) -> StepPlace {
        StepPlace { file: self.request.dockerfile_name.to_owned(), span, text }
    }
}

fn from_text(stage: &PlannedStage) -> String {
    let base = match &stage.base {
        Base::Scratch => "scratch".to_owned(),
        Base::Stage(index) => format!("stage {index}"),
        Base::Image(reference) => reference.clone(),
    };
    match &stage.name {
        Some(name) => format!("FROM {base} AS {name}"),
        None => format!("FROM {base}"),
    }
}
