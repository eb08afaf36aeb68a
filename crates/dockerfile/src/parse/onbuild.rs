//! ONBUILD: a statement inside a statement, kept as text for the image config and parsed to find its mistakes now.

use super::statement::{Fault, Statement, split_name_of};
use super::{NAMES, Parsed, is_instruction, parse_statement};
use crate::Span;
use crate::instruction::{Instruction, OnBuild};
use crate::problem::did_you_mean;

/// Why an instruction cannot stand after ONBUILD.
pub(super) fn not_a_trigger(name: &str) -> Option<&'static str> {
    match name.to_ascii_uppercase().as_str() {
        "ONBUILD" => Some("ONBUILD cannot be the trigger of an ONBUILD"),
        "FROM" => Some("FROM cannot be the trigger of an ONBUILD"),
        "MAINTAINER" => Some("MAINTAINER cannot be the trigger of an ONBUILD"),
        _ => None,
    }
}

/// ONBUILD: the rest of the line is a statement of its own.
pub(super) fn parse_onbuild(statement: &Statement, faults: &mut Vec<Fault>, warnings: &mut Vec<Fault>) -> Option<OnBuild> {
    if statement.args.text.is_empty() {
        faults.push(statement.fault("ONBUILD needs an instruction"));
        return None;
    }
    let (name, args) = split_name_of(statement.args);
    let inner = Statement { name, args, ..*statement };
    if let Some(message) = not_a_trigger(name) {
        faults.push(Fault { offset: statement.args.offset, message: message.to_owned(), hint: None });
        return None;
    }
    if !is_instruction(name) {
        faults.push(inner.unknown(did_you_mean(name, NAMES)));
        return None;
    }
    let Some(Parsed::Instruction(kind)) = parse_statement(&inner, faults, warnings) else { return None };
    let mut trigger = statement.args.text.to_owned();
    for (marker, heredoc) in statement.heredocs {
        trigger.push('\n');
        trigger.push_str(&heredoc.body);
        trigger.push_str(&marker.name);
    }
    let span = Span { last_line: statement.line.last_line, ..statement.line.at(statement.args.offset) };
    let instruction = Box::new(Instruction { span, source: trigger.clone(), kind });
    Some(OnBuild { trigger, instruction })
}
