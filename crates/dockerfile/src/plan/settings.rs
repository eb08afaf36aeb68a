//! Build arguments that are settings of the builder and no variables (reference, "BuildKit built-in build args"): two are
//! followed, `SOURCE_DATE_EPOCH` is the caller's affair, and of the others is said that nothing follows from them.

use super::{BuildPlan, PlanOptions};
use crate::{Problem, Span};

const CACHE_NAMESPACE: &str = "BUILDKIT_CACHE_MOUNT_NS";
const HOST_NAME: &str = "BUILDKIT_SANDBOX_HOSTNAME";

/// Longest host name of Linux.
const HOST_NAME_MAX: usize = 64;

/// Whether a build argument is a setting that is followed.
pub(super) fn is_followed(name: &str) -> bool {
    matches!(name, CACHE_NAMESPACE | HOST_NAME | "SOURCE_DATE_EPOCH")
}

/// Whether a name is one of the other builder's settings.
pub(super) fn is_setting(name: &str) -> bool {
    name.starts_with("BUILDKIT_")
}

/// Refuses a host name that is none: it goes into `/etc/hosts`.
pub(super) fn check(options: &PlanOptions, problems: &mut Vec<Problem>) {
    let Some(name) = options.build_args.get(HOST_NAME) else { return };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if name.is_empty() || name.len() <= HOST_NAME_MAX && name.split('.').all(label) {
        return;
    }
    problems.push(Problem {
        span: Span { first_line: 1, last_line: 1, column: 1 },
        message: format!("the build argument {HOST_NAME}={} is no host name", name.escape_debug()),
        source_line: String::new(),
        hint: Some(format!("it is up to {HOST_NAME_MAX} letters, digits, dashes and dots")),
    });
}

impl BuildPlan {
    /// What the ids of cache mounts are prefixed with: builds with another prefix have other caches.
    pub fn cache_namespace(&self) -> Option<&str> {
        self.setting(CACHE_NAMESPACE)
    }

    /// The host name of RUN steps, where the caller wants another than the builder's own.
    pub fn host_name(&self) -> Option<&str> {
        self.setting(HOST_NAME)
    }

    fn setting(&self, name: &str) -> Option<&str> {
        self.build_args.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}
