//! Build progress on a terminal: `tty` (colour, one line a step), `plain` (for logs), `json` (one object a line).

use std::io::{IsTerminal, Write};

use image_build::{Progress, ProgressEvent};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ProgressMode {
    /// `tty` on a terminal, else `plain`.
    Auto,
    /// Colours.
    Tty,
    /// Plain lines.
    Plain,
    /// One JSON object a line.
    Json,
}

/// Writes progress to standard error, so that standard output stays the result.
pub struct TerminalProgress {
    mode: ProgressMode,
}

impl TerminalProgress {
    /// Progress in a mode; `Auto` looks at standard error.
    pub fn new(mode: ProgressMode) -> Self {
        let mode = match mode {
            ProgressMode::Auto if std::io::stderr().is_terminal() => ProgressMode::Tty,
            ProgressMode::Auto => ProgressMode::Plain,
            other => other,
        };
        Self { mode }
    }

    fn show(&self, colour: &str, text: &str) {
        let mut err = std::io::stderr().lock();
        // A closed terminal must not fail the build.
        let _ = match self.mode {
            ProgressMode::Tty => writeln!(err, "\u{1b}[{colour}m{text}\u{1b}[0m"),
            _ => writeln!(err, "{text}"),
        };
    }
}

impl Progress for TerminalProgress {
    fn event(&self, event: ProgressEvent) {
        if self.mode == ProgressMode::Json {
            let mut err = std::io::stderr().lock();
            let _ = writeln!(err, "{}", json(&event));
            return;
        }
        match &event {
            ProgressEvent::StepStarted { step } => {
                let stage = step.stage_name.clone().unwrap_or_else(|| format!("stage {}", step.stage));
                self.show("1;34", &format!("[{stage} {}/{}] {}", step.number, step.total, step.text));
            }
            ProgressEvent::OutputLine { line, .. } => self.show("0", &format!("  {line}")),
            ProgressEvent::StepFinished { seconds, cached, .. } => {
                self.show("2", &format!("  {}{seconds:.2} s", if *cached { "cached, " } else { "" }));
            }
            ProgressEvent::LayerPacked { size, seconds, .. } => {
                self.show("2", &format!("  layer of {} kB packed in {seconds:.2} s", size >> 10));
            }
            ProgressEvent::Note { text } => self.show("33", &format!("note: {text}")),
        }
    }
}

fn json(event: &ProgressEvent) -> serde_json::Value {
    match event {
        ProgressEvent::StepStarted { step } => serde_json::json!({
            "event": "step-started", "stage": step.stage, "number": step.number, "total": step.total,
            "line": step.span.first_line, "text": step.text,
        }),
        ProgressEvent::OutputLine { line, .. } => serde_json::json!({"event": "output", "line": line}),
        ProgressEvent::StepFinished { step, seconds, cached } => serde_json::json!({
            "event": "step-finished", "stage": step.stage, "number": step.number, "seconds": seconds, "cached": cached,
        }),
        ProgressEvent::LayerPacked { step, entries, size, uncompressed_size, seconds } => serde_json::json!({
            "event": "layer-packed", "number": step.number, "entries": entries, "size": size, "uncompressed_size": uncompressed_size, "seconds": seconds,
        }),
        ProgressEvent::Note { text } => serde_json::json!({"event": "note", "text": text}),
    }
}
