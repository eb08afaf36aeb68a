//! Policies that the hub's administrators wrote (kojihub.py eval_policy, host.assertPolicy).

use crate::answer::Row;
use crate::{HubError, Session, Value};

impl Session {
    /// The action that a policy chooses for `data` (a struct), like `allow` or `deny no such host`.
    ///
    /// # Errors
    /// As [`Session::call`]; GenericError when no such policy exists.
    pub async fn eval_policy(&self, name: &str, data: Value) -> Result<String, HubError> {
        const METHOD: &str = "evalPolicy";
        let answer = self.call(METHOD, vec![name.into(), data]).await?;
        if answer.is_nil() {
            return Ok(String::new());
        }
        Row::new(METHOD, &answer).text()
    }

    /// Demands that a policy allows `data` (a struct); without such a policy, `default` is its answer.
    /// For hosts, with their exclusive session.
    ///
    /// # Errors
    /// Fault ActionNotAllowed when the policy denies, with its reason.
    pub async fn host_assert_policy(&self, name: &str, data: Value, default: &str) -> Result<(), HubError> {
        self.call_unit("host.assertPolicy", vec![name.into(), data], vec![("default", default.into())]).await
    }

    /// The name of a channel, which policies are written with.
    ///
    /// # Errors
    /// As [`Session::call`]; GenericError when there is no such channel.
    pub async fn channel_name(&self, channel: i64) -> Result<String, HubError> {
        const METHOD: &str = "getChannel";
        let answer = self.call_kw(METHOD, vec![Value::Int(channel)], vec![("strict", Value::Bool(true))]).await?;
        Row::new(METHOD, &answer).string("name")
    }
}
