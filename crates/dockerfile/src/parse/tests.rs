//! Instructions one by one. Whole files, good and bad, are in tests/corpus.

use super::*;
use crate::{CommandForm, CopySource, HealthcheckTest, RunScript};

fn kind(text: &str) -> InstructionKind {
    let file = parse(format!("FROM base\n{text}").as_bytes(), "Dockerfile").unwrap_or_else(|e| panic!("{e}"));
    let stage = file.stages.into_iter().next().expect("a stage");
    stage.instructions.into_iter().next().expect("an instruction").kind
}

fn first_problem(text: &str) -> (String, Option<String>) {
    let err = parse(format!("FROM base\n{text}").as_bytes(), "Dockerfile").expect_err(text);
    let problem = err.problems.into_iter().next().expect("a problem");
    (problem.message, problem.hint)
}

fn pairs(text: &str) -> Vec<(String, String)> {
    match kind(text) {
        InstructionKind::Env(pairs) | InstructionKind::Label(pairs) => pairs.into_iter().map(|p| (p.key, p.value)).collect(),
        other => panic!("{other:?}"),
    }
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn env_has_two_forms_and_keeps_quotes() {
    assert_eq!(pairs("ENV a=1 b=\"x y\" c=x\\ y d="), [pair("a", "1"), pair("b", "\"x y\""), pair("c", "x\\ y"), pair("d", "")]);
    assert_eq!(pairs("ENV a  the rest = of 'it'"), [pair("a", "the rest = of 'it'")]);
    assert_eq!(pairs("LABEL \"a b\"=c \\\n  d=\"e\\\n  f\""), [pair("\"a b\"", "c"), pair("d", "\"e  f\"")]);
}

#[test]
fn arg_takes_several_names() {
    let InstructionKind::Arg(args) = kind("ARG a b= c=\"1 2\"") else { panic!("no ARG") };
    let args: Vec<_> = args.into_iter().map(|a| (a.name, a.default)).collect();
    assert_eq!(args, [("a".into(), None), ("b".into(), Some(String::new())), ("c".into(), Some("\"1 2\"".into()))]);
}

#[test]
fn the_exec_form_is_strict_json_and_else_shell_text() {
    let form = |text: &str| match kind(text) {
        InstructionKind::Cmd(form) => form,
        other => panic!("{other:?}"),
    };
    assert_eq!(form("CMD [ \"a\", \\\n \"b c\" ]"), CommandForm::Exec(vec!["a".into(), "b c".into()]));
    assert_eq!(form("CMD []"), CommandForm::Exec(vec![]));
    assert_eq!(form("CMD ['a', 'b']"), CommandForm::Shell("['a', 'b']".into()));
    assert_eq!(form("CMD [ -f /x ] && y"), CommandForm::Shell("[ -f /x ] && y".into()));
    assert_eq!(first_problem("CMD [[\"a\"]]").0, "the exec form is an array of strings only");
    assert_eq!(first_problem("RUN []").0, "RUN needs a command");
    assert_eq!(first_problem("SHELL /bin/bash -c").0, "SHELL needs the JSON form");
}

#[test]
fn json_that_was_meant_as_such_is_warned_about() {
    let warnings = |text: &str| parse(text.as_bytes(), "f").expect(text).warnings.len();
    assert_eq!(warnings("FROM a\nCMD ['a']"), 1);
    assert_eq!(warnings("FROM a\nENTRYPOINT [\"a\",]"), 1);
    assert_eq!(warnings("FROM a\nRUN [ -f x ] || true"), 0);
    assert_eq!(warnings("FROM a\nRUN [ \" $x\" = y ]"), 0);
}

#[test]
fn copy_takes_words_json_and_heredocs() {
    let InstructionKind::Copy(copy) =
        kind("COPY --from=b --chown=1:2 --chmod=u+x --link --parents=false --exclude=*.o --exclude=!x a b/ /c/")
    else {
        panic!("no COPY")
    };
    assert_eq!(copy.sources, [CopySource::Path("a".into()), CopySource::Path("b/".into())]);
    assert_eq!((copy.dest.as_str(), copy.from.as_deref(), copy.chown.as_deref()), ("/c/", Some("b"), Some("1:2")));
    assert_eq!((copy.chmod.as_deref(), copy.link, copy.parents), (Some("u+x"), true, false));
    assert_eq!(copy.exclude, ["*.o", "!x"]);
    let InstructionKind::Copy(copy) = kind("COPY [\"a b\", \"/c d/\"]") else { panic!("no COPY") };
    assert_eq!((copy.sources.len(), copy.dest.as_str()), (1, "/c d/"));
    let InstructionKind::Copy(copy) = kind("COPY x <<A << 'B b' /d/\n1\nA\n$2\nB b\n") else { panic!("no COPY") };
    let CopySource::Heredoc(b) = &copy.sources[2] else { panic!("no heredoc") };
    assert_eq!((b.name.as_str(), b.body.as_str(), b.expand), ("B b", "$2\n", false));
    assert_eq!((copy.sources.len(), copy.dest.as_str()), (3, "/d/"));
}

#[test]
fn add_has_flags_of_its_own() {
    let InstructionKind::Add(add) = kind("ADD --checksum=sha256:$SUM --keep-git-dir --unpack=FALSE http://h/x /y") else {
        panic!("no ADD")
    };
    assert_eq!((add.checksum.as_deref(), add.keep_git_dir, add.unpack), (Some("sha256:$SUM"), true, Some(false)));
    assert_eq!(first_problem("ADD --from=x a b"), ("ADD has no flag `--from`".into(), Some("COPY has it".into())));
}

#[test]
fn a_lone_heredoc_of_run_is_the_script() {
    let script = |text: &str| match kind(text) {
        InstructionKind::Run(run) => run.script(),
        other => panic!("{other:?}"),
    };
    assert_eq!(script("RUN <<EOF\nset -e\necho $x\nEOF"), RunScript::Shell("set -e\necho $x\n".into()));
    assert_eq!(
        script("RUN --network=none <<-X\n\t#!/usr/bin/python3\n\tprint(1)\n\tX\n"),
        RunScript::File { name: "X".into(), body: "#!/usr/bin/python3\nprint(1)\n".into() }
    );
    assert_eq!(script("RUN cat <<A - <<'B' > /x\n1\nA\n2\nB"), RunScript::Shell("cat <<A - <<'B' > /x\n1\nA\n2\nB".into()));
    assert_eq!(script("RUN [\"a\"]"), RunScript::Exec(vec!["a".into()]));
    assert_eq!(script("RUN a && \\\n  # note\n  b"), RunScript::Shell("a &&   b".into()));
}

#[test]
fn run_flags_are_typed() {
    let InstructionKind::Run(run) =
        kind("RUN --mount=type=cache,target=/c --mount=from=x,target=/y --network=Host --security=sandbox a")
    else {
        panic!("no RUN")
    };
    assert_eq!(run.mounts.iter().map(|m| m.from.as_deref()).collect::<Vec<_>>(), [None, Some("x")]);
    assert_eq!(run.network, Some(crate::RunNetwork::Host));
    assert_eq!(run.command, CommandForm::Shell("a".into()));
    // After `--` or the first other word, nothing is a flag.
    let InstructionKind::Run(run) = kind("RUN -- --mount=x") else { panic!("no RUN") };
    assert_eq!(run.command, CommandForm::Shell("--mount=x".into()));
}

#[test]
fn healthchecks_have_times() {
    let InstructionKind::Healthcheck(check) = kind("HEALTHCHECK --interval=1m30s --retries=3 CMD curl -f x") else {
        panic!("no HEALTHCHECK")
    };
    assert_eq!((check.interval.as_secs(), check.retries), (90, 3));
    assert_eq!(check.test, HealthcheckTest::Command(CommandForm::Shell("curl -f x".into())));
    let InstructionKind::Healthcheck(check) = kind("HEALTHCHECK none") else { panic!("no HEALTHCHECK") };
    assert_eq!(check.test, HealthcheckTest::None);
    assert_eq!(first_problem("HEALTHCHECK --timeout=1us CMD x").0, "`1us` is less than 1ms");
    assert_eq!(first_problem("HEALTHCHECK --retries=-1 CMD x").0, "`--retries=-1`: it is a number from 0 on");
    assert_eq!(first_problem("HEALTHCHECK curl x").0, "HEALTHCHECK is followed by CMD or NONE");
}

#[test]
fn triggers_are_kept_as_text_that_reads_back() {
    let InstructionKind::OnBuild(trigger) = kind("ONBUILD   COPY --from=x \\\n <<A /d\n1\nA\n") else { panic!("no ONBUILD") };
    assert_eq!(trigger.trigger, "COPY --from=x  <<A /d\n1\nA");
    let again = parse_instruction(&trigger.trigger, '\\').expect("a trigger");
    assert_eq!(again.kind, trigger.instruction.kind);
    assert_eq!(first_problem("ONBUILD ONBUILD RUN x").0, "ONBUILD cannot be the trigger of an ONBUILD");
    assert_eq!(first_problem("ONBUILD from x").0, "FROM cannot be the trigger of an ONBUILD");
}

#[test]
fn a_trigger_is_one_instruction() {
    for (text, message) in [
        ("", "a trigger is one instruction, not 0"),
        ("RUN a\nRUN b", "a trigger is one instruction, not 2"),
        ("FROM a", "FROM cannot be the trigger of an ONBUILD"),
        ("RUN", "RUN needs a command"),
    ] {
        let err = parse_instruction(text, '\\').expect_err(text);
        assert_eq!(err.problems[0].message, message);
    }
    let run = parse_instruction("RUN a `\n b", '`').expect("a RUN");
    assert!(matches!(run.kind, InstructionKind::Run(r) if r.command == CommandForm::Shell("a  b".into())));
}

#[test]
fn sources_and_spans_are_those_of_the_file() {
    let file = parse(b"FROM a\n\n  run x \\\n  # c\n  y\nUSER u", "f").expect("a file");
    let run = &file.stages[0].instructions[0];
    assert_eq!(run.source, "  run x \\\n  # c\n  y");
    assert_eq!(run.span, Span { first_line: 3, last_line: 5, column: 3 });
}

#[test]
fn a_bad_from_is_reported_once_and_hides_nothing_after_it() {
    let err = parse(b"FROM a b\nRUN x\nCOPYY a b\n", "f").expect_err("bad FROM");
    let messages: Vec<_> = err.problems.iter().map(|p| p.message.as_str()).collect();
    assert_eq!(messages, ["FROM takes an image and, after AS, a stage name", "unknown instruction `COPYY`"]);
}
