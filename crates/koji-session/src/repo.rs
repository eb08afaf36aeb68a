//! Yum repositories of build tags: find one, ask for one (kojihub/repos.py).

use build_model::{EventId, KojiTag, RepoId, TaskId};

use crate::answer::Row;
use crate::{HubError, Session, Value};

/// Where a repository is (koji.REPO_STATES).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RepoState {
    /// Being made.
    Init,
    /// Usable.
    Ready,
    /// Superseded; its files stay for about a week.
    Expired,
    /// Its files are gone.
    Deleted,
    /// Could not be made.
    Problem,
}

/// A repository of a tag.
#[derive(Debug, Clone, PartialEq)]
pub struct Repo {
    /// Its number: pin it at the start of a build.
    pub id: RepoId,
    /// Where it is.
    pub state: RepoState,
    /// The state of the tag that it shows.
    pub create_event: EventId,
    /// The same moment in seconds since 1970.
    pub create_ts: Option<f64>,
    /// The tag, when the hub says it.
    pub tag_name: Option<KojiTag>,
    /// The task that made it.
    pub task_id: Option<TaskId>,
}

/// What came of asking for a repository.
#[derive(Debug, Clone, PartialEq)]
pub struct RepoRequest {
    /// The request's number, for [`Session::check_request`]; `None` when a repository was there at once.
    pub id: Option<i64>,
    /// Whether the hub still works on it. Neither active nor a repository: it could not be made.
    pub active: bool,
    /// The task that makes it, once there is one.
    pub task_id: Option<TaskId>,
    /// The repository, when there is one.
    pub repo: Option<Repo>,
}

impl Session {
    /// The newest usable repository of a tag, or the newest made at exactly `event`; `None` when there is none, which is
    /// ordinary since Koji 1.35: ask for one with [`Session::request_repo`].
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn get_repo(&self, tag: &KojiTag, event: Option<EventId>) -> Result<Option<Repo>, HubError> {
        const METHOD: &str = "getRepo";
        let answer = self.call_kw(METHOD, vec![tag.0.as_str().into()], vec![("event", event.into())]).await?;
        Row::new(METHOD, &answer).some().map(|row| read_repo(&row)).transpose()
    }

    /// Asks for a repository of a tag (`repo.request`): an existing one that is fresh enough by the hub's rules, or a
    /// new one to wait for. Asking twice gives the same request.
    ///
    /// # Errors
    /// As [`Session::call`]; hubs before 1.35 have no such method (GenericError).
    pub async fn request_repo(&self, tag: &KojiTag) -> Result<RepoRequest, HubError> {
        const METHOD: &str = "repo.request";
        let params = vec![tag.0.as_str().into()];
        let answer = match self.call(METHOD, params.clone()).await {
            // the request is there now; asking again finds it
            Err(HubError::AnswerLost { .. }) => self.call(METHOD, params).await?,
            other => other?,
        };
        read_request(METHOD, &answer)
    }

    /// How a request stands. Ask every few seconds.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn check_request(&self, request: i64) -> Result<RepoRequest, HubError> {
        const METHOD: &str = "repo.checkRequest";
        let answer = self.call(METHOD, vec![request.into()]).await?;
        read_request(METHOD, &answer)
    }
}

fn read_repo(row: &Row<'_>) -> Result<Repo, HubError> {
    use RepoState::{Deleted, Expired, Init, Problem, Ready};
    let number = row.int("state")?;
    let state = usize::try_from(number).ok().and_then(|n| [Init, Ready, Expired, Deleted, Problem].get(n).copied());
    Ok(Repo {
        id: RepoId(row.int("id")?),
        state: state.ok_or_else(|| row.wrong(format!("{number} is no repository state")))?,
        create_event: EventId(row.int("create_event")?),
        create_ts: row.opt_float("create_ts")?,
        tag_name: row.opt_string("tag_name")?.map(KojiTag),
        task_id: row.opt_int("task_id")?.map(TaskId),
    })
}

fn read_request(method: &'static str, answer: &Value) -> Result<RepoRequest, HubError> {
    let row = Row::new(method, answer);
    let repo = row.member("repo").map(|repo| read_repo(&Row::new(method, repo))).transpose()?;
    let Some(request) = row.member("request").map(|r| Row::new(method, r)) else {
        return Ok(RepoRequest { id: None, active: false, task_id: None, repo });
    };
    Ok(RepoRequest {
        id: Some(request.int("id")?),
        active: request.flag("active")?,
        task_id: request.opt_int("task_id")?.map(TaskId),
        repo,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_a_repository_is_to_be_waited_for() {
        let request = Value::from_pairs([("id", Value::Int(3)), ("active", Value::Bool(true)), ("task_id", Value::Nil)]);
        let answer = Value::from_pairs([("repo", Value::Nil), ("request", request), ("duplicate", Value::Bool(false))]);
        let request = read_request("repo.request", &answer).expect("a request");
        assert_eq!(request, RepoRequest { id: Some(3), active: true, task_id: None, repo: None });
    }
}
