//! Why packages are there: told from the layers' databases and the packages' own headers, with RPMs that rpm installed.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};

use image_layers::MergedView;
use rpm_provenance::report::{LayerPackages, Provenance, Reason, Report, Why, explain_package, explain_packages, provenance};
use rpm_provenance::{Proof, list_unchecked, rpmdb};
use support::{install, run};

/// Builds an RPM with dependencies.
fn package(dir: &Path, name: &str, tags: &str) -> PathBuf {
    let spec = dir.join(format!("{name}.spec"));
    let text = format!(
        "Name: {name}\nVersion: 1.0\nRelease: 1\nSummary: for a test\nLicense: MIT\nBuildArch: noarch\nAutoReqProv: no\n{tags}\n\
         %description\nFor a test.\n%install\nmkdir -p %{{buildroot}}/usr/bin\necho > %{{buildroot}}/usr/bin/{name}-tool\n\
         %files\n/usr/bin/{name}-tool\n"
    );
    std::fs::write(&spec, text).unwrap();
    let top = dir.join("top");
    let mut command = std::process::Command::new("rpmbuild");
    command.arg("--quiet").arg("--define").arg(format!("_topdir {}", top.display())).arg("-bb").arg(&spec);
    run(&mut command);
    top.join(format!("RPMS/noarch/{name}-1.0-1.noarch.rpm"))
}

/// A base with `base`, a layer that asks for `web`, and one that asks for a file of `extra`.
fn world() -> (Proof, Vec<Option<Why>>) {
    let dir = tempfile::tempdir().unwrap();
    let base = package(dir.path(), "base", "");
    let web = package(dir.path(), "web", "Requires: libweb(abi) = 2\nRequires: base\nRecommends: docs");
    let lib = package(dir.path(), "libweb", "Provides: libweb(abi) = 2\nRequires: (deep >= 1 if base)");
    let deep = package(dir.path(), "deep", "");
    let docs = package(dir.path(), "docs", "");
    let lang = package(dir.path(), "lang", "Supplements: (web and base)");
    let extra = package(dir.path(), "extra", "Requires: /usr/bin/shell-tool");
    let shell = package(dir.path(), "shell", "");
    let stray = package(dir.path(), "stray", "");
    let root = |name: &str, rpms: &[&PathBuf]| {
        let root = dir.path().join(name);
        install(&root, &rpms.iter().map(|p| p.as_path()).collect::<Vec<_>>());
        root
    };
    let view = |root: &Path| MergedView::new(vec![root.to_owned()]);
    let parent = rpmdb::read_view(&view(&root("parent", &[&base]))).unwrap();
    let first = root("first", &[&base, &web, &lib, &deep, &docs, &lang]);
    let last = root("last", &[&base, &web, &lib, &deep, &docs, &lang, &extra, &shell, &stray]);
    let layers =
        [("RUN dnf -y install web &&\\\n    dnf clean all", &first), ("RUN dnf -y install '/usr/bin/extra-tool'", &last)]
            .map(|(text, root)| LayerPackages { instruction: text.to_owned(), db: rpmdb::read_view(&view(root)).unwrap() });
    let (db, _, dependencies) = rpmdb::read_view_whole(&view(&last)).unwrap();
    let proof = list_unchecked(&db, Some(&parent), &[]);
    let why = explain_packages(&proof, &layers, &dependencies);
    (proof, why)
}

fn document() -> Provenance {
    let (proof, why) = world();
    provenance(&Report { why: &why, ..Report::of("web-1-1", "x86_64", &proof) })
}

/// Name, reason, instruction, who needs it, and the capability.
type Case<'a> = (&'a str, Reason, Option<&'a str>, &'a [&'a str], Option<&'a str>);

#[test]
fn every_package_has_its_reason_and_its_instruction() {
    let document = document();
    let why = |name: &str| document.packages.iter().find(|p| p.name() == name).unwrap().why.clone().unwrap();
    let (first, second) =
        (Some("RUN dnf -y install web &&\\\n    dnf clean all"), Some("RUN dnf -y install '/usr/bin/extra-tool'"));
    let cases: [Case<'_>; 9] = [
        ("base", Reason::Inherited, None, &["libweb", "web"], Some("base")),
        ("web", Reason::Requested, first, &[], None),
        ("libweb", Reason::Required, first, &["web"], Some("libweb(abi)")),
        ("deep", Reason::Required, first, &["libweb"], Some("deep")),
        ("docs", Reason::Recommended, first, &["web"], Some("docs")),
        ("lang", Reason::Recommended, first, &["base", "web"], Some("base")),
        ("extra", Reason::Requested, second, &[], None),
        ("shell", Reason::Required, second, &["extra"], Some("/usr/bin/shell-tool")),
        ("stray", Reason::Unknown, second, &[], None),
    ];
    for (name, reason, instruction, by, capability) in cases {
        let found = why(name);
        assert_eq!((found.reason, found.instruction.as_deref()), (reason, instruction), "{name}: {found:?}");
        assert_eq!((found.by, found.capability.as_deref()), (by.iter().map(|b| (*b).to_owned()).collect(), capability), "{name}");
    }
}

#[test]
fn the_report_leads_from_a_package_to_what_was_asked_for() {
    let document = document();
    let text = explain_package(&document, "deep").unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let chain = &lines[lines.len() - 3..];
    assert_eq!(chain[0], "deep: needed by libweb in `RUN dnf -y install web && …` (it requires deep)");
    assert_eq!(chain[1], "libweb: needed by web in `RUN dnf -y install web && …` (it requires libweb(abi))");
    assert_eq!(chain[2], "web: requested in `RUN dnf -y install web && …`");
    assert!(explain_package(&document, "absent").is_none());
    let whole = rpm_provenance::report::text(&document);
    assert!(whole.contains("RUN dnf -y install '/usr/bin/extra-tool'\n"), "{whole}");
}
