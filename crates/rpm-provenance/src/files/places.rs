//! Places and names from which something is run or loaded, as data: each pattern with who runs it.
//!
//! A file there is a program whatever its mode and first bytes: a shell reads `/etc/profile.d/x.sh` of mode 0644, the
//! loader maps what `/etc/ld.so.preload` names, Python runs a module and, before it, its cached byte code.

use super::glob;

/// A place, and who runs or obeys what lies there.
struct Place {
    pattern: &'static str,
    runs: &'static str,
}

const fn run(pattern: &'static str, runs: &'static str) -> Place {
    Place { pattern, runs }
}

const LOADER: &str = "the loader maps what it names into programs";
const SHELL: &str = "shells run it when they start";
const CRON: &str = "cron runs what it names";
const UNIT: &str = "systemd runs what it names";
const INIT: &str = "run when a system starts";
const RIGHTS: &str = "it decides who may become whom";
const RPM: &str = "rpm and dnf run what it names";
const REPOSITORY: &str = "dnf installs from where it says";
const TRUST: &str = "it decides whom programs believe";
const GIT: &str = "git runs what it names";
const SSH: &str = "ssh runs what it names, and decides who may log in";
const EDITOR: &str = "its program runs the commands in it when it starts";
const MAIL: &str = "mail programs run what it names";
const WEB: &str = "web servers obey it";
const KERNEL: &str = "udev and modprobe run what it names";
const SYSTEM: &str = "the kernel runs or allows what it names";

/// Paths as they are in the image, without links on the way.
const PLACES: &[Place] = &[
    run("/etc/ld.so.preload", LOADER),
    run("/etc/ld.so.conf", LOADER),
    run("/etc/ld.so.conf.d/**", LOADER),
    run("/etc/ld-musl-*", LOADER),
    run("/etc/environment", "it sets the environment of logins"),
    run("/etc/profile", SHELL),
    run("/etc/profile.d/**", SHELL),
    run("/etc/bashrc", SHELL),
    run("/etc/bash.bashrc", SHELL),
    run("/etc/bash_completion.d/**", SHELL),
    run("/etc/csh.*", SHELL),
    run("/etc/zsh*", SHELL),
    run("/etc/zsh/**", SHELL),
    run("/etc/z*rc", SHELL),
    run("/**/.bashrc", SHELL),
    run("/**/.bash_profile", SHELL),
    run("/**/.bash_login", SHELL),
    run("/**/.bash_logout", SHELL),
    run("/**/.bash_aliases", SHELL),
    run("/**/.xinitrc", SHELL),
    run("/**/.xsession", SHELL),
    run("/**/.xprofile", SHELL),
    run("/etc/X11/xinit/**", SHELL),
    run("/etc/X11/Xsession.d/**", SHELL),
    run("/**/.profile", SHELL),
    run("/**/.zshrc", SHELL),
    run("/**/.zshenv", SHELL),
    run("/etc/crontab", CRON),
    run("/etc/anacrontab", CRON),
    run("/etc/cron.*/**", CRON),
    run("/var/spool/cron/**", CRON),
    run("/var/spool/at/**", CRON),
    run("/etc/logrotate.d/**", "logrotate runs what it names"),
    run("/etc/systemd/system/**", UNIT),
    run("/etc/systemd/user/**", UNIT),
    run("/etc/systemd/*-generators/**", UNIT),
    run("/usr/lib/systemd/system/**", UNIT),
    run("/usr/lib/systemd/user/**", UNIT),
    run("/usr/lib/systemd/*-generators/**", UNIT),
    run("/usr/local/lib/systemd/**", UNIT),
    run("/run/systemd/**", UNIT),
    run("/**/.config/systemd/**", UNIT),
    run("/**/.config/environment.d/**", "it sets the environment of logins"),
    run("/**/.config/autostart/**", "run at a desktop login"),
    run("/etc/containers/systemd/**", UNIT),
    run("/usr/share/containers/systemd/**", UNIT),
    run("/etc/supervisord.conf", "supervisord runs what it names"),
    run("/etc/supervisord.d/**", "supervisord runs what it names"),
    run("/etc/audit/plugins.d/**", "the audit daemon runs what it names"),
    run("/etc/incron.d/**", CRON),
    run("/etc/tmpfiles.d/**", INIT),
    run("/usr/lib/tmpfiles.d/**", INIT),
    run("/etc/inittab", INIT),
    run("/etc/rc.local", INIT),
    run("/etc/rc.d/**", INIT),
    run("/etc/init.d/**", INIT),
    run("/etc/xdg/autostart/**", "run at a desktop login"),
    run("/usr/share/dbus-1/services/**", "dbus runs what it names"),
    run("/usr/share/dbus-1/system-services/**", "dbus runs what it names"),
    run("/etc/pam.d/**", RIGHTS),
    run("/etc/pam.conf", RIGHTS),
    run("/usr/lib/pam.d/**", RIGHTS),
    run("/usr/etc/pam.d/**", RIGHTS),
    run("/etc/security/pam_env.conf", RIGHTS),
    run("/etc/security/access.conf", RIGHTS),
    run("/etc/security/group.conf", RIGHTS),
    run("/etc/security/namespace.*", RIGHTS),
    run("/etc/userdb/**", RIGHTS),
    run("/usr/lib/userdb/**", RIGHTS),
    run("/var/lib/extrausers/**", RIGHTS),
    run("/etc/sudo.conf", RIGHTS),
    run("/etc/sudoers", RIGHTS),
    run("/etc/sudoers.d/**", RIGHTS),
    run("/etc/doas.conf", RIGHTS),
    run("/etc/polkit-1/**", RIGHTS),
    run("/usr/share/polkit-1/rules.d/**", RIGHTS),
    run("/usr/share/polkit-1/actions/**", RIGHTS),
    run("/etc/dbus-1/**", RIGHTS),
    run("/usr/share/dbus-1/system.d/**", RIGHTS),
    run("/usr/share/dbus-1/session.d/**", RIGHTS),
    run("/**/.ssh/authorized_keys*", RIGHTS),
    run("/**/.ssh/rc", SHELL),
    run("/**/.rhosts", RIGHTS),
    run("/etc/hosts.equiv", RIGHTS),
    run("/etc/rpm/**", RPM),
    run("/etc/rpmrc", RPM),
    run("/usr/lib/rpm/**", RPM),
    run("/**/.rpmmacros", RPM),
    run("/**/.rpmrc", RPM),
    run("/**/.config/rpm/**", RPM),
    run("/etc/yum.repos.d/**", REPOSITORY),
    run("/etc/distro.repos.d/**", REPOSITORY),
    run("/etc/yum/repos.d/**", REPOSITORY),
    run("/usr/share/dnf5/repos.d/**", REPOSITORY),
    run("/etc/dnf/repos.override.d/**", REPOSITORY),
    run("/usr/share/dnf5/repos.override.d/**", REPOSITORY),
    run("/etc/zypp/repos.d/**", REPOSITORY),
    run("/etc/dnf/plugins/**", RPM),
    run("/etc/dnf/libdnf5-plugins/**", RPM),
    run("/etc/yum/pluginconf.d/**", RPM),
    run("/etc/pki/rpm-gpg/**", TRUST),
    run("/usr/lib/sysimage/rpm/pubkeys/**", TRUST),
    run("/usr/lib/sysimage/rpm/keyring/**", TRUST),
    run("/var/lib/rpm/pubkeys/**", TRUST),
    run("/var/lib/rpm/keyring/**", TRUST),
    // OpenSSL's directory of authorities, by the digest of their names.
    run("/etc/pki/tls/certs/????????.?", TRUST),
    run("/etc/ssl/certs/????????.?", TRUST),
    run("/etc/pki/nssdb/**", TRUST),
    run("/**/.pki/nssdb/**", TRUST),
    run("/usr/lib*/python*/site-packages/**/cacert.pem", TRUST),
    run("/etc/containers/policy.json", TRUST),
    run("/etc/containers/certs.d/**", TRUST),
    run("/etc/docker/certs.d/**", TRUST),
    run("/etc/pki/ca-trust/source/**", TRUST),
    run("/usr/share/pki/ca-trust-source/**", TRUST),
    run("/etc/pkcs11/**", "p11-kit loads and runs what it names"),
    run("/usr/share/p11-kit/modules/**", "p11-kit loads and runs what it names"),
    run("/usr/local/share/ca-certificates/**", TRUST),
    run("/etc/gitconfig", GIT),
    run("/**/.gitconfig", GIT),
    run("/**/.git/config", GIT),
    run("/**/.config/git/**", GIT),
    run("/etc/ssh/ssh_config", SSH),
    run("/etc/ssh/ssh_config.d/**", SSH),
    run("/etc/ssh/sshd_config", SSH),
    run("/etc/ssh/sshd_config.d/**", SSH),
    run("/etc/ssh/sshrc", SSH),
    run("/**/.ssh/config", SSH),
    run("/**/.ssh/environment", SSH),
    run("/**/.shosts", RIGHTS),
    run("/etc/ssh/shosts.equiv", RIGHTS),
    run("/**/.k5login", RIGHTS),
    run("/etc/sysctl.conf", SYSTEM),
    run("/etc/sysctl.d/**", SYSTEM),
    run("/usr/lib/sysctl.d/**", SYSTEM),
    run("/etc/binfmt.d/**", SYSTEM),
    run("/usr/lib/binfmt.d/**", SYSTEM),
    run("/etc/modules-load.d/**", SYSTEM),
    run("/etc/request-key.conf", SYSTEM),
    run("/etc/request-key.d/**", SYSTEM),
    run("/etc/sysusers.d/**", RIGHTS),
    run("/usr/lib/sysusers.d/**", RIGHTS),
    run("/etc/environment.d/**", "it sets the environment of logins"),
    run("/usr/lib/environment.d/**", "it sets the environment of logins"),
    run("/**/.pam_environment", "it sets the environment of logins"),
    run("/usr/share/bash-completion/completions/**", SHELL),
    run("/etc/fish/**", SHELL),
    run("/etc/ksh*", SHELL),
    run("/**/.kshrc", SHELL),
    run("/**/.cshrc", SHELL),
    run("/**/.tcshrc", SHELL),
    run("/**/.login", SHELL),
    run("/etc/rsyslog.conf", "rsyslog runs what it names"),
    run("/etc/rsyslog.d/**", "rsyslog runs what it names"),
    run("/etc/inetd.conf", "inetd runs what it names"),
    run("/etc/xinetd.d/**", "inetd runs what it names"),
    run("/etc/containers/oci/hooks.d/**", "container runtimes run what it names"),
    run("/usr/share/containers/oci/hooks.d/**", "container runtimes run what it names"),
    run("/etc/dracut.conf.d/**", "dracut runs it"),
    run("/etc/vimrc", EDITOR),
    run("/etc/vimrc.local", EDITOR),
    run("/**/.vimrc", EDITOR),
    run("/**/.exrc", EDITOR),
    run("/**/.emacs", EDITOR),
    run("/etc/tmux.conf", EDITOR),
    run("/**/.tmux.conf", EDITOR),
    run("/etc/screenrc", EDITOR),
    run("/**/.screenrc", EDITOR),
    run("/etc/gdbinit", EDITOR),
    run("/**/.irbrc", EDITOR),
    run("/**/.pryrc", EDITOR),
    run("/**/.Rprofile", EDITOR),
    run("/**/.pdbrc", EDITOR),
    run("/**/.perldb", EDITOR),
    run("/**/.forward", MAIL),
    run("/**/.procmailrc", MAIL),
    run("/etc/procmailrc", MAIL),
    run("/**/.htaccess", WEB),
    run("/**/.user.ini", WEB),
    run("/**/.gdbinit", EDITOR),
    run("/**/.psqlrc", EDITOR),
    run("/**/.sqliterc", EDITOR),
    run("/etc/udev/rules.d/**", KERNEL),
    run("/usr/lib/udev/rules.d/**", KERNEL),
    run("/etc/modprobe.d/**", KERNEL),
    run("/usr/lib/modprobe.d/**", KERNEL),
];

/// Who runs or obeys the file at `path`; `None` for an ordinary place.
pub(super) fn runs(path: &[u8]) -> Option<&'static str> {
    // Asked of every path: most differ from most patterns in the top directory, or have no hidden part.
    let is_hidden = path.windows(2).any(|pair| pair == b"/.");
    let may_match = |pattern: &[u8]| if pattern.starts_with(HIDDEN) { is_hidden } else { pattern.get(..TOP) == path.get(..TOP) };
    PLACES.iter().find(|p| may_match(p.pattern.as_bytes()) && glob::matches(p.pattern.as_bytes(), path)).map(|p| p.runs)
}

/// A directory of places.
pub(super) struct Directory {
    pub path: &'static str,
    /// Whether everything below it counts, and not only some names in it.
    pub is_whole: bool,
}

/// The directories that patterns speak of, as far as they have no wildcard.
pub(super) fn directories() -> impl Iterator<Item = Directory> {
    let patterns = PLACES.iter().map(|place| place.pattern).filter(|pattern| !pattern.as_bytes().starts_with(HIDDEN));
    patterns.map(Directory::of)
}

impl Directory {
    /// Of a pattern.
    pub fn of(pattern: &'static str) -> Self {
        let plain = pattern.split(['*', '?']).next().unwrap_or_default();
        let path = plain.rsplit_once('/').map_or("", |(directory, _)| directory);
        Self { path, is_whole: pattern.len() == path.len() + "/**".len() && pattern.ends_with("/**") }
    }
}

/// How patterns begin that match below every directory; their next part is a hidden name.
const HIDDEN: &[u8] = b"/**/.";
/// Length of the top directory of all other patterns.
const TOP: usize = "/etc/".len();

#[cfg(test)]
mod tests {
    use super::{HIDDEN, PLACES, TOP, runs};

    #[test]
    fn patterns_begin_as_the_short_cut_assumes() {
        for place in PLACES {
            let pattern = place.pattern.as_bytes();
            let top = pattern.get(..TOP).unwrap_or_default();
            let is_plain = top.starts_with(b"/") && top.ends_with(b"/") && !top.contains(&b'*');
            assert!(pattern.starts_with(HIDDEN) || is_plain, "{}", place.pattern);
        }
    }

    #[test]
    fn a_file_that_something_obeys_is_told_from_one_that_only_lies_beside_it() {
        for path in [
            "/etc/ld.so.preload",
            "/etc/profile.d/colours",
            "/etc/cron.d/job",
            "/etc/systemd/system/x.service.d/override.conf",
            "/usr/lib/systemd/system-generators/x",
            "/root/.bashrc",
            "/srv/home/user/.ssh/authorized_keys2",
            "/usr/lib/rpm/macros.d/macros.x",
            "/root/.gitconfig",
            "/etc/sysctl.d/99-core.conf",
        ] {
            assert!(runs(path.as_bytes()).is_some(), "{path}");
        }
        for path in ["/etc/ld.so.cache", "/etc/profiles", "/etc/systemd/journald.conf", "/etc/nginx/nginx.conf", "/etc/passwd"] {
            assert_eq!(runs(path.as_bytes()), None, "{path}");
        }
    }
}
