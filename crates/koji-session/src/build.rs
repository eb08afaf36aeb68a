//! Builds, their archives, and users (kojihub.py get_build, get_next_release, list_archives, get_user).

use build_model::{BuildId, KojiTag, Nvr, TaskId};

use crate::answer::Row;
use crate::{HubError, Session, Value};

/// What a build is asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildKey {
    /// Its number.
    Id(BuildId),
    /// Its name-version-release.
    Nvr(Nvr),
}

impl From<BuildId> for BuildKey {
    fn from(id: BuildId) -> Self {
        BuildKey::Id(id)
    }
}

impl From<Nvr> for BuildKey {
    fn from(nvr: Nvr) -> Self {
        BuildKey::Nvr(nvr)
    }
}

impl From<&Nvr> for BuildKey {
    fn from(nvr: &Nvr) -> Self {
        BuildKey::Nvr(nvr.clone())
    }
}

/// Where a build is (koji.BUILD_STATES).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BuildState {
    /// Reserved or being built.
    Building,
    /// Done.
    Complete,
    /// Its files are gone.
    Deleted,
    /// Failed.
    Failed,
    /// Cancelled.
    Canceled,
}

impl BuildState {
    const ALL: [BuildState; 5] =
        [BuildState::Building, BuildState::Complete, BuildState::Deleted, BuildState::Failed, BuildState::Canceled];

    /// The state for Koji's number.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// Koji's number.
    pub fn number(self) -> i64 {
        self as i64
    }
}

/// A build's row.
#[derive(Debug, Clone, PartialEq)]
pub struct Build {
    /// Its number.
    pub id: BuildId,
    /// Name, version, release.
    pub nvr: Nvr,
    /// Where it is.
    pub state: BuildState,
    /// The task it came from.
    pub task_id: Option<TaskId>,
    /// Who owns it.
    pub owner_name: Option<String>,
    /// The content generator that imported it.
    pub cg_name: Option<String>,
    /// Where its source is.
    pub source: Option<String>,
    /// Seconds since 1970 when it was completed.
    pub completion_ts: Option<f64>,
    /// The `extra` struct, nil when it has none.
    pub extra: Value,
    /// The volume its files are on; `DEFAULT` for most.
    pub volume_name: Option<String>,
}

/// A file of a build that is no RPM.
#[derive(Debug, Clone, PartialEq)]
pub struct Archive {
    /// Archive id.
    pub id: i64,
    /// The build it belongs to.
    pub build_id: BuildId,
    /// File name.
    pub filename: String,
    /// Bytes.
    pub size: i64,
    /// Checksum, of the kind `checksum_type` (koji.CHECKSUM_TYPES: 0 md5, 1 sha1, 2 sha256).
    pub checksum: String,
    /// Kind of the checksum.
    pub checksum_type: i64,
    /// Build type, like `image`.
    pub btype: Option<String>,
    /// Archive type, like `tar`.
    pub type_name: Option<String>,
    /// The `extra` struct, nil when it has none.
    pub extra: Value,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub id: i64,
    /// User name.
    pub name: String,
}

/// Builds per request: one `multiCall` of the hub is one transaction.
const BATCH: usize = 500;

impl Session {
    /// A build, `None` when there is none.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn get_build(&self, build: impl Into<BuildKey>) -> Result<Option<Build>, HubError> {
        const METHOD: &str = "getBuild";
        let key = match build.into() {
            BuildKey::Id(id) => id.into(),
            BuildKey::Nvr(nvr) => nvr_struct(&nvr),
        };
        let answer = self.call(METHOD, vec![key]).await?;
        Row::new(METHOD, &answer).some().map(|row| read_build(&row)).transpose()
    }

    /// Many builds in few requests, in the order given; `None` for those the hub does not have.
    ///
    /// # Errors
    /// As [`Session::call`]; the fault of the first look-up that failed.
    pub async fn get_builds(&self, builds: &[BuildId]) -> Result<Vec<Option<Build>>, HubError> {
        const METHOD: &str = "getBuild";
        let mut found = Vec::with_capacity(builds.len());
        for batch in builds.chunks(BATCH) {
            let calls = batch.iter().map(|id| (METHOD.to_owned(), vec![(*id).into()])).collect();
            for answer in self.ask(calls).await? {
                let answer = answer.map_err(HubError::Fault)?;
                found.push(Row::new(METHOD, &answer).some().map(|row| read_build(&row)).transpose()?);
            }
        }
        Ok(found)
    }

    /// The newest build of a package in a tag, inherited ones too; `None` when there is none.
    ///
    /// # Errors
    /// As [`Session::call`]; GenericError when there is no such tag.
    pub async fn latest_build(&self, tag: &KojiTag, package: &str) -> Result<Option<BuildId>, HubError> {
        const METHOD: &str = "getLatestBuilds";
        let answer = self.call_kw(METHOD, vec![tag.0.as_str().into()], vec![("package", package.into())]).await?;
        let first = Row::new(METHOD, &answer).rows()?.next().map(|row| row.int("build_id"));
        Ok(first.transpose()?.map(BuildId))
    }

    /// The newest RPM build of a package in a tag, inherited ones too; `None` when it has none there.
    ///
    /// # Errors
    /// As [`Session::call`]; GenericError when there is no such tag.
    pub async fn latest_rpm_build(&self, tag: &KojiTag, package: &str) -> Result<Option<Nvr>, HubError> {
        const METHOD: &str = "listTagged";
        let kwargs = vec![
            ("package", package.into()),
            ("inherit", Value::Bool(true)),
            ("latest", Value::Bool(true)),
            ("type", "rpm".into()),
        ];
        let answer = self.call_kw(METHOD, vec![tag.0.as_str().into()], kwargs).await?;
        let first = Row::new(METHOD, &answer)
            .rows()?
            .next()
            .map(|row| Ok(Nvr { name: row.string("name")?, version: row.string("version")?, release: row.string("release")? }));
        first.transpose()
    }

    /// The release that follows the newest build of that name and version; `1` when there is none.
    ///
    /// # Errors
    /// Fault BuildError when the newest release has a form that Koji cannot count up.
    pub async fn next_release(&self, name: &str, version: &str) -> Result<String, HubError> {
        let info = Value::from_pairs([("name", Value::from(name)), ("version", Value::from(version))]);
        let answer = self.call("getNextRelease", vec![info]).await?;
        Row::new("getNextRelease", &answer).text()
    }

    /// The archives of a build, of one build type (like `image`) or of all.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn list_archives(&self, build: BuildId, btype: Option<&str>) -> Result<Vec<Archive>, HubError> {
        const METHOD: &str = "listArchives";
        let answer = self.call_kw(METHOD, vec![build.into()], vec![("type", btype.into())]).await?;
        Row::new(METHOD, &answer)
            .rows()?
            .map(|row| {
                Ok(Archive {
                    id: row.int("id")?,
                    build_id: BuildId(row.int("build_id")?),
                    filename: row.string("filename")?,
                    size: row.int("size")?,
                    checksum: row.string("checksum")?,
                    checksum_type: row.int("checksum_type")?,
                    btype: row.opt_string("btype")?,
                    type_name: row.opt_string("type_name")?,
                    extra: row.any("extra"),
                })
            })
            .collect()
    }

    /// The names of a user's permissions.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn user_permissions(&self, id: i64) -> Result<Vec<String>, HubError> {
        const METHOD: &str = "getUserPerms";
        let answer = self.call(METHOD, vec![Value::Int(id)]).await?;
        Row::new(METHOD, &answer).rows()?.map(|row| row.text()).collect()
    }

    /// A user by number, `None` when there is none.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn get_user(&self, id: i64) -> Result<Option<User>, HubError> {
        let answer = self.call("getUser", vec![id.into()]).await?;
        let row = Row::new("getUser", &answer).some();
        row.map(|row| Ok(User { id: row.int("id")?, name: row.string("name")? })).transpose()
    }
}

fn read_build(row: &Row<'_>) -> Result<Build, HubError> {
    let state = row.int("state")?;
    Ok(Build {
        id: BuildId(row.int("id")?),
        nvr: Nvr { name: row.string("name")?, version: row.string("version")?, release: row.string("release")? },
        state: BuildState::from_number(state).ok_or_else(|| row.wrong(format!("{state} is no build state")))?,
        task_id: row.opt_int("task_id")?.map(TaskId),
        owner_name: row.opt_string("owner_name")?,
        cg_name: row.opt_string("cg_name")?,
        source: row.opt_string("source")?,
        completion_ts: row.opt_float("completion_ts")?,
        extra: row.any("extra"),
        volume_name: row.opt_string("volume_name")?,
    })
}

/// An NVR in the form that cannot be misread.
pub(crate) fn nvr_struct(nvr: &Nvr) -> Value {
    Value::from_pairs([
        ("name", Value::from(nvr.name.as_str())),
        ("version", nvr.version.as_str().into()),
        ("release", nvr.release.as_str().into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_kojis_numbers() {
        for number in 0..5 {
            assert_eq!(BuildState::from_number(number).map(BuildState::number), Some(number));
        }
        assert_eq!(BuildState::from_number(4), Some(BuildState::Canceled));
        assert_eq!(BuildState::from_number(5), None);
    }
}
