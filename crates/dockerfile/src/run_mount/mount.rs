//! A mount with its words expanded: fields checked against the type, defaults filled in.

use super::MountError;

/// A mount with everything expanded and defaulted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// `type=`; bind where not given.
    pub kind: MountKind,
    /// `from=`; `None` is the build context (bind) or an empty directory (cache).
    pub from: Option<String>,
    /// `source=`: path below `from`.
    pub source: Option<String>,
    /// `target=`, relative ones below WORKDIR; `.` for a bind, cache or tmpfs that names none.
    pub target: Option<String>,
    /// After the type's default: bind, secret and ssh are read-only.
    pub read_only: bool,
    /// `size=` of a tmpfs, bytes.
    pub size: Option<u64>,
    /// `id=` of a cache, secret or ssh socket. Never absent for a secret.
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
pub enum MountKind {
    /// Files of the context, a stage or an image.
    Bind,
    /// A directory kept between builds.
    Cache,
    /// An empty directory in memory.
    Tmpfs,
    /// A file or variable that never reaches a layer.
    Secret,
    /// An agent's socket.
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

impl MountKind {
    pub(super) const ALL: [MountKind; 5] =
        [MountKind::Bind, MountKind::Cache, MountKind::Tmpfs, MountKind::Secret, MountKind::Ssh];

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

impl Mount {
    /// Fields (key, expanded value) in the order written; where a key repeats, the last counts.
    pub(super) fn from_fields(from: Option<String>, values: Vec<(&str, Option<String>)>) -> Result<Mount, MountError> {
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
            from,
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
            mount.size =
                Some(parse_size(text).ok_or_else(|| bad(key, text, "it is a number of bytes, or one with k, m, g or t"))?);
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
    match mount.kind {
        // Over WORKDIR itself.
        MountKind::Bind | MountKind::Cache | MountKind::Tmpfs => {
            mount.target.get_or_insert_with(|| ".".to_owned());
            Ok(mount)
        }
        MountKind::Secret => {
            if mount.source.is_some() && mount.id.is_some() {
                return Err(MountError::TwoIds);
            }
            // An old spelling of `id`.
            if let Some(source) = mount.source.take() {
                mount.id = Some(source);
            }
            // A target alone names the secret too, by its last part.
            let last = mount.target.as_deref().and_then(|t| t.rsplit('/').find(|part| !part.is_empty())).map(str::to_owned);
            mount.id = Some(mount.id.or(last).ok_or(MountError::NoId)?);
            Ok(mount)
        }
        MountKind::Ssh => Ok(mount),
    }
}

/// Bytes, with the binary suffixes of docker's `--size` (`64m`, `1GiB`, `512kb`).
pub(super) fn parse_size(text: &str) -> Option<u64> {
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
