//! RUN, parsed, and what its text becomes when there are heredocs.

use crate::{CommandForm, Heredoc, RunMount};

/// `RUN [flags] command`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The command; with heredocs always shell form, their markers still in the text.
    pub command: CommandForm,
    /// The heredoc bodies, in the order of their markers.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`, in order.
    pub mounts: Vec<RunMount>,
    /// `--network`
    pub network: Option<RunNetwork>,
    /// `--security`: `sandbox` or `insecure`.
    pub security: Option<String>,
}

/// `--network` of RUN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunNetwork {
    /// What the builder gives.
    Default,
    /// Loopback only.
    None,
    /// The builder's own network.
    Host,
}

/// What a RUN executes once heredocs are taken into account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunScript {
    /// One argument for the stage's SHELL.
    Shell(String),
    /// Arguments, run as they are.
    Exec(Vec<String>),
    /// `RUN <<EOF` with a body that starts with `#!`: a file to write (mode 0755), outside the layer, and run.
    File {
        /// The heredoc's word.
        name: String,
        /// The file's content.
        body: String,
    },
}

impl Run {
    /// What to execute. Bodies are never expanded by the builder here: the shell that reads them does it.
    pub fn script(&self) -> RunScript {
        match (&self.command, self.heredocs.as_slice()) {
            (CommandForm::Exec(args), _) => RunScript::Exec(args.clone()),
            (CommandForm::Shell(text), []) => RunScript::Shell(text.clone()),
            (CommandForm::Shell(text), [only]) if crate::heredoc::is_marker_alone(text) => {
                if only.body.starts_with("#!") {
                    RunScript::File { name: only.name.clone(), body: only.body.clone() }
                } else {
                    RunScript::Shell(only.body.clone())
                }
            }
            (CommandForm::Shell(text), heredocs) => {
                let mut script = text.clone();
                for heredoc in heredocs {
                    script.push('\n');
                    script.push_str(&heredoc.body);
                    script.push_str(&heredoc.name);
                }
                RunScript::Shell(script)
            }
        }
    }
}
