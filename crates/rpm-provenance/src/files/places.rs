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
const KERNEL: &str = "udev and modprobe run what it names";

/// Paths as they are in the image, without links on the way.
const PLACES: &[Place] = &[
    run("/etc/ld.so.preload", LOADER),
    run("/etc/ld.so.conf", LOADER),
    run("/etc/ld.so.conf.d/**", LOADER),
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
    run("/etc/security/pam_env.conf", RIGHTS),
    run("/etc/sudoers", RIGHTS),
    run("/etc/sudoers.d/**", RIGHTS),
    run("/etc/doas.conf", RIGHTS),
    run("/etc/polkit-1/rules.d/**", RIGHTS),
    run("/usr/share/polkit-1/rules.d/**", RIGHTS),
    run("/**/.ssh/authorized_keys*", RIGHTS),
    run("/**/.ssh/rc", SHELL),
    run("/**/.rhosts", RIGHTS),
    run("/etc/hosts.equiv", RIGHTS),
    run("/etc/rpm/**", RPM),
    run("/usr/lib/rpm/macros*", RPM),
    run("/usr/lib/rpm/macros.d/**", RPM),
    run("/**/.rpmmacros", RPM),
    run("/etc/dnf/plugins/**", RPM),
    run("/etc/udev/rules.d/**", KERNEL),
    run("/usr/lib/udev/rules.d/**", KERNEL),
    run("/etc/modprobe.d/**", KERNEL),
    run("/usr/lib/modprobe.d/**", KERNEL),
];

/// Who runs or obeys the file at `path`; `None` for an ordinary place.
pub(super) fn runs(path: &[u8]) -> Option<&'static str> {
    PLACES.iter().find(|p| glob::matches(p.pattern.as_bytes(), path)).map(|p| p.runs)
}

#[cfg(test)]
mod tests {
    use super::runs;

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
        ] {
            assert!(runs(path.as_bytes()).is_some(), "{path}");
        }
        for path in ["/etc/ld.so.cache", "/etc/profiles", "/etc/systemd/journald.conf", "/etc/nginx/nginx.conf", "/etc/passwd"] {
            assert_eq!(runs(path.as_bytes()), None, "{path}");
        }
    }
}
