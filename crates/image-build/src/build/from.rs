//! FROM: the image, stage or nothing that a stage begins with, and the ONBUILD triggers it brings (engine: S5–S8).

use dockerfile::{Base, FromRef, Instruction, InstructionKind, PlannedStage, Platform, parse_instruction};
use image_layers::UnpackLimits;

use super::Builder;
use crate::error::{Foreign, StepError};
use crate::layers::CacheKey;
use crate::stage::{BaseImage, StageState};

impl Builder<'_> {
    /// The state a stage begins with. Its triggers are still in the config.
    pub(super) fn begin(&mut self, stage: &PlannedStage) -> Result<StageState, StepError> {
        let shape = format!("{:?} {} {}", self.request.compression, self.request.source_date_epoch, self.request.arch);
        let key = |chain: Option<&str>| CacheKey::base(chain, self.request.cache_salt, &shape);
        match &stage.base {
            Base::Scratch => Ok(StageState::scratch(stage.index, key(None))),
            Base::Stage(index) => {
                let below = self.stages.get(index).ok_or(StepError::StageNotBuilt { index: *index })?;
                Ok(below.child(stage.index))
            }
            Base::Image(reference) => {
                let base = self.image(reference, stage.platform.as_deref())?;
                let key = CacheKey::base(base.chain.as_ref().map(|c| c.as_str()), self.request.cache_salt, &shape);
                Ok(StageState::on_image(stage.index, base, key))
            }
        }
    }

    /// An image with its layers unpacked. Asked for once for each reference.
    pub(crate) fn image(&mut self, reference: &str, platform: Option<&str>) -> Result<BaseImage, StepError> {
        if let Some(image) = self.images.get(reference) {
            return Ok(image.clone());
        }
        let platform: Platform = match platform {
            Some(text) => text.parse()?,
            None => Platform { os: "linux".to_owned(), architecture: self.request.arch.oci().to_owned(), variant: None },
        };
        let image = self.request.images.resolve(reference, &platform);
        let image = image.map_err(|e| StepError::Image { reference: reference.to_owned(), source: Foreign(e) })?;
        let config = &image.config;
        if (config.os.as_str(), config.architecture.as_str()) != (platform.os.as_str(), platform.architecture.as_str()) {
            return Err(StepError::WrongPlatform {
                reference: reference.to_owned(),
                found: format!("{}/{}", config.os, config.architecture),
                wanted: format!("{}/{}", platform.os, platform.architecture),
            });
        }
        let layers = self.request.store.unpack_image(&image, &UnpackLimits::default());
        let layers = layers.map_err(|source| StepError::Unpack { reference: reference.to_owned(), source })?;
        let chain = layers.last().map(|l| l.chain_id.clone());
        let base = BaseImage { image, dirs: layers.into_iter().map(|l| l.dir).collect(), chain };
        self.images.insert(reference.to_owned(), base.clone());
        Ok(base)
    }

    /// The triggers of a state's config, parsed; the config loses them: they run once.
    pub(super) fn take_triggers(&self, state: &mut StageState, stage: &PlannedStage) -> Result<Vec<Instruction>, StepError> {
        let triggers = std::mem::take(&mut state.config.on_build);
        let mut instructions = Vec::with_capacity(triggers.len());
        for text in triggers {
            let parsed = parse_instruction(&text, self.plan.escape).map_err(StepError::Trigger)?;
            // They have no line of their own in this file.
            instructions.push(Instruction { span: stage.span, source: format!("ONBUILD {text}"), kind: parsed.kind });
        }
        Ok(instructions)
    }

    /// Adds stages to the plan that only a trigger of a base image copies from. True when there was one.
    pub(super) fn plan_for_triggers(&mut self, stage: &PlannedStage) -> Result<bool, StepError> {
        let Base::Image(reference) = &stage.base else { return Ok(false) };
        let base = self.image(reference, stage.platform.as_deref())?;
        let mut grown = false;
        for text in &base.image.config.config.on_build {
            let trigger = parse_instruction(text, self.plan.escape).map_err(StepError::Trigger)?;
            let froms: Vec<&str> = match &trigger.kind {
                InstructionKind::Copy(copy) => copy.from.as_deref().into_iter().collect(),
                InstructionKind::Run(run) => run.mounts.iter().filter_map(|m| m.from.as_deref()).collect(),
                _ => Vec::new(),
            };
            for from in froms {
                if let FromRef::Stage(index) = self.plan.resolve_from(stage.index, from) {
                    grown |= self.plan.need(index);
                }
            }
        }
        Ok(grown)
    }
}
