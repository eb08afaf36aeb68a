//! CMD, ENTRYPOINT, SHELL and HEALTHCHECK: commands in shell or exec form.

use std::time::Duration;

use super::flags::{FlagKind, Flags};
use super::json_array::{self, JsonForm};
use super::statement::{Fault, Slice, Statement, split_name_of};
use crate::healthcheck::{Healthcheck, HealthcheckTest};
use crate::instruction::CommandForm;
use crate::parse_duration;

const NOT_STRINGS: &str = "the exec form is an array of strings only";

/// Shell or exec form. Text that was meant as JSON and is none gets a warning, because it runs as shell text.
pub(super) fn command_form(rest: Slice, faults: &mut Vec<Fault>, warnings: &mut Vec<Fault>) -> Option<CommandForm> {
    match json_array::read(rest.text) {
        JsonForm::Strings(args) => Some(CommandForm::Exec(args)),
        JsonForm::NotStrings => {
            faults.push(rest.fault(NOT_STRINGS));
            None
        }
        JsonForm::NotJson => {
            if json_array::looks_meant(rest.text) {
                let warning = rest.fault("this is not valid JSON, so it is taken as shell text");
                warnings.push(warning.with_hint("the exec form needs double quotes and no comma at the end"));
            }
            Some(CommandForm::Shell(rest.text.to_owned()))
        }
    }
}

/// CMD and ENTRYPOINT.
pub(super) fn parse_command(statement: &Statement, faults: &mut Vec<Fault>, warnings: &mut Vec<Fault>) -> Option<CommandForm> {
    let rest = Flags::read(statement, &[], faults).rest;
    if rest.text.is_empty() {
        // The reference makes an empty shell command of it, which no image wants.
        let name = statement.upper_name();
        faults.push(
            statement.fault(format!("{name} needs a command")).with_hint(format!("`{name} []` clears the one of the base image")),
        );
        return None;
    }
    command_form(rest, faults, warnings)
}

pub(super) fn parse_shell(statement: &Statement, faults: &mut Vec<Fault>) -> Option<Vec<String>> {
    let rest = Flags::read(statement, &[], faults).rest;
    let fault = match json_array::read(rest.text) {
        JsonForm::Strings(args) if !args.is_empty() => return Some(args),
        JsonForm::Strings(_) => statement.fault("SHELL needs at least a program"),
        JsonForm::NotStrings => rest.fault(NOT_STRINGS),
        JsonForm::NotJson => statement.fault("SHELL needs the JSON form").with_hint("like SHELL [\"/bin/bash\", \"-c\"]"),
    };
    faults.push(fault);
    None
}

pub(super) fn parse_healthcheck(statement: &Statement, faults: &mut Vec<Fault>) -> Option<Healthcheck> {
    let times = ["interval", "timeout", "start-period", "start-interval", "retries"];
    let flags = Flags::read(statement, &times.map(|t| (t, FlagKind::Single)), faults);
    let mut time = |name: &str| match flags.single(name) {
        None => Duration::ZERO,
        Some((value, place)) => read_time(&value, place, faults),
    };
    let (interval, timeout, start_period, start_interval) =
        (time("interval"), time("timeout"), time("start-period"), time("start-interval"));
    let retries = match flags.single("retries") {
        None => 0,
        Some((value, place)) => value.parse::<u32>().ok().filter(|n| *n <= i32::MAX as u32).unwrap_or_else(|| {
            faults.push(place.fault(format!("`--retries={value}`: it is a number from 0 on")));
            0
        }),
    };
    let (kind, command) = split_name_of(flags.rest);
    let test = match kind.to_ascii_uppercase().as_str() {
        "NONE" if command.text.is_empty() => HealthcheckTest::None,
        "NONE" => {
            faults.push(command.fault("HEALTHCHECK NONE takes no arguments"));
            return None;
        }
        "CMD" => match command_form(command, faults, &mut Vec::new())? {
            CommandForm::Shell(text) if text.is_empty() => {
                faults.push(statement.fault("HEALTHCHECK CMD needs a command"));
                return None;
            }
            CommandForm::Exec(args) if args.is_empty() => {
                faults.push(statement.fault("HEALTHCHECK CMD needs a command"));
                return None;
            }
            form => HealthcheckTest::Command(form),
        },
        _ => {
            faults.push(
                flags.rest.fault("HEALTHCHECK is followed by CMD or NONE").with_hint("write HEALTHCHECK [flags] CMD command"),
            );
            return None;
        }
    };
    Some(Healthcheck { test, interval, timeout, start_period, start_interval, retries })
}

/// A time of zero is "inherited"; other times below a millisecond are refused, as Docker's API does.
fn read_time(value: &str, place: Slice, faults: &mut Vec<Fault>) -> Duration {
    match parse_duration(value) {
        Ok(time) if time.is_zero() || time >= Duration::from_millis(1) => return time,
        Ok(_) => faults.push(place.fault(format!("`{value}` is less than 1ms"))),
        Err(error) => faults.push(place.fault(error.to_string())),
    }
    Duration::ZERO
}
