//! Instructions that only change the config (engine: M1–M7, S6). Pure: text and state in, state out.

use dockerfile::{
    BuildPlan, CommandForm, Healthcheck, HealthcheckTest, InstructionKind, KeyValue, PlannedStage, expand, expand_words,
    parse_port,
};

use super::StageState;
use crate::error::StepError;

/// Applies an instruction that makes no layer. RUN, COPY, ADD and WORKDIR are not its business and change nothing here.
///
/// # Errors
/// A word that does not expand, or a value the instruction cannot have.
pub(crate) fn apply(
    state: &mut StageState,
    kind: &InstructionKind,
    plan: &BuildPlan,
    stage: &PlannedStage,
) -> Result<(), StepError> {
    // A whole instruction sees the variables as they were before it.
    let before = state.clone();
    let lookup = |name: &str| before.lookup(name);
    let word = |text: &str| expand(text, plan.escape, &lookup);
    match kind {
        InstructionKind::Arg(declarations) => {
            for declaration in declarations {
                // Later names of one ARG see the earlier ones.
                let so_far = state.clone();
                if let Some(value) = plan.arg_value(stage, declaration, &|name| so_far.lookup(name))? {
                    state.set_arg(&declaration.name, value);
                }
            }
        }
        InstructionKind::Env(pairs) => {
            for (key, value) in expand_pairs(pairs, &word, "ENV")? {
                state.set_env(&key, &value);
            }
        }
        InstructionKind::Label(pairs) => state.config.labels.extend(expand_pairs(pairs, &word, "LABEL")?),
        InstructionKind::User(user) => {
            let user = word(user)?;
            if user.trim().is_empty() {
                return Err(StepError::Invalid("USER needs a user name or number".to_owned()));
            }
            state.config.user = user;
        }
        InstructionKind::Expose(ports) => {
            for text in ports {
                for port in expand_words(text, plan.escape, &lookup)? {
                    state.config.exposed_ports.extend(parse_port(&port)?);
                }
            }
        }
        InstructionKind::Volume(paths) => {
            for path in paths {
                let path = word(path)?;
                if path.trim().is_empty() {
                    return Err(StepError::Invalid("VOLUME needs a path".to_owned()));
                }
                state.config.volumes.insert(path);
            }
        }
        InstructionKind::Cmd(command) => {
            state.config.cmd = Some(command_line(state, command));
            state.cmd_is_own = true;
        }
        InstructionKind::Entrypoint(command) => {
            state.config.entrypoint = Some(command_line(state, command));
            // The base's CMD was meant for the base's entry point.
            if !state.cmd_is_own {
                state.config.cmd = None;
            }
        }
        InstructionKind::Shell(shell) => state.config.shell = Some(shell.clone()),
        InstructionKind::StopSignal(signal) => {
            let signal = word(signal)?;
            if !is_signal(&signal) {
                return Err(StepError::Invalid(format!(
                    "`{signal}` is not a signal: it is a name like SIGTERM or a number up to 64"
                )));
            }
            state.config.stop_signal = Some(signal);
        }
        InstructionKind::Healthcheck(check) => state.config.healthcheck = Some(healthcheck(state, check)),
        InstructionKind::OnBuild(trigger) => state.config.on_build.push(trigger.trigger.clone()),
        InstructionKind::Maintainer(author) => state.author = Some(author.clone()),
        InstructionKind::Run(_) | InstructionKind::Copy(_) | InstructionKind::Add(_) | InstructionKind::Workdir(_) => {}
    }
    Ok(())
}

fn expand_pairs(
    pairs: &[KeyValue],
    word: &dyn Fn(&str) -> Result<String, dockerfile::ExpandError>,
    what: &str,
) -> Result<Vec<(String, String)>, StepError> {
    let mut expanded = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let (key, value) = (word(&pair.key)?, word(&pair.value)?);
        // An ENV name with `=` could not be told from its value.
        if key.is_empty() || (what == "ENV" && key.contains('=')) || key.contains('\0') || value.contains('\0') {
            return Err(StepError::Invalid(format!("`{key}` is not a name for {what}")));
        }
        expanded.push((key, value));
    }
    Ok(expanded)
}

/// The argument list of CMD or ENTRYPOINT; shell form is marked for Windows' sake, as BuildKit does.
fn command_line(state: &mut StageState, command: &CommandForm) -> Vec<String> {
    match command {
        CommandForm::Exec(args) => args.clone(),
        CommandForm::Shell(text) => {
            state.config.args_escaped = Some(true);
            let mut args = state.shell();
            args.push(text.clone());
            args
        }
    }
}

fn is_signal(text: &str) -> bool {
    match text.parse::<u32>() {
        Ok(number) => (1..=64).contains(&number),
        Err(_) => {
            !text.is_empty()
                && text.len() <= 16
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-'))
                && text.starts_with(|c: char| c.is_ascii_alphabetic())
        }
    }
}

fn healthcheck(state: &StageState, check: &Healthcheck) -> image_layers::Healthcheck {
    let nanoseconds = |duration: std::time::Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    let test = match &check.test {
        HealthcheckTest::None => vec!["NONE".to_owned()],
        HealthcheckTest::Command(CommandForm::Exec(args)) => std::iter::once("CMD".to_owned()).chain(args.clone()).collect(),
        // The runtime adds its own notion of a shell, so SHELL does not show here unless it is another one.
        HealthcheckTest::Command(CommandForm::Shell(text)) => match &state.config.shell {
            Some(shell) if !shell.is_empty() => {
                std::iter::once("CMD".to_owned()).chain(shell.iter().cloned()).chain([text.clone()]).collect()
            }
            _ => vec!["CMD-SHELL".to_owned(), text.clone()],
        },
    };
    image_layers::Healthcheck {
        test,
        interval: nanoseconds(check.interval),
        timeout: nanoseconds(check.timeout),
        start_period: nanoseconds(check.start_period),
        start_interval: nanoseconds(check.start_interval),
        retries: i64::from(check.retries),
        ..image_layers::Healthcheck::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::CacheKey;
    use dockerfile::{PlanOptions, parse, plan};

    fn after(text: &str, prepare: impl Fn(&mut StageState)) -> Result<StageState, StepError> {
        let file = parse(text.as_bytes(), "Dockerfile").expect("a Dockerfile");
        let platform = "linux/amd64".parse().expect("platform");
        let build_args = [("given".to_owned(), "by-the-caller".to_owned())].into();
        let plan = plan(&file, &PlanOptions { target: None, build_args, platform }).expect("a plan");
        let stage = plan.target().expect("a stage");
        let mut state = StageState::scratch(0, CacheKey::base(None, "", ""));
        prepare(&mut state);
        for instruction in &stage.instructions {
            apply(&mut state, &instruction.kind, &plan, stage)?;
        }
        Ok(state)
    }

    fn state(text: &str) -> StageState {
        after(text, |_| {}).expect("it applies")
    }

    #[test]
    fn an_instruction_sees_the_variables_before_it() {
        let state = state("FROM scratch\nENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc\n");
        assert_eq!(state.config.env[1..], ["abc=bye", "def=hello", "ghi=bye"]);
    }

    #[test]
    fn args_come_from_the_caller_the_default_or_the_global_scope() {
        let state = state(
            "ARG top=1\nFROM scratch\nARG given=default\nARG top\nARG a=x b=$a unset\nLABEL l=\"$given $top $a $b $unset\"\n",
        );
        assert_eq!(state.config.labels["l"], "by-the-caller 1 x x ");
        assert!(state.config.env.iter().all(|e| e.starts_with("PATH=")));
    }

    #[test]
    fn an_entry_point_drops_the_bases_command_only() {
        let base = |state: &mut StageState| state.config.cmd = Some(vec!["bash".into()]);
        assert_eq!(after("FROM scratch\nENTRYPOINT [\"x\"]\n", base).expect("ok").config.cmd, None);
        let own = after("FROM scratch\nCMD [\"y\"]\nENTRYPOINT [\"x\"]\n", base).expect("ok");
        assert_eq!(own.config.cmd, Some(vec!["y".to_owned()]));
        assert_eq!(after("FROM scratch\nCMD []\n", base).expect("ok").config.cmd, Some(vec![]));
    }

    #[test]
    fn shell_forms_use_the_shell_of_that_line() {
        let state = state("FROM scratch\nCMD echo 1\nSHELL [\"/bin/bash\", \"-ec\"]\nENTRYPOINT echo $HOME\n");
        assert_eq!(state.config.entrypoint.expect("entry point"), ["/bin/bash", "-ec", "echo $HOME"]);
        assert_eq!(state.config.cmd.expect("command"), ["/bin/sh", "-c", "echo 1"]);
        assert_eq!(state.config.args_escaped, Some(true));
    }

    #[test]
    fn ports_volumes_signals_and_checks_are_normalised() {
        let state = state(
            "FROM scratch\nARG p=80-81\nEXPOSE $p 53/UDP\nVOLUME [\"/data\", \"/a b\"]\nSTOPSIGNAL SIGINT\n\
             HEALTHCHECK --interval=5s --retries=2 CMD curl -f http://localhost\n",
        );
        let ports: Vec<&str> = state.config.exposed_ports.iter().map(String::as_str).collect();
        assert_eq!(ports, ["53/udp", "80/tcp", "81/tcp"]);
        assert!(state.config.volumes.contains("/a b"));
        let check = state.config.healthcheck.expect("check");
        assert_eq!((check.test[0].as_str(), check.interval, check.retries), ("CMD-SHELL", 5_000_000_000, 2));
    }

    #[test]
    fn values_that_make_no_sense_are_errors() {
        for text in
            ["ARG x\nUSER $x", "ARG x=99\nSTOPSIGNAL $x", "ARG x=-\nSTOPSIGNAL $x", "ARG x=99999\nEXPOSE $x", "ARG x\nVOLUME $x"]
        {
            assert!(after(&format!("FROM scratch\n{text}\n"), |_| {}).is_err(), "{text}");
        }
    }
}
