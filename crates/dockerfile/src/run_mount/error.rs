//! Why a `--mount` is not usable.

use build_model::{Blame, Diagnose};

use super::{KEYS, MountKind};
use crate::ExpandError;
use crate::problem::did_you_mean;

/// Why a `--mount` is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    /// A quote inside the value is not closed or stands in the middle of a field.
    #[error("`--mount={text}` has an unbalanced quote")]
    Quote {
        /// The flag's value.
        text: String,
    },
    /// No such key.
    #[error("a mount has no option `{key}`")]
    UnknownKey {
        /// The key as written.
        key: String,
    },
    /// A key that needs a value has none.
    #[error("the mount option `{key}` needs a value: `{key}=…`")]
    NoValue {
        /// The key.
        key: String,
    },
    /// A value that is not one of the key's.
    #[error("`{value}` is not a value for the mount option `{key}`: {expected}")]
    BadValue {
        /// The key.
        key: String,
        /// The value, expanded.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The key does not belong to this type of mount.
    #[error("the mount option `{key}` does not apply to a mount of type {kind}")]
    NotForType {
        /// The key.
        key: &'static str,
        /// The type.
        kind: &'static str,
    },
    /// A secret that says neither which one nor where to.
    #[error("a mount of type secret needs `id=…`")]
    NoId,
    /// `source` and `id` both name the secret.
    #[error("a secret is named by `id` or by `source`, not by both")]
    TwoIds,
    /// A variable in `from=`.
    #[error("`from={value}`: a variable cannot be used here")]
    VariableInFrom {
        /// The value.
        value: String,
    },
    /// A word in it does not expand.
    #[error("cannot expand the mount option `{key}`")]
    Expand {
        /// The key.
        key: String,
        /// Why.
        #[source]
        source: ExpandError,
    },
}

impl Diagnose for MountError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "dockerfile-mount-invalid"
    }
    fn hint(&self) -> Option<String> {
        match self {
            MountError::UnknownKey { key } => did_you_mean(key, KEYS),
            MountError::BadValue { key, value, .. } if key == "type" => {
                near_or_whole(value, &MountKind::ALL.map(MountKind::as_str))
            }
            MountError::BadValue { key, value, .. } if key == "sharing" => near_or_whole(value, &["shared", "private", "locked"]),
            MountError::VariableInFrom { value } => {
                Some(format!("add `FROM {value} AS name` with a global ARG, and use `from=name`"))
            }
            _ => None,
        }
    }
}

/// The word that was misspelt, or of which only the beginning was written.
fn near_or_whole(text: &str, words: &[&'static str]) -> Option<String> {
    let begins = || words.iter().find(|word| text.len() > 1 && word.starts_with(&text.to_ascii_lowercase()));
    did_you_mean(text, words.iter().copied()).or_else(|| begins().map(|word| format!("did you mean `{word}`?")))
}
