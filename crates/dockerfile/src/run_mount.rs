//! `RUN --mount=…`: comma-separated fields, kept as text until the variables in them can be expanded.
//!
//! Fields are checked when the file is parsed as far as they hold no variable; [`RunMount::resolve`] does the rest
//! at build time. `from` never holds one, because stages are planned before anything is expanded.

use build_model::{Blame, Diagnose, nearest};

use crate::{ExpandError, Span, expand};

/// One `--mount` flag, unexpanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunMount {
    /// The flag's value as written, quotes removed.
    pub text: String,
    /// `from=`: stage name, number or image.
    pub from: Option<String>,
    /// Where the flag stands.
    pub span: Span,
    fields: Vec<Field>,
}

/// `key[=value]`, the key lower-cased.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    key: String,
    value: Option<String>,
}

/// A mount with everything expanded and defaulted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// `type=`; bind where not given.
    pub kind: MountKind,
    /// `from=`; `None` is the build context (bind) or an empty directory (cache).
    pub from: Option<String>,
    /// `source=`: path below `from`.
    pub source: Option<String>,
    /// `target=`, relative ones below WORKDIR. Never absent for bind, cache and tmpfs.
    pub target: Option<String>,
    /// After the type's default: bind, secret and ssh are read-only.
    pub read_only: bool,
    /// `size=` of a tmpfs, bytes.
    pub size: Option<u64>,
    /// `id=` of a cache, secret or ssh socket.
    pub id: Option<String>,
    /// `sharing=` of a cache.
    pub sharing: CacheSharing,
    /// `required` of a secret or ssh socket.
    pub required: bool,
    /// `env=` of a secret: the variable that gets its content. Without `target` it is not mounted as a file too.
    pub env: Option<String>,
    /// `mode=`, octal.
    pub mode: Option<u32>,
    /// `uid=`
    pub uid: Option<u32>,
    /// `gid=`
    pub gid: Option<u32>,
}

/// `type=` of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum MountKind {
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

/// `sharing=` of a cache mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CacheSharing {
    /// Concurrent users see each other's writes.
    #[default]
    Shared,
    /// Each concurrent user has its own.
    Private,
    /// The second user waits.
    Locked,
}

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
    /// A mount that must say where it goes does not.
    #[error("a mount of type {kind} needs `{key}=…`")]
    Missing {
        /// The key.
        key: &'static str,
        /// The type.
        kind: &'static str,
    },
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

const KEYS: [&str; 19] = [
    "type", "from", "source", "src", "target", "dst", "destination", "readonly", "ro", "readwrite", "rw", "size", "id", "sharing",
    "required", "env", "mode", "uid", "gid",
];

impl Diagnose for MountError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "dockerfile-mount-invalid"
    }
    fn hint(&self) -> Option<String> {
        match self {
            MountError::UnknownKey { key } => nearest(key, KEYS).map(|k| format!("did you mean `{k}`?")),
            MountError::BadValue { key, value, .. } if key == "type" => {
                nearest(value, MountKind::ALL.map(MountKind::as_str)).map(|k| format!("did you mean `{k}`?"))
            }
            MountError::BadValue { key, value, .. } if key == "sharing" => {
                nearest(value, ["shared", "private", "locked"]).map(|k| format!("did you mean `{k}`?"))
            }
            MountError::VariableInFrom { value } => {
                Some(format!("add `FROM {value} AS name` with a global ARG, and use `from=name`"))
            }
            _ => None,
        }
    }
}

impl MountKind {
    const ALL: [MountKind; 5] = [MountKind::Bind, MountKind::Cache, MountKind::Tmpfs, MountKind::Secret, MountKind::Ssh];

    /// The word in the Dockerfile.
    pub fn as_str(self) -> &'static str {
        match self {
            MountKind::Bind => "bind",
            MountKind::Cache => "cache",
            MountKind::Tmpfs => "tmpfs",
            MountKind::Secret => "secret",
            MountKind::Ssh => "ssh",
        }
    }
}

impl RunMount {
    /// Splits the flag's value into fields and checks all that does not depend on variables.
    pub(crate) fn parse(text: &str, escape: char, span: Span) -> Result<Self, MountError> {
        let mut fields = Vec::new();
        for field in split_fields(text).ok_or_else(|| MountError::Quote { text: text.to_owned() })? {
            let (key, value) = match field.split_once('=') {
                Some((key, value)) => (key.to_ascii_lowercase(), Some(value.to_owned())),
                None => (field.to_ascii_lowercase(), None),
            };
            if !KEYS.contains(&key.as_str()) {
                return Err(MountError::UnknownKey { key });
            }
            let flag = matches!(key.as_str(), "readonly" | "ro" | "readwrite" | "rw" | "required");
            if value.is_none() && !flag {
                return Err(MountError::NoValue { key });
            }
            fields.push(Field { key, value });
        }
        let from = fields.iter().rev().find(|f| f.key == "from").and_then(|f| f.value.clone()).filter(|v| !v.is_empty());
        if let Some(value) = from.as_ref().filter(|v| v.contains('$')) {
            return Err(MountError::VariableInFrom { value: value.clone() });
        }
        let mount = RunMount { text: text.to_owned(), from, span, fields };
        if !mount.fields.iter().any(|f| f.value.as_deref().is_some_and(|v| v.contains('$'))) {
            mount.resolve(escape, &|_| None)?;
        }
        Ok(mount)
    }

    /// The mount with its words expanded, checked and defaulted.
    ///
    /// # Errors
    /// A word that does not expand, or a field that does not fit the type.
    pub fn resolve(&self, escape: char, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Mount, MountError> {
        let mut values = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let value = match &field.value {
                None => None,
                Some(word) if field.key == "from" => Some(word.clone()),
                Some(word) => Some(
                    expand(word, escape, lookup)
                        .map_err(|source| MountError::Expand { key: field.key.clone(), source: source.at(self.span) })?,
                ),
            };
            values.push((field.key.as_str(), value));
        }
        // The type decides what the other fields mean, wherever it stands.
        let mut kind = MountKind::Bind;
        for (_, value) in values.iter().filter(|(key, _)| *key == "type") {
            let value = value.as_deref().unwrap_or_default();
            kind = MountKind::ALL
                .into_iter()
                .find(|k| k.as_str().eq_ignore_ascii_case(value))
                .ok_or_else(|| bad("type", value, "it is one of bind, cache, tmpfs, secret, ssh"))?;
        }
        let mut mount = Mount {
            kind,
            from: self.from.clone(),
            source: None,
            target: None,
            read_only: !matches!(kind, MountKind::Cache | MountKind::Tmpfs),
            size: None,
            id: None,
            sharing: CacheSharing::Shared,
            required: false,
            env: None,
            mode: None,
            uid: None,
            gid: None,
        };
        for (key, value) in values {
            set_field(&mut mount, key, value)?;
        }
        finish(mount)
    }
}

fn bad(key: &str, value: &str, expected: &'static str) -> MountError {
    MountError::BadValue { key: key.to_owned(), value: value.to_owned(), expected }
}

fn only_for(mount: &Mount, key: &'static str, kinds: &[MountKind]) -> Result<(), MountError> {
    if kinds.contains(&mount.kind) { Ok(()) } else { Err(MountError::NotForType { key, kind: mount.kind.as_str() }) }
}

fn set_field(mount: &mut Mount, key: &str, value: Option<String>) -> Result<(), MountError> {
    use MountKind::{Bind, Cache, Secret, Ssh, Tmpfs};
    let text = value.as_deref().unwrap_or_default();
    let flag = || match text.to_ascii_lowercase().as_str() {
        "" if value.is_none() => Ok(true),
        "1" | "t" | "true" => Ok(true),
        "0" | "f" | "false" => Ok(false),
        _ => Err(bad(key, text, "it is true or false")),
    };
    let number = || text.parse::<u32>().map_err(|_| bad(key, text, "it is a number"));
    match key {
        "type" => {}
        "from" => only_for(mount, "from", &[Bind, Cache])?,
        "source" | "src" => {
            only_for(mount, "source", &[Bind, Cache, Secret])?;
            mount.source = value;
        }
        "target" | "dst" | "destination" => mount.target = value,
        "readonly" | "ro" => mount.read_only = flag()?,
        "readwrite" | "rw" => mount.read_only = !flag()?,
        "size" => {
            only_for(mount, "size", &[Tmpfs])?;
            mount.size = Some(parse_size(text).ok_or_else(|| bad(key, text, "it is a number of bytes, or one with k, m, g or t"))?);
        }
        "id" => mount.id = value,
        "sharing" => {
            only_for(mount, "sharing", &[Cache])?;
            mount.sharing = match text.to_ascii_lowercase().as_str() {
                "shared" => CacheSharing::Shared,
                "private" => CacheSharing::Private,
                "locked" => CacheSharing::Locked,
                _ => return Err(bad(key, text, "it is one of shared, private, locked")),
            };
        }
        "required" => {
            only_for(mount, "required", &[Secret, Ssh])?;
            mount.required = flag()?;
        }
        "env" => {
            only_for(mount, "env", &[Secret])?;
            mount.env = value;
        }
        "mode" => {
            only_for(mount, "mode", &[Cache, Secret, Ssh])?;
            let mode = u32::from_str_radix(text, 8).ok().filter(|m| *m <= 0o7777 && !text.starts_with('+'));
            mount.mode = Some(mode.ok_or_else(|| bad(key, text, "it is an octal mode like 0400"))?);
        }
        "uid" => {
            only_for(mount, "uid", &[Cache, Secret, Ssh])?;
            mount.uid = Some(number()?);
        }
        "gid" => {
            only_for(mount, "gid", &[Cache, Secret, Ssh])?;
            mount.gid = Some(number()?);
        }
        // `parse` let only known keys in.
        other => return Err(MountError::UnknownKey { key: other.to_owned() }),
    }
    Ok(())
}

/// What can only be said when all fields are known.
fn finish(mut mount: Mount) -> Result<Mount, MountError> {
    for text in [&mut mount.source, &mut mount.target, &mut mount.id, &mut mount.env] {
        if text.as_deref() == Some("") {
            *text = None;
        }
    }
    let kind = mount.kind.as_str();
    match mount.kind {
        MountKind::Bind | MountKind::Cache | MountKind::Tmpfs if mount.target.is_none() => {
            Err(MountError::Missing { key: "target", kind })
        }
        MountKind::Secret => {
            if mount.source.is_some() && mount.id.is_some() {
                return Err(MountError::TwoIds);
            }
            // An old spelling of `id`.
            if let Some(source) = mount.source.take() {
                mount.id = Some(source);
            }
            if mount.id.is_none() && mount.target.is_none() {
                return Err(MountError::Missing { key: "id", kind });
            }
            Ok(mount)
        }
        _ => Ok(mount),
    }
}

/// Bytes, with the binary suffixes of docker's `--size` (`64m`, `1GiB`, `512kb`).
fn parse_size(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, suffix) = lower.split_at(digits);
    let suffix = suffix.trim();
    let suffix = suffix.strip_suffix("ib").or_else(|| suffix.strip_suffix('b')).unwrap_or(suffix);
    let shift = match suffix {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift);
    }
    let value = number.parse::<f64>().ok()? * (1u64 << shift) as f64;
    // Far below 2^63, so that the conversion is exact enough and cannot overflow.
    (value.is_finite() && value < 9e18).then_some(value as u64)
}

/// Comma-separated fields; a field that begins with `"` goes on to its closing quote (`""` is a quote inside), as in CSV.
fn split_fields(text: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut field = String::new();
            let mut tail = quoted;
            loop {
                let (before, after) = tail.split_once('"')?;
                field.push_str(before);
                tail = after;
                match tail.strip_prefix('"') {
                    Some(more) => {
                        field.push('"');
                        tail = more;
                    }
                    None => break,
                }
            }
            fields.push(field);
            if tail.is_empty() {
                return Some(fields);
            }
            rest = tail.strip_prefix(',')?;
        } else {
            let (field, tail) = rest.split_once(',').map_or((rest, None), |(f, t)| (f, Some(t)));
            if field.contains('"') {
                return None;
            }
            fields.push(field.to_owned());
            match tail {
                Some(tail) => rest = tail,
                None => return Some(fields),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Result<Mount, MountError> {
        RunMount::parse(text, '\\', Span::default())?.resolve('\\', &|name| (name == "DIR").then(|| "/d".to_owned()))
    }

    #[test]
    fn each_type_has_its_defaults() {
        let bind = resolve("target=/x,from=build,source=a").expect("bind");
        assert_eq!((bind.kind, bind.read_only, bind.from.as_deref()), (MountKind::Bind, true, Some("build")));
        let cache = resolve("type=cache,dst=/c,sharing=locked,uid=5,mode=0755").expect("cache");
        assert_eq!((cache.read_only, cache.sharing, cache.uid, cache.mode), (false, CacheSharing::Locked, Some(5), Some(0o755)));
        let tmpfs = resolve("size=64m,type=tmpfs,target=/t").expect("tmpfs");
        assert_eq!(tmpfs.size, Some(64 << 20));
        let secret = resolve("type=secret,src=token,required").expect("secret");
        assert_eq!((secret.id.as_deref(), secret.target, secret.required), (Some("token"), None, true));
    }

    #[test]
    fn variables_are_expanded_later_and_not_in_from() {
        assert_eq!(resolve("type=cache,target=$DIR/x").expect("mount").target.as_deref(), Some("/d/x"));
        assert!(matches!(resolve("from=$X,target=/a"), Err(MountError::VariableInFrom { .. })));
        assert!(matches!(resolve("type=cache,target=$NO"), Err(MountError::Missing { key: "target", .. })));
    }

    #[test]
    fn quoted_fields_may_hold_commas() {
        assert_eq!(resolve("type=bind,\"source=a,b\",target=/x").expect("mount").source.as_deref(), Some("a,b"));
        for bad in ["\"a", "target=/x,\"b\"c", "a\"b\""] {
            assert!(matches!(resolve(bad), Err(MountError::Quote { .. })), "{bad}");
        }
    }

    #[test]
    fn wrong_fields_are_named_with_the_nearest_right_one() {
        for (text, message, hint) in [
            ("typ=bind", "a mount has no option `typ`", Some("did you mean `type`?")),
            ("type=chache,target=/x", "`chache` is not a value", Some("did you mean `cache`?")),
            ("type=cache,target=/x,sharing=lock", "`lock` is not a value", None),
            ("target", "the mount option `target` needs a value", None),
            ("type=tmpfs,target=/x,uid=1", "`uid` does not apply to a mount of type tmpfs", None),
            ("target=/x,size=1", "`size` does not apply to a mount of type bind", None),
            ("type=cache", "a mount of type cache needs `target=…`", None),
            ("type=secret", "a mount of type secret needs `id=…`", None),
            ("type=secret,id=a,source=b", "not by both", None),
            ("target=/x,ro=maybe", "it is true or false", None),
            ("type=cache,target=/x,mode=99", "octal", None),
            ("", "a mount has no option ``", None),
        ] {
            let err = resolve(text).expect_err(text);
            assert!(err.to_string().contains(message), "{text}: {err}");
            assert_eq!(err.hint().as_deref(), hint, "{text}");
        }
    }

    #[test]
    fn sizes_have_binary_suffixes() {
        for (text, bytes) in [("1", 1), ("1k", 1024), ("1.5kb", 1536), ("2GiB", 2 << 30), ("3 m", 3 << 20)] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "x", "1x", "99999999999t", "1..2", "-1"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
