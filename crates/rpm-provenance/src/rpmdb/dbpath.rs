//! Where rpm's configuration in the image says the rpmdb is: the macro `%_dbpath` (rpm's docs/manual/macros.md).
//!
//! A site may have moved its database, and so may somebody who wants another one to be looked at. Only what is plain text
//! is followed, `%{_var}` and the like included; a definition that runs a program (Debian's) is left alone.

use image_layers::MergedView;

/// Longest macro file that is read; rpm's own has 60 kB.
const MAX_FILE: u64 = 1 << 20;

/// The directories that macro files of the image name, in the order rpm reads them.
pub(super) fn directories(view: &MergedView) -> Vec<String> {
    let mut found = Vec::new();
    for path in macro_files(view) {
        let text = match view.read(&path, MAX_FILE) {
            Ok(Some(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
            Ok(None) => continue,
            Err(error) => {
                tracing::debug!(path, %error, "a macro file cannot be read");
                continue;
            }
        };
        for directory in text.lines().filter_map(definition) {
            if !found.contains(&directory) {
                found.push(directory);
            }
        }
    }
    found
}

fn macro_files(view: &MergedView) -> Vec<String> {
    let mut files = vec!["/usr/lib/rpm/macros".to_owned()];
    for (directory, prefix) in [("/usr/lib/rpm/macros.d", "macros."), ("/etc/rpm", "macros.")] {
        let names = view.list(directory).unwrap_or_default();
        files.extend(names.into_iter().filter(|name| name.starts_with(prefix)).map(|name| format!("{directory}/{name}")));
    }
    files.extend(["/etc/rpm/macros", "/root/.rpmmacros", "/root/.config/rpm/macros"].map(str::to_owned));
    files
}

/// The directory a line defines, if it defines one.
fn definition(line: &str) -> Option<String> {
    let value = line.trim_start().strip_prefix("%_dbpath")?;
    if !value.starts_with([' ', '\t']) {
        return None; // another macro, as %_dbpath_rebuild
    }
    let value = expand(value.trim())?;
    value.starts_with('/').then_some(value)
}

/// Expands the macros of directories; `None` for anything else.
fn expand(value: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let (name, after) = match after.strip_prefix('{') {
            Some(braced) => braced.split_once('}')?,
            None => after.split_at(after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len())),
        };
        out.push_str(match name {
            "_var" | "_localstatedir" => "/var",
            "_usr" | "_prefix" | "_exec_prefix" => "/usr",
            "_sysconfdir" => "/etc",
            "_datadir" => "/usr/share",
            "_sharedstatedir" => "/var/lib",
            "_usrlibrpm" | "_rpmconfigdir" => "/usr/lib/rpm",
            _ => return None,
        });
        rest = after;
    }
    out.push_str(rest);
    let out = out.trim_end_matches('/').to_owned();
    (!out.is_empty() && !out.contains(['"', '\'', '\\', ' '])).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_definitions_are_followed_and_others_left_alone() {
        for (line, expected) in [
            ("%_dbpath\t\t%{_var}/lib/rpm", Some("/var/lib/rpm")),
            ("  %_dbpath /opt/db/", Some("/opt/db")),
            ("%_dbpath %_usr/lib/sysimage/rpm", Some("/usr/lib/sysimage/rpm")),
            ("%_dbpath_rebuild /x", None),
            ("%_dbpath %(bash -c 'echo ~/.rpmdb')", None),
            ("%_dbpath %{nonsense}/x", None),
            ("%_dbpath relative", None),
            ("#%_dbpath /x", None),
            ("%_dbpath", None),
        ] {
            assert_eq!(definition(line).as_deref(), expected, "{line}");
        }
    }
}
