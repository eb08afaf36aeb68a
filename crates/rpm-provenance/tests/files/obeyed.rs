//! What some program, shell or loader obeys is told by name, wherever it is and whatever leads to it.

use std::fs;
use std::os::unix::fs::symlink;

use rpm_provenance::files::{Class, Code, ConfigText, LayerSource};

use crate::image::{Image, class, runs, write};

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
