//! The arguments of RUN: flags, then shell text, an exec form, or heredocs.

use build_model::Diagnose;

use super::commands::command_form;
use super::flags::{FlagKind, Flags};
use super::statement::{Fault, Statement};
use crate::instruction::CommandForm;
use crate::problem::did_you_mean;
use crate::run::{Run, RunNetwork};
use crate::run_mount::RunMount;

const FLAGS: [(&str, FlagKind); 4] =
    [("mount", FlagKind::Many), ("network", FlagKind::Single), ("security", FlagKind::Single), ("device", FlagKind::Many)];

pub(super) fn parse_run(statement: &Statement, faults: &mut Vec<Fault>, warnings: &mut Vec<Fault>) -> Option<Run> {
    let flags = Flags::read(statement, &FLAGS, faults);
    let mut mounts = Vec::new();
    for (text, place) in flags.many("mount") {
        match RunMount::parse(&text, statement.escape, statement.span(place)) {
            Ok(mount) => mounts.push(mount),
            Err(error) => {
                let message = match std::error::Error::source(&error) {
                    Some(cause) => format!("{error}: {cause}"),
                    None => error.to_string(),
                };
                faults.push(Fault { offset: place.offset, message, hint: error.hint() });
            }
        }
    }
    let network = flags.single("network").and_then(|(value, place)| match value.to_ascii_lowercase().as_str() {
        "default" => Some(RunNetwork::Default),
        "none" => Some(RunNetwork::None),
        "host" => Some(RunNetwork::Host),
        _ => {
            let fault = place.fault(format!("`--network={value}`: it is one of default, none, host"));
            faults.push(Fault { hint: did_you_mean(&value, ["default", "none", "host"]), ..fault });
            None
        }
    });
    let security = flags.single("security").map(|(value, place)| {
        if !matches!(value.as_str(), "sandbox" | "insecure") {
            faults.push(place.fault(format!("`--security={value}`: it is sandbox or insecure")));
        }
        value
    });
    for (_, place) in flags.many("device") {
        faults.push(place.fault("RUN --device is not supported: builders give no devices to a build"));
    }
    if flags.rest.text.is_empty() {
        faults.push(statement.fault("RUN needs a command"));
        return None;
    }
    let heredocs: Vec<_> = statement.heredocs.iter().map(|(_, h)| h.clone()).collect();
    let command = command_form(flags.rest, faults, warnings)?;
    if command == CommandForm::Exec(Vec::new()) {
        faults.push(statement.fault("RUN needs a command"));
        return None;
    }
    Some(Run { command, heredocs, mounts, network, security })
}
