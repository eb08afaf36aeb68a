//! Dockerfile text to instructions to a stage plan; word expansion; `.dockerignore`. Pure: no I/O, no clock, no environment.
//!
//! The way of a file: [`parse`] → [`Dockerfile`] → [`plan`] → [`BuildPlan`], which image-build walks, expanding
//! words with [`expand`] as the environment grows. BuildKit's front end is the reference for what a text means;
//! where it is lenient without need, or stops at the first error, the function concerned says what we do.

mod copy;
mod directives;
mod duration;
mod expand;
mod git_source;
mod healthcheck;
mod heredoc;
mod ignore;
mod instruction;
mod lint;
mod logical_lines;
mod mode_change;
mod parse;
mod path_match;
mod plan;
mod platform;
mod ports;
mod problem;
mod remote_source;
mod run;
mod run_mount;
mod span;
mod stage;
mod target_labels;
mod variables;

pub use copy::{Add, Copy, CopySource};
pub use duration::{DurationError, parse_duration};
pub use expand::{ExpandError, ExpandReason, expand, expand_heredoc, expand_words};
pub use git_source::{GitSource, GitSourceError, GitTransport};
pub use healthcheck::{Healthcheck, HealthcheckTest};
pub use heredoc::Heredoc;
pub use ignore::{IgnoreError, IgnoreRules};
pub use instruction::{ArgDeclaration, CommandForm, Instruction, InstructionKind, KeyValue, OnBuild};
pub use lint::{Finding, LintOptions, LintReport, Origin, Rule, Severity, lint, markdown as lint_markdown, rules as lint_rules};
pub use mode_change::{ModeChange, ModeClause, ModeError};
pub use parse::{parse, parse_instruction};
pub use path_match::{PatternError, check_pattern, path_match};
pub use plan::{Base, BuildPlan, FromRef, PlanError, PlanOptions, PlannedStage, plan};
pub use platform::{Platform, PlatformError};
pub use ports::{PortError, parse_port};
pub use problem::{ParseError, Problem};
pub use remote_source::{RemoteSource, url_file_name};
pub use run::{Run, RunNetwork, RunScript};
pub use run_mount::{CacheSharing, Mount, MountError, MountKind, RunMount};
pub use span::Span;
pub use stage::{Dockerfile, From, Stage};
pub use target_labels::target_labels;
pub use variables::Variables;
