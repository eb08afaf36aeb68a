//! The headers of a database on all processors: each is parsed and its digests are recomputed by itself. Called by
//! [`super::of_rows`]; the order of the rows is kept.

use std::sync::{Mutex, PoisonError};

const THREADS_MAX: usize = 8;
/// Rows that a thread takes at once.
const PIECE: usize = 16;

/// What `work` makes of every item, in the order of the items.
pub(super) fn on_threads<I: Send, O: Send>(items: Vec<I>, work: &(dyn Fn(I) -> O + Sync)) -> Vec<O> {
    let pieces = items.len().div_ceil(PIECE);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX).min(pieces);
    if threads < 2 {
        return items.into_iter().map(work).collect();
    }
    let left = Mutex::new(items.into_iter().enumerate());
    let take = || -> Vec<(usize, I)> { left.lock().unwrap_or_else(PoisonError::into_inner).by_ref().take(PIECE).collect() };
    let mut made: Vec<(usize, O)> = std::thread::scope(|scope| {
        let worker = || {
            let mut made = Vec::new();
            loop {
                let piece = take();
                if piece.is_empty() {
                    return made;
                }
                made.extend(piece.into_iter().map(|(at, item)| (at, work(item))));
            }
        };
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
        let mut all = worker();
        for other in others {
            match other.join() {
                Ok(made) => all.extend(made),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    made.sort_unstable_by_key(|(at, _)| *at);
    made.into_iter().map(|(_, made)| made).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_items() {
        for count in [0, 1, PIECE, PIECE + 1, 40 * PIECE] {
            let made = on_threads((0..count).collect(), &|item: usize| item * 2);
            assert_eq!(made, (0..count).map(|item| item * 2).collect::<Vec<_>>());
        }
    }
}
