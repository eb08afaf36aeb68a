//! The time a build may take by its own `container.yaml` (`buildtime_limit`), from the start of the task to the proven
//! image. Pushing and importing are not cut off: stopping there saves nothing and leaves halves behind. The site's own
//! limit is kept by the worker, which ends the whole process (worker/poll.rs).

use std::future::Future;
use std::time::Duration;

use build_model::{Blame, BoxedDiagnose, Diagnose};
use image_build::CancelFlag;
use tokio::time::Instant;

/// The clock of one build.
pub struct BuildTime {
    limit: Option<Limit>,
    cancel: CancelFlag,
}

struct Limit {
    seconds: u64,
    deadline: Instant,
    /// Sets the flag when time is up: the engine blocks its thread and looks at nothing else.
    timer: tokio::task::JoinHandle<()>,
}

/// The build took longer than its repository allows.
#[derive(Debug, thiserror::Error)]
#[error("the build was stopped after {seconds} s, the `buildtime_limit` in container.yaml")]
pub struct TookTooLong {
    seconds: u64,
}

impl Diagnose for TookTooLong {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "buildtime-limit"
    }
    fn hint(&self) -> Option<String> {
        Some("raise `buildtime_limit` in container.yaml, or leave it out; the site's own limit then applies".into())
    }
}

impl BuildTime {
    /// A build that began at `began` and may take `seconds`, or as long as the site lets it. Must be called on the runtime.
    pub fn new(began: Instant, seconds: Option<u64>) -> Self {
        let cancel = CancelFlag::new();
        let limit = seconds.and_then(|seconds| {
            let deadline = began.checked_add(Duration::from_secs(seconds))?; // beyond the clock's end: no limit
            let flag = cancel.clone();
            let timer = tokio::spawn(async move {
                tokio::time::sleep_until(deadline).await;
                flag.cancel();
            });
            Some(Limit { seconds, deadline, timer })
        });
        Self { limit, cancel }
    }

    /// Set when time is up; for the engine.
    pub fn cancel(&self) -> &CancelFlag {
        &self.cancel
    }

    /// Does `work`, unless time is up before it is done.
    ///
    /// # Errors
    /// [`TookTooLong`], or that of `work`.
    pub async fn within<T>(&self, work: impl Future<Output = Result<T, BoxedDiagnose>>) -> Result<T, BoxedDiagnose> {
        let Some(limit) = &self.limit else { return work.await };
        let too_long = || TookTooLong { seconds: limit.seconds }.into();
        match tokio::time::timeout_at(limit.deadline, work).await {
            Err(_) => Err(too_long()),
            // The engine only knows that it was told to stop.
            Ok(Err(error)) if error.blame() == Blame::Cancelled && self.cancel.is_cancelled() => Err(too_long()),
            Ok(done) => done,
        }
    }
}

impl Drop for BuildTime {
    fn drop(&mut self) {
        if let Some(limit) = &self.limit {
            limit.timer.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("stopped")]
    struct Stopped(Blame);

    impl Diagnose for Stopped {
        fn blame(&self) -> Blame {
            self.0
        }
        fn kind(&self) -> &'static str {
            "stopped"
        }
    }

    /// Blocks the thread until the flag is set, as the engine does, and fails like it.
    async fn engine(time: &BuildTime, blame: Blame) -> Result<(), BoxedDiagnose> {
        tokio::task::block_in_place(|| {
            while !time.cancel().is_cancelled() {
                std::thread::yield_now();
            }
        });
        Err(Stopped(blame).into())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn time_that_is_up_stops_waiting_and_blocking_work_and_names_the_key() {
        let time = BuildTime::new(Instant::now(), Some(0));
        let waiting = time.within(std::future::pending::<Result<(), BoxedDiagnose>>()).await.expect_err("too long");
        assert_eq!((waiting.kind(), waiting.blame()), ("buildtime-limit", Blame::Packager));
        let began = Instant::now();
        let time = BuildTime::new(began, Some(1));
        let blocking = time.within(engine(&time, Blame::Cancelled)).await.expect_err("too long");
        assert!(blocking.to_string().contains("after 1 s, the `buildtime_limit` in container.yaml"), "{blocking}");
        assert!(began.elapsed() >= Duration::from_secs(1));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn other_errors_and_results_pass_through() {
        let time = BuildTime::new(Instant::now(), Some(1));
        let own = time.within(engine(&time, Blame::Packager)).await.expect_err("its own error");
        assert_eq!(own.kind(), "stopped");
        for limit in [None, Some(600), Some(u64::MAX)] {
            let time = BuildTime::new(Instant::now(), limit);
            assert_eq!(time.within(async { Ok(7) }).await.expect("done"), 7);
            let failed = async { Err::<(), BoxedDiagnose>(Stopped(Blame::Cancelled).into()) };
            assert_eq!(time.within(failed).await.expect_err("cancelled").blame(), Blame::Cancelled);
        }
    }
}
