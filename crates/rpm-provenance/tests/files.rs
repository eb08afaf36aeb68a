//! File accounting over layers as overlayfs makes them, with packages that rpm itself installed.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Instant;

use image_layers::MergedView;
use rpm_provenance::files::{
    Accounting, Class, Code, CommitContents, ConfigText, FileAccount, LayerDigests, LayerSource, NewLayer, PackageFiles,
    PackageFinding, PackedDigests, account,
};
use rpm_provenance::rpmdb::read_view_with_files;
use sha2::Digest as _;
use support::{Recipe, install, rpm, rpmbuild, rpmbuild_spec, run};

/// Layers, bottom first; all but the first are new. The rpmdb is in the one it was last written in.
struct Image {
    dir: tempfile::TempDir,
    layers: Vec<PathBuf>,
    config: Vec<ConfigText>,
    /// What the packer is to have hashed, of the topmost layers.
    digests: Vec<LayerDigests>,
}

impl Image {
    /// A base with the packages `web` and `tool`.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("base");
        let rpms: Vec<PathBuf> = ["web", "tool"].map(|name| rpmbuild(dir.path(), &Recipe { name, ..Recipe::default() })).into();
        install(&base, &rpms.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        Image { layers: vec![base], dir, config: Vec::new(), digests: Vec::new() }
    }

    /// A base with one package of these files (path, mode, content; links where the mode is 0) and ghosts.
    fn of_files(files: &[(&str, u32, &str)], ghosts: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut spec = "Name: suite\nVersion: 1\nRelease: 1\nSummary: s\nLicense: l\n%description\nd\n%install\n".to_owned();
        for (path, mode, content) in files {
            spec.push_str(&format!("mkdir -p $(dirname %{{buildroot}}{path})\n"));
            spec.push_str(&match mode {
                0 => format!("ln -s {content} %{{buildroot}}{path}\n"),
                _ => format!("printf '%%s' '{content}' > %{{buildroot}}{path}; chmod {mode:o} %{{buildroot}}{path}\n"),
            });
        }
        spec.push_str("%files\n");
        files.iter().for_each(|(path, ..)| spec.push_str(&format!("{path}\n")));
        ghosts.iter().for_each(|path| spec.push_str(&format!("%ghost {path}\n")));
        let rpm = rpmbuild_spec(dir.path(), "suite-1-1.noarch.rpm", "noarch", &spec);
        let base = dir.path().join("base");
        install(&base, &[&rpm]);
        Image { layers: vec![base], dir, config: Vec::new(), digests: Vec::new() }
    }

    fn layer(&mut self) -> PathBuf {
        let path = self.dir.path().join(format!("layer{}", self.layers.len()));
        fs::create_dir(&path).unwrap();
        self.layers.push(path.clone());
        path
    }

    fn packages(layers: &[PathBuf]) -> Vec<PackageFiles> {
        read_view_with_files(&MergedView::new(layers.iter().rev().cloned().collect())).unwrap().1
    }

    fn account(&self, source: LayerSource, commit: Option<&Path>) -> FileAccount {
        let layer = NewLayer { instruction: "RUN it".into(), source };
        account(&Accounting {
            layers: self.layers.iter().rev().cloned().collect(),
            new_layers: &vec![layer; self.layers.len() - 1],
            digests: &self.digests,
            packages: &Self::packages(&self.layers),
            parent: &Self::packages(&self.layers[..1]),
            elsewhere: &[],
            commit,
            config: &self.config,
            working_dir: "/",
        })
        .unwrap()
    }
}

fn write(root: &Path, path: &str, content: &str, mode: u32) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn gained(account: &FileAccount) -> Vec<(&str, Vec<&str>)> {
    account.privileges.iter().map(|p| (p.path.as_str(), p.gained.iter().map(String::as_str).collect())).collect()
}

fn runs<'a>(account: &'a FileAccount, path: &str) -> Option<&'a str> {
    account.records.iter().find(|r| r.path == path).and_then(|r| r.runs.as_deref())
}

fn class(account: &FileAccount, path: &str) -> (Class, Code) {
    let found = account.records.iter().find(|r| r.path == path);
    found.map(|r| (r.class, r.code)).unwrap_or_else(|| panic!("{path} is not in {:#?}", account.records))
}

#[test]
fn every_path_of_a_new_layer_has_its_class() {
    let mut image = Image::new();
    let commit = image.dir.path().join("commit");
    write(&commit, "page/index.html", "<p>hello", 0o644);
    let layer = image.layer();
    write(&layer, "usr/share/web/file", "content\n", 0o644); // copied up, unchanged
    write(&layer, "usr/share/tool/file", "other", 0o600);
    write(&layer, "srv/index.html", "<p>hello", 0o644);
    write(&layer, "srv/copy", "content\n", 0o644);
    write(&layer, "srv/made", "made", 0o644);
    write(&layer, "srv/run", "made", 0o755);
    write(&layer, "srv/picture.png", "\x7fELF", 0o644);
    write(&layer, "srv/empty", "", 0o755);
    write(&layer, "etc/ld.so.cache", &format!("glibc-ld.so.cache1.1{}", "\0".repeat(28)), 0o644);
    write(&layer, "usr/lib/locale/locale-archive", "no locales", 0o644);
    write(&layer, "var/cache/dnf/x", "#!/bin/sh", 0o644);
    symlink("/srv/run", layer.join("srv/link")).unwrap();
    let account = image.account(LayerSource::Any, Some(&commit));
    assert_eq!(class(&account, "/usr/share/tool/file"), (Class::Altered, Code::None));
    assert_eq!(class(&account, "/srv/index.html"), (Class::Commit, Code::None));
    assert_eq!(class(&account, "/srv/copy"), (Class::Copy, Code::None));
    assert_eq!(class(&account, "/srv/made"), (Class::Unexplained, Code::None));
    assert_eq!(class(&account, "/srv/run"), (Class::Unexplained, Code::Script));
    assert_eq!(class(&account, "/srv/picture.png"), (Class::Unexplained, Code::Binary));
    assert_eq!(class(&account, "/etc/ld.so.cache"), (Class::Generated, Code::None));
    assert_eq!(class(&account, "/usr/lib/locale/locale-archive").0, Class::Unexplained, "its program would not write that");
    assert_eq!(class(&account, "/var/cache/dnf/x"), (Class::Unexplained, Code::Script), "no pattern explains a program");
    assert_eq!(account.count(Class::Rpm).paths, 3, "the file and both directories: {account:#?}");
    assert_eq!((account.count(Class::Link).paths, account.count(Class::Empty).paths), (1, 1));
    assert_eq!(account.records[0].path, "/srv/picture.png", "programs are first");
    let altered = account.records.iter().find(|r| r.class == Class::Altered).unwrap();
    assert_eq!(
        (altered.differs.as_slice(), altered.owner.as_deref()),
        (&["size".into(), "mode".into()][..], Some("tool-1.0-1.noarch"))
    );
}

#[test]
fn a_file_that_was_hashed_when_it_was_packed_is_not_read_again() {
    let mut image = Image::new();
    let layer = image.layer();
    // Other bytes of the right length: only a reader would notice.
    write(&layer, "usr/share/web/file", "CONTENT\n", 0o644);
    assert_eq!(class(&image.account(LayerSource::Any, None), "/usr/share/web/file").0, Class::Altered);
    let mut packed = PackedDigests::default();
    packed.insert(b"usr/share/web/file", 8, sha2::Sha256::digest(b"content\n").into());
    image.digests = vec![LayerDigests::Packed(packed)];
    let account = image.account(LayerSource::Any, None);
    assert!(account.records.iter().all(|r| r.class != Class::Altered), "{:#?}", account.records);
    // of another size it is another file
    write(&layer, "usr/share/web/file", "content and more\n", 0o644);
    assert_eq!(class(&image.account(LayerSource::Any, None), "/usr/share/web/file").0, Class::Altered);
}

#[test]
fn what_a_stage_or_the_commit_brought_is_known_by_its_layer_but_programs_of_a_stage_are_not() {
    let mut image = Image::new();
    let layer = image.layer();
    write(&layer, "srv/data", "data", 0o644);
    write(&layer, "srv/run", "#!/bin/sh", 0o755);
    let account = image.account(LayerSource::Stage("make".into()), None);
    assert_eq!(class(&account, "/srv/data"), (Class::Stage, Code::None));
    assert_eq!(class(&account, "/srv/run"), (Class::Unexplained, Code::Script));
    assert_eq!(class(&image.account(LayerSource::Commit, None), "/srv/run"), (Class::Commit, Code::Script));
}

/// Whoever verifies an image has its own history for what made which layer.
#[test]
fn what_a_layer_is_only_said_to_hold_of_the_commit_must_be_there() {
    let mut image = Image::new();
    let commit = image.dir.path().join("commit");
    write(&commit, "run", "#!/bin/sh\n", 0o755);
    let layer = image.layer();
    write(&layer, "srv/run", "#!/bin/sh\n", 0o755);
    write(&layer, "srv/member", "of an archive", 0o644);
    write(&layer, "srv/text", "exec /srv/app\n", 0o755);
    write(&layer, "srv/other", "exec /srv/app; evil\n", 0o755);
    write(&layer, "srv/tool", "\x7fELF", 0o755);
    let mut contents = CommitContents::default();
    contents.add_file(13, sha2::Sha256::digest(b"of an archive").into());
    contents.add_text("exec $APP\n", true);
    let account = image.account(LayerSource::ClaimedCommit(std::sync::Arc::new(contents)), Some(&commit));
    for (path, expected) in [
        ("/srv/run", (Class::Commit, Code::Script)),
        ("/srv/member", (Class::Commit, Code::None)),
        ("/srv/text", (Class::Commit, Code::Script)),
        ("/srv/other", (Class::Unexplained, Code::Script)),
        ("/srv/tool", (Class::Unexplained, Code::Binary)),
    ] {
        assert_eq!(class(&account, path), expected, "{path}");
    }
    // A build knows, because it made the layer.
    assert_eq!(class(&image.account(LayerSource::Commit, Some(&commit)), "/srv/tool").0, Class::Commit);
}

#[test]
fn a_file_behind_a_directory_link_is_held_against_its_owner() {
    let mut image = Image::new();
    let layer = image.layer();
    // usr/share/web is replaced by a link to a copy with another file in it
    fs::create_dir_all(layer.join("usr/share")).unwrap();
    symlink("/opt/web", layer.join("usr/share/web")).unwrap();
    write(&layer, "opt/web/file", "foreign\n", 0o644);
    let account = image.account(LayerSource::Any, None);
    assert_eq!(class(&account, "/opt/web/file"), (Class::Altered, Code::None));
    assert_eq!(class(&account, "/usr/share/web").0, Class::Altered);
}

#[test]
fn deleted_files_are_found_through_whiteouts_and_opaque_directories() {
    let mut image = Image::new();
    let layer = image.layer();
    fs::create_dir_all(layer.join("usr/share/web")).unwrap();
    run(std::process::Command::new("mknod").arg(layer.join("usr/share/tool")).args(["c", "0", "0"]));
    let opaque = layer.join("usr/share/web");
    rustix::fs::lsetxattr(&opaque, "trusted.overlay.opaque", b"y", rustix::fs::XattrFlags::empty()).unwrap();
    let account = image.account(LayerSource::Any, None);
    for path in ["/usr/share/web/file", "/usr/share/tool/file", "/usr/share/tool"] {
        assert_eq!(class(&account, path).0, Class::Deleted, "{path}");
    }
    assert_eq!(account.count(Class::Deleted).paths, 3);
}

#[test]
fn what_a_later_layer_hides_is_counted_once_and_not_judged() {
    let mut image = Image::new();
    let (below, above) = (image.layer(), image.layer());
    write(&below, "srv/tool", "\x7fELF", 0o755);
    write(&below, "srv/gone", "\x7fELF", 0o755);
    write(&above, "srv/tool", "text", 0o644);
    run(std::process::Command::new("mknod").arg(above.join("srv/gone")).args(["c", "0", "0"]));
    let account = image.account(LayerSource::Any, None);
    assert_eq!((account.hidden, account.count(Class::Unexplained).paths, account.count(Class::Unexplained).programs), (2, 1, 0));
}

#[test]
fn rights_that_no_package_gives_are_reported_whatever_the_class() {
    let mut image = Image::new();
    let layer = image.layer();
    write(&layer, "usr/share/web/file", "content\n", 0o4755);
    write(&layer, "srv/copy", "content\n", 0o2755);
    let account = image.account(LayerSource::Commit, None);
    assert_eq!(gained(&account), [("/srv/copy", vec!["setgid"]), ("/usr/share/web/file", vec!["setuid"])]);
}

#[test]
fn text_is_a_program_where_something_obeys_it() {
    let mut image = Image::new();
    let layer = image.layer();
    for path in ["etc/ld.so.preload", "etc/profile.d/colours", "etc/cron.d/job", "opt/app/sitecustomize.py", "root/.bashrc"] {
        write(&layer, path, "text", 0o644);
    }
    write(&layer, "etc/colours", "text", 0o644);
    let account = image.account(LayerSource::Stage("make".into()), None);
    for path in ["/etc/ld.so.preload", "/etc/profile.d/colours", "/etc/cron.d/job", "/opt/app/sitecustomize.py", "/root/.bashrc"]
    {
        assert_eq!(class(&account, path), (Class::Unexplained, Code::Script), "{path}");
        assert!(runs(&account, path).is_some(), "{path}");
    }
    assert_eq!(class(&account, "/etc/colours"), (Class::Stage, Code::None));
}

#[test]
fn text_is_a_program_where_the_image_s_configuration_runs_it() {
    let mut image = Image::new();
    let layer = image.layer();
    write(&layer, "srv/notes", "text", 0o644);
    write(&layer, "srv/settings", "text", 0o644);
    symlink("srv", layer.join("data")).unwrap();
    let words = ["python3", "/data/notes", "/data/settings"].map(str::to_owned).to_vec();
    image.config = vec![ConfigText { what: "ENTRYPOINT".into(), words }];
    let account = image.account(LayerSource::Any, None);
    assert_eq!(class(&account, "/srv/notes"), (Class::Unexplained, Code::Script));
    assert_eq!(runs(&account, "/srv/notes"), Some("ENTRYPOINT runs it"));
    assert_eq!(class(&account, "/srv/settings"), (Class::Unexplained, Code::None));
}

#[test]
fn a_link_from_which_something_is_run_is_judged_by_what_it_leads_to() {
    let mut image = Image::new();
    let commit = image.dir.path().join("commit");
    write(&commit, "colours", "from the commit", 0o644);
    let layer = image.layer();
    write(&layer, "srv/notes", "text", 0o644);
    write(&layer, "srv/colours", "from the commit", 0o644);
    fs::create_dir_all(layer.join("etc/profile.d")).unwrap();
    fs::create_dir_all(layer.join("etc/systemd/system")).unwrap();
    for (link, target) in [
        ("etc/profile.d/notes.sh", "../../srv/notes"),
        ("etc/profile.d/gone.sh", "/tmp/gone"),
        ("etc/profile.d/colours.sh", "/srv/colours"),
        ("etc/profile.d/web.sh", "/usr/share/web/file"),
        ("etc/systemd/system/masked.service", "/dev/null"),
        ("srv/anywhere", "/tmp/gone"),
    ] {
        symlink(target, layer.join(link)).unwrap();
    }
    let account = image.account(LayerSource::Any, Some(&commit));
    for (path, why) in
        [("/etc/profile.d/notes.sh", "/srv/notes, unexplained"), ("/etc/profile.d/gone.sh", "/tmp/gone, which is not")]
    {
        assert_eq!(class(&account, path), (Class::Unexplained, Code::Script), "{path}");
        assert!(runs(&account, path).unwrap().contains(why), "{:?}", runs(&account, path));
    }
    assert_eq!(account.count(Class::Link).paths, 4, "{account:#?}");
}

/// A certificate as far as the accounting looks: a sequence with `content`, in PEM.
#[test]
fn data_in_a_directory_that_is_obeyed_by_another_name_is_a_program() {
    let mut image = Image::new();
    let layer = image.layer();
    for path in ["srv/c/job", "srv/o/x", "srv/k/authorized_keys", "srv/k/notes"] {
        write(&layer, path, "text", 0o644);
    }
    for dir in ["etc/systemd/system", "root"] {
        fs::create_dir_all(layer.join(dir)).unwrap();
    }
    symlink("/srv/c", layer.join("etc/cron.d")).unwrap();
    symlink("../../../srv/o", layer.join("etc/systemd/system/a.service.d")).unwrap();
    symlink("../srv/k", layer.join("root/.ssh")).unwrap();
    let account = image.account(LayerSource::Any, None);
    for (path, link) in [("/srv/c/job", "/etc/cron.d"), ("/srv/o/x", "/a.service.d"), ("/srv/k/authorized_keys", "/root/.ssh")] {
        assert_eq!(class(&account, path), (Class::Unexplained, Code::Script), "{path}");
        assert!(runs(&account, path).unwrap().ends_with(link), "{:?}", runs(&account, path));
    }
    assert_eq!(class(&account, "/srv/k/notes"), (Class::Unexplained, Code::None));
}

#[test]
fn a_command_must_not_lead_to_where_anybody_may_put_another() {
    let mut image = Image::new();
    let layer = image.layer();
    write(&layer, "tmp/there", "text", 0o755);
    for dir in ["usr/local/bin", "usr/local/lib", "usr/bin"] {
        fs::create_dir_all(layer.join(dir)).unwrap();
    }
    for (link, target) in [
        ("usr/local/bin/a", "/tmp/gone"),
        ("usr/local/bin/b", "/tmp/there"),
        ("usr/local/lib/libc.so.6", "../../../var/tmp/x"),
        ("usr/local/bin/left", "/usr/bin/removed"),
        ("usr/local/bin/tool", "../../bin/tool"),
    ] {
        symlink(target, layer.join(link)).unwrap();
    }
    write(&layer, "usr/local/bin/empty", "", 0o755);
    write(&layer, "srv/empty", "", 0o755);
    let account = image.account(LayerSource::Any, None);
    for path in ["/usr/local/bin/a", "/usr/local/bin/b", "/usr/local/lib/libc.so.6", "/usr/local/bin/empty"] {
        assert_eq!(class(&account, path), (Class::Unexplained, Code::Script), "{path}");
    }
    assert_eq!(account.count(Class::Link).paths, 2, "left behind, and to a package's program");
    assert_eq!(account.count(Class::Empty).paths, 1);
}

#[test]
fn a_program_of_an_rpm_has_no_other_program_s_name() {
    let programs = [
        ("/usr/bin/true", 0o755, "#!true"),
        ("/usr/bin/same", 0o755, "#!true"),
        ("/usr/bin/rpm", 0o755, "#!rpm"),
        ("/usr/bin/dash", 0o755, "#!dash"),
        ("/usr/bin/sh", 0, "dash"),
        ("/usr/bin/python3.12", 0o755, "#!python"),
        ("/usr/bin/python3", 0, "python3.11"),
        ("/usr/bin/python3.11", 0o755, "#!older"),
        ("/opt/suite/bin/vi", 0o755, "#!vi"),
    ];
    let mut image = Image::of_files(&programs, &[]);
    let layer = image.layer();
    image.config = vec![ConfigText { what: "ENV PATH".into(), words: vec!["/srv/bin:/usr/bin:/opt/suite/bin".into()] }];
    for (path, content) in [
        ("usr/local/bin/rpm", "#!true"),
        ("usr/local/sbin/sh", "#!rpm"),
        ("srv/bin/vi", "#!true"),
        // The same programs, another version, no program's name, and no place where commands are looked for.
        ("usr/local/bin/sh", "#!dash"),
        ("usr/local/bin/same", "#!true"),
        ("usr/local/bin/python3", "#!python"),
        ("usr/local/bin/yes", "#!true"),
        ("srv/data/rpm", "#!true"),
    ] {
        write(&layer, path, content, 0o755);
    }
    symlink("/usr/bin/true", layer.join("srv/bin/rpm")).unwrap();
    symlink("../../usr/bin/dash", layer.join("srv/bin/sh")).unwrap();
    symlink("/usr/bin/python3.12", layer.join("srv/bin/python3")).unwrap();
    symlink("/tmp/x", layer.join("srv/bin/x")).unwrap();
    let account = image.account(LayerSource::Any, None);
    for (path, hidden) in [
        ("/usr/local/bin/rpm", "/usr/bin/rpm"),
        ("/usr/local/sbin/sh", "/usr/bin/sh"),
        ("/srv/bin/vi", "/opt/suite/bin/vi"),
        ("/srv/bin/rpm", "/usr/bin/rpm"),
    ] {
        let record = account.records.iter().find(|r| r.path == path).unwrap_or_else(|| panic!("{path}: {account:#?}"));
        assert_eq!((record.class, record.code), (Class::Unexplained, Code::Script), "{path}");
        let told =
            [record.source.clone(), record.runs.as_ref().map(ToString::to_string)].into_iter().flatten().collect::<String>();
        assert!(told.contains(&format!("not the {hidden} of suite-1-1.noarch, which has that name")), "{told}");
    }
    assert_eq!((account.count(Class::Copy).paths, account.count(Class::Link).paths), (5, 2), "{account:#?}");
    assert_eq!(account.count(Class::Unexplained).paths, 5);
    assert!(runs(&account, "/srv/bin/x").unwrap().contains("it leads to /tmp/x"));
}

#[test]
fn what_authselect_makes_of_its_profiles_is_explained_and_nothing_else_behind_its_links() {
    const TEMPLATE: &str = "auth required a.so\nauth sufficient b.so {include if \"with-b\"}\nauth required deny.so\n";
    let made = "# Generated by authselect\n\nauth required a.so\nauth sufficient b.so\nauth required deny.so\n";
    let template = "/usr/share/authselect/default/local/system-auth";
    let settings = "local\nwith-b\n\n";
    for (content, settings, mode, changed, is_explained) in [
        (made, settings, 0o644, false, true),
        (made, "local\n", 0o644, false, false),
        (made, "../local\nwith-b\n", 0o644, false, false),
        (made, "custom/local\nwith-b\n", 0o644, false, false),
        (made, settings, 0o666, false, false),
        (made, settings, 0o644, true, false),
        ("auth sufficient permit.so\n", settings, 0o644, false, false),
    ] {
        let ghosts = ["/etc/authselect/system-auth", "/etc/authselect/authselect.conf", "/etc/pam.d/system-auth"];
        let mut image = Image::of_files(&[(template, 0o644, TEMPLATE)], &ghosts);
        let layer = image.layer();
        write(&layer, "etc/authselect/system-auth", content, mode);
        write(&layer, "etc/authselect/authselect.conf", settings, 0o644);
        fs::create_dir_all(layer.join("etc/pam.d")).unwrap();
        for name in ["system-auth", "login"] {
            symlink("/etc/authselect/system-auth", layer.join("etc/pam.d").join(name)).unwrap();
        }
        if changed {
            write(&layer, template.strip_prefix('/').unwrap(), &TEMPLATE.replace("a.so", "c.so"), 0o644);
            write(&layer, "etc/authselect/system-auth", &content.replace("a.so", "c.so"), mode);
        }
        let account = image.account(LayerSource::Any, None);
        let (link, ghost) = (account.count(Class::Link).paths, account.count(Class::Unexplained).programs);
        assert_eq!((link, ghost), if is_explained { (1, 0) } else { (0, 2) }, "{content} {settings} {changed}: {account:#?}");
    }
}

#[test]
fn what_a_variable_has_programs_obey_must_be_in_the_image() {
    let mut image = Image::new();
    let layer = image.layer();
    write(&layer, "srv/app/main.py", "text", 0o644);
    write(&layer, "usr/lib64/libthere.so.1", "text", 0o755);
    let variable = |name: &str, value: &str| ConfigText { what: format!("ENV {name}"), words: vec![value.to_owned()] };
    image.config = vec![
        variable("LD_PRELOAD", "libthere.so.1:libgone.so:/tmp/x.so"),
        variable("PYTHONPATH", "/srv/app:/srv/volume:/var/tmp"),
        variable("BASH_ENV", "/dev/null"),
        variable("NODE_EXTRA_CA_CERTS", "/run/secrets/ca.pem"),
        variable("ENV", "production"),
        variable("PATH", "/tmp/bin:/root/.local/bin:/usr/bin"),
    ];
    let account = image.account(LayerSource::Any, None);
    let mut told: Vec<(&str, Code, &str)> = account
        .records
        .iter()
        .filter(|r| r.layer.is_none())
        .map(|r| (r.path.as_str(), r.code, r.runs.as_deref().unwrap()))
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            ("/run/secrets/ca.pem", Code::None, "ENV NODE_EXTRA_CA_CERTS names it, which is not in the image"),
            ("/srv/volume", Code::None, "ENV PYTHONPATH names it, which is not in the image"),
            ("/tmp/bin", Code::Script, "ENV PATH names it, where anybody may write"),
            ("/tmp/x.so", Code::Script, "ENV LD_PRELOAD names it, where anybody may write"),
            ("/var/tmp", Code::Script, "ENV PYTHONPATH names it, where anybody may write"),
            ("libgone.so", Code::None, "ENV LD_PRELOAD names it, which is not in the image"),
        ]
    );
}

#[test]
fn what_lies_too_deep_to_be_looked_at_is_not_passed_over() {
    let mut image = Image::new();
    let layer = image.layer();
    // As deep as this machine's paths go, and one more: made as a container does, from within.
    let name = "d".repeat(250);
    let script =
        format!("cd {}; for n in $(seq 16); do mkdir {name}; cd -P {name} || exit 1; done; echo > {name}", layer.display());
    run(std::process::Command::new("sh").args(["-c", &script]));
    let account = image.account(LayerSource::Any, None);
    let deep: Vec<_> = account.records.iter().filter(|r| r.class == Class::Unexplained && r.code == Code::Binary).collect();
    assert_eq!(deep.len(), 1, "{:?}", account.records);
    assert!(deep[0].runs.as_deref().unwrap().contains("too long"));
}

fn pem(content: u8) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode([0x30, 1, content]);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

#[test]
fn extracted_certificates_are_those_of_proven_anchors_or_nobody_s() {
    let mut image = Image::new();
    let commit = image.dir.path().join("commit");
    write(&commit, "site.pem", &pem(1), 0o644);
    write(&image.layers[0], "etc/pki/ca-trust/source/anchors/parent.pem", &pem(2), 0o644);
    write(&image.layers[0], "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", &pem(3), 0o644);
    // Once an anchor, and since then blocked.
    write(&image.layers[0], "etc/pki/ca-trust/source/anchors/bad.pem", &pem(4), 0o644);
    write(&image.layers[0], "etc/pki/ca-trust/source/blocklist/bad.pem", &pem(4), 0o644);
    let layer = image.layer();
    let extracted = layer.join("etc/pki/ca-trust/extracted");
    write(&layer, "etc/pki/ca-trust/source/anchors/site.pem", &pem(1), 0o644);
    write(&layer, "etc/pki/ca-trust/source/anchors/nobody.pem", &pem(9), 0o644);
    let honest = format!("# Site\n{}{}{}", pem(1), pem(2), pem(3));
    write(&extracted, "pem/tls-ca-bundle.pem", &honest, 0o444);
    write(&extracted, "pem/directory-hash/site.pem", &pem(1), 0o444);
    symlink("site.pem", extracted.join("pem/directory-hash/0.0")).unwrap();
    write(&extracted, "pem/email-ca-bundle.pem", &format!("{honest}{}", pem(9)), 0o444);
    write(&extracted, "java/cacerts", "text\0", 0o444);
    write(&extracted, "pem/bad.pem", &pem(4), 0o444);
    write(&layer, "srv/data", &pem(9), 0o644);
    symlink("/srv/data", extracted.join("pem/objsign-ca-bundle.pem")).unwrap();
    let account = image.account(LayerSource::Any, Some(&commit));
    let at = |name: &str| format!("/etc/pki/ca-trust/extracted/{name}");
    assert_eq!(class(&account, &at("pem/tls-ca-bundle.pem")).0, Class::Generated);
    assert_eq!(class(&account, &at("pem/directory-hash/site.pem")).0, Class::Generated);
    assert_eq!(account.count(Class::Link).paths, 1, "the link to an explained one: {account:#?}");
    // An anchor that nothing accounts for explains nothing, and is named itself.
    assert_eq!(class(&account, "/etc/pki/ca-trust/source/anchors/nobody.pem"), (Class::Unexplained, Code::Script));
    assert!(runs(&account, &at("pem/bad.pem")).unwrap().contains("says not to trust"));
    for name in ["pem/email-ca-bundle.pem", "java/cacerts", "pem/objsign-ca-bundle.pem", "pem/bad.pem"] {
        assert_eq!(class(&account, &at(name)), (Class::Unexplained, Code::Script), "{name}");
        assert!(runs(&account, &at(name)).unwrap().contains("whom programs believe"), "{name}");
    }
}

#[test]
fn accounts_that_are_root_or_open_and_devices_are_rights() {
    let mut image = Image::new();
    write(&image.layers[0], "etc/passwd", "root:x:0:0::/root:/bin/sh\nold:x:0:0::/:/bin/sh\n", 0o644);
    let layer = image.layer();
    write(&layer, "etc/passwd", "root:x:0:0::/root:/bin/sh\nold:x:0:0::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\n", 0o644);
    write(&layer, "etc/shadow", "root:$6$a$b:1::::::\nweb:!:1::::::\n", 0o600);
    fs::create_dir_all(layer.join("srv")).unwrap();
    run(std::process::Command::new("mknod").arg(layer.join("srv/disk")).args(["b", "8", "0"]));
    let account = image.account(LayerSource::Any, None);
    let expected = [
        ("/etc/passwd", vec!["the user toor is root (uid 0)"]),
        ("/etc/shadow", vec!["the user root has a password"]),
        ("/srv/disk", vec!["block device 8:0"]),
    ];
    assert_eq!(gained(&account), expected);
}

#[test]
fn a_rpmdb_where_rpm_does_not_look_is_found() {
    let mut image = Image::new();
    let layer = image.layer();
    let database = fs::read(image.layers[0].join("var/lib/rpm/rpmdb.sqlite")).unwrap();
    fs::create_dir_all(layer.join("opt/rpm")).unwrap();
    fs::create_dir_all(layer.join("usr/lib/sysimage")).unwrap();
    fs::write(layer.join("opt/rpm/rpmdb.sqlite"), database).unwrap();
    write(&layer, "srv/rpmdb.sqlite", "a note on databases", 0o644);
    let found = image.account(LayerSource::Any, None).packages;
    assert_eq!(found, [PackageFinding::OtherDatabase { path: "/opt/rpm/rpmdb.sqlite".into() }]);
    // Where a usual directory leads to it, rpm looks there, and so does the proof.
    symlink("/opt/rpm", layer.join("usr/lib/sysimage/rpm")).unwrap();
    assert_eq!(image.account(LayerSource::Any, None).packages, []);
}

#[test]
fn another_owner_is_a_difference_and_with_setuid_a_right() {
    let mut image = Image::new();
    write(&image.layers[0], "etc/passwd", "root:x:0:0::/root:/bin/sh\n", 0o644);
    let layer = image.layer();
    write(&layer, "usr/share/web/file", "content\n", 0o644);
    std::os::unix::fs::chown(layer.join("usr/share/web/file"), Some(1234), None).unwrap();
    let account = image.account(LayerSource::Any, None);
    assert_eq!(class(&account, "/usr/share/web/file"), (Class::ModeChanged, Code::None));
    let record = account.records.iter().find(|r| r.class == Class::ModeChanged).unwrap();
    assert_eq!(record.differs, ["owner"]);
    rustix::fs::lsetxattr(layer.join("usr/share/web/file"), "user.note", b"x", rustix::fs::XattrFlags::empty()).unwrap();
    let account = image.account(LayerSource::Any, None);
    let record = account.records.iter().find(|r| r.class == Class::ModeChanged).unwrap();
    assert_eq!(record.differs, ["attributes", "owner"]);
}

#[test]
fn a_report_shows_characters_that_hide_others() {
    let mut image = Image::new();
    let layer = image.layer();
    write(&layer, "srv/innocent\u{202e}gnp.sh", "#!/bin/sh", 0o755);
    let account = image.account(LayerSource::Any, None);
    assert_eq!(class(&account, "/srv/innocent\\u{202e}gnp.sh"), (Class::Unexplained, Code::Script));
}

#[test]
fn a_rpmdb_that_was_written_alone_is_found_out() {
    let mut image = Image::new();
    let layer = image.layer();
    let added = rpmbuild(image.dir.path(), &Recipe { name: "added", ..Recipe::default() });
    // The new layer's rpmdb: `web` taken out, `added` put in, without their files.
    run(std::process::Command::new("cp").arg("-a").arg(image.layers[0].join("var")).arg(&layer));
    run(rpm(&layer).args(["-e", "--justdb", "--nodeps", "web"]));
    run(rpm(&layer).args(["-i", "--justdb", "--nodeps"]).arg(&added));
    let account = image.account(LayerSource::Any, None);
    assert_eq!(
        account.packages,
        [
            PackageFinding::NotInstalled { package: "added-1.0-1.noarch".into(), example: "/usr/share/added/file".into() },
            PackageFinding::StillThere { package: "web-1.0-1.noarch".into(), files: 1, example: "/usr/share/web/file".into() },
        ]
    );
}

#[test]
fn forty_thousand_files_are_accounted_for_within_six_seconds() {
    let mut image = Image::new();
    let layer = image.layer();
    for n in 0..40_000 {
        let dir = layer.join(format!("srv/{}", n / 200));
        if n % 200 == 0 {
            fs::create_dir_all(&dir).unwrap();
        }
        // Of the size of an owned file, so that each must be hashed.
        fs::write(dir.join(n.to_string()), format!("{n:07}\n")).unwrap();
    }
    let began = Instant::now();
    let account = image.account(LayerSource::Any, None);
    let taken = began.elapsed();
    assert_eq!(account.count(Class::Unexplained).paths, 40_000);
    eprintln!("40,000 files in {taken:?}");
    // It is to take two; the rest is for a machine that does other things meanwhile.
    assert!(taken.as_secs_f64() < 6.0, "{taken:?}");
}
