//! The feed: a place is of the database, not of the node. What one node did is heard at every other, and a guard that loses
//! its node goes on at another one without a gap.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use remint::clock::{Clock, Stopwatch};
use remint::feed::{Follower, Terms};
use remint::store::{ApiById, BeforeCommit, FeedHead};
use remint_core::change::Changes;
use remint_core::event::{Concerns, Cursor, Event, Notice};
use remint_core::feed::{Frame, FrameReader, Hello, Message};
use remint_core::id::SessionId;
use remint_core::session::EndReason;
use remint_guard::{Feed, OnLag, Reject, Standing, Verifier};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::balancer::{Balancer, Way};
use crate::cluster::Cluster;
use crate::pair::{PATIENCE, Pair, until};
use crate::proxy::{Proxy, Wire};
use crate::scene::{Scene, secret};

/// A follower of one node, as its guard would be.
struct Listening(Follower, VecDeque<Frame>);

impl Listening {
    async fn at(scene: &Scene, last: Option<Cursor>) -> Self {
        let api = scene.app.store.read(ApiById("demo-api".parse().unwrap())).await.unwrap().unwrap();
        let terms = Terms {
            api: (api.id.clone(), api.rev),
            audience: api.audience.clone(),
            heartbeat: Duration::from_millis(50),
        };
        let hello = Hello {
            issuer: scene.app.settings.issuer.to_string(),
            audience: api.audience.to_string(),
            client_timeout_ms: 0,
            server_deadline_ms: 0,
            leeway_ms: 0,
            heartbeat_ms: 50,
            resumed: false,
            cursor: scene.app.hub.newest(),
        };
        let follower = scene.app.hub.follow(terms, last, hello, scene.clock.now()).await.unwrap();
        Self(follower, VecDeque::new())
    }

    /// The next message that is no heartbeat; none where the stream ends.
    async fn next(&mut self) -> Option<Message> {
        let listening = async {
            loop {
                match self.1.pop_front().map(|frame| Message::read(&frame).unwrap()) {
                    Some(Message::Heartbeat(_)) => {}
                    Some(message) => return Some(message),
                    None => self.1.extend(FrameReader::default().push(self.0.next().await?.as_bytes()).unwrap()),
                }
            }
        };
        tokio::time::timeout(PATIENCE, listening).await.expect("something is told")
    }

    async fn hello(&mut self) -> Hello {
        match self.next().await {
            Some(Message::Hello(hello)) => hello,
            other => panic!("{other:?}"),
        }
    }

    async fn until_snapshot_ends(&mut self) -> Cursor {
        loop {
            match self.next().await {
                Some(Message::SnapshotEnd(cursor)) => return cursor,
                Some(Message::Snapshot(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn ended(&mut self) -> (Cursor, SessionId) {
        match self.next().await {
            Some(Message::Live { cursor, event: Event::SessionEnded { sid, .. } }) => (cursor, sid),
            other => panic!("{other:?}"),
        }
    }
}

/// Something that everybody is to hear, told by this node.
async fn tell(at: &Scene, number: u8) {
    let sid = SessionId::from_bytes([number; 16]);
    let forget_after = at.clock.now().plus(Duration::from_secs(3600));
    let event = Event::SessionEnded { sid, reason: EndReason::Revoked, forget_after };
    at.commit(Changes::none().notice(Notice { event, concerns: Concerns::Everyone, at: at.clock.now() })).await;
}

#[tokio::test]
async fn what_any_node_tells_is_heard_at_each_in_one_order() {
    let Pair { a, b } = Pair::new().await;
    let (mut at_a, mut at_b) = (Listening::at(&a, None).await, Listening::at(&b, None).await);
    for listening in [&mut at_a, &mut at_b] {
        assert!(!listening.hello().await.resumed);
        listening.until_snapshot_ends().await;
    }
    for number in 0..100 {
        tell(if number % 3 == 0 { &a } else { &b }, number).await;
    }
    for number in 0..100 {
        let (one, other) = (at_a.ended().await, at_b.ended().await);
        assert_eq!(one, other);
        assert_eq!(one.1, SessionId::from_bytes([number; 16]));
    }
}

#[tokio::test]
async fn whoever_loses_a_node_goes_on_at_another_from_the_same_place() {
    let Pair { a, b } = Pair::new().await;
    let mut listening = Listening::at(&b, None).await;
    listening.hello().await;
    listening.until_snapshot_ends().await;
    let mut expected = 0;
    for (told_at, heard_at) in [(&a, &a), (&b, &b), (&a, &b), (&b, &a)] {
        tell(told_at, expected).await;
        let (cursor, sid) = listening.ended().await;
        assert_eq!(sid, SessionId::from_bytes([expected; 16]));
        expected += 1;
        drop(listening); // the node is gone
        tell(told_at, expected).await; // and meanwhile something happens
        listening = Listening::at(heard_at, Some(cursor)).await;
        assert!(listening.hello().await.resumed, "no snapshot: the place is known there");
        let (_, sid) = listening.ended().await;
        assert_eq!(sid, SessionId::from_bytes([expected; 16]), "no gap, and nothing twice");
        expected += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_listens_when_the_database_is_lost_and_found_comes_back_and_hears_whether_its_place_is_still_one() {
    const LOST: &str = "UPDATE feed_head AS h SET seq = f.seq, chain = f.chain FROM feed AS f WHERE f.seq = h.seq - 1; \
                        DELETE FROM feed WHERE seq > (SELECT seq FROM feed_head)";
    let cluster = Cluster::shared();
    let (proxy, database) = (Proxy::to(cluster.port()).await, cluster.new_database());
    let url = cluster.url(&database).replace(&cluster.port().to_string(), &proxy.port.to_string());
    let scene = Scene::with(|settings| *settings = settings.clone().with_database(url.parse().unwrap())).await;
    let mut listening = Listening::at(&scene, None).await;
    listening.hello().await;
    listening.until_snapshot_ends().await;
    for (lost, number) in [(false, 1), (true, 2), (false, 3)] {
        tell(&scene, 10 * number).await;
        tell(&scene, 10 * number + 1).await;
        listening.ended().await;
        let (place, _) = listening.ended().await;
        proxy.set(Wire::Down);
        for _ in 0..50 {
            until("it is lost", async || scene.app.store.read(BeforeCommit(FeedHead)).await.err()).await;
            tokio::time::sleep(Duration::from_millis(10)).await; // for some looks of the writer
        }
        if lost {
            cluster.ask(&database, LOST); // as a standby may be, that another one is promoted from
        }
        proxy.set(Wire::Sound);
        assert_eq!(listening.next().await, None, "it is sent away");
        listening = Listening::at(&scene, Some(place)).await;
        assert_eq!(listening.hello().await.resumed, !lost);
        if lost {
            listening.until_snapshot_ends().await;
        }
    }
    tell(&scene, 99).await;
    assert_eq!(listening.ended().await.1, SessionId::from_bytes([99; 16]));
}

/// A node that is reached over TCP.
async fn reachable(scene: &Scene) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, router) = (listener.local_addr().unwrap(), scene.router.clone());
    (address, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}

/// Two nodes behind a balancer, and a guard that follows whichever it is given.
struct Guarded {
    pair: Pair,
    balancer: Balancer,
    nodes: [(SocketAddr, JoinHandle<()>); 2],
    verifier: Verifier,
}

impl Guarded {
    async fn new(feed: impl Fn(Feed) -> Feed) -> Self {
        let balancer = Balancer::new().await;
        let issuer = format!("http://{}", balancer.address);
        let pair = Pair::with(Duration::ZERO, |settings| {
            settings.issuer = issuer.parse().unwrap();
            settings.heartbeat = Duration::from_millis(100);
        })
        .await;
        let now = Clock::system().now(); // the guard reads its own
        pair.a.clock.set(now);
        pair.b.clock.set(now);
        let nodes = [reachable(&pair.a).await, reachable(&pair.b).await];
        balancer.to(&[nodes[1].0]);
        let feed = feed(Feed::new("demo-api", secret().reveal()));
        let verifier = Verifier::builder(issuer).audience("demo-api").feed(feed);
        let verifier = verifier.key_interval(Duration::from_millis(1)).build().unwrap();
        verifier.ready().await;
        Self { pair, balancer, nodes, verifier }
    }

    /// A token of this node, which the guard serves.
    async fn token(&self, at: &Scene) -> (String, String) {
        let login = at.login("fixed").await.expect(200);
        let token = login.text("access_token");
        self.verifier.verify(&token).await.unwrap();
        (token, login.text("account_token"))
    }

    async fn is_refused(&self, token: &str) {
        until("the guard refuses it", async || match self.verifier.verify(token).await {
            Err(Reject::Ended { .. }) => Some(()),
            Ok(_) | Err(Reject::FeedLagging) => None,
            Err(other) => panic!("{other:?}"),
        })
        .await;
    }
}

async fn end(at: &Scene, account: &str) {
    at.bare(Method::DELETE, "/session", Some(account)).await.expect(204);
}

#[tokio::test]
async fn a_guard_hears_at_one_node_what_another_did_and_misses_nothing_when_its_node_dies() {
    let scene = Guarded::new(|feed| feed).await;
    let (a, b) = (&scene.pair.a, &scene.pair.b);
    let [first, second, third, stays] =
        [scene.token(a).await, scene.token(b).await, scene.token(a).await, scene.token(b).await];
    end(a, &first.1).await;
    scene.is_refused(&first.0).await;
    assert_eq!(scene.verifier.standing(), Some(Standing::Fresh), "it followed all the time");
    // Its node dies; before anybody has noticed a session is ended at the other one, and one more while it reconnects.
    scene.nodes[1].1.abort();
    end(a, &second.1).await;
    scene.balancer.to(&[]);
    scene.balancer.cut();
    end(a, &third.1).await;
    scene.balancer.to(&[scene.nodes[0].0]);
    scene.is_refused(&second.0).await;
    scene.is_refused(&third.0).await;
    scene.verifier.verify(&stays.0).await.unwrap();
    assert_eq!(scene.verifier.standing(), Some(Standing::Fresh));
}

/// How long it takes is printed, and never asserted: `cargo nextest run -p remint --test nodes --no-capture each_revocation`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_revocation_at_one_node_is_heard_by_a_guard_that_listens_to_another() {
    const REVOCATIONS: usize = 40;
    let scene = Guarded::new(|feed| feed).await;
    let mut took = Vec::new();
    for _ in 0..REVOCATIONS {
        let (token, account) = scene.token(&scene.pair.a).await;
        end(&scene.pair.a, &account).await;
        let since = Stopwatch::start();
        while scene.verifier.verify(&token).await.is_ok() {
            assert!(since.elapsed() < PATIENCE, "it is never heard");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        took.push(since.elapsed());
    }
    took.sort_unstable();
    let (half, nearly_all) = (took[REVOCATIONS / 2], took[REVOCATIONS * 99 / 100]);
    eprintln!("from the answer at one node to the refusal at a guard on another: p50 {half:?}, p99 {nearly_all:?}");
}

#[tokio::test]
async fn a_token_whose_key_was_made_a_moment_ago_is_not_refused_because_the_guard_asked_the_other_node() {
    let scene = Guarded::new(|feed| feed).await;
    let (a, b) = (&scene.pair.a, &scene.pair.b);
    scene.token(b).await; // the guard has keys
    let es256 = remint_core::key::Purpose::Sign(remint_core::jwk::Algorithm::Es256);
    a.app.keyring.rotate(es256, true, &remint_core::audit::Doer::server()).await.unwrap();
    scene.token(a).await; // the balancer leads to `b`
}

#[tokio::test]
async fn a_guard_that_hears_nothing_says_so_as_its_owner_chose_and_catches_up_when_it_hears_again() {
    let (lagging, lost) = (Duration::from_millis(500), Duration::from_secs(3));
    let scene = Guarded::new(|feed| feed.lagging_after(lagging, OnLag::Serve).lost_after(lost, OnLag::Refuse)).await;
    let (a, b) = (&scene.pair.a, &scene.pair.b);
    scene.balancer.to(&[scene.nodes[0].0, scene.nodes[1].0]);
    let staying = scene.token(b).await;
    let standing = async |wanted| {
        until("it stands so", async || (scene.verifier.standing() == Some(wanted)).then_some(())).await;
    };
    for silence in [Silence::Cut, Silence::HalfOpen] {
        let going = scene.token(a).await;
        match silence {
            Silence::Cut => {
                scene.balancer.to(&[]);
                scene.balancer.cut();
            }
            Silence::HalfOpen => scene.balancer.set(Way::Silent),
        }
        end(a, &going.1).await;
        standing(Standing::Lagging).await;
        let served = scene.verifier.verify(&going.0).await.is_ok();
        assert!(served || scene.verifier.standing() == Some(Standing::Lost), "its owner wants it served a while");
        standing(Standing::Lost).await;
        for token in [&going.0, &staying.0] {
            assert_eq!(scene.verifier.verify(token).await.unwrap_err(), Reject::FeedLagging, "its owner wants this");
        }
        scene.balancer.to(&[scene.nodes[0].0, scene.nodes[1].0]);
        scene.balancer.set(Way::Sound);
        standing(Standing::Fresh).await;
        scene.is_refused(&going.0).await;
        scene.verifier.verify(&staying.0).await.unwrap();
    }
}

/// Ways to hear nothing.
enum Silence {
    Cut,
    HalfOpen,
}

#[tokio::test]
async fn a_slow_way_between_guard_and_node_delays_what_is_heard_and_loses_none_of_it() {
    let scene = Guarded::new(|feed| feed.lagging_after(Duration::from_secs(20), OnLag::Refuse)).await;
    scene.balancer.set(Way::Slow(Duration::from_millis(200)));
    let (a, b) = (&scene.pair.a, &scene.pair.b);
    let (one, other, staying) = (scene.token(a).await, scene.token(b).await, scene.token(a).await);
    end(a, &one.1).await;
    end(b, &other.1).await;
    scene.is_refused(&one.0).await;
    scene.is_refused(&other.0).await;
    scene.verifier.verify(&staying.0).await.unwrap();
}
