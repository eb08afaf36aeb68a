//! The options of `buildSourceContainer`: which image's sources are wanted. As type for the hub's check and the worker.
//!
//! Names and rules are koji-containerbuild's (`PARAMS_SCHEMA` of its builder plugin): at least one of `koji_build_id` and
//! `koji_build_nvr`; what both must fulfil is in `source_build.rs`.

use serde_json::{Map, Value};

use crate::option_values::{boolean, check_keys, map_of, string, userdata, wrong};
use crate::{BuildId, Nvr, ParamsError};

/// Validated options of one build of a source container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceContainerParams {
    /// Build and push under a unique tag only; no Koji build.
    pub scratch: bool,
    /// The image build whose sources are wanted, by number.
    pub koji_build_id: Option<BuildId>,
    /// The same by name; at least one of both is there.
    pub koji_build_nvr: Option<Nvr>,
    /// Free data copied to `extra.custom_user_metadata` of the build.
    pub userdata: Option<Map<String, Value>>,
}

const KEYS: &[&str] = &["scratch", "koji_build_id", "koji_build_nvr", "userdata", "signing_intent"];
const UNSUPPORTED: &[(&str, &str)] =
    &[("signing_intent", "the site's policy names the keys that source packages are signed with")];

impl SourceContainerParams {
    /// Checks the `opts` argument of `buildSourceContainer`.
    ///
    /// # Errors
    /// The first problem found: shape, unknown keys, unsupported keys, types, and that no build is named.
    pub fn from_opts(opts: &Value) -> Result<Self, ParamsError> {
        let map = &map_of(opts)?;
        check_keys(map, KEYS, UNSUPPORTED)?;
        let nvr = string(map, "koji_build_nvr")?;
        let nvr = nvr.map(|text| text.parse::<Nvr>().map_err(|e| invalid("koji_build_nvr", &e.to_string()))).transpose()?;
        let params = Self {
            scratch: boolean(map, "scratch")?,
            koji_build_id: build_id(map)?,
            koji_build_nvr: nvr,
            userdata: userdata(map)?,
        };
        if params.koji_build_id.is_none() && params.koji_build_nvr.is_none() {
            return Err(invalid("koji_build_id", "at least one of koji_build_id and koji_build_nvr must name an image build"));
        }
        Ok(params)
    }

    /// The options as they are stored in the task: only what says something.
    pub fn to_opts(&self) -> Value {
        let mut map = Map::new();
        if self.scratch {
            map.insert("scratch".into(), true.into());
        }
        if let Some(id) = self.koji_build_id {
            map.insert("koji_build_id".into(), id.0.into());
        }
        if let Some(nvr) = &self.koji_build_nvr {
            map.insert("koji_build_nvr".into(), nvr.to_string().into());
        }
        if let Some(userdata) = &self.userdata {
            map.insert("userdata".into(), Value::Object(userdata.clone()));
        }
        Value::Object(map)
    }
}

fn invalid(key: &'static str, rule: &str) -> ParamsError {
    ParamsError::Invalid { key, rule: rule.to_owned() }
}

fn build_id(map: &Map<String, Value>) -> Result<Option<BuildId>, ParamsError> {
    const KEY: &str = "koji_build_id";
    match map.get(KEY) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => match number.as_i64().filter(|id| *id > 0) {
            Some(id) => Ok(Some(BuildId(id))),
            None => Err(invalid(KEY, "a build's number is a positive integer")),
        },
        Some(other) => Err(wrong(KEY, "a number", other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(opts: Value) -> String {
        SourceContainerParams::from_opts(&opts).expect_err("must be refused").to_string()
    }

    #[test]
    fn what_the_clients_send_is_read_and_written_again() {
        let opts = json!({"koji_build_nvr": "web-1.0-3", "koji_build_id": 7, "scratch": true, "signing_intent": null});
        let params = SourceContainerParams::from_opts(&opts).expect("options");
        assert_eq!(params.koji_build_id, Some(BuildId(7)));
        assert_eq!(params.to_opts(), json!({"koji_build_nvr": "web-1.0-3", "koji_build_id": 7, "scratch": true}));
    }

    #[test]
    fn what_names_no_build_or_nothing_known_is_refused() {
        assert!(message(json!({})).contains("at least one of koji_build_id and koji_build_nvr"));
        assert!(message(json!(null)).contains("at least one"));
        assert!(message(json!({"koji_build_id": "7"})).contains("must be a number, not a string"));
        assert!(message(json!({"koji_build_id": -7})).contains("positive integer"));
        assert!(message(json!({"koji_build_nvr": "web"})).contains("koji_build_nvr"));
        assert!(message(json!({"koji_build_nrv": "web-1-1"})).contains("did you mean `koji_build_nvr`"));
        assert!(message(json!({"koji_build_id": 7, "signing_intent": "release"})).contains("site's policy"));
    }
}
