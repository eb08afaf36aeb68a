//! The rules as a site writes them. Each kind is a list of tables of its own, so that a misspelt key is found with its line.

use serde::{Deserialize, Serialize};

use super::pattern::{glob_matches, is_plain};
use crate::files::Decision;

/// Which packages a rule looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppliesTo {
    /// All packages of the image.
    #[default]
    All,
    /// Those that this build brought: not in the parent image.
    New,
}

/// From when on a rule about RPMs counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Already while the image is built, in every stage: the gate does not hand such RPMs out.
    #[default]
    Build,
    /// In the finished image alone: an earlier stage, or a RUN that cleans up, may use them.
    Image,
}

/// What every kind of rule needs of its own name and text.
pub(super) trait Named {
    /// Key of its list in `[policy]`.
    const CHECK: &'static str;
    fn name(&self) -> &str;
    fn reason(&self) -> &str;
    fn decision(&self) -> Decision;
    fn remedy(&self) -> String;
    fn targets(&self) -> &[String];
}

/// A kind of rule: what all have in common, then its own keys.
macro_rules! rule {
    (
        $(#[$doc:meta])* $kind:ident as $check:literal, else $remedy:literal;
        $( $(#[$field_doc:meta])* $field:ident: $type:ty ),* $(,)?
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $kind {
            /// Stands in messages, reports and tests; unique among the rules of its kind.
            pub name: String,
            /// What becomes of an image that breaks the rule.
            #[serde(default = "refuse")]
            pub decision: Decision,
            /// Why the site has this rule.
            pub reason: String,
            /// What a packager can do; each kind has a sentence for sites that give none.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub remedy: Option<String>,
            /// Build targets it is for, as patterns; empty: for all.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub targets: Vec<String>,
            $( $(#[$field_doc])* pub $field: $type, )*
        }

        impl $kind {
            /// Whether the rule is for builds of this target. An unknown target (an image of another place) is for all.
            pub fn is_for(&self, target: Option<&str>) -> bool {
                is_for(&self.targets, target)
            }
        }

        impl Named for $kind {
            const CHECK: &'static str = $check;
            fn name(&self) -> &str {
                &self.name
            }
            fn reason(&self) -> &str {
                &self.reason
            }
            fn decision(&self) -> Decision {
                self.decision
            }
            fn remedy(&self) -> String {
                self.remedy.clone().unwrap_or_else(|| $remedy.to_owned())
            }
            fn targets(&self) -> &[String] {
                &self.targets
            }
        }
    };
}

fn refuse() -> Decision {
    Decision::Refuse
}

fn is_for(targets: &[String], target: Option<&str>) -> bool {
    let Some(target) = target else { return true };
    targets.is_empty() || targets.iter().any(|pattern| glob_matches(pattern, target))
}

rule! {
    /// Keys that RPMs must be signed with.
    SigningKeys as "signing_keys", else "install the signed copy: have the package signed, or offer a content source that holds it";
    /// Key ids, 8 or 16 hex digits (Koji's `sigkey` is the short form), or fingerprints. An empty string allows unsigned RPMs.
    allowed: Vec<String>,
    /// From when on it counts.
    #[serde(default)] scope: Scope,
    /// Which packages are looked at.
    #[serde(default)] applies_to: AppliesTo,
    /// Packages that need no signature, as patterns of names.
    #[serde(default)] except: Vec<String>,
}

rule! {
    /// Koji tags that the builds of RPMs must be in.
    ContentTags as "content_tags", else "use a version of the package that is in an allowed tag, or have its build tagged";
    /// Tags, as patterns. A name without `*` and `?` stands for the tags it inherits from as well.
    allowed: Vec<String>,
    /// From when on it counts.
    #[serde(default)] scope: Scope,
    /// Which packages are looked at.
    #[serde(default)] applies_to: AppliesTo,
    /// Packages that may come from anywhere in Koji, as patterns of names.
    #[serde(default)] except: Vec<String>,
}

rule! {
    /// Parent images that are no complete build of this Koji with that digest.
    ParentImages as "parent_images", else "use an image that was built in this Koji in FROM and COPY --from";
    /// Images it decides over, as patterns of what the Dockerfile says (`registry.example.com/tools/*`).
    #[serde(default = "every_image")] images: Vec<String>,
}

/// Without a pattern a rule is for all.
fn every_image() -> Vec<String> {
    vec!["*".to_owned()]
}

rule! {
    /// Registries and repositories that images may be named from.
    Registries as "registries", else "name an image of an allowed registry in FROM and COPY --from";
    /// Patterns of `HOST[:PORT]` or `HOST[:PORT]/REPOSITORY`.
    allowed: Vec<String>,
}

rule! {
    /// Repositories that the images of a Koji package may go to. The first rule whose components fit decides.
    Repositories as "repositories", else "name a repository of the component's own in the label `name`";
    /// Koji packages it decides over, as patterns.
    #[serde(default = "every_image")] components: Vec<String>,
    /// Patterns of repositories. `{component}` stands for the Koji package, `{stem}` for it without `-container`.
    allowed: Vec<String>,
}

rule! {
    /// Labels the finished image must or must not have.
    LabelRule as "labels", else "set or remove the label in the last stage of the Dockerfile";
    /// `LABEL`, or `LABEL=PATTERN` for its value. An empty value counts as none.
    #[serde(default)] required: Vec<String>,
    /// The same; the label is a pattern.
    #[serde(default)] forbidden: Vec<String>,
}

rule! {
    /// Packages that must not be in the image.
    ForbiddenPackages as "packages", else "remove the package, or find what requires it in the report";
    /// Patterns of `NAME` or `NAME-VERSION-RELEASE`.
    forbidden: Vec<String>,
    /// From when on it counts.
    #[serde(default)] scope: Scope,
    /// Which packages are looked at.
    #[serde(default)] applies_to: AppliesTo,
}

rule! {
    /// RPMs have the same version on all architectures of one build.
    SameVersions as "same_versions", else "build again when the repositories of all architectures are equally far";
    /// Packages that may differ, as patterns of names.
    #[serde(default)] except: Vec<String>,
}

rule! {
    /// How large an image may be.
    SizeLimit as "size", else "remove what is not needed: `dnf clean all` in the RUN that installs, smaller packages, fewer files";
    /// All layers as they are pushed (compressed), in MB (2^20 bytes).
    #[serde(default)] max_mb: Option<u64>,
    /// More than the build before, in MB.
    #[serde(default)] max_growth_mb: Option<u64>,
}

impl SigningKeys {
    /// Whether a package needs no signature.
    pub fn excepts(&self, name: &str) -> bool {
        self.except.iter().any(|pattern| glob_matches(pattern, name))
    }
}

impl ContentTags {
    /// Whether a package may come from anywhere in Koji.
    pub(super) fn excepts(&self, name: &str) -> bool {
        self.except.iter().any(|pattern| glob_matches(pattern, name))
    }

    /// The tags that stand for what they inherit from as well.
    pub fn plain_tags(&self) -> impl Iterator<Item = &String> {
        self.allowed.iter().filter(|tag| is_plain(tag))
    }
}

impl ParentImages {
    /// The rule of sites that write none: nothing foreign.
    pub fn strict() -> Self {
        Self {
            name: "koji-built".into(),
            decision: Decision::Refuse,
            reason: "an image is no better than what it is made from".into(),
            remedy: None,
            targets: Vec::new(),
            images: every_image(),
        }
    }
}

impl SameVersions {
    /// The rule of sites that write none.
    pub fn strict() -> Self {
        Self {
            name: "equal-arches".into(),
            decision: Decision::Refuse,
            reason: "one N-V-R is one content, whatever the machine".into(),
            remedy: None,
            targets: Vec::new(),
            except: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_for_the_targets_it_names_and_for_images_of_no_target() {
        let rule = |targets: &[&str]| SizeLimit {
            targets: targets.iter().map(|t| (*t).to_owned()).collect(),
            name: "n".into(),
            decision: Decision::Warn,
            reason: "r".into(),
            remedy: None,
            max_mb: None,
            max_growth_mb: None,
        };
        assert!(rule(&[]).is_for(Some("f40")));
        assert!(rule(&["f4*", "eln"]).is_for(Some("f41")) && rule(&["eln"]).is_for(None));
        assert!(!rule(&["f39*"]).is_for(Some("f40")));
    }

    #[test]
    fn a_rule_says_its_name_and_reason_and_refuses_unless_told_otherwise() {
        let rule: ForbiddenPackages =
            serde_json::from_str(r#"{"name": "a", "reason": "b", "forbidden": ["telnet*"]}"#).expect("rule");
        assert_eq!((rule.decision, rule.applies_to), (Decision::Refuse, AppliesTo::All));
        assert!(serde_json::from_str::<ForbiddenPackages>(r#"{"name": "a", "forbidden": []}"#).is_err());
    }
}
