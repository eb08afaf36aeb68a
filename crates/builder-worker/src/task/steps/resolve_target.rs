//! Step 1: the target, its tags and architectures, all seen at one event; and who asked.

use build_model::{Arch, Blame, Diagnose, EventId, KojiTag, TargetName};
use koji_session::{BuildTarget, Session, Tag};

use crate::task::run::TaskContext;

/// What a target is wanted for.
#[derive(Debug, Clone, Copy, Default)]
pub struct TargetUse<'a> {
    /// No Koji build is made, so the destination does not matter.
    pub scratch: bool,
    /// Architectures instead of the build tag's.
    pub arch_override: &'a [Arch],
}

/// The target at one event.
pub struct ResolvedTarget {
    /// Every query of this build that takes an event uses this one.
    pub event: EventId,
    /// Target with build tag and destination tag.
    pub target: BuildTarget,
    /// Architectures to build, canonical, without repeats.
    pub arches: Vec<Arch>,
    /// Name of the user who owns the task.
    pub owner: Option<String>,
}

/// Why a target cannot be built for.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// No such target.
    #[error("target `{0}` not found")]
    NotFound(TargetName),
    /// The destination is locked, so the result could not be tagged.
    #[error("the destination tag {0} is locked")]
    Locked(KojiTag),
    /// Tagging takes a permission that the owner of the task has not got, as during a freeze.
    #[error("the destination tag {tag} requires the permission `{perm}`, which {owner} does not have")]
    Permission {
        /// The destination.
        tag: KojiTag,
        /// What it takes.
        perm: String,
        /// Who asked for the build.
        owner: String,
    },
    /// The build tag names no architectures.
    #[error("no arches for tag {0}")]
    NoArches(KojiTag),
    /// `arch_override` leaves nothing.
    #[error("none of the requested arches ({asked}) is an arch of tag {tag} ({offered})")]
    ArchNotOffered {
        /// What was asked for.
        asked: String,
        /// The build tag.
        tag: KojiTag,
        /// What it has.
        offered: String,
    },
}

impl Diagnose for TargetError {
    fn blame(&self) -> Blame {
        match self {
            TargetError::NotFound(_) | TargetError::ArchNotOffered { .. } => Blame::Packager,
            TargetError::Locked(_) | TargetError::Permission { .. } | TargetError::NoArches(_) => Blame::Hub,
        }
    }
    fn kind(&self) -> &'static str {
        match self {
            TargetError::NotFound(_) => "target-not-found",
            TargetError::Locked(_) => "tag-locked",
            TargetError::Permission { .. } => "tag-permission",
            TargetError::NoArches(_) => "tag-without-arches",
            TargetError::ArchNotOffered { .. } => "arch-not-offered",
        }
    }
    fn hint(&self) -> Option<String> {
        Some(match self {
            TargetError::NotFound(_) => "list the targets with `koji list-targets`".into(),
            TargetError::Locked(tag) => format!("ask release engineering about the freeze of {tag}, or build with --scratch"),
            TargetError::Permission { tag, .. } => {
                format!("ask release engineering about the freeze of {tag} or for the permission, or build with --scratch")
            }
            TargetError::NoArches(tag) => format!("set them with `koji edit-tag --arches=… {tag}`"),
            TargetError::ArchNotOffered { .. } => "choose among the tag's arches".into(),
        })
    }
}

/// Looks up target, tags, arches and owner.
///
/// # Errors
/// [`TargetError`], or the hub's.
pub async fn resolve_target(
    context: &TaskContext<'_>,
    name: &TargetName,
    wanted: TargetUse<'_>,
    owner: Option<i64>,
) -> Result<ResolvedTarget, build_model::BoxedDiagnose> {
    let session = &context.session;
    let event = session.last_event().await?;
    let target = session.get_build_target(name, Some(event)).await?.ok_or_else(|| TargetError::NotFound(name.clone()))?;
    let destination = session.get_tag(&target.dest_tag_name).await?;
    if let Some(destination) = destination.filter(|_| !wanted.scratch) {
        check_destination(session, destination, owner).await?;
    }
    let build_tag = target.build_tag_name.clone();
    let config = session.get_build_config(&target.build_tag_name, Some(event)).await?;
    let offered = config.arches;
    if offered.is_empty() {
        return Err(TargetError::NoArches(build_tag).into());
    }
    let arches: Vec<Arch> = if wanted.arch_override.is_empty() {
        offered.clone()
    } else {
        wanted.arch_override.iter().filter(|a| offered.contains(a)).cloned().collect()
    };
    if arches.is_empty() {
        let list = |arches: &[Arch]| arches.iter().map(Arch::as_str).collect::<Vec<_>>().join(" ");
        return Err(
            TargetError::ArchNotOffered { asked: list(wanted.arch_override), tag: build_tag, offered: list(&offered) }.into()
        );
    }
    let owner = match owner {
        Some(id) => session.get_user(id).await?.map(|user| user.name),
        None => None,
    };
    Ok(ResolvedTarget { event, target, arches, owner })
}

/// Whether the owner of the task may tag there: the hub asks that last of all (`host.tagBuild` acts as the owner).
///
/// # Errors
/// [`TargetError`], or the hub's.
pub async fn check_destination(session: &Session, tag: Tag, owner: Option<i64>) -> Result<(), build_model::BoxedDiagnose> {
    if tag.locked {
        return Err(TargetError::Locked(tag.name).into());
    }
    let (Some(perm), Some(owner)) = (tag.perm, owner) else { return Ok(()) };
    let held = session.user_permissions(owner).await?;
    if held.iter().any(|p| *p == perm || p == "admin") {
        return Ok(());
    }
    let name = session.get_user(owner).await?.map_or_else(|| format!("user {owner}"), |user| user.name);
    Err(TargetError::Permission { tag: tag.name, perm, owner: name }.into())
}
