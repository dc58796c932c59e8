//! `kill -9` in a loop under load: what was acknowledged is kept, what ended stays ended, and no honest client is taken
//! for a thief, whatever was lost on the way.

use std::time::Duration;

use crate::people::{Manner, Stage, act, all_kept, gathered, latest_kept, people, unlocked};
use crate::server::{Folder, Http, Server};

/// At this speed W is 6 s, and a busy machine has a second to hash a password; account tokens outlive every life of a
/// process here.
const SPEED: u32 = 5;
/// Where nothing is waited for the server has time to hash a password on a busy machine.
const UNHURRIED: u32 = 2;
/// A life does not end before this much was acknowledged in it.
const LEAST_ACKNOWLEDGED: u64 = 10;
/// A life in which so little is acknowledged for so long is a failure of its own.
const LONGEST: Duration = Duration::from_secs(30);

/// How long a life goes on under load, before the rest of chance.
#[derive(Clone, Copy)]
enum Life {
    /// In doubt from its first request to its last.
    Short,
    /// Past the doubt: tokens are rotated when it is killed.
    PastDoubt,
}

/// Lets people act through so many lives of a server, each of them killed, and holds each next one to what the last
/// acknowledged.
async fn killed_again_and_again(lives: u64, life: Life) -> Stage {
    let (speed, manner) = match life {
        Life::Short => (UNHURRIED, Manner::Restless),
        Life::PastDoubt => (SPEED, Manner::Steady),
    };
    let (mut folder, stage) = (Folder::new(speed), Stage::default());
    let mut server = folder.start().await;
    let mut people = people(&folder, &stage, manner).await;
    for number in 0..lives {
        latest_kept(&mut people, server.port).await;
        unlocked(&mut people, &folder).await;
        let acting = act(people, server.port);
        under_load(&stage, life, number, &server).await;
        assert!(server.runs(), "the server ended by itself:\n{}", server.log());
        server.kill().await;
        people = gathered(acting).await;
        server = folder.start().await;
    }
    all_kept(&mut people, server.port).await;
    stage
}

async fn under_load(stage: &Stage, life: Life, number: u64, server: &Server) {
    let begin = stage.acknowledged();
    let least = match life {
        Life::Short => Duration::ZERO,
        Life::PastDoubt => Duration::from_millis(6500),
    };
    // A different moment in each life: 0 to 120 ms, in steps that do not follow each other.
    tokio::time::sleep(least + Duration::from_millis(number * 37 % 121)).await;
    let busy = async {
        while stage.acknowledged() - begin < LEAST_ACKNOWLEDGED {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let acknowledged = tokio::time::timeout(LONGEST, busy).await;
    assert!(acknowledged.is_ok(), "the server acknowledges nothing:\n{}", server.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_four_kills_under_load_lose_nothing_and_revive_nothing() {
    let stage = killed_again_and_again(44, Life::Short).await;
    eprintln!("{} acknowledged, {} of them endings", stage.acknowledged(), stage.ended());
    assert!(stage.ended() > 0, "nothing was ended, so nothing is shown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_kills_while_tokens_are_rotated_make_no_thief_of_anybody() {
    let stage = killed_again_and_again(8, Life::PastDoubt).await;
    eprintln!("{} acknowledged, {} tokens rotated", stage.acknowledged(), stage.rotated());
    assert!(stage.rotated() >= 50, "hardly anything was rotated, so nothing is shown");
}

/// The scenes above can fail: where a backup takes the server back behind what it acknowledged, the people notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_notice_when_the_server_is_taken_back_behind_what_it_acknowledged() {
    let (mut folder, stage) = (Folder::new(SPEED), Stage::default());
    let server = folder.start().await;
    let people = people(&folder, &stage, Manner::Restless).await;
    server.kill().await;
    let backup = folder.copied();
    let server = folder.start().await;
    let acting = act(people, server.port);
    under_load(&stage, Life::Short, 0, &server).await;
    server.kill().await;
    let mut people = gathered(acting).await;
    folder.restore(&backup);
    let server = folder.start().await;
    let noticed = tokio::spawn(async move { all_kept(&mut people, server.port).await }).await;
    assert!(noticed.is_err_and(|error| error.is_panic()), "all that was acknowledged is gone, and nobody noticed");
}

#[tokio::test]
async fn a_first_start_that_was_cut_off_at_any_moment_can_be_begun_again() {
    for cut_after_ms in [0, 5, 10, 20, 30, 50, 80, 120, 180, 260] {
        let mut folder = Folder::new(SPEED);
        let cut_off = folder.launch();
        tokio::time::sleep(Duration::from_millis(cut_after_ms)).await;
        cut_off.kill().await;
        let server = folder.start().await;
        let http = Http::to(server.port);
        let reply = http.logged_in("demo-refresh").await;
        http.refresh(&reply.demand("refresh_token")).await.expect("the server answers").expect(200);
        server.kill().await;
    }
}
