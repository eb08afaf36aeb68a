//! Verdicts: one line for every request a build step made at the gate.

use build_model::Nvra;

use crate::Rule;

/// The RUN step that asked.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BuildStep {
    /// Line of the Dockerfile the instruction begins at.
    pub line: u32,
    /// The instruction's first line.
    pub instruction: String,
}

impl std::fmt::Display for BuildStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.instruction)
    }
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Verdict {
    /// When, in seconds since 1970.
    pub at: u64,
    /// `GET` or `HEAD`, or what was tried.
    pub method: String,
    /// What was asked for, as it was asked for.
    pub url: String,
    /// The content source, where the request named one.
    pub source: Option<String>,
    /// Why it was released or refused.
    pub rule: Rule,
    /// Whether the file was handed out.
    pub released: bool,
    /// What was seen, one sentence.
    pub evidence: String,
    /// The RPM, once it is known.
    pub nvra: Option<Nvra>,
    /// Checksum of the file, `sha256:HEX` or `sha512:HEX`, as the pinned metadata has it.
    pub checksum: Option<String>,
    /// Size of the file in bytes.
    pub size: Option<u64>,
    /// SHA-256 of the RPM's header, recomputed; what the proof matches installed RPMs with.
    pub sha256header: Option<String>,
    /// SIGMD5 of the RPM, recomputed over the file.
    pub sigmd5: Option<String>,
    /// Koji's id of the RPM.
    pub rpm_id: Option<i64>,
    /// What to do about a refusal.
    pub remedy: Option<String>,
    /// Which RUN asked; `None` outside of any.
    #[serde(default)]
    pub step: Option<BuildStep>,
    /// How many equal requests this line stands for (released metadata only).
    pub requests: u32,
}

impl Verdict {
    pub(crate) fn new(rule: Rule, method: &str, url: &str, evidence: impl Into<String>) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Verdict {
            at: now.map(|d| d.as_secs()).unwrap_or_default(),
            method: method.chars().take(32).collect(),
            // Strangers choose the URL: keep the log readable and bounded.
            url: url.chars().take(2048).flat_map(char::escape_default).collect(),
            source: None,
            rule,
            released: rule.releases(),
            evidence: evidence.into(),
            nvra: None,
            checksum: None,
            size: None,
            sha256header: None,
            sigmd5: None,
            rpm_id: None,
            remedy: rule.remedy().map(str::to_owned),
            step: None,
            requests: 1,
        }
    }

    /// Takes back what was said: another rule, another evidence.
    pub(crate) fn turn_into(&mut self, rule: Rule, evidence: String) {
        (self.rule, self.released, self.evidence) = (rule, rule.releases(), evidence);
        self.remedy = rule.remedy().map(str::to_owned);
    }

    /// Whether something was kept out. A file that does not exist is neither released nor refused.
    pub fn refused(&self) -> bool {
        !self.released && self.rule != Rule::NotFound
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = if self.released { "released" } else { "refused" };
        write!(f, "{word} ({}): {} {}: {}", self.rule, self.method, self.url, self.evidence)?;
        if let Some(remedy) = self.remedy.as_ref().filter(|_| !self.released) {
            write!(f, "; {remedy}")?;
        }
        match &self.step {
            Some(step) if step.line > 0 => write!(f, " (line {})", step.line),
            _ => Ok(()),
        }
    }
}

/// The verdicts of one gate, in order.
#[derive(Debug, Default)]
pub(crate) struct VerdictLog {
    lines: Vec<Verdict>,
}

/// Verdicts kept. A step that asks for more is not installing packages; the last line then stands for the rest.
const MAX_LINES: usize = 50_000;

impl VerdictLog {
    pub fn push(&mut self, verdict: Verdict) {
        if verdict.refused() {
            tracing::warn!(rule = verdict.rule.as_str(), url = verdict.url, "{verdict}");
        } else {
            tracing::debug!(rule = verdict.rule.as_str(), url = verdict.url, "{verdict}");
        }
        if verdict.rule == Rule::PinnedMetadata {
            let same = |v: &&mut Verdict| v.rule == Rule::PinnedMetadata && v.url == verdict.url && v.method == verdict.method;
            if let Some(line) = self.lines.iter_mut().rev().take(4096).find(same) {
                line.requests = line.requests.saturating_add(1);
                return;
            }
        }
        if self.lines.len() >= MAX_LINES {
            // A refusal must never be lost, so it takes the last line's place; what it replaces was refused or released before.
            if verdict.refused() {
                self.lines.pop();
                self.lines.push(verdict);
            }
            return;
        }
        self.lines.push(verdict);
    }

    pub fn all(&self) -> &[Verdict] {
        &self.lines
    }

    /// Refusals from line `n` on; of a full log the last line is looked at in any case.
    pub fn refusals_since(&self, n: usize) -> Vec<Verdict> {
        let from = if self.lines.len() >= MAX_LINES { n.min(MAX_LINES - 1) } else { n };
        self.lines.iter().skip(from).filter(|v| v.refused()).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_rule_evidence_remedy_and_the_run() {
        let mut verdict = Verdict::new(Rule::HostNotAllowed, "GET", "http://h/x", "host not allowed: the build asked for h");
        let line = verdict.to_string();
        assert!(line.starts_with("refused (host-not-allowed): GET http://h/x: host not allowed"), "{line}");
        assert!(line.ends_with("package what is needed as an RPM"), "{line}");
        verdict.step = Some(BuildStep { line: 12, instruction: "RUN curl http://h/x".into() });
        assert!(verdict.to_string().ends_with(" (line 12)"));
        verdict.turn_into(Rule::PinnedMetadata, "it was listed".into());
        assert_eq!(verdict.to_string(), "released (pinned-metadata): GET http://h/x: it was listed (line 12)");
    }
}
