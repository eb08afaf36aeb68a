//! Which builds a source container can be made of. Asked by the hub plugin before a task exists, and by the worker again,
//! because a task can wait for days.

use serde_json::Value;

use crate::{Blame, BuildId, Diagnose, Nvr, SourceContainerParams};

/// What Koji calls a build that is done (koji.BUILD_STATES).
const COMPLETE: i64 = 1;

/// A build as the hub describes it, as far as it matters here.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceBuildRow {
    /// Its number.
    pub id: BuildId,
    /// Its name.
    pub nvr: Nvr,
    /// koji.BUILD_STATES.
    pub state: i64,
    /// Its `extra`; null when it has none.
    pub extra: Value,
}

/// Why no source container can be made of a build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceBuildError {
    /// There is no such build.
    #[error("there is no build {0}")]
    Missing(String),
    /// Number and name are those of two builds.
    #[error("koji_build_id {id} is {nvr_of_id}, not {nvr}; both must name the same build")]
    Disagree {
        /// The number given.
        id: BuildId,
        /// What it is.
        nvr_of_id: String,
        /// The name given.
        nvr: String,
    },
    /// It is not (or no longer) there.
    #[error("the build {nvr} is not complete")]
    NotComplete {
        /// The build.
        nvr: Nvr,
    },
    /// It holds RPMs, or something else.
    #[error("the build {nvr} is not a container image, so there is no source container of it")]
    NoImage {
        /// The build.
        nvr: Nvr,
    },
    /// It is a source container.
    #[error("the build {nvr} is itself a source container, of {of}")]
    IsSource {
        /// The build.
        nvr: Nvr,
        /// The image it was made of.
        of: String,
    },
}

impl Diagnose for SourceBuildError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        match self {
            SourceBuildError::Missing(_) => "source-build-missing",
            SourceBuildError::Disagree { .. } => "source-build-disagree",
            SourceBuildError::NotComplete { .. } => "source-build-not-complete",
            SourceBuildError::NoImage { .. } => "source-build-no-image",
            SourceBuildError::IsSource { .. } => "source-build-is-source",
        }
    }
    fn hint(&self) -> Option<String> {
        Some(match self {
            SourceBuildError::Missing(_) | SourceBuildError::NoImage { .. } => {
                "name a container image with --koji-build-nvr; `koji list-builds --type=image` shows them".into()
            }
            SourceBuildError::Disagree { .. } => "give one of the two only".into(),
            SourceBuildError::NotComplete { .. } => "wait until it is, or name one that is".into(),
            SourceBuildError::IsSource { of, .. } => format!("name {of} instead"),
        })
    }
}

impl SourceContainerParams {
    /// Checks what the hub has for the options: `by_id` and `by_nvr` are the rows of what they name, `None` where there is
    /// no such build or the option was not given. Returns the build.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn source_build(
        &self,
        by_id: Option<SourceBuildRow>,
        by_nvr: Option<SourceBuildRow>,
    ) -> Result<SourceBuildRow, SourceBuildError> {
        if let (Some(id), None) = (self.koji_build_id, &by_id) {
            return Err(SourceBuildError::Missing(id.to_string()));
        }
        if let (Some(nvr), None) = (&self.koji_build_nvr, &by_nvr) {
            return Err(SourceBuildError::Missing(nvr.to_string()));
        }
        let row = match (by_id, by_nvr) {
            (Some(one), Some(other)) if one.id != other.id => {
                return Err(SourceBuildError::Disagree {
                    id: one.id,
                    nvr_of_id: one.nvr.to_string(),
                    nvr: other.nvr.to_string(),
                });
            }
            (Some(row), _) | (None, Some(row)) => row,
            (None, None) => return Err(SourceBuildError::Missing("named".into())),
        };
        let nvr = row.nvr.clone();
        if row.state != COMPLETE {
            return Err(SourceBuildError::NotComplete { nvr });
        }
        let image = row.extra.get("image").or_else(|| row.extra.pointer("/typeinfo/image")).filter(|image| image.is_object());
        match image {
            None => Err(SourceBuildError::NoImage { nvr }),
            Some(image) => match image.get("sources_for_nvr").and_then(Value::as_str) {
                Some(of) => Err(SourceBuildError::IsSource { nvr, of: of.to_owned() }),
                None => Ok(row),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(id: i64, state: i64, extra: Value) -> Option<SourceBuildRow> {
        Some(SourceBuildRow { id: BuildId(id), nvr: format!("web-1.0-{id}").parse().expect("an nvr"), state, extra })
    }

    fn params(opts: Value) -> SourceContainerParams {
        SourceContainerParams::from_opts(&opts).expect("options")
    }

    #[test]
    fn a_complete_image_is_taken_by_number_name_or_both() {
        let image = || row(7, 1, json!({"image": {}}));
        let both = params(json!({"koji_build_id": 7, "koji_build_nvr": "web-1.0-7"}));
        assert_eq!(both.source_build(image(), image()).map(|r| r.id), Ok(BuildId(7)));
        assert!(params(json!({"koji_build_id": 7})).source_build(image(), None).is_ok());
        assert!(
            params(json!({"koji_build_nvr": "web-1.0-7"}))
                .source_build(None, row(7, 1, json!({"typeinfo": {"image": {}}})))
                .is_ok()
        );
    }

    #[test]
    fn every_other_build_is_refused_with_what_it_is() {
        let by_id = params(json!({"koji_build_id": 7}));
        let kind = |row| by_id.source_build(row, None).expect_err("refused").kind();
        assert_eq!(kind(None), "source-build-missing");
        assert_eq!(kind(row(7, 0, json!({"image": {}}))), "source-build-not-complete");
        assert_eq!(kind(row(7, 3, json!({"image": {}}))), "source-build-not-complete");
        assert_eq!(kind(row(7, 1, json!(null))), "source-build-no-image");
        assert_eq!(kind(row(7, 1, json!({"maven": {}}))), "source-build-no-image");
        let source = json!({"image": {"sources_for_nvr": "web-1.0-3"}});
        let error = by_id.source_build(row(7, 1, source), None).expect_err("refused");
        assert_eq!(error.hint().as_deref(), Some("name web-1.0-3 instead"));
        let both = params(json!({"koji_build_id": 7, "koji_build_nvr": "web-1.0-8"}));
        let error = both.source_build(row(7, 1, json!({"image": {}})), row(8, 1, json!({"image": {}}))).expect_err("refused");
        assert!(error.to_string().contains("koji_build_id 7 is web-1.0-7, not web-1.0-8"), "{error}");
        assert_eq!(both.source_build(row(7, 1, json!({})), None).expect_err("refused").kind(), "source-build-missing");
    }
}
