//! Content generator calls: reserve an NVR, import a finished build, give a reservation back
//! (kojihub.py cg_init_build, cg_import, cg_refund_build).

use build_model::{BuildId, Nvr, TaskId};

use crate::answer::Row;
use crate::build::nvr_struct;
use crate::{BuildState, HubError, Session, Value};

/// A reserved NVR. Write it to disk before anything else: without the token nobody can use or free it.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Reservation {
    /// The build, in state building.
    pub build_id: BuildId,
    /// The secret that proves the reservation. Never shown by `Debug`.
    pub token: String,
}

impl std::fmt::Debug for Reservation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reservation").field("build_id", &self.build_id).finish_non_exhaustive()
    }
}

impl Session {
    /// Reserves an NVR (`CGInitBuild`). With a task, cancelling the task cancels the build as well.
    ///
    /// # Errors
    /// GenericError when the NVR exists or is reserved; fault 1 on hubs where a build without a task is in progress;
    /// [`HubError::AnswerLost`]: reserved, but the token is gone, and an administrator has to cancel the build.
    pub async fn init_build(&self, cg: &str, nvr: &Nvr, task: Option<TaskId>) -> Result<Reservation, HubError> {
        const METHOD: &str = "CGInitBuild";
        let mut info = nvr_struct(nvr);
        if let (Value::Struct(members), Some(task)) = (&mut info, task) {
            members.push(("task_id".into(), task.into()));
        }
        let answer = self.call(METHOD, vec![cg.into(), info]).await?;
        let row = Row::new(METHOD, &answer);
        Ok(Reservation { build_id: BuildId(row.int("build_id")?), token: row.string("token")? })
    }

    /// Imports a build from files uploaded to `<topdir>/work/<directory>`; `metadata_file` is the name of the metadata
    /// among them and ends in `.json`. The hub moves the files: after a failure upload again into a new directory.
    ///
    /// # Errors
    /// As [`Session::call`]. After [`HubError::AnswerLost`] the build is complete; ask for it by its NVR.
    pub async fn import(&self, metadata_file: &str, directory: &str, token: &str) -> Result<BuildId, HubError> {
        const METHOD: &str = "CGImport";
        let answer = self.call(METHOD, vec![metadata_file.into(), directory.into(), token.into()]).await?;
        let row = Row::new(METHOD, &answer);
        match row.opt_int("build_id")? {
            Some(id) => Ok(BuildId(id)),
            None => row.int("id").map(BuildId),
        }
    }

    /// Cancels a build in progress (`cancelBuild`) and the task it belongs to, if that is still open. Allowed for the build's
    /// owner, which is the user that reserved it. Whether it was cancelled.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn cancel_build(&self, build: BuildId) -> Result<bool, HubError> {
        let answer = self.call("cancelBuild", vec![build.into()]).await?;
        Ok(answer.as_bool().unwrap_or(false))
    }

    /// Gives a reservation back (`CGRefundBuild`) as [`BuildState::Failed`] or [`BuildState::Canceled`]; the hub refuses
    /// other states. The NVR can then be used again.
    ///
    /// # Errors
    /// As [`Session::call`]; GenericError when the build is no longer reserved (cancelled with its task, for example).
    pub async fn refund(&self, cg: &str, reservation: &Reservation, state: BuildState) -> Result<(), HubError> {
        let params = vec![cg.into(), reservation.build_id.into(), reservation.token.as_str().into(), Value::Int(state.number())];
        self.call_unit("CGRefundBuild", params, vec![]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_kept_but_never_shown() {
        let reservation = Reservation { build_id: BuildId(7), token: "topsecret".to_owned() };
        assert_eq!(format!("{reservation:?}"), "Reservation { build_id: BuildId(7), .. }");
        let text = serde_json::to_string(&reservation).expect("JSON");
        assert_eq!(serde_json::from_str::<Reservation>(&text).expect("a reservation"), reservation);
    }
}
