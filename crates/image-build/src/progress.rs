//! What a build tells while it runs. Implemented by whoever keeps the log (the worker, the command line, tests).

use dockerfile::Span;

/// Receives the events of a build, from several threads. It must not block for long: output waits for it.
pub trait Progress: Send + Sync {
    /// One event.
    fn event(&self, event: ProgressEvent);
}

/// Drops every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _event: ProgressEvent) {}
}

/// One instruction on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepInfo {
    /// Position of the stage in the Dockerfile, from 0.
    pub stage: usize,
    /// Its name.
    pub stage_name: Option<String>,
    /// Position among all steps of the build, from 1. ONBUILD triggers have the number of their FROM.
    pub number: usize,
    /// How many steps the build has.
    pub total: usize,
    /// Where the instruction stands.
    pub span: Span,
    /// The instruction as in the file; triggers begin with `ONBUILD`.
    pub text: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum ProgressEvent {
    /// A step begins.
    StepStarted {
        /// The step.
        step: StepInfo,
    },
    /// A line of output of a RUN.
    OutputLine {
        /// Where it was written.
        stream: OutputStream,
        /// The text without its line end; invalid UTF-8 replaced, very long lines cut.
        line: String,
    },
    /// A step is done.
    StepFinished {
        /// The step.
        step: StepInfo,
        /// How long it took.
        seconds: f64,
        /// Its layer is that of an earlier build.
        cached: bool,
    },
    /// A layer is packed. Comes while a later step runs.
    LayerPacked {
        /// The step that made it.
        step: StepInfo,
        /// Files, directories and whiteouts in it; 0 means the layer is left out.
        entries: u64,
        /// Bytes of the compressed blob.
        size: u64,
        /// Bytes of the tar.
        uncompressed_size: u64,
        /// How long packing took.
        seconds: f64,
    },
    /// A remark, such as a pattern that matched nothing.
    Note {
        /// One sentence.
        text: String,
    },
}

/// Which of its outputs a command wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum OutputStream {
    Stdout,
    Stderr,
}
