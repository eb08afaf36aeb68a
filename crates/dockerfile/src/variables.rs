//! The variables of a stage while it is built: ENV, which goes into the image, and ARG, which does not.

use std::collections::BTreeMap;

/// What words expand to and what RUN sees. A stage built FROM another begins with a copy of that one's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variables {
    seen: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
}

impl Variables {
    /// Begins with the environment of a base image.
    pub fn from_env(env: BTreeMap<String, String>) -> Self {
        Variables { seen: env.clone(), env }
    }

    /// ENV: visible from here on, and part of the image.
    pub fn set_env(&mut self, name: String, value: String) {
        self.seen.insert(name.clone(), value.clone());
        self.env.insert(name, value);
    }

    /// ARG: visible from here on, also over an ENV of the same name before it (as in BuildKit; the legacy builder kept
    /// the ENV's value), not part of the image.
    pub fn set_arg(&mut self, name: String, value: String) {
        self.seen.insert(name, value);
    }

    /// The value a word sees.
    pub fn get(&self, name: &str) -> Option<String> {
        self.seen.get(name).cloned()
    }

    /// Everything RUN sees.
    pub fn all(&self) -> &BTreeMap<String, String> {
        &self.seen
    }

    /// What goes into the image config.
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }
}
