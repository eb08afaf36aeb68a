//! Which source packages a container image is made of: every RPM of every architecture's image, by the list Koji has of it,
//! to the source RPMs of the builds they came from (`listRPMs` by image archive, then by build).

use std::collections::BTreeMap;

use build_model::{Blame, BoxedDiagnose, BuildId, Diagnose, Nvr};
use koji_session::{Archive, Build, BuildState, KojiRpm};

use crate::task::run::TaskContext;

/// A source RPM in Koji.
#[derive(Debug, Clone)]
pub struct SourceRpm {
    /// The package.
    pub rpm: KojiRpm,
    /// The build it belongs to.
    pub build: Build,
}

/// Why the sources of an image cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum SourceListError {
    /// No archive of the build is an image.
    #[error("the build {0} has no image archive")]
    NoImage(Nvr),
    /// Koji has no list of RPMs.
    #[error("Koji lists no RPM in the images of {0}, so a source container of it would be empty")]
    NoRpms(Nvr),
    /// RPMs of elsewhere.
    #[error("these RPMs of {nvr} were not built in this Koji, which therefore has no source of them: {rpms}")]
    Foreign {
        /// The image.
        nvr: Nvr,
        /// The RPMs.
        rpms: String,
    },
    /// Builds without source.
    #[error("Koji has no source RPM of these builds, which are part of {nvr}: {builds}")]
    NoSource {
        /// The image.
        nvr: Nvr,
        /// The builds.
        builds: String,
    },
    /// It holds what is no RPM.
    #[error("the build {nvr} has {count} archives of remote sources, which source containers here cannot hold")]
    RemoteSources {
        /// The image.
        nvr: Nvr,
        /// How many.
        count: usize,
    },
}

impl Diagnose for SourceListError {
    fn blame(&self) -> Blame {
        match self {
            SourceListError::NoImage(_) | SourceListError::NoRpms(_) | SourceListError::RemoteSources { .. } => Blame::Packager,
            SourceListError::Foreign { .. } | SourceListError::NoSource { .. } => Blame::Hub,
        }
    }
    fn kind(&self) -> &'static str {
        match self {
            SourceListError::NoImage(_) => "source-no-image",
            SourceListError::NoRpms(_) => "source-no-rpms",
            SourceListError::Foreign { .. } => "source-foreign-rpms",
            SourceListError::NoSource { .. } => "source-missing",
            SourceListError::RemoteSources { .. } => "source-remote-sources",
        }
    }
    fn hint(&self) -> Option<String> {
        Some(match self {
            SourceListError::NoImage(_) | SourceListError::NoRpms(_) => "name another build".into(),
            SourceListError::Foreign { .. } => "build these packages in this Koji and the image anew".into(),
            SourceListError::NoSource { .. } => "import the source RPMs (`koji import FILE.src.rpm`) and submit again".into(),
            SourceListError::RemoteSources { .. } => {
                "the image was made by the earlier service from more than RPMs; build it here without them".into()
            }
        })
    }
}

/// The source RPMs of an image, sorted by name; each once. `images` are the image's archives.
///
/// # Errors
/// The hub's, or [`SourceListError`].
pub async fn list_source_rpms(
    context: &TaskContext<'_>,
    image: &Build,
    images: &[Archive],
) -> Result<Vec<SourceRpm>, BoxedDiagnose> {
    let session = &context.session;
    let nvr = || image.nvr.clone();
    if images.is_empty() {
        return Err(SourceListError::NoImage(nvr()).into());
    }
    let remote = session.list_archives(image.id, None).await?;
    let remote = remote.iter().filter(|a| a.btype.as_deref() == Some("remote-sources")).count();
    if remote > 0 {
        return Err(SourceListError::RemoteSources { nvr: nvr(), count: remote }.into());
    }
    let archives: Vec<i64> = images.iter().map(|archive| archive.id).collect();
    let rpms: Vec<KojiRpm> = session.rpms_of_images(&archives).await?.into_iter().flatten().collect();
    if rpms.is_empty() {
        return Err(SourceListError::NoRpms(nvr()).into());
    }
    let (builds, foreign) = builds_of(&rpms);
    if !foreign.is_empty() {
        return Err(SourceListError::Foreign { nvr: nvr(), rpms: foreign.join(", ") }.into());
    }
    let rows = session.get_builds(&builds).await?;
    let sources = session.source_rpms_of_builds(&builds).await?;
    let mut found: BTreeMap<String, SourceRpm> = BTreeMap::new();
    let mut missing = Vec::new();
    for ((id, build), sources) in builds.iter().zip(rows).zip(sources) {
        match build.filter(|build| build.state == BuildState::Complete) {
            Some(build) if !sources.is_empty() => {
                found.extend(sources.into_iter().map(|rpm| (rpm.nvra.to_string(), SourceRpm { rpm, build: build.clone() })));
            }
            Some(build) => missing.push(build.nvr.to_string()),
            None => missing.push(format!("{id} (deleted)")),
        }
    }
    if !missing.is_empty() {
        missing.sort();
        return Err(SourceListError::NoSource { nvr: nvr(), builds: missing.join(", ") }.into());
    }
    context.log.step(&format!("{} has {} RPMs of {} source packages", image.nvr, rpms.len(), found.len()));
    Ok(found.into_values().collect())
}

/// The builds of RPMs, each once, and the names of RPMs that have none here.
fn builds_of(rpms: &[KojiRpm]) -> (Vec<BuildId>, Vec<String>) {
    let (mut builds, mut foreign) = (Vec::new(), Vec::new());
    for rpm in rpms {
        match rpm.build_id.filter(|_| rpm.external_repo_id == 0) {
            Some(build) => builds.push(build),
            None => foreign.push(rpm.nvra.to_string()),
        }
    }
    builds.sort_unstable();
    builds.dedup();
    foreign.sort();
    foreign.dedup();
    (builds, foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rpm(nvra: &str, build: Option<i64>, external: i64) -> KojiRpm {
        KojiRpm {
            id: 1,
            nvra: nvra.parse().expect("an nvra"),
            epoch: None,
            build_id: build.map(BuildId),
            payloadhash: String::new(),
            external_repo_id: external,
            draft: false,
            size: None,
            buildtime: None,
            sigmd5: None,
            sha1header: None,
            sha256header: None,
            sha3_256header: None,
        }
    }

    #[test]
    fn builds_count_once_and_rpms_of_elsewhere_are_named() {
        let rpms = [
            rpm("nginx-1-1.x86_64", Some(7), 0),
            rpm("nginx-core-1-1.x86_64", Some(7), 0),
            rpm("bash-5-1.x86_64", Some(3), 0),
            rpm("tool-1-1.x86_64", None, 4),
            rpm("tool-1-1.x86_64", Some(9), 4),
        ];
        let (builds, foreign) = builds_of(&rpms);
        assert_eq!(builds, [BuildId(3), BuildId(7)]);
        assert_eq!(foreign, ["tool-1-1.x86_64"]);
    }
}
