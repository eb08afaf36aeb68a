//! Repository definitions and dnf configuration for the sandbox. Mounted there, never part of a layer.

use super::source::PinnedSource;

/// Over the image's own directory: its `.repo` files are out of sight while a RUN runs.
const REPO_DIR: &str = "/etc/yum.repos.d";
const DNF_CONF: &str = "/etc/dnf/dnf.conf";
/// yum 3 of EL 7; a link to dnf.conf where there is dnf.
const YUM_CONF: &str = "/etc/yum.conf";

/// Options of `[main]` that say where packages come from, and ours for them.
const OURS: [(&str, &str); 11] = [
    ("reposdir", REPO_DIR),
    // The keys of a source decide, in its section.
    ("gpgcheck", "0"),
    ("repo_gpgcheck", "0"),
    // The gate's own cache is faster than a copy in the layer.
    ("keepcache", "0"),
    // Neither is served.
    ("zchunk", "0"),
    ("deltarpm", "0"),
    ("fastestmirror", "0"),
    // The gate answers only once it has a whole file and Koji's word; a large RPM may take a while.
    ("timeout", "900"),
    ("minrate", "1"),
    ("retries", "3"),
    ("skip_if_unavailable", "0"),
];
/// Options taken out of the image's `[main]`.
const DROPPED: [&str; 12] = [
    "include",
    "proxy",
    "proxy_username",
    "proxy_password",
    "proxy_auth_method",
    "localpkg_gpgcheck",
    "baseurl",
    "mirrorlist",
    "metalink",
    "cachedir",
    "cacheonly",
    "enabled",
];

pub(super) fn repo_files(
    sources: &[PinnedSource],
    port: u16,
    image_file: &dyn Fn(&str) -> Option<String>,
) -> Vec<(String, String)> {
    // The gate as a proxy for itself: this outweighs a proxy in the environment, and a repository that a RUN brings
    // along (`--repofrompath`) is refused by name instead of failing without a trace.
    let proxy = format!("http://127.0.0.1:{port}/");
    let mut files = Vec::new();
    let mut repo = String::new();
    for source in sources {
        let name = &source.pin.name;
        repo.push_str(&format!("[{name}]\nname={name}\nbaseurl=http://127.0.0.1:{port}/repo/{name}/\nenabled=1\n"));
        // Pinned for the whole build: what dnf has cached in an earlier step is still true.
        repo.push_str(&format!("metadata_expire=never\nskip_if_unavailable=0\nrepo_gpgcheck=0\nproxy={proxy}\n"));
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
    let dnf = image_file(DNF_CONF);
    match (&dnf, image_file(YUM_CONF)) {
        (None, Some(yum)) => files.push((YUM_CONF.to_owned(), main_section(&yum, &proxy))),
        _ => files.push((DNF_CONF.to_owned(), main_section(dnf.as_deref().unwrap_or_default(), &proxy))),
    }
    files
}

/// The image's `[main]` with our options; its other sections, which would be repositories, are left out.
fn main_section(image: &str, proxy: &str) -> String {
    let mut out = String::from("[main]\n");
    let (mut in_main, mut keep) = (false, false);
    for line in image.lines() {
        let bare = line.trim();
        if bare.starts_with('[') {
            in_main = bare.trim_end_matches(|c: char| c.is_whitespace()).eq_ignore_ascii_case("[main]");
            keep = false;
            continue;
        }
        if !in_main || bare.is_empty() || bare.starts_with(['#', ';']) {
            continue;
        }
        // An indented line continues the value before it.
        if !line.starts_with([' ', '\t']) {
            let key = bare.split(['=', ':']).next().unwrap_or_default().trim().to_ascii_lowercase();
            keep = !DROPPED.contains(&key.as_str()) && !OURS.iter().any(|(ours, _)| *ours == key);
        }
        if keep {
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    for (key, value) in OURS {
        out.push_str(&format!("{key}={value}\n"));
    }
    out.push_str(&format!("proxy={proxy}\n"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_images_own_options_stay_but_not_where_its_packages_come_from() {
        let image = "# c\n[main]\ngpgcheck=1\ninstallonly_limit=3\ntsflags=nodocs\nproxy = http://p\n  more\nexcludes=a\n  b\n[other]\nbaseurl=http://x\ntsflags=z\n";
        let text = main_section(image, "http://127.0.0.1:1/");
        let kept: Vec<&str> = text.lines().take_while(|l| !l.starts_with("reposdir")).collect();
        assert_eq!(kept, ["[main]", "installonly_limit=3", "tsflags=nodocs", "excludes=a", "  b"]);
        assert!(text.ends_with("\nproxy=http://127.0.0.1:1/\n") && text.matches("proxy").count() == 1, "{text}");
    }
}
