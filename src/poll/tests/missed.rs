//! Records that cannot be had: what they cost others.

use std::sync::Arc;

use tokio::time::{sleep, timeout};

use super::{
    list::Stage,
    watch::{SECOND, list, wanting},
};
use crate::{poll::Pace, shutdown};

/// Runs a poller at a pace of its own until `story` ends.
async fn beside(stage: Stage, story: impl Future<Output = ()>) {
    let shutdown = shutdown::Token::new();
    let run = stage.poller.run(shutdown.clone());
    let story = async {
        story.await;
        shutdown.cancel();
    };
    tokio::join!(story, run);
}

#[tokio::test(start_paused = true)]
async fn requests_under_way_end_while_walks_back_off_and_free_their_places_for_other_accounts() {
    let list = list(500, 0..500);
    let pace = Arc::new(Pace::new(None, 4));
    let stage = Stage::sharing(&list, wanting(60.0), Arc::clone(&pace));
    beside(stage, async {
        sleep(57 * SECOND).await;
        list.state().latency = Box::new(|| 15 * SECOND);
        sleep(2 * SECOND).await;
        assert!(timeout(SECOND / 10, pace.spare_turn()).await.is_err());
        // The next walk is refused, and the one after it is minutes away.
        list.state().latency = Box::new(|| SECOND / 50);
        list.state().wanted_token = Some("second".to_owned());
        sleep(30 * SECOND).await;
        assert!(timeout(SECOND / 10, pace.spare_turn()).await.is_ok());
    })
    .await;
}
