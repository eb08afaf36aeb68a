//! Dist-git's namespaces against names in Koji: a container and an RPM package of one name must not become one package.
//! Which package an image build is of stands in its label; the repository it comes from says which it may be.

use build_model::{Blame, Diagnose, ScmUrl, nearest};
use rpm_provenance::files::Decision;

use crate::config::NamespaceSettings;

/// Why a repository cannot be built as this package.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// No containers are built from the namespace.
    #[error("images are not built from the namespace `{namespace}` of dist-git ({repository})")]
    Unknown {
        /// The namespace.
        namespace: String,
        /// The repository.
        repository: String,
        /// Those that are.
        known: Vec<String>,
    },
    /// The label names another package.
    #[error("the label com.redhat.component is `{component}`, which does not belong to the repository {repository}")]
    Component {
        /// The label's value.
        component: String,
        /// The repository.
        repository: String,
        /// What it may be.
        allowed: Vec<String>,
    },
}

impl Diagnose for NamespaceError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        match self {
            NamespaceError::Unknown { .. } => "namespace-unknown",
            NamespaceError::Component { .. } => "component-not-of-repository",
        }
    }
    fn hint(&self) -> Option<String> {
        Some(match self {
            NamespaceError::Unknown { known, .. } => format!("move the Dockerfile to one of: {}", known.join(", ")),
            NamespaceError::Component { component, allowed, .. } => {
                let near = nearest(component, allowed.iter().map(String::as_str)).or(allowed.first().map(String::as_str));
                format!("set com.redhat.component=\"{}\"; this site allows: {}", near.unwrap_or_default(), allowed.join(", "))
            }
        })
    }
}

/// Checks the component of a build against the namespace of its repository. Returns what becomes of a package that has RPM
/// builds in the destination tag.
///
/// # Errors
/// [`NamespaceError`].
pub fn check_namespace(namespaces: &[NamespaceSettings], source: &ScmUrl, component: &str) -> Result<Decision, NamespaceError> {
    let default = NamespaceSettings::default();
    let repository = || source.repository.clone();
    let settings = match namespaces.iter().find(|settings| settings.name == source.namespace()) {
        Some(settings) => settings,
        None if namespaces.is_empty() => &default,
        None => {
            let known = namespaces.iter().map(|settings| settings.name.clone()).collect();
            return Err(NamespaceError::Unknown { namespace: source.namespace().to_owned(), repository: repository(), known });
        }
    };
    let allowed = settings.components_of(source);
    if !allowed.is_empty() && allowed.iter().all(|name| name != component) {
        return Err(NamespaceError::Component { component: component.to_owned(), repository: repository(), allowed });
    }
    Ok(settings.rpm_builds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(name: &str, components: &[&str], rpm_builds: Decision) -> NamespaceSettings {
        let components = components.iter().map(|text| (*text).to_owned()).collect();
        NamespaceSettings { name: name.to_owned(), components, rpm_builds }
    }

    fn url(text: &str) -> ScmUrl {
        text.parse().expect("an SCM URL")
    }

    #[test]
    fn without_namespaces_any_name_goes_and_rpm_packages_are_kept_apart() {
        let web = url("git+https://h/container/web.git#1");
        assert_eq!(check_namespace(&[], &web, "anything").expect("allowed"), Decision::Refuse);
    }

    #[test]
    fn each_namespace_has_its_own_rules() {
        let all = [
            namespace("container", &["{name}", "{name}-container"], Decision::Refuse),
            namespace("modules", &[], Decision::Warn),
        ];
        let web = url("git+https://h/git/container/web.git#1");
        assert!(check_namespace(&all, &web, "web").is_ok() && check_namespace(&all, &web, "web-container").is_ok());
        let error = check_namespace(&all, &web, "web-contaner").expect_err("refused");
        assert_eq!(error.kind(), "component-not-of-repository");
        let hint = error.hint().expect("a hint");
        assert!(hint.contains("com.redhat.component=\"web-container\"") && hint.contains("web, web-container"), "{hint}");
        assert_eq!(check_namespace(&all, &url("git://h/modules/web#1"), "x").expect("allowed"), Decision::Warn);
        let error = check_namespace(&all, &url("git+https://h/rpms/web#1"), "web").expect_err("refused");
        assert!(error.to_string().contains("namespace `rpms`"), "{error}");
        assert_eq!(error.hint().as_deref(), Some("move the Dockerfile to one of: container, modules"));
    }
}
