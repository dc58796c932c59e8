//! SIGTERM under load: what was acknowledged is kept, and the process ends in order.

use crate::people::{Manner, Stage, act, all_kept, gathered, people};
use crate::server::Folder;

const SPEED: u32 = 20;
const STOPS: u64 = 4;
const ACKNOWLEDGED: u64 = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_stopped_under_load_keeps_what_it_acknowledged_and_exits_0() {
    let (mut folder, stage) = (Folder::new(SPEED), Stage::default());
    let mut server = folder.start().await;
    let mut people = people(&folder, &stage, Manner::Restless).await;
    for stop in 1..=STOPS {
        let acting = act(people, server.port);
        while stage.acknowledged() < stop * ACKNOWLEDGED {
            assert!(server.runs(), "the server ended by itself:\n{}", server.log());
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        assert_eq!(server.terminate().await, Some(0), "in order");
        stage.close(); // whoever has not noticed the end leaves now
        people = gathered(acting).await;
        stage.open();
        server = folder.start().await;
        all_kept(&mut people, server.port).await;
    }
    assert_eq!(server.terminate().await, Some(0), "in order, with nobody there");
}
