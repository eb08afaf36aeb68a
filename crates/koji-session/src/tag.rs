//! Tags, targets and the events they are read at (kojihub.py get_build_target, getBuildConfig, host.tagBuild).

use build_model::{Arch, BuildId, EventId, KojiTag, TargetName, TaskId};

use crate::answer::Row;
use crate::{HubError, Session, Value, with_kwargs};

/// Queries in one request; each request is one transaction at the hub.
const BATCH: usize = 500;

/// A build target: where content comes from and where builds go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildTarget {
    /// Target id.
    pub id: i64,
    /// Its name.
    pub name: TargetName,
    /// Id of the tag that repositories are made from.
    pub build_tag: i64,
    /// Its name.
    pub build_tag_name: KojiTag,
    /// Id of the tag that builds go to.
    pub dest_tag: i64,
    /// Its name.
    pub dest_tag_name: KojiTag,
}

/// A tag's inherited build configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildConfig {
    /// Tag id.
    pub id: i64,
    /// Its name.
    pub name: KojiTag,
    /// Canonical architectures, in the tag's order, each once. Empty when the tag has none.
    pub arches: Vec<Arch>,
    /// The tag's `extra` settings, a struct.
    pub extra: Value,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Tag id.
    pub id: i64,
    /// Its name.
    pub name: KojiTag,
    /// Whether nothing may be tagged.
    pub locked: bool,
    /// The permission needed for tagging.
    pub perm: Option<String>,
}

/// A package's entry in a tag's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageConfig {
    /// Package id.
    pub package_id: i64,
    /// Package name.
    pub package_name: String,
    /// Whether the tag refuses it.
    pub blocked: bool,
    /// Who owns it there.
    pub owner_name: Option<String>,
}

impl Session {
    /// The newest event. Name it in the queries of one task, and they see one state of the hub.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn last_event(&self) -> Result<EventId, HubError> {
        let answer = self.call("getLastEvent", vec![]).await?;
        Row::new("getLastEvent", &answer).int("id").map(EventId)
    }

    /// A build target, `None` when there is none of that name.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn get_build_target(&self, target: &TargetName, event: Option<EventId>) -> Result<Option<BuildTarget>, HubError> {
        const METHOD: &str = "getBuildTarget";
        let answer = self.call_kw(METHOD, vec![target.0.as_str().into()], vec![("event", event.into())]).await?;
        let Some(row) = Row::new(METHOD, &answer).some() else { return Ok(None) };
        Ok(Some(BuildTarget {
            id: row.int("id")?,
            name: TargetName(row.string("name")?),
            build_tag: row.int("build_tag")?,
            build_tag_name: KojiTag(row.string("build_tag_name")?),
            dest_tag: row.int("dest_tag")?,
            dest_tag_name: KojiTag(row.string("dest_tag_name")?),
        }))
    }

    /// Architectures and settings of a build tag, inheritance followed.
    ///
    /// # Errors
    /// As [`Session::call`]; GenericError when there is no such tag.
    pub async fn get_build_config(&self, tag: &KojiTag, event: Option<EventId>) -> Result<BuildConfig, HubError> {
        const METHOD: &str = "getBuildConfig";
        let answer = self.call_kw(METHOD, vec![tag.0.as_str().into()], vec![("event", event.into())]).await?;
        let row = Row::new(METHOD, &answer);
        let mut arches: Vec<Arch> = Vec::new();
        for name in row.opt_string("arches")?.unwrap_or_default().split_whitespace() {
            let arch = Arch::canonical(name).map_err(|e| row.wrong(e.to_string()))?;
            if !arches.contains(&arch) {
                arches.push(arch);
            }
        }
        Ok(BuildConfig { id: row.int("id")?, name: KojiTag(row.string("name")?), arches, extra: row.any("extra") })
    }

    /// A tag, `None` when there is none of that name.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn get_tag(&self, tag: &KojiTag) -> Result<Option<Tag>, HubError> {
        let answer = self.call("getTag", vec![tag.0.as_str().into()]).await?;
        Row::new("getTag", &answer).some().map(|row| read_tag(&row)).transpose()
    }

    /// A package's entry in a tag's list, inheritance followed; `None` when it is not in the list.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn get_package_config(&self, tag: &KojiTag, package: &str) -> Result<Option<PackageConfig>, HubError> {
        const METHOD: &str = "getPackageConfig";
        let answer = self.call(METHOD, vec![tag.0.as_str().into(), package.into()]).await?;
        let Some(row) = Row::new(METHOD, &answer).some() else { return Ok(None) };
        Ok(Some(PackageConfig {
            package_id: row.int("package_id")?,
            package_name: row.string("package_name")?,
            blocked: row.flag("blocked")?,
            owner_name: row.opt_string("owner_name")?,
        }))
    }

    /// Tags a build with the rights of the task's owner (`host.tagBuild`).
    ///
    /// # Errors
    /// Fault TagError when it is tagged already or the package is not in the list; ActionNotAllowed when the tag is
    /// locked or policy denies.
    pub async fn tag_build_as_owner(&self, task: TaskId, tag: &KojiTag, build: BuildId) -> Result<(), HubError> {
        self.call_unit("host.tagBuild", vec![task.into(), tag.0.as_str().into(), build.into()], vec![]).await
    }

    /// The names of the tags each build is in, in one request.
    ///
    /// # Errors
    /// As [`Session::call`]; the fault of the first look-up that failed.
    pub async fn tags_of_builds(&self, builds: &[BuildId]) -> Result<Vec<Vec<KojiTag>>, HubError> {
        const METHOD: &str = "listTags";
        self.of_each(
            METHOD,
            builds,
            |build| vec![build.into()],
            |answer| {
                let rows = Row::new(METHOD, answer).rows()?;
                rows.map(|row| row.string("name").map(KojiTag)).collect()
            },
        )
        .await
    }

    /// The names of the tags each build has left, in one request (`queryHistory` of the versioned table `tag_listing`).
    ///
    /// # Errors
    /// As [`Session::tags_of_builds`].
    pub async fn past_tags_of_builds(&self, builds: &[BuildId]) -> Result<Vec<Vec<KojiTag>>, HubError> {
        const METHOD: &str = "queryHistory";
        let params = |build: BuildId| {
            let tables = Value::Array(vec!["tag_listing".into()]);
            with_kwargs(vec![], vec![("tables", tables), ("build", build.into()), ("active", Value::Bool(false))])
        };
        self.of_each(METHOD, builds, params, |answer| {
            let Some(rows) = Row::new(METHOD, answer).member("tag_listing") else { return Ok(Vec::new()) };
            Row::new(METHOD, rows).rows()?.map(|row| row.string("tag.name").map(KojiTag)).collect()
        })
        .await
    }

    /// The tags a tag inherits from, the nearest first; itself not among them.
    ///
    /// # Errors
    /// As [`Session::call`]; GenericError when there is no such tag.
    pub async fn full_inheritance(&self, tag: &KojiTag) -> Result<Vec<KojiTag>, HubError> {
        const METHOD: &str = "getFullInheritance";
        let answer = self.call(METHOD, vec![tag.0.as_str().into()]).await?;
        Row::new(METHOD, &answer).rows()?.map(|row| row.string("name").map(KojiTag)).collect()
    }

    /// One call for each build, in batches.
    async fn of_each<T>(
        &self,
        method: &'static str,
        builds: &[BuildId],
        params: impl Fn(BuildId) -> Vec<Value>,
        read: impl Fn(&Value) -> Result<T, HubError>,
    ) -> Result<Vec<T>, HubError> {
        let mut found = Vec::with_capacity(builds.len());
        for batch in builds.chunks(BATCH) {
            let calls = batch.iter().map(|build| (method.to_owned(), params(*build))).collect();
            for answer in self.ask(calls).await? {
                found.push(read(&answer.map_err(HubError::Fault)?)?);
            }
        }
        Ok(found)
    }

    /// The tags a build is in.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn list_tags(&self, build: BuildId) -> Result<Vec<Tag>, HubError> {
        let answer = self.call("listTags", vec![build.into()]).await?;
        Row::new("listTags", &answer).rows()?.map(|row| read_tag(&row)).collect()
    }
}

fn read_tag(row: &Row<'_>) -> Result<Tag, HubError> {
    Ok(Tag { id: row.int("id")?, name: KojiTag(row.string("name")?), locked: row.flag("locked")?, perm: row.opt_string("perm")? })
}
