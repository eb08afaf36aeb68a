//! Stage planning: reach, names, ARG scope, refusals.

use super::*;
use crate::parse;

fn options(target: Option<&str>, args: &[(&str, &str)]) -> PlanOptions {
    PlanOptions {
        target: target.map(str::to_owned),
        build_args: args.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        platform: Platform { os: "linux".into(), architecture: "arm64".into(), variant: None },
    }
}

#[track_caller]
fn planned_with(text: &str, target: Option<&str>, args: &[(&str, &str)]) -> BuildPlan {
    let file = parse(text.as_bytes(), "Dockerfile").unwrap_or_else(|e| panic!("{e}"));
    plan(&file, &options(target, args)).unwrap_or_else(|e| panic!("{e}"))
}

#[track_caller]
fn planned(text: &str) -> BuildPlan {
    planned_with(text, None, &[])
}

fn refused(text: &str) -> Vec<(String, String)> {
    let file = parse(text.as_bytes(), "Dockerfile").unwrap_or_else(|e| panic!("{e}"));
    match plan(&file, &options(None, &[])) {
        Err(PlanError::Stages { problems, .. }) => problems.into_iter().map(|p| (p.span.to_string(), p.message)).collect(),
        other => panic!("{other:?}"),
    }
}

fn indexes(plan: &BuildPlan) -> Vec<usize> {
    plan.stages.iter().map(|s| s.index).collect()
}

#[test]
fn only_stages_the_target_needs_are_planned() {
    let text = "FROM a AS base\nFROM b AS tools\nFROM c AS unused\nCOPY --from=tools /x /\n\
                FROM base AS mid\nRUN --mount=from=tools,target=/t x\nFROM mid\n";
    assert_eq!(indexes(&planned(text)), [0, 1, 3, 4]);
    assert_eq!(indexes(&planned_with(text, Some("unused"), &[])), [1, 2]);
    assert_eq!(indexes(&planned_with(text, Some("MID"), &[])), [0, 1, 3]);
    assert_eq!(indexes(&planned_with(text, Some("0"), &[])), [0]);
    let text = "FROM a AS base\nONBUILD COPY --from=tools /x /\nFROM b AS tools\nFROM base\n";
    assert_eq!(indexes(&planned(text)), [0, 1, 2], "a trigger of a local base runs in its user");
}

#[test]
fn an_unknown_target_is_refused_with_the_nearest_name_or_all_of_them() {
    let file = parse(b"FROM a AS builder", "Dockerfile").expect("a file");
    for target in ["bulider", "1", "-1"] {
        let err = plan(&file, &options(Some(target), &[])).expect_err(target);
        assert_eq!(err.to_string(), format!("Dockerfile has no stage `{target}`"));
        let hint = if target == "bulider" { "did you mean `builder`?" } else { "its stages are named builder" };
        assert_eq!(err.hint().as_deref(), Some(hint));
    }
}

#[test]
fn a_stage_the_target_does_not_need_can_be_asked_for_later() {
    let mut plan = planned("FROM a\nFROM b AS x\nCOPY --from=0 /a /\nFROM c\n");
    assert_eq!(indexes(&plan), [2]);
    assert_eq!(plan.resolve_from(2, "x"), FromRef::Stage(1));
    assert!(plan.need(1) && !plan.need(1) && !plan.need(99));
    assert_eq!(indexes(&plan), [0, 1, 2]);
}

#[test]
fn names_mean_the_nearest_stage_above_then_a_number_then_an_image() {
    let plan = planned("FROM a AS x\nFROM b AS x\nFROM X\nCOPY --from=0 /a /\nCOPY --from=x /b /\nCOPY --from=img:1 /c /\n");
    assert_eq!(plan.target().map(|t| &t.base), Some(&Base::Stage(1)));
    assert_eq!(plan.resolve_from(2, "0"), FromRef::Stage(0));
    assert_eq!(plan.resolve_from(2, "x"), FromRef::Stage(1));
    assert_eq!(plan.resolve_from(1, "X"), FromRef::Stage(0));
    assert_eq!(plan.resolve_from(2, "img:1"), FromRef::Image("img:1".into()));
    assert_eq!(plan.warnings.len(), 1);
}

#[test]
fn references_to_later_stages_and_to_oneself_are_refused_all_at_once() {
    let text = "FROM later AS first\nCOPY --from=later /a /\nCOPY --from=0 /a /\nCOPY --from=first /a /\n\
                RUN --mount=from=1,target=/x \\\n  --mount=from=9,target=/y z\nCOPY --from=scratch a b\nFROM a AS later\n";
    assert_eq!(
        refused(text),
        [
            ("1:1".to_owned(), "the stage `later` comes later, on line 8".to_owned()),
            ("2:1".to_owned(), "the stage `later` comes later, on line 8".to_owned()),
            ("3:1".to_owned(), "`from=0` is this stage itself".to_owned()),
            ("4:1".to_owned(), "`from=first` is this stage itself".to_owned()),
            ("5:13".to_owned(), "the stage `1` comes later, on line 8".to_owned()),
            ("6:11".to_owned(), "there is no stage 9: the file has 2, numbered from 0".to_owned()),
            ("7:1".to_owned(), "`from=scratch` has no files to take".to_owned()),
        ]
    );
}

#[test]
fn from_sees_global_and_platform_args() {
    let text = "ARG REG=reg.example.org\nARG TAG\nARG FULL=${REG}/base:${TAG:-1}\nFROM --platform=linux/$TARGETARCH $FULL\n";
    let base = |args: &[(&str, &str)]| planned_with(text, None, args).stages[0].base.clone();
    assert_eq!(base(&[]), Base::Image("reg.example.org/base:1".into()));
    assert_eq!(base(&[("TAG", "2"), ("REG", "r")]), Base::Image("r/base:2".into()));
    assert_eq!(planned(text).stages[0].platform.as_deref(), Some("linux/arm64"));
    assert_eq!(planned("FROM scratch").stages[0].base, Base::Scratch);
    assert_eq!(planned("ARG B=scratch\nFROM $B").stages[0].base, Base::Scratch);
}

#[test]
fn a_from_that_comes_out_empty_or_wrong_is_refused() {
    assert_eq!(refused("ARG A\nFROM $A\nFROM ok")[0].1, "FROM $A is empty after expansion");
    assert_eq!(
        refused("FROM --platform=$NO a")[0].1,
        "--platform: `` is not a platform: it is written os/architecture, like linux/amd64"
    );
    assert_eq!(refused("FROM ${A:?must}")[0].1, "cannot expand `${A:?must}`: `A` is not set: must");
    // An ARG inside a stage is not seen by FROM.
    assert_eq!(refused("FROM a\nARG B=b\nFROM $B")[0].1, "FROM $B is empty after expansion");
}

#[test]
fn args_in_a_stage_take_build_argument_default_global_in_this_order() {
    let text = "ARG VERSION=1\nARG OTHER=o\nFROM a\nARG VERSION OTHER=x TARGETARCH NEW HTTP_PROXY\n";
    let values = |args: &[(&str, &str)]| {
        let plan = planned_with(text, None, args);
        let crate::InstructionKind::Arg(declarations) = &plan.stages[0].instructions[0].kind else { panic!("no ARG") };
        let value = |d| plan.arg_value(&plan.stages[0], d, &|_| None).expect("a value").unwrap_or_else(|| "unset".into());
        declarations.iter().map(value).collect::<Vec<_>>()
    };
    assert_eq!(values(&[]), ["1", "x", "arm64", "unset", "unset"]);
    let given = [("VERSION", "2"), ("OTHER", "y"), ("TARGETARCH", "z"), ("NEW", ""), ("HTTP_PROXY", "p")];
    assert_eq!(values(&given), ["2", "y", "z", "", "p"]);
}

#[test]
fn proxy_settings_need_no_arg_and_stray_arguments_are_warned_about() {
    let plan = planned_with(
        "FROM a\nARG VERSION\n",
        None,
        &[("http_proxy", "p"), ("VERSIN", "1"), ("TARGETOS", "linux"), ("SOURCE_DATE_EPOCH", "0")],
    );
    assert_eq!(plan.proxy_args().into_keys().collect::<Vec<_>>(), ["http_proxy"]);
    let warnings: Vec<_> = plan.warnings.iter().map(|w| (w.message.as_str(), w.hint.as_deref())).collect();
    assert_eq!(warnings, [("the build argument `VERSIN` is declared by no ARG", Some("did you mean `VERSION`?"))]);
}

#[test]
fn settings_of_the_builder_are_followed_refused_or_told_to_do_nothing() {
    let given = [("BUILDKIT_CACHE_MOUNT_NS", "team"), ("BUILDKIT_SANDBOX_HOSTNAME", "a-1.b"), ("BUILDKIT_INLINE_CACHE", "1")];
    let plan = planned_with("FROM a\n", None, &given);
    assert_eq!((plan.cache_namespace(), plan.host_name()), (Some("team"), Some("a-1.b")));
    let warnings: Vec<_> = plan.warnings.iter().map(|w| w.message.as_str()).collect();
    assert_eq!(
        warnings,
        ["the build argument `BUILDKIT_INLINE_CACHE` is a setting of BuildKit, and nothing follows from it here"]
    );
    let unset = planned_with("FROM a\n", None, &[("BUILDKIT_CACHE_MOUNT_NS", ""), ("BUILDKIT_SANDBOX_HOSTNAME", "")]);
    assert_eq!((unset.cache_namespace(), unset.host_name()), (None, None));
    let declared = planned_with("FROM a\nARG BUILDKIT_INLINE_CACHE\n", None, &[("BUILDKIT_INLINE_CACHE", "1")]);
    assert_eq!(declared.warnings, []);

    let file = parse(b"FROM a", "Dockerfile").expect("a file");
    for bad in ["a b", "a\n127.0.0.1 other", "-a", "a..b", "a/b", &"a".repeat(65)] {
        let err = plan_error(&file, &options(None, &[("BUILDKIT_SANDBOX_HOSTNAME", bad)]));
        assert!(err.to_string().contains("is no host name") && err.hint().is_some(), "{bad}: {err}");
    }
}

fn plan_error(file: &crate::Dockerfile, options: &PlanOptions) -> PlanError {
    plan(file, options).expect_err("refused")
}

#[test]
fn the_target_stage_names_itself() {
    let plan = planned_with("FROM a AS one\nFROM b AS two\n", Some("one"), &[]);
    assert_eq!(plan.stages[0].importable_args["TARGETSTAGE"], "one");
    assert_eq!(planned("FROM a\n").stages[0].importable_args["TARGETSTAGE"], "default");
    assert_eq!(planned("FROM a AS one\nFROM b AS two\n").stages[0].importable_args["TARGETSTAGE"], "two");
}

#[test]
fn images_are_listed_once_in_order() {
    let text = "FROM base:1 AS a\nONBUILD COPY --from=trigger:1 /t /\nFROM unused:1 AS b\nFROM a\nCOPY --from=base:1 /x /\n\
                COPY --from=a /x /\nRUN --mount=from=tool:1,target=/t --mount=type=cache,target=/c x\n";
    let images: Vec<_> = planned(text).image_references().into_iter().map(|(image, span)| (image, span.first_line)).collect();
    assert_eq!(images, [("base:1".to_owned(), 1), ("trigger:1".to_owned(), 2), ("tool:1".to_owned(), 7)]);
}
