//! What gives rights or trust, and rpmdbs: reported whatever the class of the files.

use std::fs;
use std::os::unix::fs::symlink;

use rpm_provenance::files::{Class, Code, LayerSource, PackageFinding};

use crate::image::{Image, class, gained, runs, write};
use crate::support::{Recipe, rpm, rpmbuild, run};

#[test]
fn rights_that_no_package_gives_are_reported_whatever_the_class() {
    let mut image = Image::new();
    let layer = image.layer();
    write(&layer, "usr/share/web/file", "content\n", 0o4755);
    write(&layer, "srv/copy", "content\n", 0o2755);
    let account = image.account(LayerSource::Commit, None);
    assert_eq!(gained(&account), [("/srv/copy", vec!["setgid"]), ("/usr/share/web/file", vec!["setuid"])]);
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
