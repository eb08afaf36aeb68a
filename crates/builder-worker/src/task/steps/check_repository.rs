//! Whose repository is it? A build moves tags of the repository that its label `name` names, so the repository must belong
//! to the Koji package that is built (docs/adr/0016-repository-of-a-component.md): what stands in it already was built of
//! the same component, or the site gives it to this one (`[[policy.repositories]]`). Asked before anything is built, and
//! again before the tags are moved.

use build_model::{Blame, BoxedDiagnose, Diagnose, ImageTag, TargetName};
use image_layers::Store;
use registry::{ImageReference, Registry, RegistryError};
use rpm_provenance::policy::{Place, Ruling};

use crate::task::run::TaskContext;

/// Tags that are looked at where none of the build's own is there yet.
const LOOKED_AT: usize = 20;

/// What a build lays claim to.
pub struct RepositoryClaim<'a> {
    /// The build target.
    pub target: &'a TargetName,
    /// The Koji package.
    pub component: &'a str,
    /// The repository.
    pub repository: &'a str,
    /// Tags that will name other images afterwards.
    pub moved: Vec<&'a ImageTag>,
}

/// The repository is not this component's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryTaken {
    /// It holds images of another one.
    #[error("the repository {repository} holds images of {owner}: {tag} was not built of the component {component}")]
    OfAnother {
        /// The repository.
        repository: String,
        /// What was found there.
        tag: String,
        /// This build's.
        component: String,
        /// Whose it is.
        owner: String,
    },
    /// A rule of the site does not allow it.
    #[error("the site's policy refuses the repository: {line}")]
    Refused {
        /// The rule and what it found.
        line: String,
        /// What to do.
        remedy: String,
    },
}

impl Diagnose for RepositoryTaken {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        match self {
            RepositoryTaken::OfAnother { .. } => "repository-of-another-component",
            RepositoryTaken::Refused { .. } => "policy-refused",
        }
    }
    fn hint(&self) -> Option<String> {
        Some(match self {
            RepositoryTaken::OfAnother { component, .. } => format!(
                "give the label `name` a repository of {component}'s own; where a component was renamed, the site's \
                 administrators give it the repository in [[policy.repositories]]"
            ),
            RepositoryTaken::Refused { remedy, .. } => remedy.clone(),
        })
    }
}

/// Holds the claim against the site's rules and what the registry has; returns what the packager is told.
///
/// # Errors
/// [`RepositoryTaken`], or the registry's.
pub async fn check_repository(
    context: &TaskContext<'_>,
    registry: &Registry,
    store: &Store,
    claim: &RepositoryClaim<'_>,
) -> Result<Option<String>, BoxedDiagnose> {
    let mut told = None;
    match context.settings.policy.rules().place(Some(&claim.target.0), claim.component, claim.repository) {
        Place::Given => return Ok(None),
        Place::Broken(outcome) if outcome.ruling == Ruling::Refused => {
            let (line, remedy) = (outcome.line(), outcome.remedy);
            return Err(RepositoryTaken::Refused { line, remedy }.into());
        }
        Place::Broken(outcome) if outcome.ruling == Ruling::Warned => told = Some(outcome.line()),
        Place::Open | Place::Allowed | Place::Broken(_) => {}
    }
    let host = &context.settings.registry.push;
    let mut moved_ones = false;
    for tag in &claim.moved {
        moved_ones |= is_ours(registry, store, claim, host, tag.as_str()).await? == Some(true);
    }
    if moved_ones {
        return Ok(told);
    }
    for tag in seen(registry.tags(host, claim.repository, LOOKED_AT).await)?.unwrap_or_default() {
        if is_ours(registry, store, claim, host, &tag).await? == Some(true) {
            break;
        }
    }
    Ok(told)
}

/// Whether what a tag names was built of this component; `None` when it names nothing that says whose the repository is.
async fn is_ours(
    registry: &Registry,
    store: &Store,
    claim: &RepositoryClaim<'_>,
    host: &str,
    tag: &str,
) -> Result<Option<bool>, BoxedDiagnose> {
    let reference: ImageReference = format!("{host}/{}:{tag}", claim.repository).parse()?;
    let Some(labels) = seen(registry.labels(&reference, store).await)?.flatten() else { return Ok(None) };
    let label = |name: &str| labels.get(name).map(String::as_str).unwrap_or_default();
    match label("com.redhat.component") {
        owner if owner == claim.component => Ok(Some(true)),
        // A scratch build is a try; nobody gets a repository by it.
        _ if label("release").starts_with("scratch.") => Ok(None),
        owner => {
            let owner = if owner.is_empty() { "no Koji package" } else { owner };
            let (repository, component) = (claim.repository.to_owned(), claim.component.to_owned());
            Err(RepositoryTaken::OfAnother { repository, tag: tag.to_owned(), component, owner: owner.to_owned() }.into())
        }
    }
}

/// What the registry shows. One that makes a repository at the first push (quay.io) refuses to read what is not there yet;
/// where it is there, an account that may push may read.
fn seen<T>(answer: Result<T, RegistryError>) -> Result<Option<T>, RegistryError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(RegistryError::Unauthorized { target, message, .. }) => {
            tracing::info!(target, message, "the registry shows nothing of the repository; it is taken for free");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use registry::Action;

    use super::*;

    #[test]
    fn what_a_registry_refuses_to_show_is_not_there_and_other_failures_are_failures() {
        let (target, registry) = ("r/f40/web:latest".to_owned(), "r".to_owned());
        let hidden = RegistryError::Unauthorized {
            action: Action::Resolve,
            target: target.clone(),
            registry: registry.clone(),
            message: String::new(),
        };
        assert_eq!(seen::<()>(Err(hidden)).expect("an answer"), None);
        let busy = RegistryError::Busy { action: Action::Resolve, target, registry, status: 503, message: String::new() };
        assert!(seen::<()>(Err(busy)).is_err());
        assert_eq!(seen(Ok(7)).expect("an answer"), Some(7));
    }
}
