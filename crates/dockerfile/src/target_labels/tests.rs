//! Labels without a build.

use std::collections::BTreeMap;

use super::target_labels;
use crate::{PlanOptions, Platform, parse, plan};

fn labels(text: &str, args: &[(&str, &str)]) -> Result<BTreeMap<String, String>, String> {
    let file = parse(text.as_bytes(), "Dockerfile").map_err(|e| e.to_string())?;
    let options = PlanOptions {
        target: None,
        build_args: args.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        platform: Platform { os: "linux".into(), architecture: "amd64".into(), variant: None },
    };
    let plan = plan(&file, &options).map_err(|e| e.to_string())?;
    let base_env = |image: &str| match image {
        "with-env" => BTreeMap::from([("VERSION".to_owned(), "9".to_owned())]),
        _ => BTreeMap::new(),
    };
    target_labels(&plan, &base_env).map_err(|e| e.to_string())
}

#[track_caller]
fn version(text: &str, args: &[(&str, &str)]) -> String {
    labels(text, args).unwrap_or_else(|e| panic!("{e}")).remove("version").unwrap_or_else(|| "none".into())
}

#[test]
fn labels_follow_env_arg_and_build_arguments() {
    let text = "ARG VERSION=1\nFROM a\nARG VERSION\nENV V=$VERSION\nLABEL version=\"$V.0\" name='f/$V'\n";
    assert_eq!(version(text, &[]), "1.0");
    assert_eq!(version(text, &[("VERSION", "2")]), "2.0");
    assert_eq!(labels(text, &[]).expect("labels")["name"], "f/$V");
}

#[test]
fn stages_below_the_target_count_and_others_do_not() {
    let text = "FROM a AS one\nENV V=1\nLABEL version=$V a=1\nFROM b AS other\nLABEL b=1\nFROM one\nCOPY --from=other /x /\nENV V=2\nLABEL c=$V\n";
    let found = labels(text, &[]).expect("labels");
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        [("a".into(), "1".into()), ("c".into(), "2".into()), ("version".into(), "1".into())]
    );
}

#[test]
fn the_base_images_environment_is_seen() {
    assert_eq!(version("FROM with-env\nLABEL version=$VERSION", &[]), "9");
    assert_eq!(version("FROM with-env\nARG VERSION=1\nLABEL version=$VERSION", &[]), "1");
    assert_eq!(version("FROM a\nLABEL version=$VERSION", &[]), "");
}

#[test]
fn one_instruction_sees_the_environment_before_it() {
    assert_eq!(version("FROM a\nENV V=1\nENV V=2 W=$V\nLABEL version=$W", &[]), "1");
}

#[test]
fn triggers_of_a_local_base_run_in_its_user_only() {
    assert_eq!(version("FROM a AS b\nONBUILD LABEL version=$V\nFROM b\nENV V=1", &[]), "");
    assert_eq!(version("FROM a AS b\nENV V=1\nONBUILD LABEL version=$V", &[]), "none");
    assert_eq!(version("FROM a AS b\nENV V=1\nONBUILD LABEL version=$V\nFROM b AS c\nFROM c\nLABEL x=y", &[]), "1");
}

#[test]
fn a_label_that_does_not_expand_is_named_with_its_line() {
    let err = labels("FROM a\n\nLABEL version=\"${V:?set V}\"", &[]).expect_err("no V");
    assert_eq!(err, "line 3: cannot expand `\"${V:?set V}\"`: `V` is not set: set V");
}
