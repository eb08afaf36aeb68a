//! Repository definitions for the sandbox. Mounted there over `/etc/yum.repos.d`, never part of a layer.
//!
//! Everything that matters stands in the repositories' own sections, which outweigh `[main]` in yum 3, dnf 4, dnf 5 and
//! microdnf: so the image's dnf.conf stays as it is, and what a RUN or a package does to it is the image's business.

use super::source::PinnedSource;

/// Where package managers of all ages look for repositories; the generated ones are mounted here.
pub const REPO_DIR: &str = "/etc/yum.repos.d";
/// The other directories: libdnf's `reposdir` (`/etc/yum/repos.d`, `/etc/distro.repos.d`), libdnf5's (`/etc/distro.repos.d`,
/// `/usr/share/dnf5/repos.d`), and libdnf5's overrides. What an image has there is kept out of sight.
pub const OTHER_REPO_DIRS: [&str; 5] = [
    "/etc/distro.repos.d",
    "/etc/yum/repos.d",
    "/usr/share/dnf5/repos.d",
    "/etc/dnf/repos.override.d",
    "/usr/share/dnf5/repos.override.d",
];
/// Files with a `[main]` section; `/etc/yum.conf` is a link to dnf.conf where there is dnf.
pub const MAIN_CONFS: [&str; 2] = ["/etc/dnf/dnf.conf", "/etc/yum.conf"];
/// Directories of further such files: what libdnf5 reads of a distribution and of a site before `/etc/dnf/dnf.conf`. They
/// may bring `reposdir` like any other.
pub const CONF_DIRS: [&str; 2] = ["/usr/share/dnf5/libdnf.conf.d", "/etc/dnf/libdnf5.conf.d"];
/// How the names of files in them end.
pub const CONF_ENDING: &str = ".conf";

/// Options of every repository, in words that yum 3, dnf 4 and dnf 5 know; what one does not know it passes over.
const OPTIONS: [&str; 8] = [
    "enabled=1",
    // Pinned for the whole build: what was cached in an earlier step, or kept for this very repomd.xml, is still true.
    "metadata_expire=never",
    "skip_if_unavailable=0",
    // repomd.xml is pinned by the worker, which talks to the server itself.
    "repo_gpgcheck=0",
    // Differences to older packages, of which an image has none in its cache.
    "deltarpm=0",
    // The gate has a small RPM whole, and Koji's word, before it says anything; a slow upstream takes its time.
    "timeout=900",
    "minrate=1",
    "retries=3",
];

/// Path in the image, and text: the repositories' definitions and their keys.
pub(super) fn repo_files(sources: &[PinnedSource], port: u16) -> Vec<(String, String)> {
    // The gate as a proxy for itself: this outweighs a proxy in the environment and in dnf.conf, and a repository that a
    // RUN brings along (`--repofrompath`) is refused by name instead of failing without a trace.
    let proxy = format!("http://127.0.0.1:{port}/");
    let mut files = Vec::new();
    let mut repo = String::new();
    for source in sources {
        let name = &source.pin.name;
        repo.push_str(&format!("[{name}]\nname={name}\nbaseurl=http://127.0.0.1:{port}/repo/{name}/\nproxy={proxy}\n"));
        for option in OPTIONS {
            repo.push_str(option);
            repo.push('\n');
        }
        if source.keys.is_empty() {
            repo.push_str("gpgcheck=0\n");
        } else {
            let paths: Vec<String> = (0..source.keys.len()).map(|n| format!("{REPO_DIR}/{name}.{n}.gpgkey")).collect();
            let urls: Vec<String> = paths.iter().map(|p| format!("file://{p}")).collect();
            // Values go on in indented lines, which yum 3, dnf 4 and dnf 5 all read.
            repo.push_str(&format!("gpgcheck=1\ngpgkey={}\n", urls.join("\n       ")));
            files.extend(paths.into_iter().zip(source.keys.iter().cloned()));
        }
        repo.push('\n');
    }
    files.insert(0, (format!("{REPO_DIR}/koji.repo"), repo));
    files
}

/// Options of `[main]` that bring other repositories in.
const LEADING_ELSEWHERE: [&str; 2] = ["reposdir", "include"];

/// An image's dnf.conf (or yum.conf) without the repositories it defines or points to; `None` when it does neither, which
/// is what nearly all images have, and then it is not touched at all.
pub fn without_repositories(conf: &str) -> Option<String> {
    let mut out = String::new();
    let (mut changed, mut in_main, mut keep) = (false, false, true);
    for line in conf.lines() {
        let bare = line.trim();
        if bare.starts_with('[') {
            in_main = bare.eq_ignore_ascii_case("[main]");
            keep = in_main;
        } else if in_main && !bare.is_empty() && !bare.starts_with(['#', ';']) && !line.starts_with([' ', '\t']) {
            // An indented line continues the value before it, and shares its fate.
            let key = bare.split(['=', ':']).next().unwrap_or_default().trim().to_ascii_lowercase();
            keep = !LEADING_ELSEWHERE.contains(&key.as_str());
        }
        if keep {
            out.push_str(line);
            out.push('\n');
        } else {
            changed = true;
        }
    }
    changed.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_dnf_conf_is_left_alone() {
        let fedora = "[main]\ngpgcheck=1\ninstallonly_limit=3\nclean_requirements_on_remove=True\nbest=False\nproxy = http://p\n";
        assert_eq!(without_repositories(fedora), None);
        assert_eq!(without_repositories(""), None);
        assert_eq!(without_repositories("# see `man dnf.conf` for defaults and possible options\n\n[main]\n"), None);
    }

    #[test]
    fn repositories_in_dnf_conf_are_kept_out_of_sight() {
        let image =
            "# c\n[main]\ngpgcheck=1\nreposdir = /opt/repos,\n  /srv/repos\nexcludes=a\n  b\n[other]\nbaseurl=http://x\n  y\n";
        assert_eq!(without_repositories(image).as_deref(), Some("# c\n[main]\ngpgcheck=1\nexcludes=a\n  b\n"));
        assert_eq!(without_repositories("[main]\nInclude=http://x/y.conf\n").as_deref(), Some("[main]\n"));
    }
}
