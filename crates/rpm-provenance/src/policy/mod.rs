//! The site's policy over a finished image: rules as data, each with a name, a decision, a reason and a remedy.
//!
//! Three uses of one judgement ([`Policy::judge`]): before an image is pushed, by `containerbuild verify` on any image, and
//! by `containerbuild policy test` on recorded or described images. Its rules about RPMs bind the gate too
//! ([`ReleaseRules`]). All that rules look at is in [`Provenance`], so a
//! recorded provenance.json is judged again exactly as the image was. Documented in docs/POLICY.md.

mod check;
mod images;
mod labels;
mod outcome;
mod packages;
mod pattern;
mod release;
mod repositories;
mod rule;

use crate::files::{Decision, FilePolicy};
use crate::report::Provenance;

pub use check::RuleProblem;
pub use outcome::{Finding, RuleOutcome, Ruling};
pub use packages::ArchPackages;
pub use pattern::glob_matches;
pub use release::{Objection, ReleaseRules};
pub use repositories::Place;
pub use rule::{
    AppliesTo, ContentTags, ForbiddenPackages, LabelRule, ParentImages, Registries, Repositories, SameVersions, Scope,
    SigningKeys, SizeLimit,
};

/// All rules of a site, as `[policy]` of its configuration holds them.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// `[[policy.signing_keys]]`
    pub signing_keys: &'a [SigningKeys],
    /// `[[policy.content_tags]]`
    pub content_tags: &'a [ContentTags],
    /// `[[policy.parent_images]]`; the first whose `images` fit decides.
    pub parent_images: &'a [ParentImages],
    /// `[[policy.registries]]`
    pub registries: &'a [Registries],
    /// `[[policy.repositories]]`; the first whose `components` fit decides.
    pub repositories: &'a [Repositories],
    /// `[[policy.labels]]`
    pub labels: &'a [LabelRule],
    /// `[[policy.packages]]`
    pub packages: &'a [ForbiddenPackages],
    /// `[[policy.same_versions]]`
    pub same_versions: &'a [SameVersions],
    /// `[[policy.size]]`
    pub size: &'a [SizeLimit],
    /// `[policy.files]`
    pub files: &'a FilePolicy,
}

impl Policy<'_> {
    /// Judges one image. `today` (`YYYY-MM-DD`) is what the days of the allow-lists are compared with.
    ///
    /// Rules that need what the document does not say (a rule about tags, and no hub was asked) end as
    /// [`Ruling::NotTold`].
    pub fn judge(&self, image: &Provenance, today: &str) -> Vec<RuleOutcome> {
        let target = image.target.as_deref();
        let mut outcomes = Vec::new();
        outcomes.extend(self.registries.iter().filter(|r| r.is_for(target)).map(|rule| images::registries(rule, image)));
        outcomes.extend(images::parents(self.parent_images, image));
        outcomes.extend(self.signing_keys.iter().filter(|r| r.is_for(target)).map(|rule| packages::signing_keys(rule, image)));
        outcomes.extend(self.content_tags.iter().filter(|r| r.is_for(target)).map(|rule| packages::content_tags(rule, image)));
        outcomes.extend(self.packages.iter().filter(|r| r.is_for(target)).map(|rule| packages::forbidden(rule, image)));
        outcomes.extend(repositories::repositories(self.repositories, image));
        outcomes.extend(self.labels.iter().filter(|r| r.is_for(target)).map(|rule| labels::labels(rule, image)));
        outcomes.extend(self.size.iter().filter(|r| r.is_for(target)).map(|rule| images::size(rule, image)));
        if let Some(files) = &image.files {
            outcomes.extend(self.files.judge(&files.account(), today));
        }
        outcomes
    }

    /// Judges the images of one build against each other: RPMs have one version on all architectures.
    pub fn judge_arches(&self, target: Option<&str>, images: &[ArchPackages<'_>]) -> Vec<RuleOutcome> {
        self.same_versions.iter().filter(|r| r.is_for(target)).map(|rule| packages::same_versions(rule, images)).collect()
    }

    /// What a registry rule says of an image before it is asked for; the first refusal.
    pub fn judge_reference(&self, target: Option<&str>, reference: &str) -> Option<RuleOutcome> {
        let image = Provenance {
            target: target.map(str::to_owned),
            parents: vec![crate::report::ParentImage { reference: reference.to_owned(), ..Default::default() }],
            ..Provenance::default()
        };
        let rules = self.registries.iter().filter(|r| r.is_for(target));
        rules.map(|rule| images::registries(rule, &image)).find(|outcome| outcome.ruling == Ruling::Refused)
    }

    /// What the rules say of a Koji package whose images are to go to a repository.
    pub fn place(&self, target: Option<&str>, component: &str, repository: &str) -> Place {
        repositories::place(self.repositories, target, component, repository)
    }

    /// What becomes of a parent image that is no complete build of this Koji.
    pub fn foreign_parent(&self, target: Option<&str>, reference: &str) -> Decision {
        images::rule_of(self.parent_images, target, reference).map_or(Decision::Refuse, |rule| rule.decision)
    }

    /// What is wrong with the rules themselves.
    ///
    /// # Errors
    /// The first problem, with the place of the rule.
    pub fn check(&self) -> Result<(), RuleProblem> {
        check::check(self)
    }
}
