//! A `container.yaml` as packagers write it, and as nobody should.

use proptest::prelude::*;

use super::yaml_tree::MAX_BYTES;
use super::*;
use crate::{Arch, ImageTag};

fn parsed(text: &str) -> ContainerYaml {
    ContainerYaml::parse(text, "container.yaml").unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// The error's lines without the file's name.
fn problems(text: &str) -> Vec<String> {
    let error = ContainerYaml::parse(text, "container.yaml").expect_err(text);
    error.to_string().lines().map(|l| l.strip_prefix("container.yaml:").unwrap_or(l).to_owned()).collect()
}

fn warnings(text: &str) -> Vec<String> {
    parsed(text).warnings.iter().map(|w| format!("{}: {}", w.line, w.message)).collect()
}

fn arches(names: &[&str]) -> Vec<Arch> {
    names.iter().map(|name| Arch::canonical(name).expect("an arch")).collect()
}

#[test]
fn what_is_kept_is_read() {
    let settings = parsed(
        "---\n# which arches\nplatforms:\n  only: [x86_64, aarch64]\n  not: s390x\ntags:\n- latest\n- \"1.0\"\n\
         buildtime_limit: 3600\nset_release_env: IMAGE_RELEASE\nversion: 1\n",
    );
    assert_eq!(
        settings.platforms,
        Platforms { only: arches(&["x86_64", "aarch64"]), not: arches(&["s390x"]), optional: Vec::new() }
    );
    assert_eq!(settings.tags.unwrap_or_default().iter().map(ImageTag::as_str).collect::<Vec<_>>(), ["latest", "1.0"]);
    assert_eq!((settings.buildtime_limit, settings.set_release_env.as_deref()), (Some(3600), Some("IMAGE_RELEASE")));
    assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
}

#[test]
fn a_file_that_says_nothing_asks_for_nothing() {
    for text in [
        "",
        "\u{feff}",
        "---\n",
        "# only a comment\n",
        "~",
        "{}",
        "platforms:\ncompose:\nautorebuild: null\n",
        "buildtime_limit: 0",
    ] {
        let settings = parsed(text);
        assert!(settings.warnings.is_empty());
        assert_eq!((settings.platforms, settings.tags, settings.buildtime_limit), Default::default(), "{text}");
    }
}

#[test]
fn platforms_restrict_what_the_tag_offers_and_keep_its_order() {
    let offered = arches(&["x86_64", "aarch64", "s390x"]);
    let left = |text: &str| parsed(text).platforms.restrict(&offered);
    assert_eq!(left(""), offered);
    assert_eq!(left("platforms: {only: []}"), offered);
    assert_eq!(left("platforms: {only: [s390x, amd64, riscv64]}"), arches(&["x86_64", "s390x"]));
    assert_eq!(left("platforms: {not: [x86_64, s390x]}"), arches(&["aarch64"]));
    assert!(left("platforms: {only: aarch64, not: aarch64}").is_empty());
}

#[test]
fn no_tags_and_an_empty_list_of_tags_differ() {
    assert_eq!(parsed("version: 1").tags, None);
    assert_eq!(parsed("tags: []").tags, Some(Vec::new()));
}

#[test]
fn all_problems_are_told_at_once_with_their_lines() {
    let text = "platfroms:\n  only: x86_64\ntags: latest\nbuildtime_limit: 1h\ncompose:\n  pulp_repos: true\n  packagse: [jq]\n\
                set_release_env: 1ST\nplatforms:\n  not: [x86/64, {}]\n  onyl: x86_64\nflatpak: {id: org.example.App}\n";
    assert_eq!(
        problems(text),
        [
            "1: unknown key `platfroms`; did you mean `platforms`?",
            "3: `tags` must be a list of registry tags, not a string",
            "4: `buildtime_limit` must be a whole number in decimal digits, not a string",
            "6: `compose.pulp_repos` is not supported: there is no Pulp service; content comes from the Koji tags of the target",
            "7: unknown key `compose.packagse`; did you mean `compose.packages`?",
            "8: `set_release_env`: `1ST` is not the name of an environment variable",
            "10: `platforms.not`: `x86/64` is not an architecture name",
            "10: `platforms.not` must be a string, not a mapping",
            "11: unknown key `platforms.onyl`; did you mean `platforms.only`?",
            "12: `flatpak` is not supported: flatpaks are built by koji-flatpak",
        ]
    );
}

#[test]
fn refused_keys_that_say_nothing_are_let_through() {
    let text = "flatpak:\nremote_source: null\nremote_sources: []\ncompose: {pulp_repos: false, modules: [], modular_koji_tags: false}\n";
    assert!(warnings(text).is_empty());
    for key in ["flatpak", "remote_source", "remote_sources", "operator_manifests"] {
        assert!(problems(&format!("{key}: {{a: b}}"))[0].starts_with(&format!("1: `{key}` is not supported: ")));
    }
    assert!(problems("compose: {modular_koji_tags: true}")[0].contains("no compose of modules"));
}

#[test]
fn what_is_ignored_or_changes_nothing_is_a_warning() {
    let text = "image_build_method: imagebuilder\ngo: {modules: [{module: example.com/x}]}\n\
                compose:\n  inherit: true\n  packages: [jq]\n  signing_intent: release\n  multilib_method: [all]\n\
                autorebuild:\n  from_latest: yes\n  ignore_isolated_builds: false\n";
    let told = warnings(text);
    let keys: Vec<&str> = told.iter().filter_map(|w| w.split('`').nth(1)).collect();
    assert_eq!(
        keys,
        [
            "image_build_method",
            "go",
            "compose.inherit",
            "compose.packages",
            "compose.signing_intent",
            "compose.multilib_method",
            "autorebuild.from_latest"
        ]
    );
    assert!(told[0].starts_with("1: `image_build_method` is ignored: "), "{}", told[0]);
    assert!(told[2].starts_with("4: `compose.inherit` changes nothing: "), "{}", told[2]);
    let settings = parsed(text);
    assert_eq!(settings.autorebuild, Some(Autorebuild { from_latest: true, ..Autorebuild::default() }));
    let compose = Compose { packages: Some(vec!["jq".into()]), inherit: true, signing_intent: Some("release".into()) };
    assert_eq!(settings.compose, Some(compose));
}

#[test]
fn a_key_in_the_wrong_place_is_sent_to_the_right_one() {
    assert_eq!(problems("only: x86_64"), ["1: unknown key `only`; did you mean `platforms.only`?"]);
    assert!(problems("platforms: {tags: [a]}")[0].contains("`tags` at the left margin"));
    assert_eq!(problems("wibble: 1"), ["1: unknown key `wibble`"]);
    assert!(problems("<<: {tags: []}")[0].contains("merge keys"));
}

#[test]
fn values_yaml_would_change_must_be_quoted() {
    assert_eq!(problems("tags:\n- 1.10\n"), ["2: `tags`: 1.10 is a number, a string is needed; write it as \"1.10\""]);
    assert_eq!(problems("tags: [yes]"), ["1: `tags` must be a string, not a boolean"]);
    assert_eq!(parsed("tags: ['1.10', !!str 2.0]").tags.unwrap_or_default().len(), 2);
    assert_eq!(
        problems("buildtime_limit: '60'"),
        ["1: `buildtime_limit` must be a whole number in decimal digits, not a string"]
    );
    assert!(problems("buildtime_limit: 010")[0].contains("decimal digits"));
    assert_eq!(problems("version: 0"), ["1: `version` must be at least 1"]);
    assert!(problems("tags: ['a b', -x]").iter().all(|p| p.contains("is not a registry tag")));
}

#[test]
fn what_is_no_mapping_no_yaml_or_more_than_one_document_is_refused() {
    assert_eq!(problems("- tags\n"), ["1: the file must be a mapping of keys, not a list"]);
    assert_eq!(problems("just words\n"), ["1: the file must be a mapping of keys, not a string"]);
    assert!(problems("tags: []\nplatforms: [x86_64\n")[0].contains("this is not YAML"));
    assert!(problems("tags: []\n\tversion: 1\n")[0].contains("this is not YAML"));
    assert_eq!(problems("version: 1\n---\nversion: 1\n"), ["2: the file holds more than one YAML document"]);
    assert_eq!(problems("tags: []\nversion: 1\ntags: [a]\n"), ["3: the key `tags` is already in line 1"]);
    assert_eq!(problems("[a]: b"), ["1: a key must be a word"]);
    assert!(problems("tags: !!python/object:os.system [x]")[0].contains("tag"));
}

#[test]
fn aliases_are_followed_within_limits() {
    let settings = parsed("platforms:\n  only: &a [x86_64]\n  not: *a\n");
    assert_eq!(settings.platforms.not, settings.platforms.only);
    assert!(problems("tags: &a [*a]")[0].contains("itself a part"));
    assert!(problems("tags: *nowhere")[0].contains("this is not YAML"));
    // a billion laughs
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    assert!(problems(&bomb).last().is_some_and(|p| p.contains("more than 10000 values")));
    // and one long text, many times
    let many = format!("a: &a {}\ntags: [{}]\n", "x".repeat(100_000), vec!["*a"; 5000].join(","));
    assert!(problems(&many).last().is_some_and(|p| p.contains("more than 10000 values")));
    // depth by aliases
    let mut deep = "a0: &a0 [[[[[[[[x]]]]]]]]\n".to_owned();
    for level in 1..9 {
        deep.push_str(&format!("a{level}: &a{level} [[[[[[[[*a{}]]]]]]]]\n", level - 1));
    }
    assert!(problems(&deep).last().is_some_and(|p| p.contains("nested deeper")));
}

#[test]
fn deep_and_large_files_are_refused_quickly() {
    let begun = std::time::Instant::now();
    for text in [
        "[".repeat(MAX_BYTES),
        "{a: ".repeat(20_000),
        "- ".repeat(60_000),
        "? ".repeat(60_000),
        "a:\n".repeat(40_000),
        "a: ".repeat(40_000),
        "&a ".repeat(40_000),
        "!".repeat(100_000),
        "\"".repeat(100_000),
        "%".repeat(100_000),
        "x: |\n".repeat(20_000),
        " ".repeat(100_000) + "- a",
        (0..4_000).map(|n| format!("{}k: \n", " ".repeat(n % 30))).collect(),
        (0..9_000).map(|n| format!("k{n}: 1\n")).collect(),
        "x".repeat(MAX_BYTES + 1),
    ] {
        assert!(ContainerYaml::parse(&text, "container.yaml").is_err(), "{}", &text[..20]);
    }
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    // Messages stay short whatever the file holds.
    let message = ContainerYaml::parse(&format!("{}: 1", "k".repeat(1000)), "container.yaml").expect_err("unknown").to_string();
    assert!(message.len() < 200, "{message}");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_without_panic(text in "(?s).{0,200}") {
        let _ = ContainerYaml::parse(&text, "container.yaml");
        let _ = AdditionalTags::parse(&text);
    }

    #[test]
    fn yaml_like_text_is_read_or_refused_with_lines_of_the_file(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "platforms", "only", "tags", "compose", ":", ": ", "\n", "\n  ", "- ", "[", "]", "{", "}", ",", "x86_64", "&a ", "*a",
                "!!str ", "'", "\"", "|", ">", "#", "?", "---", "...", "%", "~", "1.0", "yes", "\t", "\u{85}", "é", "<<",
            ]),
            0..60,
        )
    ) {
        let text = words.concat();
        if let Err(error) = ContainerYaml::parse(&text, "container.yaml") {
            let last = text.lines().count() + 1;
            prop_assert!(!error.problems.is_empty());
            for problem in &error.problems {
                prop_assert!(problem.line >= 1 && problem.line <= last, "line {} of {last}: {}", problem.line, problem.message);
            }
        }
    }
}
