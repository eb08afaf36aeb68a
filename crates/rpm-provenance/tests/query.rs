//! Query formats against rpm's own: every tag and every formatter, on packages that use what headers can hold.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use rpm_provenance::query::{FormatError, QueryFormat};
use rpm_provenance::rpmdb::{LocateOptions, query_view, view_of};
use support::{Recipe, SigningKey, install, rpm, rpmbuild, run};

/// A package with something in nearly every tag.
const RICH: &str = r#"
Name: rich
Epoch: 7
Version: 2.0~rc1
Release: 3%{?nothing}
Summary: A package with everything
Summary(de): Ein Paket mit allem
License: MIT and BSD
Group: Applications/Text
URL: https://example.org/rich?a=1&b='2'
Vendor: Example "Inc" <x>
Packager: Somebody <somebody@example.org>
VCS: git:https://example.org/rich.git
BugURL: https://example.org/bugs
ModularityLabel: stream:1:2:c0ffee
Provides: rich-feature = 1.5
Requires: /bin/sh, other >= 1:2.0-3
Requires(post): coreutils
Recommends: nice < 4
Suggests: nicer
Supplements: (web and rich)
Enhances: web = 1
Conflicts: poor <= 2
Obsoletes: old-rich < 2
OrderWithRequires: filesystem
Prefix: /usr
%description
Several lines,
	with a tab, "quotes", a \ and <markup> & more.
%package -n rich-sub
Summary: Sub
%description -n rich-sub
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/etc/rich %{buildroot}/usr/share/doc/rich %{buildroot}/usr/share/rich %{buildroot}/var/lib/rich
cp /bin/true %{buildroot}/usr/bin/rich
ln %{buildroot}/usr/bin/rich %{buildroot}/usr/bin/rich-too
ln -s rich %{buildroot}/usr/bin/rich-link
ln -s /nowhere/at/all %{buildroot}/usr/share/rich/dangling
printf '#!/bin/sh\necho hi\n' > %{buildroot}/usr/bin/rich.sh
echo 'a=1' > %{buildroot}/etc/rich/rich.conf
echo 'b=1' > %{buildroot}/etc/rich/keep.conf
echo doc > %{buildroot}/usr/share/doc/rich/README
echo license > %{buildroot}/usr/share/doc/rich/LICENSE
: > %{buildroot}/usr/share/rich/empty
echo x > "%{buildroot}/usr/share/rich/with space and 'quote'"
echo sub > %{buildroot}/usr/share/rich/sub
touch %{buildroot}/var/lib/rich/state
%files
%attr(4755,root,root) /usr/bin/rich
%attr(4755,root,root) /usr/bin/rich-too
%caps(cap_net_raw=ep) %attr(2755,root,mail) /usr/bin/rich.sh
/usr/bin/rich-link
%dir %attr(1777,root,root) /etc/rich
%config /etc/rich/rich.conf
%config(noreplace) %verify(not md5 size mtime) /etc/rich/keep.conf
%doc /usr/share/doc/rich/README
%license /usr/share/doc/rich/LICENSE
%dir /usr/share/rich
/usr/share/rich/empty
/usr/share/rich/dangling
"/usr/share/rich/with space and 'quote'"
%dir /var/lib/rich
%ghost /var/lib/rich/state
%ghost /var/lib/rich/other
%config(missingok) %ghost /etc/rich/ghost.conf
%files -n rich-sub
/usr/share/rich/sub
%pre
exit 0
%post -p /sbin/ldconfig
%preun
: $1
%postun
: one
%pretrans -p <lua>
x = 1
%posttrans
: two
%triggerin -- web > 1, other
: in
%triggerun -- web
: un
%triggerpostun -- old-rich < 2
: postun
%filetriggerin -P 200000 -- /usr/share/applications
: file
%transfiletriggerin -- /usr/lib /usr/lib64
: trans
%verifyscript
: verify
%changelog
* Tue Feb 27 2024 Somebody <somebody@example.org> - 2.0-1
- one
- two
* Mon Jan 01 2024 Else <else@example.org> - 1.0-1
- first
"#;

fn rich(dir: &Path) -> Vec<PathBuf> {
    let top = dir.join("top");
    std::fs::create_dir(&top).unwrap();
    std::fs::write(top.join("rich.spec"), RICH).unwrap();
    run(Command::new("rpmbuild")
        .args(["-bb", "--quiet", "--define", "debug_package %{nil}", "--define", "__brp_strip %{nil}", "--define"])
        .arg(format!("_topdir {}", top.display()))
        .arg(top.join("rich.spec")));
    let arch = std::fs::read_dir(top.join("RPMS")).unwrap().next().unwrap().unwrap().path();
    let mut rpms: Vec<PathBuf> = std::fs::read_dir(arch).unwrap().map(|e| e.unwrap().path()).collect();
    rpms.sort();
    rpms
}

/// A root with packages of every kind, one of them signed, and a public key.
fn root(dir: &Path) -> PathBuf {
    let root = dir.join("root");
    let key = SigningKey::new(dir);
    let signed = rpmbuild(dir, &Recipe { name: "signed", epoch: Some(0), ..Recipe::default() });
    key.sign(&signed);
    let mut rpms = rich(dir);
    rpms.push(signed);
    install(&root, &rpms.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    let armoured = dir.join("key.asc");
    key.export(&armoured);
    run(rpm(&root).arg("--import").arg(&armoured));
    root
}

/// What rpm prints, package by package in the order of the database's numbers; `None` where it refuses the format.
fn theirs(root: &Path, format: &str) -> Option<Vec<Vec<u8>>> {
    // A byte that no tag holds between the packages, and its number in front: rpm's own order is another.
    let whole = format!("%{{dbinstance}}\u{1}{format}\u{2}");
    let mut command = rpm(root);
    command.env("LC_ALL", "C").env("TZ", "UTC").args(["-qa", "--qf"]).arg(whole);
    let output = command.output().unwrap();
    if !String::from_utf8_lossy(&output.stderr).is_empty() {
        return None;
    }
    let mut rows: Vec<(u64, Vec<u8>)> = output
        .stdout
        .split(|b| *b == 2)
        .filter(|row| !row.is_empty())
        .map(|row| {
            let cut = row.iter().position(|b| *b == 1).unwrap();
            (String::from_utf8_lossy(&row[..cut]).parse().unwrap(), row[cut + 1..].to_vec())
        })
        .collect();
    rows.sort();
    Some(rows.into_iter().map(|(_, row)| row).collect())
}

fn ours(root: &Path, format: &str) -> Result<Vec<Vec<u8>>, FormatError> {
    let format = QueryFormat::parse(format).unwrap();
    query_view(&view_of(root).unwrap(), &LocateOptions::default(), &format).unwrap().1.into_iter().collect()
}

fn shown(rows: &[Vec<u8>]) -> Vec<String> {
    rows.iter().map(|row| String::from_utf8_lossy(row).into_owned()).collect()
}

/// Formatters that both have.
const FORMATTERS: [&str; 21] = [
    "string",
    "arraysize",
    "base64",
    "date",
    "day",
    "depflags",
    "deptype",
    "fflags",
    "fstate",
    "fstatus",
    "hex",
    "humaniec",
    "humansi",
    "octal",
    "perms",
    "pgpsig",
    "shescape",
    "tagname",
    "tagnum",
    "triggertype",
    "vflags",
];

#[test]
fn every_tag_prints_as_rpm_prints_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = root(dir.path());
    let tags = run(Command::new("rpm").arg("--querytags"));
    let mut compared = 0;
    for tag in tags.lines().filter(|tag| !tag.starts_with("HEADER") || *tag == "HEADERCOLOR") {
        let formats = [format!("%{{{tag}}}"), format!("[%{{{tag}}}\n]"), format!("%|{tag}?{{yes}}:{{no}}|")];
        // One process for all three: starting rpm is what takes the time.
        let format = formats.join("\u{3}");
        let Some(theirs) = theirs(&root, &format) else { panic!("rpm does not take {format}") };
        let ours = ours(&root, &format).unwrap();
        assert_eq!(shown(&ours), shown(&theirs), "{tag}");
        compared += ours.len();
    }
    assert!(compared > 4 * 200, "{compared}");
}

#[test]
fn every_formatter_prints_as_rpms_does() {
    let dir = tempfile::tempdir().unwrap();
    let root = root(dir.path());
    // a tag of every type, and those the formatters are made for
    let tags = [
        "name",
        "epoch",
        "size",
        "sigmd5",
        "rsaheader",
        "description",
        "buildtime",
        "filemodes",
        "fileflags",
        "fileverifyflags",
        "filestates",
        "requireflags",
        "requirename",
        "provideflags",
        "triggerflags",
        "filetriggerflags",
        "filesizes",
        "filenames",
        "changelogtime",
        "changelogtext",
        "longsize",
        "filedigestalgo",
        "filecolors",
        "pubkeys",
        "payloaddigest",
        "e",
        "hdrid",
        "pkgid",
        "rsaheader",
        "longfilesizes",
        "filerdevs",
        "requirenevrs",
        "filecaps",
        "vendor",
    ];
    let mut differing = Vec::new();
    for formatter in FORMATTERS {
        // rpm 4.18 does not know the newest kinds of dependencies, so no numbers that are none
        let fits = |tag: &&str| formatter != "deptype" || ["name", "sigmd5", "requireflags", "provideflags"].contains(tag);
        let tags: Vec<&str> = tags.iter().copied().filter(fits).collect();
        let format: Vec<String> = tags.iter().map(|tag| format!("[%{{{tag}:{formatter}}}\n]")).collect();
        let format = format.join("\u{3}");
        let theirs = theirs(&root, &format).unwrap_or_else(|| panic!("rpm does not take {format}"));
        for (row, (mine, rpms)) in ours(&root, &format).unwrap().iter().zip(&theirs).enumerate() {
            for ((tag, mine), rpms) in tags.iter().zip(mine.split(|b| *b == 3)).zip(rpms.split(|b| *b == 3)) {
                if mine != rpms {
                    let (mine, rpms) = (String::from_utf8_lossy(mine), String::from_utf8_lossy(rpms));
                    differing.push(format!("row {row}: [%{{{tag}:{formatter}}}]: {mine:?}, rpm: {rpms:?}"));
                }
            }
        }
    }
    assert!(differing.is_empty(), "{differing:#?}");
}

#[test]
fn widths_arrays_and_conditions_work_as_in_rpm() {
    let dir = tempfile::tempdir().unwrap();
    let root = root(dir.path());
    for format in [
        "|%-20{name}|%10{epoch}|%2{name}|%-3{sigmd5}|",
        "[%-30{filenames} %{filesizes} %{=name} %{filemodes:perms} %{fileusername}:%{filegroupname}\n]",
        "%|epoch?{%{epoch}:}|%{version}-%{release}.%{arch}",
        "%|nonsense?{a}:{b}|%|vendor?{%|epoch?{both}:{vendor}|}:{none}|",
        "[%{requirename}%|requireversion?{ %{requireflags:depflags} %{requireversion}}|\n]",
        "[* %{changelogtime:day} %{changelogname}\n%{changelogtext}\n\n]",
        "%{name}\\t100%%\\n\\x[%{=name}]",
        "%{name}[ (%{basenames})]%{RPMTAG_VERSION} %{NeVrA}",
        "[%{filenames:shescape} ]%{filesizes:arraysize} %{basenames} %{=basenames}",
        "%{name:xml}|%{size:xml}|%{sigmd5:xml}|%{rsaheader:xml}|%{description:xml}",
        "%{sigpgp:pgpsig} %{rsaheader:pgpsig} %{siggpg:pgpsig}",
        "%|DSAHEADER?{%{DSAHEADER:pgpsig}}:{%|RSAHEADER?{%{RSAHEADER:pgpsig}}:{%|SIGGPG?{%{SIGGPG:pgpsig}}:{%|SIGPGP?{%{SIGPGP:pgpsig}}:{(none)}|}|}|}|",
    ] {
        let theirs = theirs(&root, format).unwrap_or_else(|| panic!("rpm does not take {format}"));
        assert_eq!(shown(&ours(&root, format).unwrap()), shown(&theirs), "{format}");
    }
    // both refuse, and here the tags are named
    let uneven = "[%{filenames} %{requirename}]";
    assert!(theirs(&root, uneven).is_none());
    let error = ours(&root, uneven).unwrap_err().to_string();
    assert!(error.contains("FILENAMES has") && error.contains("REQUIRENAME has"), "{error}");
}
