//! Step 6: may this package go into the destination tag, and which release is free: `CGInitBuild`, token on disk
//! before use. Run again with the same task it finds its own reservation. The undo is in `worker/settle.rs`.

use build_model::{Blame, BoxedDiagnose, BuildId, Diagnose, FaultCode, ImageLabels, KojiTag, Nvr};
use koji_session::{Build, BuildState, HubError};
use rpm_provenance::files::Decision;

use super::ResolvedTarget;
use crate::task::pinned_build::PinnedBuild;
use crate::task::run::TaskContext;
use crate::worker::Reserved;

/// How many releases are tried when the next one is always taken by somebody else.
const TRIES: usize = 20;
/// Source containers of one image build; each is a build that somebody asked for.
const MAX_BESIDE: u32 = 500;

/// The name a build wants.
#[derive(Debug, Clone)]
pub struct NameRequest {
    /// Package and version.
    pub component: String,
    /// Version.
    pub version: String,
    /// How the release is found.
    pub release: ReleaseRequest,
    /// What becomes of a package that has RPM builds in the destination tag.
    pub rpm_builds: Decision,
}

/// How the release of a build is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseRequest {
    /// This one or none: the label or the option names it.
    Explicit(String),
    /// The one that follows the newest build's.
    Next,
    /// The first free one of `BASE.1`, `BASE.2`, …: source containers count beside the image they belong to.
    Beside(String),
}

impl NameRequest {
    /// Of an image: what its labels say.
    pub fn of_labels(labels: &ImageLabels, rpm_builds: Decision) -> Self {
        let release = labels.release.clone().map_or(ReleaseRequest::Next, ReleaseRequest::Explicit);
        Self { component: labels.component.clone(), version: labels.version.clone(), release, rpm_builds }
    }
}

/// The name a build got.
pub enum Claim {
    /// Reserved for this task.
    Reserved(Reserved),
    /// This very task imported it before it was run again: what is left is tagging.
    AlreadyImported(Box<Build>),
}

/// Why a name cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NameTaken {
    /// The destination does not list the package.
    #[error("package {package} is not in the list of tag {tag}")]
    NotListed {
        /// The component.
        package: String,
        /// The destination tag.
        tag: KojiTag,
    },
    /// It is listed and blocked.
    #[error("package {package} is blocked in tag {tag}")]
    Blocked {
        /// The component.
        package: String,
        /// The destination tag.
        tag: KojiTag,
    },
    /// The package is an RPM package there.
    #[error("{package} is an RPM package in tag {tag} ({build}); the image would take its place there")]
    RpmPackage {
        /// The component.
        package: String,
        /// The destination tag.
        tag: KojiTag,
        /// Its newest RPM build.
        build: Nvr,
    },
    /// The NVR exists.
    #[error("{nvr} exists already (build {id}, {state:?})")]
    Exists {
        /// The name.
        nvr: Nvr,
        /// The build that has it.
        id: build_model::BuildId,
        /// Its state.
        state: BuildState,
    },
    /// It is reserved for this very task, and nobody knows the token.
    #[error("{nvr} was reserved (build {id}), but the hub's answer with its token was lost")]
    TokenLost {
        /// The name.
        nvr: Nvr,
        /// The reserved build.
        id: BuildId,
    },
    /// Others were quicker, twenty times.
    #[error("no free release of {name}-{version} found in {TRIES} tries")]
    Crowded {
        /// Component.
        name: String,
        /// Version.
        version: String,
    },
}

impl Diagnose for NameTaken {
    fn blame(&self) -> Blame {
        match self {
            NameTaken::TokenLost { .. } => Blame::Hub,
            _ => Blame::Packager,
        }
    }
    fn kind(&self) -> &'static str {
        match self {
            NameTaken::NotListed { .. } => "package-not-listed",
            NameTaken::Blocked { .. } => "package-blocked",
            NameTaken::RpmPackage { .. } => "package-is-rpm",
            NameTaken::Exists { .. } => "nvr-exists",
            NameTaken::TokenLost { .. } => "nvr-token-lost",
            NameTaken::Crowded { .. } => "nvr-crowded",
        }
    }
    fn hint(&self) -> Option<String> {
        Some(match self {
            NameTaken::NotListed { package, tag } => {
                format!("ask release engineering for `koji add-pkg --owner OWNER {tag} {package}`, or build with --scratch")
            }
            NameTaken::Blocked { .. } => "ask release engineering why it is blocked".into(),
            NameTaken::Exists { state: BuildState::Building, .. } => {
                "another task builds it now: raise the `release` label, or leave it out to get the next free one".into()
            }
            NameTaken::RpmPackage { package, .. } => {
                format!("call the component `{package}-container`, or ask release engineering for a destination tag without RPMs")
            }
            NameTaken::Exists { .. } => "raise the `release` label, or leave it out to get the next free one".into(),
            NameTaken::TokenLost { .. } => "submit again; the name is free as soon as this task has ended".into(),
            NameTaken::Crowded { .. } => "submit again".into(),
        })
    }
}

/// What became of the reservation of an earlier run.
pub enum Held {
    /// It stands, and its token is here; nothing was reserved for a scratch build.
    Yes(Option<Reserved>),
    /// It was used: what is left is tagging.
    AlreadyImported(Box<Build>),
    /// Its token is not on this host, or the build was cancelled. The reason, for the log.
    Lost(String),
}

/// Looks for the reservation of a build that an earlier run of this task has pinned.
///
/// # Errors
/// The hub's.
pub async fn held_reservation(context: &TaskContext<'_>, pinned: &PinnedBuild) -> Result<Held, BoxedDiagnose> {
    if pinned.scratch {
        return Ok(Held::Yes(None));
    }
    let build = context.session.get_build(&pinned.nvr).await?;
    let state = match build {
        Some(build) if build.state == BuildState::Complete && build.task_id == Some(context.task) => {
            return Ok(Held::AlreadyImported(Box::new(build)));
        }
        Some(build) => build.state,
        None => return Ok(Held::Lost(format!("{} does not exist any more", pinned.nvr))),
    };
    match context.journal.reserved().filter(|r| r.nvr == pinned.nvr) {
        Some(reserved) if state == BuildState::Building => Ok(Held::Yes(Some(reserved.clone()))),
        None if state == BuildState::Building => {
            Ok(Held::Lost(format!("{} was reserved on another builder, which keeps the token", pinned.nvr)))
        }
        _ => Ok(Held::Lost(format!("the reservation of {} has ended ({state:?})", pinned.nvr))),
    }
}

/// Checks the package list and reserves the N-V-R.
///
/// # Errors
/// [`NameTaken`], the hub's, or the journal's.
pub async fn reserve_build(
    context: &mut TaskContext<'_>,
    target: &ResolvedTarget,
    wanted: &NameRequest,
) -> Result<Claim, BoxedDiagnose> {
    let explicit = matches!(wanted.release, ReleaseRequest::Explicit(_));
    check_package(context, &target.target.dest_tag_name, wanted).await?;
    if let Some(reserved) =
        context.journal.reserved().filter(|r| r.nvr.name == wanted.component && r.nvr.version == wanted.version)
    {
        let reserved = reserved.clone();
        let build = context.session.get_build(&reserved.nvr).await?;
        match build {
            Some(build) if build.state == BuildState::Building => {
                context.log.step(&format!("this task has reserved {} before", reserved.nvr));
                return Ok(Claim::Reserved(reserved));
            }
            Some(build) if build.state == BuildState::Complete && build.task_id == Some(context.task) => {
                return Ok(Claim::AlreadyImported(Box::new(build)));
            }
            _ => context.journal.set_reserved(None)?,
        }
    }
    let mut beside = 0_u32;
    for _ in 0..TRIES {
        let release = match &wanted.release {
            ReleaseRequest::Explicit(release) => release.clone(),
            ReleaseRequest::Next => context.session.next_release(&wanted.component, &wanted.version).await?,
            ReleaseRequest::Beside(base) => free_beside(context, wanted, base, &mut beside).await?,
        };
        let nvr = Nvr { name: wanted.component.clone(), version: wanted.version.clone(), release };
        if let Some(build) = context.session.get_build(&nvr).await? {
            if build.state == BuildState::Complete && build.task_id == Some(context.task) {
                return Ok(Claim::AlreadyImported(Box::new(build)));
            }
            if !is_reusable(build.state) && explicit {
                return Err(NameTaken::Exists { nvr, id: build.id, state: build.state }.into());
            }
        }
        let name = &context.settings.content_generator.name;
        match context.session.init_build(name, &nvr, Some(context.task)).await {
            Ok(reservation) => {
                let reserved =
                    Reserved { content_generator: name.clone(), build_id: reservation.build_id, nvr, token: reservation.token };
                context.journal.set_reserved(Some(reserved.clone()))?;
                context.log.step(&format!("reserved {} (build {})", reserved.nvr, reserved.build_id));
                return Ok(Claim::Reserved(reserved));
            }
            // Somebody else took this release between the two calls, or the answer with the token was lost. With an
            // explicit release there is no other.
            Err(error) if is_taken(&error) => {
                let build = context.session.get_build(&nvr).await?;
                let own = |b: &Build| b.state == BuildState::Building && b.task_id == Some(context.task);
                match build {
                    Some(build) if own(&build) => {
                        context.journal.add_lost(build.id)?;
                        if explicit {
                            return Err(NameTaken::TokenLost { nvr, id: build.id }.into());
                        }
                    }
                    Some(build) if explicit && !is_reusable(build.state) => {
                        return Err(NameTaken::Exists { nvr, id: build.id, state: build.state }.into());
                    }
                    _ if explicit => return Err(error.into()),
                    _ => {}
                }
                let why = if is_taken_at_once(&error) { "at the same moment".to_owned() } else { error.to_string() };
                context.log.step(&format!("{nvr} is taken ({why}); trying the next release"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(NameTaken::Crowded { name: wanted.component.clone(), version: wanted.version.clone() }.into())
}

/// The next release of the form `BASE.N` that no other build has; `count` is the last N that was tried.
async fn free_beside(
    context: &TaskContext<'_>,
    wanted: &NameRequest,
    base: &str,
    count: &mut u32,
) -> Result<String, BoxedDiagnose> {
    loop {
        *count += 1;
        let release = format!("{base}.{count}");
        let nvr = Nvr { name: wanted.component.clone(), version: wanted.version.clone(), release };
        let taken = context
            .session
            .get_build(&nvr)
            .await?
            .is_some_and(|build| !is_reusable(build.state) && build.task_id != Some(context.task));
        if !taken {
            return Ok(nvr.release);
        }
        if *count >= MAX_BESIDE {
            return Err(NameTaken::Crowded { name: wanted.component.clone(), version: wanted.version.clone() }.into());
        }
    }
}

/// Whether the name cannot be reserved any more: by a fault of the hub, or because it has been, and only the answer is lost.
fn is_taken(error: &HubError) -> bool {
    let said = error.fault_code() == Some(FaultCode::GenericError);
    said || is_taken_at_once(error) || matches!(error, HubError::AnswerLost { .. })
}

/// Two builds at the same instant: the hub finds the name free for both, and its database refuses the second one
/// (schema.sql, `build_pkg_ver_rel`). That fault is no Koji fault but the database's, with a traceback.
fn is_taken_at_once(error: &HubError) -> bool {
    matches!(error, HubError::Fault(fault) if fault.message.contains("build_pkg_ver_rel"))
}

/// Whether the hub gives the name of such a build away again.
fn is_reusable(state: BuildState) -> bool {
    matches!(state, BuildState::Failed | BuildState::Canceled)
}

/// Whether the destination lists the package, as one that images may be of.
///
/// # Errors
/// [`NameTaken`], or the hub's.
pub async fn check_package(context: &TaskContext<'_>, tag: &KojiTag, wanted: &NameRequest) -> Result<(), BoxedDiagnose> {
    let config = context.session.get_package_config(tag, &wanted.component).await?;
    let (package, tag) = (wanted.component.clone(), tag.clone());
    match config {
        None => return Err(NameTaken::NotListed { package, tag }.into()),
        Some(config) if config.blocked => return Err(NameTaken::Blocked { package, tag }.into()),
        Some(_) => {}
    }
    if wanted.rpm_builds == Decision::Allow {
        return Ok(());
    }
    let Some(build) = context.session.latest_rpm_build(&tag, &package).await? else { return Ok(()) };
    let error = NameTaken::RpmPackage { package, tag, build };
    if wanted.rpm_builds == Decision::Refuse {
        return Err(error.into());
    }
    context.log.step(&format!("warning: {error}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use koji_session::Fault;

    use super::*;

    #[test]
    fn a_name_that_is_taken_is_told_from_a_hub_that_fails() {
        let fault =
            |code, message: &str| HubError::Fault(Fault { code, message: message.to_owned(), method: "CGInitBuild".to_owned() });
        assert!(is_taken(&fault(1000, "build already exists")));
        let at_once = "psycopg2.errors.UniqueViolation: duplicate key value violates unique constraint \"build_pkg_ver_rel\"";
        assert!(is_taken(&fault(1, at_once)), "two at the same instant");
        assert!(!is_taken(&fault(1, "psycopg2.OperationalError: server closed the connection")));
    }
}
