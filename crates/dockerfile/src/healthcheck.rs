//! HEALTHCHECK, parsed; its fields are those of the image config.

use std::time::Duration;

use crate::CommandForm;

/// `HEALTHCHECK NONE` or `HEALTHCHECK [flags] CMD …`. A time of zero means "as the base image has it".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthcheck {
    /// What is run.
    pub test: HealthcheckTest,
    /// `--interval`
    pub interval: Duration,
    /// `--timeout`
    pub timeout: Duration,
    /// `--start-period`
    pub start_period: Duration,
    /// `--start-interval`
    pub start_interval: Duration,
    /// `--retries`; 0 means inherited.
    pub retries: u32,
}

/// The check itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthcheckTest {
    /// Switches the base image's check off.
    None,
    /// Shell form becomes `CMD-SHELL` in the config, exec form `CMD`.
    Command(CommandForm),
}
