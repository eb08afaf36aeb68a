//! Every rule's examples, the directives, and docs/LINT.md.

use std::path::Path;

use super::*;

const BASE: &str = "FROM registry.example.com/f40/base:40\nLABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\"\n";

fn report(text: &str) -> LintReport {
    lint(text.as_bytes(), "Dockerfile", &LintOptions::default())
}

/// Rule and line of each finding in a file that begins with the usual base and labels (two lines).
fn found(lines: &str) -> Vec<(&'static str, u32)> {
    let report = report(&format!("{BASE}{lines}"));
    assert_eq!(report.errors, [], "{lines}");
    report.findings.into_iter().map(|f| (f.rule, f.problem.span.first_line)).collect()
}

#[test]
fn every_rule_finds_its_bad_example_and_nothing_else_and_leaves_the_good_one_alone() {
    for rule in rules() {
        let ignore = Some(rule.ignore.to_owned()).filter(|text| !text.is_empty());
        // What the examples' images are for, where that is no matter of their names.
        let arm: Platform = "linux/arm64".parse().expect("a platform");
        let base_platforms = BTreeMap::from([("registry.example.com/f40/base:40-arm64".to_owned(), arm)]);
        let options = LintOptions { ignore, base_platforms, ..LintOptions::default() };
        let bad = lint(rule.bad.as_bytes(), "Dockerfile", &options);
        let names: Vec<&str> = bad.findings.iter().map(|f| f.rule).collect();
        assert_eq!(names, [rule.name], "bad example\n{}\n{}", rule.bad, bad.show());
        let good = lint(rule.good.as_bytes(), "Dockerfile", &options);
        assert!(good.is_clean(), "good example of {}\n{}\n{}", rule.name, rule.good, good.show());
        for text in [rule.sentence, rule.why] {
            assert!(!text.is_empty() && !text.contains("  ") && !text.contains('|'), "{}: {text}", rule.name);
        }
    }
}

#[test]
fn a_base_for_another_platform_is_found_where_it_is_known() {
    let base_platforms = BTreeMap::from([("r.example.com/arm:1".to_owned(), "linux/arm64/v8".parse().expect("a platform"))]);
    let for_arm = LintOptions {
        platform: "linux/arm64".parse().expect("a platform"),
        base_platforms: base_platforms.clone(),
        ..LintOptions::default()
    };
    let for_amd = LintOptions { base_platforms, ..LintOptions::default() };
    let found = |from: &str, options: &LintOptions| {
        let text = format!("{from}\nLABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\"\n");
        let report = lint(text.as_bytes(), "Dockerfile", options);
        report.findings.iter().any(|f| f.rule == "InvalidBaseImagePlatform")
    };
    assert!(found("FROM r.example.com/arm:1", &for_amd) && !found("FROM r.example.com/arm:1", &for_arm));
    assert!(!found("FROM --platform=linux/arm64 r.example.com/arm:1 AS on-arm64", &for_amd));
    assert!(found("FROM --platform=linux/amd64 r.example.com/arm:1 AS on-amd64", &for_arm));
    assert!(found("FROM --platform=$TARGETPLATFORM r.example.com/arm:1", &for_amd));
    assert!(!found("FROM --platform=$OTHER r.example.com/arm:1", &for_amd));
    assert!(!found("FROM r.example.com/other:1", &for_amd), "nothing is known of it");
    assert!(found("ARG arch=arm\nFROM r.example.com/$arch:1", &for_amd));
}

#[test]
fn buildkits_rules_are_all_there_and_names_are_unique() {
    let buildkit = [
        "StageNameCasing",
        "FromAsCasing",
        "NoEmptyContinuation",
        "ConsistentInstructionCasing",
        "DuplicateStageName",
        "ReservedStageName",
        "JSONArgsRecommended",
        "MaintainerDeprecated",
        "UndefinedArgInFrom",
        "WorkdirRelativePath",
        "UndefinedVar",
        "MultipleInstructionsDisallowed",
        "LegacyKeyValueFormat",
        "RedundantTargetPlatform",
        "SecretsUsedInArgOrEnv",
        "InvalidDefaultArgInFrom",
        "FromPlatformFlagConstDisallowed",
        "CopyIgnoredFile",
        "InvalidDefinitionDescription",
        "ExposeProtoCasing",
        "ExposeInvalidFormat",
        "InvalidBaseImagePlatform",
    ];
    let mut ours: Vec<&str> = rules().filter(|r| r.origin == Origin::BuildKit).map(|r| r.name).collect();
    ours.sort_unstable();
    let mut theirs = buildkit.to_vec();
    theirs.sort_unstable();
    assert_eq!(ours, theirs);
    let mut names: Vec<&str> = rules().map(|r| r.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), rules().count());
}

#[test]
fn no_warning_of_the_parser_is_lost() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut warnings = 0;
    for entry in std::fs::read_dir(corpus).expect("the corpus") {
        let path = entry.expect("an entry").path().join("Dockerfile");
        // The folder of texts has none of its own.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let Ok(file) = crate::parse(&bytes, "Dockerfile") else { continue };
        let report = lint(&bytes, "Dockerfile", &LintOptions::default());
        if !report.errors.is_empty() {
            continue;
        }
        for warning in file.warnings {
            warnings += 1;
            let same_line = |f: &Finding| f.problem.span.first_line == warning.span.first_line;
            assert!(report.findings.iter().any(same_line), "{}: {}", path.display(), warning.message);
        }
    }
    assert!(warnings > 0, "the corpus has no warnings any more");
}

#[test]
fn a_text_that_is_no_dockerfile_gives_all_its_problems_and_no_findings() {
    let report = report("FROM a\nRUNN b\nCOPY c\n");
    assert_eq!(report.errors.len(), 2, "{}", report.show());
    assert!(report.findings.is_empty() && !report.is_clean());
    let stages = "FROM registry.example.com/a:1\nCOPY --from=later /a /b\nFROM registry.example.com/a:1 AS later\n";
    assert_eq!(super::lint(stages.as_bytes(), "F", &LintOptions::default()).errors.len(), 1);
    let without = LintOptions { rules: false, ..LintOptions::default() };
    assert!(lint(b"FROM fedora\nMAINTAINER x\n", "F", &without).is_clean());
}

#[test]
fn a_finding_is_shown_like_a_problem_with_its_rule() {
    let shown = report(&format!("{BASE}EXPOSE 80 53/UDP\n")).show().to_string();
    let expected = "Dockerfile:3:11: the protocol of `53/UDP` is not in lower case (ExposeProtoCasing)\n    \
                    EXPOSE 80 53/UDP\n              ^ write 53/udp\n";
    assert_eq!(shown, expected);
}

#[test]
fn a_check_directive_at_the_top_counts_for_the_file() {
    let lines = "MAINTAINER x\nEXPOSE 53/UDP\n";
    let all = |directive: &str| report(&format!("{directive}\n{BASE}{lines}"));
    let names = |directive: &str| all(directive).findings.into_iter().map(|f| f.rule).collect::<Vec<_>>();
    assert_eq!(names("# nothing"), ["MaintainerDeprecated", "ExposeProtoCasing"]);
    assert_eq!(names("# check=skip=MaintainerDeprecated"), ["ExposeProtoCasing"]);
    assert_eq!(names("#check = skip=MaintainerDeprecated, ExposeProtoCasing;error=true"), [""; 0]);
    assert_eq!(names("# check=skip=all"), [""; 0]);
    assert!(all("# check=error=true").fail_on_findings);
    assert!(!all("# check=skip=all;error=true").fail_on_findings && !all("# check=error=false").fail_on_findings);
    assert_eq!(names("# syntax=docker/dockerfile:1\n# check=skip=MaintainerDeprecated"), ["ExposeProtoCasing"]);
    assert_eq!(names("# a comment\n# check=skip=MaintainerDeprecated\n"), ["MaintainerDeprecated", "ExposeProtoCasing"]);
    assert!(names("# check=skpi=all").contains(&"CheckDirectiveInvalid"));
    assert!(names("# check=error=yes").contains(&"CheckDirectiveInvalid"));
}

#[test]
fn a_check_comment_above_an_instruction_counts_for_that_one() {
    let lines = "# check=skip=ExposeProtoCasing because of an old client\nEXPOSE 53/UDP\nEXPOSE 54/UDP\n";
    assert_eq!(found(lines), [("ExposeProtoCasing", 5)]);
    assert_eq!(found("# check=skip=ExposeProtoCasing\n\nEXPOSE 53/UDP\n"), [("ExposeProtoCasing", 5)]);
    let inside = "# check=skip=DnfWithoutYes\nRUN true && \\\n  dnf install x\n";
    assert_eq!(found(inside), []);
}

#[test]
fn variables_of_the_base_image_are_given_the_benefit_of_the_doubt() {
    assert_eq!(found("ENV A=$PYTHON_VERSION\n"), []);
    assert_eq!(found("ENV A=$foo\n"), [("UndefinedVar", 3)]);
    assert_eq!(found("ENV PATH=$PAHT:/app\n"), [("UndefinedVar", 3)]);
    assert_eq!(found("COPY x /$TARGETARCH/\n"), [("UndefinedVar", 3)]);
    assert_eq!(found("ENV A=$LATER\nENV LATER=1\n"), [("UndefinedVar", 3)]);
    assert_eq!(found("ENV A=${foo:-1} B=${bar+x} C=$http_proxy\nARG D=1 E=$D\n"), []);
    assert_eq!(found("RUN echo $foo\nCMD [\"$foo\"]\nCOPY <<'E' /x\n$foo\nE\n"), []);
    assert_eq!(found("COPY <<E /x\n$foo\nE\n"), [("UndefinedVar", 4)]);
    let scratch = "FROM scratch\nLABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\"\nENV A=$SOME_NAME\n";
    assert_eq!(report(scratch).findings.len(), 1, "{}", report(scratch).show());
    let env = BTreeMap::from([("registry.example.com/f40/base:40".to_owned(), BTreeMap::from([("A".into(), "1".into())]))]);
    let known = LintOptions { base_env: env, ..LintOptions::default() };
    let text = format!("{BASE}ENV C=$A D=$SOME_NAME\n");
    assert_eq!(lint(text.as_bytes(), "F", &known).findings.len(), 1);
}

#[test]
fn labels_that_depend_on_the_base_image_are_not_called_empty() {
    let file = |version: &str| {
        report(&format!("FROM registry.example.com/f40/base:40\nARG OWN\nLABEL BZComponent=web Name=web version={version}\n"))
    };
    assert!(file("$PYTHON_VERSION").is_clean(), "{}", file("$PYTHON_VERSION").show());
    assert_eq!(file("$OWN").findings.iter().map(|f| f.rule).collect::<Vec<_>>(), ["LabelValueInvalid"]);
    let all = report("FROM registry.example.com/f40/base:40\nLABEL version=1-2\n");
    let messages: Vec<&str> = all.findings.iter().map(|f| f.problem.message.as_str()).collect();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert_eq!(all.findings[2].problem.hint.as_deref(), Some("write it with dots: 1.2"));
}

#[test]
fn shells_are_read_as_far_as_packages_need() {
    assert_eq!(found("RUN dnf -y install a && dnf clean all\n"), []);
    assert_eq!(found("RUN set -e; \\\n    dnf install \\\n    a\n"), [("DnfWithoutYes", 4)]);
    assert_eq!(found("RUN <<EOF\ndnf install a\nEOF\n"), [("DnfWithoutYes", 4)]);
    assert_eq!(found("RUN cat <<EOF > /x\ndnf install a\nEOF\n"), []);
    assert_eq!(found("RUN [\"dnf\", \"install\", \"a\"]\n"), [("DnfWithoutYes", 3)]);
    assert_eq!(found("RUN yes | dnf install a; dnf install -qy b; yum --assumeyes remove c; dnf list installed\n"), []);
    assert_eq!(found("ONBUILD RUN dnf install a\n"), [("DnfWithoutYes", 3)]);
    assert_eq!(found("RUN ls /etc/yum.repos.d && cp /etc/yum.repos.d/a.repo /tmp && cat /etc/yum.repos.d/*\n"), []);
    assert_eq!(found("RUN sed -i s/a/b/ /etc/yum.repos.d/a.repo\n"), [("RepoFilesMountedAway", 3)]);
    assert_eq!(found("RUN echo x > /etc/yum.repos.d/a.repo\n"), [("RepoFilesMountedAway", 3)]);
    assert_eq!(found("COPY a.repo /etc/yum.repos.d/\nRUN dnf -y install a\n"), [("RepoFilesMountedAway", 3)]);
}

#[test]
fn from_is_read_with_its_defaults() {
    let labels = "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\"\n";
    let names = |from: &str| report(&format!("{from}\n{labels}")).findings.into_iter().map(|f| f.rule).collect::<Vec<_>>();
    assert_eq!(names("ARG BASE=registry.example.com/f40/base:40\nFROM ${BASE}"), [""; 0]);
    assert_eq!(names("ARG BASE\nFROM ${BASE}"), ["InvalidDefaultArgInFrom"]);
    assert_eq!(names("ARG BASE\nFROM ${BASE:-registry.example.com/f40/base:40}"), [""; 0]);
    assert_eq!(names("ARG BASE=fedora\nFROM $BASE"), ["RegistryHostMissing", "MutableBaseTag"]);
    assert_eq!(names("FROM registry.example.com:5000/base"), ["MutableBaseTag"]);
    assert_eq!(names("FROM localhost:5000/base:1 AS a\nFROM a"), [""; 0]);
    assert_eq!(names(&format!("FROM localhost/base@sha256:{}", "a".repeat(64))), [""; 0]);
    assert_eq!(names("ARG P=linux/amd64\nFROM --platform=$P localhost/base:1"), [""; 0]);
    assert_eq!(names("FROM --platform=linux/arm64 localhost/base:1 AS build-arm64\nFROM localhost/b:1"), [""; 0]);
}

#[test]
fn comments_that_describe_are_held_to_the_name_as_written() {
    let of = |text: &str| {
        let report = report(&format!("# check=experimental=all\n{text}\n# check=skip=all\n{BASE}"));
        report.findings.iter().filter(|f| f.rule == "InvalidDefinitionDescription").count()
    };
    assert_eq!(of("# base of all\nFROM scratch AS base"), 0);
    assert_eq!(of("# BasE of all\nFROM scratch AS base"), 1);
    assert_eq!(of("# a note\n\nFROM scratch AS base"), 0);
    assert_eq!(of("# a note\n#\nFROM scratch AS base"), 0);
    assert_eq!(of("# a note\nFROM scratch"), 0);
    assert_eq!(of("FROM scratch\n# B is the second\nARG A=1 B=2\n# neither\nARG C=1 D=2"), 1);
}

#[test]
fn a_stage_built_on_another_inherits_what_rules_ask_for() {
    let two = |first: &str, second: &str| {
        report(&format!(
            "FROM registry.example.com/f40/base:40 AS one\n{first}\nFROM one\n\
             LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\"\n{second}\n"
        ))
    };
    for (first, second) in [
        ("SHELL [\"/bin/bash\", \"-c\"]", "CMD nginx"),
        ("WORKDIR /srv", "WORKDIR www"),
        ("ENV ROOT_dir=/srv", "COPY x $ROOT_dir/"),
    ] {
        assert!(two(first, second).is_clean(), "{}", two(first, second).show());
    }
}

#[test]
fn an_ignore_file_with_exceptions_is_followed() {
    let run = |ignore: &str, source: &str| {
        let options = LintOptions { ignore: Some(ignore.to_owned()), ..LintOptions::default() };
        lint(format!("{BASE}COPY {source} /srv/\n").as_bytes(), "F", &options).findings.len()
    };
    assert_eq!(run("pages\n", "pages/x"), 1);
    assert_eq!(run("pages\n!pages/x\n", "pages"), 0);
    assert_eq!(run("*\n", "."), 1);
    assert_eq!(run("*\n!x\n", "."), 0);
    assert_eq!(run("pages\n", "--from=registry.example.com/a:1 pages"), 0);
}

#[test]
fn files_of_strangers_are_linted_in_good_time() {
    let long = 20_000;
    for text in [
        format!("{BASE}{}", "EXPOSE 53/UDP\n".repeat(long)),
        format!("{BASE}EXPOSE {}\n", "53/UDP ".repeat(long)),
        format!("{BASE}{}", "ENV A=$A$A$foo\n".repeat(long)),
        format!("{BASE}RUN {}\n", "curl x.org; ".repeat(long)),
        format!("{BASE}{}ARG A\n", "# comment\n".repeat(long)),
        format!("{}{}", "FROM a\nENV B=$c\n".repeat(900), BASE),
        (0..long).fold(BASE.to_owned(), |text, i| format!("{text}ENV name_{i}=$nome_{i}\n")),
    ] {
        let begun = std::time::Instant::now();
        let report = lint(text.as_bytes(), "F", &LintOptions::default());
        assert!(report.errors.is_empty());
        assert!(begun.elapsed().as_secs() < 20, "{:?} for {:?}", begun.elapsed(), text.get(..200));
    }
}

/// `UPDATE_DOCS=1 cargo test -p dockerfile` writes the file.
#[test]
fn the_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/LINT.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, markdown()).expect("docs/LINT.md");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == markdown(), "docs/LINT.md is not what the rules say: UPDATE_DOCS=1 cargo test -p dockerfile");
}
