//! EXPOSE.

use crate::InstructionKind;
use crate::lint::checked::Checked;
use crate::lint::rule::{Broken, Found, Origin, Rule, Severity};
use crate::lint::scope;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "ExposeProtoCasing",
        sentence: "The protocol of a port is written in lower case",
        why: "Ports in image configurations have lower-case protocols; some tools compare them as they are written.",
        bad: image!("EXPOSE 53/UDP"),
        good: image!("EXPOSE 53/udp"),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::BuildKit,
        experimental: false,
        check: proto_casing,
    },
    Rule {
        name: "ExposeInvalidFormat",
        sentence: "EXPOSE names ports of the container only",
        why: "An address or a port of the host is decided where the container is run. It is dropped today, and announced to \
              become an error.",
        bad: image!("EXPOSE 127.0.0.1:8080:80"),
        good: image!("EXPOSE 80"),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::BuildKit,
        experimental: false,
        check: host_part,
    },
];

/// Each port with the word it is written in.
fn ports(checked: &Checked, visit: &mut dyn FnMut(crate::Span, &str, &str)) {
    scope::walk(checked, &mut |_, instruction, scope| {
        if let InstructionKind::Expose(words) = &instruction.kind {
            for word in words {
                for port in scope.expand(word, checked.file.escape).unwrap_or_default().split_whitespace() {
                    visit(instruction.span, word, port);
                }
            }
        }
    });
}

fn proto_casing(checked: &Checked, broken: &mut Broken) {
    ports(checked, &mut |span, word, port| {
        if let Some((_, protocol)) = port.rsplit(':').next().and_then(|p| p.split_once('/'))
            && protocol != protocol.to_lowercase()
        {
            let found = Found::new(span, format!("the protocol of `{port}` is not in lower case")).at(word);
            broken.push(found.with_hint(format!("write {}", port.to_lowercase())));
        }
    });
}

fn host_part(checked: &Checked, broken: &mut Broken) {
    ports(checked, &mut |span, word, port| {
        if let Some((_, container)) = port.rsplit_once(':') {
            let found = Found::new(span, format!("EXPOSE `{port}` names an address or port of the host")).at(word);
            broken.push(found.with_hint(format!("write {container}")));
        }
    });
}
