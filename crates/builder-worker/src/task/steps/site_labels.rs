//! The site's labels (`[labels]` of the configuration) and the rule of `distribution-scope` (compat §3.2). The Dockerfile
//! is not edited: the engine sets the result on the image's configuration.

use std::collections::BTreeMap;

use build_model::{Blame, Diagnose};

use crate::config::{LabelSettings, UrlPiece, url_pieces};

const SCOPE: &str = "distribution-scope";
/// From the most to the least restrictive.
const SCOPES: [&str; 4] = ["private", "authoritative-source-only", "restricted", "public"];
/// Labels of the site that give way to what the Dockerfile or its parent says.
const GIVE_WAY: [&str; 2] = [SCOPE, "com.redhat.license_terms"];

/// Why an image may not have these labels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SiteLabelError {
    /// An image may not be spread wider than what is in it.
    #[error("the label `{SCOPE}` is `{own}`, which is less restrictive than `{parent}` of the parent image")]
    WiderScope {
        /// Of this image.
        own: String,
        /// Of its parent.
        parent: String,
    },
    /// The site's `url_format` needs it.
    #[error("the image has no label `{label}`, which this site's `url` label is made of")]
    NoLabelForUrl {
        /// The label.
        label: String,
    },
}

impl Diagnose for SiteLabelError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        match self {
            SiteLabelError::WiderScope { .. } => "label-scope",
            SiteLabelError::NoLabelForUrl { .. } => "label-missing",
        }
    }
    fn hint(&self) -> Option<String> {
        Some(match self {
            SiteLabelError::WiderScope { parent, .. } => {
                format!("leave the label out or use `{parent}`; the order is {}", SCOPES.join(" < "))
            }
            SiteLabelError::NoLabelForUrl { label } => {
                format!("add `LABEL {label}=\"…\"` to the last stage of the Dockerfile")
            }
        })
    }
}

/// Adds the site's labels to `labels`, which already hold those the service sets itself. `own` are the Dockerfile's
/// labels, `inherited` those of the image its last stage starts from.
///
/// # Errors
/// [`SiteLabelError`]; `labels` are of no use then.
pub fn add_site_labels(
    settings: &LabelSettings,
    own: &BTreeMap<String, String>,
    inherited: &BTreeMap<String, String>,
    labels: &mut BTreeMap<String, String>,
) -> Result<(), SiteLabelError> {
    for (name, value) in &settings.set {
        let gives_way = GIVE_WAY.contains(&name.as_str()) && (own.contains_key(name) || inherited.contains_key(name));
        if !gives_way && !labels.contains_key(name) {
            labels.insert(name.clone(), value.clone());
        }
    }
    if let Some(format) = &settings.url_format {
        let mut url = String::new();
        for piece in url_pieces(format).unwrap_or_default() {
            match piece {
                UrlPiece::Text(text) => url.push_str(text),
                UrlPiece::Label(label) => {
                    let value = labels.get(label).or_else(|| own.get(label)).or_else(|| inherited.get(label));
                    url.push_str(value.ok_or_else(|| SiteLabelError::NoLabelForUrl { label: label.to_owned() })?);
                }
            }
        }
        labels.insert("url".into(), url);
    }
    for group in &settings.equal {
        equalise(group, own, inherited, labels);
    }
    check_scope(labels.get(SCOPE).or_else(|| own.get(SCOPE)), inherited.get(SCOPE))
}

/// Gives the labels of a group that this build does not set the value of the first one it does set; what the parent has
/// counts only where this build sets none of them.
fn equalise(
    group: &[String],
    own: &BTreeMap<String, String>,
    inherited: &BTreeMap<String, String>,
    labels: &mut BTreeMap<String, String>,
) {
    let set_here = |name: &String, labels: &BTreeMap<String, String>| labels.get(name).or_else(|| own.get(name)).cloned();
    let here = group.iter().find_map(|name| set_here(name, labels));
    let from_parent = here.is_none();
    let Some(value) = here.or_else(|| group.iter().find_map(|name| inherited.get(name).cloned())) else { return };
    for name in group {
        let has = set_here(name, labels).is_some() || (from_parent && inherited.contains_key(name));
        if !has {
            labels.insert(name.clone(), value.clone());
        }
    }
}

/// A scope that is not one of the four is not compared: sites have used words of their own.
fn check_scope(own: Option<&String>, parent: Option<&String>) -> Result<(), SiteLabelError> {
    let rank = |scope: &String| SCOPES.iter().position(|s| *s == scope.to_ascii_lowercase());
    match (own, parent) {
        (Some(own), Some(parent)) if rank(own).zip(rank(parent)).is_some_and(|(own, parent)| own > parent) => {
            Err(SiteLabelError::WiderScope { own: own.clone(), parent: parent.clone() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Labels = BTreeMap<String, String>;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn added(settings: &str, own: &[(&str, &str)], inherited: &[(&str, &str)]) -> Result<Labels, SiteLabelError> {
        let settings: LabelSettings = toml::from_str(settings).expect("toml");
        let mut result = labels(&[("name", "f40/web"), ("release", "7")]);
        add_site_labels(&settings, &labels(own), &labels(inherited), &mut result)?;
        result.remove("name");
        result.remove("release");
        Ok(result)
    }

    #[test]
    fn a_site_without_labels_adds_none() {
        assert_eq!(added("", &[("vendor", "me")], &[("url", "x")]), Ok(Labels::new()));
    }

    #[test]
    fn labels_of_the_site_win_but_for_scope_and_licence() {
        let site = "[set]\nvendor = 'Example'\ndistribution-scope = 'public'\n'com.redhat.license_terms' = 'https://l'\n";
        let all = [("vendor", "Example"), ("distribution-scope", "public"), ("com.redhat.license_terms", "https://l")];
        assert_eq!(added(site, &[("vendor", "me")], &[("vendor", "base")]), Ok(labels(&all)));
        let own = [("distribution-scope", "private")];
        assert_eq!(added(site, &own, &[("com.redhat.license_terms", "x")]), Ok(labels(&all[..1])));
    }

    #[test]
    fn the_url_is_made_of_the_images_labels() {
        let site = "url_format = 'https://images/{name}/{tier}?r={release}'";
        let url = labels(&[("url", "https://images/f40/web/gold?r=7")]);
        assert_eq!(added(site, &[("tier", "gold"), ("url", "mine")], &[("tier", "base")]), Ok(url));
        assert_eq!(added(site, &[], &[]), Err(SiteLabelError::NoLabelForUrl { label: "tier".into() }));
    }

    #[test]
    fn labels_that_mean_the_same_get_the_same_value() {
        let site = "equal = [['description', 'io.k8s.description', 'summary']]";
        let own = [("io.k8s.description", "mine")];
        let both = labels(&[("description", "mine"), ("summary", "mine")]);
        assert_eq!(added(site, &own, &[("description", "base")]), Ok(both), "what the parent has is not what this image is");
        assert_eq!(added(site, &[("description", "a"), ("summary", "b")], &[]), Ok(labels(&[("io.k8s.description", "a")])));
        let from_base = labels(&[("description", "base"), ("summary", "base")]);
        assert_eq!(added(site, &[], &[("io.k8s.description", "base")]), Ok(from_base));
        assert_eq!(added(site, &[], &[]), Ok(Labels::new()));
        assert_eq!(added("equal = [['release', 'Release']]", &[], &[]), Ok(labels(&[("Release", "7")])));
    }

    #[test]
    fn an_image_is_not_spread_wider_than_its_parent() {
        let try_scope = |own: &str, parent: &str| added("", &[("distribution-scope", own)], &[("distribution-scope", parent)]);
        for (index, narrow) in SCOPES.iter().enumerate() {
            for (other, wide) in SCOPES.iter().enumerate() {
                assert_eq!(try_scope(narrow, wide).is_ok(), index <= other, "{narrow} from {wide}");
            }
        }
        let error = try_scope("Public", "restricted").expect_err("wider");
        assert!(error.to_string().contains("`Public`") && error.to_string().contains("`restricted`"), "{error}");
        assert!(try_scope("public", "friends").is_ok());
        assert!(added("", &[("distribution-scope", "public")], &[]).is_ok());
        assert!(added("", &[], &[("distribution-scope", "private")]).is_ok(), "inherited as it is");
        let site = "set = { distribution-scope = 'public' }";
        assert!(added(site, &[], &[("distribution-scope", "private")]).is_ok(), "the site's gives way");
    }
}
