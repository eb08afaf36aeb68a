//! Configurations as sites write them: what is read, what is refused, and with which words.

use super::*;

const GOOD: &str = r#"
    [hub]
    url = "https://hub.example.org/kojihub"
    topurl = "https://hub.example.org/kojifiles"
    cert = "/etc/containerbuild/client.pem"
    [worker]
    state_dir = "/var/lib/containerbuild"
    [registry]
    push = "registry.example.org"
    [content.f40-container-candidate]
    sources = [{ name = "base", tag = "f40-build" }, { name = "mirror", url = "http://mirror/40/" }]
"#;

fn message(text: &str) -> String {
    Settings::parse(Path::new("w.toml"), text).expect_err("must be refused").to_string()
}

#[test]
fn a_minimal_file_gets_the_documented_defaults() {
    let settings = Settings::parse(Path::new("w.toml"), GOOD).expect("settings");
    assert_eq!((settings.worker.max_jobs, settings.content_generator.name.as_str()), (4, "containerbuild"));
    let parents: Vec<&str> = settings.policy.parent_images.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(parents, ["koji-built"], "foreign parents are refused");
    assert_eq!(settings.content_of("f40-container-candidate").map(|c| c.sources.len()), Some(2));
    assert!(settings.content_of("other").is_none());
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let text = GOOD.replace("state_dir =", "state_dri =");
    let message = message(&text);
    let place = "w.toml:7:5: unknown key `state_dri`; did you mean `state_dir`?";
    assert!(message.starts_with(&format!("the configuration is not valid: {place}")), "{message}");
}

#[test]
fn the_file_policy_is_strict_unless_told_otherwise() {
    use rpm_provenance::files::Decision;
    let files = Settings::parse(Path::new("w.toml"), GOOD).expect("settings").policy.files;
    assert_eq!((files.unexplained_executables, files.privileges), (Decision::Refuse, Decision::Refuse));
    let own = "\n[policy.files]\nunexplained = \"refuse\"\n\
               allow = [{ path = \"/opt/**\", until = \"2031-12-31\", reason = \"r\" }]\n";
    let files = Settings::parse(Path::new("w.toml"), &format!("{GOOD}{own}")).expect("settings").policy.files;
    assert_eq!((files.unexplained, files.altered, files.allow.len()), (Decision::Refuse, Decision::Warn, 1));
    let text = format!("{GOOD}{}", own.replace("2031-12-31", "someday"));
    assert!(message(&text).contains("policy.files.allow[0] needs `until`"), "{}", message(&text));
}

#[test]
fn a_key_that_was_replaced_is_refused_with_the_new_one() {
    let gate = message(&format!("{GOOD}\n[policy.rpms]\nallowed_keys = [\"deadbeef\"]\n"));
    assert!(gate.contains("w.toml:"), "{gate}");
    for word in ["`rpms` is no more", "`allowed_keys` as `allowed` of [[policy.signing_keys]]", "`blocked` as `forbidden`"] {
        assert!(gate.contains(word), "{gate}");
    }
    let arches = message(&format!("{GOOD}\n[policy]\nrpm_versions_may_differ = [\"kernel-core\"]\n"));
    assert!(arches.contains("`rpm_versions_may_differ` is no more") && arches.contains("`except` of [[policy.same_versions]]"));
}

#[test]
fn images_are_dockers_with_gzip_unless_told_otherwise() {
    use image_layers::{Compression, ManifestFormat};
    let image = |own: &str| Settings::parse(Path::new("w.toml"), &format!("{GOOD}{own}")).expect("settings").image;
    let usual = image("");
    assert_eq!((usual.format, usual.compression), (ManifestFormat::DockerV2s2, Compression::default()));
    let own = image("\n[image]\nformat = \"oci\"\ncompression = \"zstd:7\"\n");
    assert_eq!((own.format, own.compression), (ManifestFormat::Oci, Compression::Zstd { level: 7 }));
    let refused = message(&format!("{GOOD}\n[image]\ncompression = \"zstd\"\n"));
    assert!(refused.contains("image.compression") && refused.contains("\"oci\""), "{refused}");
    assert!(message(&format!("{GOOD}\n[image]\ncompression = \"lzma\"\n")).contains("`lzma` is no compression"));
}

#[test]
fn rules_that_cannot_work_are_refused_with_their_name() {
    let with = |rule: &str| message(&format!("{GOOD}\n{rule}\n"));
    let key = with("[[policy.signing_keys]]\nname = \"ours\"\nreason = \"r\"\nallowed = [\"my key\"]");
    assert!(key.contains("policy.signing_keys[0] (`ours`) holds `my key`; a key id has 8, 16, 40 or 64 hex digits"), "{key}");
    let twice = "[[policy.size]]\nname = \"a\"\nreason = \"r\"\nmax_mb = 1\n";
    assert!(with(&format!("{twice}{twice}")).contains("policy.size[1] (`a`) has the name of another rule"));
    assert!(with("[[policy.size]]\nname = \"a\"\nreason = \"r\"").contains("needs `max_mb`, `max_growth_mb` or both"));
    assert!(with("[[policy.labels]]\nname = \"a b\"\nreason = \"r\"").contains("needs a `name` without blanks"));
    let near = with("[[policy.packages]]\nname = \"a\"\nreason = \"r\"\nforbiden = [\"x\"]");
    assert!(near.contains("unknown key `forbiden`; did you mean `forbidden`?"), "{near}");
}

#[test]
fn a_policy_file_stands_for_the_table() {
    let dir = tempfile::tempdir().expect("a directory");
    let rule = "[[policy.packages]]\nname = \"no-telnet\"\nreason = \"r\"\nforbidden = [\"telnet*\"]\n";
    std::fs::write(dir.path().join("policy.toml"), rule).expect("written");
    let config = dir.path().join("worker.toml");
    std::fs::write(&config, format!("policy_file = \"policy.toml\"\n{GOOD}")).expect("written");
    let policy = Settings::load_policy(&config).expect("a policy");
    assert_eq!(policy.packages[0].name, "no-telnet");
    std::fs::write(&config, format!("policy_file = \"policy.toml\"\n{GOOD}\n[policy.files]\n")).expect("written");
    let both = Settings::load_policy(&config).expect_err("both").to_string();
    assert!(both.contains("policy_file and the table `policy` exclude each other"), "{both}");
    std::fs::write(dir.path().join("policy.toml"), "[polcy]\n").expect("written");
    let alone = Settings::load_policy(&dir.path().join("policy.toml")).expect_err("misspelt").to_string();
    assert!(alone.contains("policy.toml:1:2: unknown key `polcy`; did you mean `policy`?"), "{alone}");
}

#[test]
fn credentials_in_addresses_are_refused_without_being_shown() {
    let url = "https://builder:hunter2@mirror.example.org/40/";
    let content = GOOD.replace("http://mirror/40/", url);
    let registry = GOOD.replace("push = \"registry", "push = \"builder:hunter2@registry");
    let lookaside = format!("{GOOD}\n[lookaside]\nurl = \"https://u:hunter2@h/{{file}}/{{hash}}\"\n");
    for (text, key) in [(content, "content."), (registry, "registry.push"), (lookaside, "password")] {
        let message = message(&text);
        assert!(message.contains(key) && !message.contains("hunter2"), "{message}");
    }
    assert!(!has_credentials("https://h/a@b") && has_credentials("http://u@h"));
}

#[test]
fn lookaside_namespaces_and_scm_policies_are_read_and_checked() {
    let own = "\n[scm]\nuse_scm_policy = true\n[[scm.namespaces]]\nname = \"container\"\n\
               components = [\"{name}-container\"]\n[lookaside]\nurl = \"https://h/{name}/{file}/{hash}\"\n";
    let settings = Settings::parse(Path::new("w.toml"), &format!("{GOOD}{own}")).expect("settings");
    assert_eq!((settings.scm.namespaces.len(), settings.lookaside.max_file_mb), (1, 2048));
    let refused = |from: &str, to: &str| message(&format!("{GOOD}{}", own.replace(from, to)));
    assert!(refused("{name}-container", "{nam}").contains("scm.namespaces.container.components"));
    assert!(refused("\"container\"", "\"a/b\"").contains("one directory"));
    assert!(refused("/{hash}", "").contains("{hash}"));
    assert!(refused("use_scm_policy", "use_scm_polciy").contains("did you mean `use_scm_policy`"));
}

#[test]
fn contradictions_are_refused() {
    assert!(message(&GOOD.replace("cert =", "ca =")).contains("one way to log in: `cert`"));
    assert!(message(&GOOD.replace("tag = \"f40-build\"", "tag = \"a\", url = \"http://x/\"")).contains("sources.base"));
    assert!(message(&GOOD.replace("[registry]", "max_jobs = 0\n[registry]")).contains("max_jobs"));
}
