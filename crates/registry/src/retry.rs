//! Bounded retries. What is worth another attempt is decided by the error's type (`Diagnose::is_transient`).

use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use build_model::Diagnose;
use futures_util::FutureExt;

use crate::alias::Target;
use crate::classify::panicked;
use crate::error::{Action, RegistryError};

/// How often and how patiently a request is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all; 1 means no retry.
    pub attempts: u32,
    /// Pause before the second attempt; each further one is twice as long.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for RetryPolicy {
    /// Five attempts over about 15 seconds: a registry that restarts is back by then.
    fn default() -> Self {
        Self { attempts: 5, first_pause: Duration::from_secs(1), longest_pause: Duration::from_secs(30) }
    }
}

impl RetryPolicy {
    /// Runs `step` until it succeeds, fails for good, or the attempts are used up; then the last error counts.
    pub(crate) async fn run<T, F, Fut>(&self, action: Action, target: &Target, mut step: F) -> Result<T, RegistryError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, RegistryError>>,
    {
        let mut attempt = 1;
        loop {
            let error = match guarded(action, target, step()).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if !self.again(attempt, &error).await {
                return Err(error);
            }
            attempt += 1;
        }
    }

    /// Whether there is a next attempt after `attempt` failed; waits for its time if so.
    pub(crate) async fn again(&self, attempt: u32, error: &RegistryError) -> bool {
        if attempt >= self.attempts || !error.is_transient() {
            return false;
        }
        let pause = self.pause(attempt, jitter());
        tracing::warn!(attempt, pause_ms = pause.as_millis() as u64, error = %error, "registry request failed, trying again");
        tokio::time::sleep(pause).await;
        true
    }

    /// The pause after attempt number `attempt` (from 1), shortened by up to a quarter so that workers do not return in step.
    fn pause(&self, attempt: u32, jitter: f64) -> Duration {
        let doubled = self.first_pause.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
        doubled.min(self.longest_pause).mul_f64(1.0 - jitter / 4.0)
    }
}

/// Some answers outside the specification make `oci-client` panic; a task must not die of an answer.
pub(crate) async fn guarded<T>(
    action: Action,
    target: &Target,
    step: impl Future<Output = Result<T, RegistryError>>,
) -> Result<T, RegistryError> {
    AssertUnwindSafe(step).catch_unwind().await.unwrap_or_else(|_| Err(panicked(action, target)))
}

/// A number from 0 to 1: the standard library's hash keys are the only randomness needed here.
fn jitter() -> f64 {
    let random = std::hash::RandomState::new().build_hasher().finish();
    (random >> 40) as f64 / (1_u64 << 24) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn target() -> Target {
        let name: crate::ImageReference = "reg.example/web:1".parse().expect("a reference");
        Target { name: name.clone(), location: name }
    }

    fn busy() -> RegistryError {
        RegistryError::Busy {
            action: Action::Pull,
            target: "t".into(),
            registry: "r".into(),
            status: 503,
            message: String::new(),
        }
    }

    /// Runs a step that fails `failures` times; returns the attempts made and whether it succeeded.
    async fn attempts(failures: u32, error: fn() -> RegistryError) -> (u32, bool) {
        let policy = RetryPolicy { attempts: 3, first_pause: Duration::ZERO, longest_pause: Duration::ZERO };
        let made = Cell::new(0);
        let outcome = policy
            .run(Action::Pull, &target(), || async {
                made.set(made.get() + 1);
                if made.get() <= failures { Err(error()) } else { Ok(()) }
            })
            .await;
        (made.get(), outcome.is_ok())
    }

    #[tokio::test]
    async fn transient_errors_are_retried_a_bounded_number_of_times() {
        assert_eq!(attempts(2, busy).await, (3, true));
        assert_eq!(attempts(9, busy).await, (3, false));
    }

    #[tokio::test]
    async fn other_errors_are_final_at_once() {
        assert_eq!(attempts(9, || RegistryError::NotFound { target: "t".into() }).await, (1, false));
    }

    #[tokio::test]
    async fn a_panic_of_the_client_is_an_error() {
        let policy = RetryPolicy::default();
        let outcome: Result<(), _> = policy.run(Action::Pull, &target(), || async { panic!("hostile answer") }).await;
        assert!(matches!(outcome, Err(RegistryError::Protocol { .. })));
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let policy = RetryPolicy { attempts: 9, first_pause: Duration::from_secs(1), longest_pause: Duration::from_secs(5) };
        let pauses: Vec<_> = (1..=5).map(|n| policy.pause(n, 0.0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 5, 5]);
        assert_eq!(policy.pause(1, 1.0), Duration::from_millis(750));
        assert_eq!(policy.pause(u32::MAX, 0.0), Duration::from_secs(5));
        assert!((0.0..=1.0).contains(&jitter()));
    }
}
