//! Questions to the hub that are asked at the same time go in one request.
//!
//! Calls of a session run one after the other, so while one is on its way others wait. Those that only ask (no order among
//! them, nothing changed at the hub) are joined meanwhile: the first of them whose turn it is asks for all. The gate of a
//! build asks about every package by itself, several at a time; this keeps the number of requests low without any waiting.

use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use crate::{Fault, HubError, Session, Value};

/// Calls in one joined request.
const MAX: usize = 500;

type Call = (String, Vec<Value>);
type Answers = Vec<Result<Value, Fault>>;

/// What waits to be asked, and whose turn it is.
#[derive(Default)]
pub(crate) struct Questions {
    waiting: Mutex<Vec<Group>>,
    turn: tokio::sync::Mutex<()>,
}

/// The calls of one caller.
struct Group {
    calls: Vec<Call>,
    answer: oneshot::Sender<Answers>,
}

impl Questions {
    fn add(&self, calls: Vec<Call>) -> oneshot::Receiver<Answers> {
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Group { calls, answer });
        answered
    }

    /// The oldest groups, together no more than [`MAX`] calls, or one group.
    fn take(&self) -> Vec<Group> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = 0;
        let fits = |group: &&Group| {
            count += group.calls.len();
            count <= MAX
        };
        let taken = waiting.iter().take_while(fits).count().max(1).min(waiting.len());
        waiting.drain(..taken).collect()
    }
}

impl Session {
    /// As [`Session::multicall`], for calls that only ask: joined with those that others ask meanwhile.
    ///
    /// # Errors
    /// As [`Session::multicall`].
    pub(crate) async fn ask(&self, calls: Vec<Call>) -> Result<Answers, HubError> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let questions = &self.inner.questions;
        let mut answered = questions.add(calls.clone());
        loop {
            let _turn = questions.turn.lock().await;
            match answered.try_recv() {
                Ok(answers) => return Ok(answers),
                Err(TryRecvError::Empty) => {}
                // Whoever asked for us had an error, which is theirs, or gave up.
                Err(TryRecvError::Closed) => answered = questions.add(calls.clone()),
            }
            let mut all: Vec<Call> = Vec::new();
            let mut askers = Vec::new();
            for mut group in questions.take() {
                askers.push((group.calls.len(), group.answer));
                all.append(&mut group.calls);
            }
            let mut answers = self.multicall(all).await?.into_iter();
            for (count, asker) in askers {
                // Nobody listens any more when its caller was dropped.
                let _ = asker.send(answers.by_ref().take(count).collect());
            }
        }
    }
}
