//! The poll loop: at once, then splayed, then at the pace of FORMAT T-5.3; one request in flight.

use core::time::Duration;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::failure::Failure;
use crate::follow::{Follower, Refreshed};
use crate::shared::{Cost, Shared};

/// Somebody who wants to know what the next poll finds.
pub(crate) type Waiting = oneshot::Sender<Result<Refreshed, Failure>>;

/// Longest pause that is slept at once; a clock far in the future is no reason to overflow.
const LONGEST: Duration = Duration::from_hours(24);

/// Polls until every sender of `requests` is gone.
pub(crate) async fn run(mut follower: Follower, shared: Arc<Shared>, mut requests: mpsc::Receiver<Waiting>) {
    let mut waiting: Vec<Waiting> = Vec::new();
    loop {
        let polled = follower.poll().await;
        for sender in waiting.drain(..) {
            // Who stopped waiting does not mind.
            let _ = sender.send(polled.result.clone());
        }
        let due = Instant::now() + polled.pause.min(LONGEST);
        loop {
            let look = Instant::now() + shared.next_change().unwrap_or(LONGEST).min(LONGEST);
            tokio::select! {
                request = requests.recv() => {
                    let Some(request) = request else { return };
                    waiting.push(request);
                    while let Ok(request) = requests.try_recv() {
                        waiting.push(request);
                    }
                    break;
                }
                () = sleep_until(due.min(look)) => {
                    if Instant::now() >= due {
                        break;
                    }
                    // Silence may have set a bit.
                    shared.review(Cost::default());
                }
            }
        }
    }
}
