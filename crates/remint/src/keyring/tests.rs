//! What the keyring promises, on a real store.

use std::path::Path;

use remint_core::client::Client;
use remint_core::id::SessionId;
use remint_core::jwks::Jwks;
use remint_core::key::Sealed;
use remint_core::policy::Policy;
use remint_core::refresh::Chain;
use remint_core::secret::Salt;
use remint_core::session::{Continuity, Device, EndReason, Opening, Session, State};
use remint_core::user::User;

use super::*;
use crate::store::{FeedAfter, FeedEntry, SessionById, StoreOptions};

const LIVES: KeyLives =
    KeyLives { jwks_max_age: Duration::from_secs(300), rotate_every: Duration::from_secs(90 * 24 * 3600) };

struct Scene {
    store: Store,
    clock: Clock,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data"), StoreOptions::default(), [0; 16]).unwrap();
        Self { store, clock: Clock::manual(Timestamp::from_secs(1_000_000)), _folder: folder }
    }

    async fn open_with(&self, master: [u8; 32]) -> Result<Keyring, KeyringError> {
        let master = MasterKey::from_random(master);
        Keyring::open(self.store.clone(), master, self.clock.clone(), Entropy::system(), LIVES, Timing::default()).await
    }

    async fn open(&self) -> Keyring {
        self.open_with([1; 32]).await.unwrap()
    }

    fn pass(&self, time: Duration) -> Timestamp {
        self.clock.set(self.clock.now().plus(time));
        self.clock.now()
    }

    async fn write(&self, row: Row) {
        assert!(matches!(self.store.commit(Changes::none().write(row)).await, Ok(Commit::Done { .. })));
    }

    async fn feed(&self) -> Vec<FeedEntry> {
        self.store.read(FeedAfter { seq: 0, limit: 1000 }).await.unwrap()
    }
}

fn kids(jwks: &Jwks) -> Vec<String> {
    jwks.keys().iter().map(|key| key.kid().unwrap().to_string()).collect()
}

fn states(keyring: &Keyring, purpose: Purpose) -> Vec<KeyState> {
    keyring.list().into_iter().filter(|key| key.purpose == purpose).map(|key| key.state).collect()
}

const ES256: Purpose = Purpose::Sign(Algorithm::Es256);

#[tokio::test]
async fn the_first_opening_makes_one_signing_and_one_refresh_key_and_the_second_finds_them() {
    let scene = Scene::new();
    let keyring = scene.open().await;
    let made = keyring.list();
    assert_eq!(made.len(), 2);
    assert!(made.iter().all(|key| key.state == KeyState::Current));
    let signer = keyring.signer(Algorithm::Es256).unwrap();
    assert_eq!(signer.kid().as_str(), signer.public().thumbprint());
    assert_eq!(keyring.current_refresh().0, MacKeyId(1));
    assert!(keyring.signer(Algorithm::Rs256).is_none());
    let again = scene.open().await;
    assert_eq!(again.list(), made);
    assert_eq!(again.jwks_document(), keyring.jwks_document());
    assert_eq!(kids(&Jwks::parse(again.jwks_document().as_bytes()).unwrap()), [signer.kid().as_str()]);
}

#[tokio::test]
async fn two_nodes_that_start_at_once_share_one_set_of_keys() {
    let scene = Scene::new();
    let (one, other) = tokio::join!(scene.open(), scene.open());
    assert_eq!(one.list().len(), 2);
    assert_eq!(one.list(), other.list());
}

#[tokio::test]
async fn another_master_key_is_an_error_that_says_so() {
    let scene = Scene::new();
    scene.open().await;
    assert_eq!(scene.open_with([2; 32]).await.err(), Some(KeyringError::WrongMasterKey));
    assert!(scene.open_with([1; 32]).await.is_ok(), "and the keys are unharmed");
}

#[tokio::test]
async fn rows_whose_sealed_halves_were_swapped_are_refused() {
    let scene = Scene::new();
    let keyring = scene.open().await;
    keyring.rotate(ES256, true, &Doer::server()).await.unwrap();
    let rows: Vec<_> = scene.store.read(Keys).await.unwrap().into_iter().filter(|key| key.purpose == ES256).collect();
    let [a, b] = &rows[..] else { panic!("two signing keys") };
    scene.write(Row::Key(Key { sealed: b.sealed.clone(), ..a.clone() })).await;
    scene.write(Row::Key(Key { sealed: a.sealed.clone(), ..b.clone() })).await;
    assert!(matches!(scene.open_with([1; 32]).await.err(), Some(KeyringError::Damaged { .. })));
    let before = keyring.jwks_document();
    assert!(matches!(keyring.tick(scene.clock.now()).await, Err(KeyringError::Damaged { .. })));
    assert_eq!(keyring.jwks_document(), before, "a running node goes on with the keys it has");
}

#[tokio::test]
async fn a_public_half_that_was_changed_in_its_row_is_refused() {
    let scene = Scene::new();
    scene.open().await;
    let ours = scene.store.read(Keys).await.unwrap().into_iter().find(|key| key.purpose == ES256).unwrap();
    let theirs = ring::fresh(ES256, &Entropy::system()).unwrap().public.unwrap().1;
    let public = Some(remint_core::jwk::Jwk { kid: Some(ours.kid.parse().unwrap()), ..theirs });
    scene.write(Row::Key(Key { public, ..ours })).await;
    assert!(matches!(scene.open_with([1; 32]).await.err(), Some(KeyringError::Damaged { .. })));
}

#[tokio::test]
async fn a_next_key_is_in_the_jwks_for_its_cache_time_before_it_signs() {
    let scene = Scene::new();
    let keyring = scene.open().await;
    let first = keyring.signer(Algorithm::Es256).unwrap().kid().to_string();
    let now = scene.pass(LIVES.rotate_every - LIVES.jwks_max_age);
    keyring.tick(now).await.unwrap();
    assert_eq!(keyring.verification_keys().keys().len(), 2);
    assert_eq!(keyring.signer(Algorithm::Es256).unwrap().kid().as_str(), first);
    keyring.tick(scene.pass(LIVES.jwks_max_age - Duration::from_micros(1))).await.unwrap();
    assert_eq!(keyring.signer(Algorithm::Es256).unwrap().kid().as_str(), first);
    let announced = kids(&keyring.verification_keys());
    keyring.tick(scene.pass(Duration::from_micros(1))).await.unwrap();
    let second = keyring.signer(Algorithm::Es256).unwrap().kid().to_string();
    assert!(second != first && announced.contains(&second));
    assert!(kids(&keyring.verification_keys()).contains(&first), "what it signed is still believed");
    assert_eq!(keyring.current_refresh().0, MacKeyId(2));
    assert!(keyring.refresh_key(MacKeyId(1)).is_some());
    let before = keyring.list();
    keyring.tick(scene.clock.now()).await.unwrap();
    assert_eq!(keyring.list(), before, "a second tick has nothing to do");
}

#[tokio::test]
async fn what_one_node_rotates_the_other_takes_over_and_no_two_keys_are_current() {
    let scene = Scene::new();
    let (one, other) = (scene.open().await, scene.open().await);
    let now = scene.pass(LIVES.rotate_every);
    let (a, b) = tokio::join!(one.tick(now), other.tick(now));
    assert_eq!((a, b), (Ok(()), Ok(())));
    assert_eq!(states(&one, ES256), [KeyState::Current, KeyState::Next]);
    assert_eq!(one.list(), other.list());
    let server = Doer::server();
    let (a, b) = tokio::join!(one.rotate(ES256, true, &server), other.rotate(Purpose::Refresh, true, &server));
    assert!(matches!((a, b), (Ok(Rotated::Now { .. }), Ok(Rotated::Now { .. }))));
    one.tick(now).await.unwrap();
    other.tick(now).await.unwrap();
    assert_eq!(states(&one, ES256), [KeyState::Retired, KeyState::Current]);
    assert_eq!(one.list(), other.list());
}

#[tokio::test]
async fn rotating_by_command_announces_first_and_says_when_it_signs() {
    let scene = Scene::new();
    let keyring = scene.open().await;
    let Rotated::Later { kid, signs_at } = keyring.rotate(ES256, false, &Doer::server()).await.unwrap() else {
        panic!("announced")
    };
    assert_eq!(signs_at, scene.clock.now().plus(LIVES.jwks_max_age));
    let again = keyring.rotate(ES256, false, &Doer::server()).await.unwrap();
    assert_eq!(again, Rotated::Later { kid: kid.clone(), signs_at }, "asking twice announces one key");
    scene.pass(LIVES.jwks_max_age);
    assert_eq!(
        keyring.rotate(ES256, false, &Doer::server()).await.unwrap(),
        Rotated::Now { kid: kid.clone(), early: false }
    );
    assert_eq!(keyring.signer(Algorithm::Es256).unwrap().kid().as_str(), kid);
    assert!(matches!(keyring.rotate(ES256, true, &Doer::server()).await.unwrap(), Rotated::Now { early: true, .. }));
}

#[tokio::test]
async fn a_key_of_another_algorithm_is_made_when_it_is_asked_for_and_once() {
    let scene = Scene::new();
    let keyring = scene.open().await;
    for algorithm in [Algorithm::EdDsa, Algorithm::Rs256] {
        let (a, b) = tokio::join!(keyring.ensure(algorithm), keyring.ensure(algorithm));
        assert_eq!((a, b), (Ok(()), Ok(())));
        assert_eq!(states(&keyring, Purpose::Sign(algorithm)), [KeyState::Current]);
        assert_eq!(keyring.signer(algorithm).unwrap().algorithm(), algorithm);
    }
    assert!(keyring.signer(Algorithm::Ps256).is_none(), "one key, one scheme");
}

#[tokio::test]
async fn a_withdrawn_signing_key_is_gone_at_once_and_the_feed_says_so_in_the_same_commit() {
    let scene = Scene::new();
    let keyring = scene.open().await;
    let stolen = keyring.signer(Algorithm::Es256).unwrap().kid().to_string();
    let withdrawn = keyring.withdraw(&stolen, &Doer::server()).await.unwrap();
    assert_eq!(keyring.signer(Algorithm::Es256).unwrap().kid().as_str(), withdrawn.current);
    assert_eq!(kids(&keyring.verification_keys()), [withdrawn.current.as_str()]);
    let feed = scene.feed().await;
    assert_eq!(feed.len(), 1);
    assert!(feed[0].text.contains("key-withdrawn") && feed[0].text.contains(&stolen), "{}", feed[0].text);
    assert_eq!(feed[0].concerns, remint_core::event::Concerns::Everyone);
    keyring.withdraw(&stolen, &Doer::server()).await.unwrap();
    assert_eq!(scene.feed().await.len(), 1, "withdrawing twice is withdrawing once");
    assert!(matches!(keyring.withdraw("nope", &Doer::server()).await, Err(KeyringError::NoSuchKey(_))));
}

#[tokio::test]
async fn the_plan_of_a_withdrawal_is_one_commit_with_its_event_and_its_successor() {
    let scene = Scene::new();
    let keyring = scene.open().await;
    let rows = scene.store.read(Keys).await.unwrap();
    let kid = keyring.signer(Algorithm::Es256).unwrap().kid().to_string();
    let (now, lives) = (scene.clock.now(), keyring.lives().await.unwrap());
    let plan = key::withdrawal(&rows, &kid, now).unwrap();
    let changes = keyring.changes(&rows, vec![(ES256, plan)], &lives, now).await.unwrap();
    assert_eq!(changes.notices.len(), 1);
    let written: Vec<_> =
        changes.writes.iter().filter_map(|row| if let Row::Key(key) = row { Some(key) } else { None }).collect();
    assert!(written.iter().any(|key| key.kid == kid && key.state == KeyState::Withdrawn && key.sealed.is_empty()));
    assert!(written.iter().any(|key| key.purpose == ES256 && key.state == KeyState::Current));
}

fn client() -> Client {
    let policy = Policy::refresh();
    serde_json::from_value(serde_json::json!({"id": "demo", "policy": policy, "apis": ["demo-api"]})).unwrap()
}

fn session(number: u8, kid: MacKeyId, now: Timestamp) -> Session {
    let opening = Opening {
        sid: SessionId::from_bytes([number; 16]),
        continuity: Continuity::Refresh(Chain::new(kid, Salt::from_bytes([5; 16]), now)),
        scope: "read".parse().unwrap(),
        amr: vec!["pwd".into()],
        device: Device::default(),
    };
    let user = User::new(remint_core::id::UserId::from_bytes([9; 16]), Default::default(), now);
    Session::open(&user, &client().id, &Policy::refresh(), opening, now)
}

impl Scene {
    async fn with_sessions(&self, kid: MacKeyId, numbers: std::ops::Range<u8>) {
        for number in numbers {
            self.write(Row::Session(session(number, kid, self.clock.now()))).await;
        }
    }

    async fn state(&self, number: u8) -> State {
        self.store.read(SessionById(SessionId::from_bytes([number; 16]))).await.unwrap().unwrap().state
    }
}

#[tokio::test]
async fn withdrawing_a_refresh_key_ends_its_sessions_and_no_others() {
    let scene = Scene::new();
    let keyring = scene.open().await;
    scene.write(Row::Client(client())).await;
    scene.with_sessions(MacKeyId(1), 0..200).await;
    keyring.rotate(Purpose::Refresh, true, &Doer::server()).await.unwrap();
    scene.with_sessions(MacKeyId(2), 200..202).await;
    assert!(keyring.refresh_key(MacKeyId(1)).is_some());
    let withdrawn = keyring.withdraw("1", &Doer::server()).await.unwrap();
    assert_eq!((withdrawn.sessions_ended, withdrawn.current.as_str()), (200, "2"));
    assert!(keyring.refresh_key(MacKeyId(1)).is_none());
    let ended = State::Ended { reason: EndReason::Revoked, at: scene.clock.now() };
    assert_eq!((scene.state(0).await, scene.state(199).await, scene.state(200).await), (ended, ended, State::Live));
    let feed = scene.feed().await;
    assert_eq!(feed.len(), 200);
    let concerns = remint_core::event::Concerns::Only(vec!["demo-api".parse().unwrap()]);
    assert!(feed.iter().all(|entry| entry.text.contains("session-ended") && entry.concerns == concerns));
}

#[tokio::test]
async fn a_log_in_under_way_when_its_key_was_withdrawn_is_ended_too() {
    let scene = Scene::new();
    let keyring = scene.open().await;
    scene.write(Row::Client(client())).await;
    scene.with_sessions(MacKeyId(1), 0..2).await;
    assert_eq!(keyring.withdraw("1", &Doer::server()).await.unwrap().sessions_ended, 2);
    scene.with_sessions(MacKeyId(1), 2..3).await; // it had taken the key before, and commits behind the sweep
    assert_eq!(scene.state(2).await, State::Live);
    let unfinished = async || {
        let keys = scene.store.read(Keys).await.unwrap();
        !keys.iter().find(|key| key.kid == "1").unwrap().sealed.is_empty()
    };
    assert!(unfinished().await, "others may be under way");
    keyring.tick(scene.pass(2 * Timing::default().server_deadline)).await.unwrap();
    assert_ne!(scene.state(2).await, State::Live);
    assert_eq!(scene.feed().await.len(), 3, "each ended once");
    assert!(!unfinished().await, "nothing is left to do with it");
    keyring.tick(scene.pass(Duration::from_secs(30))).await.unwrap();
    assert_eq!(scene.feed().await.len(), 3);
}

#[tokio::test]
async fn a_withdrawal_that_was_cut_short_goes_on_at_the_next_tick() {
    let scene = Scene::new();
    let keyring = scene.open().await;
    scene.write(Row::Client(client())).await;
    scene.with_sessions(MacKeyId(1), 0..3).await;
    // As a node leaves it that dies between the two: withdrawn, its successor there, its sessions alive.
    let now = scene.clock.now();
    let gone = key::withdrawal(&scene.store.read(Keys).await.unwrap(), "1", now).unwrap();
    let entry = Doer::server().did(Act::KeysRotated, Target::Keys("refresh".into()), now);
    keyring.change(entry, |_, _| Ok((vec![(Purpose::Refresh, gone.clone())], ()))).await.unwrap();
    assert_eq!(scene.state(1).await, State::Live);
    assert!(keyring.refresh_key(MacKeyId(1)).is_none(), "its tokens are refused already");
    let restarted = scene.open().await;
    restarted.tick(scene.pass(Duration::from_secs(1))).await.unwrap();
    assert_ne!(scene.state(1).await, State::Live);
    assert_eq!(restarted.current_refresh().0, MacKeyId(2));
}

#[tokio::test]
async fn nothing_of_a_key_can_be_printed_or_found_in_the_data_file() {
    let scene = Scene::new();
    let keyring = scene.open().await;
    let signer = keyring.signer(Algorithm::Es256).unwrap();
    assert!(!format!("{signer:?} {:?}", keyring.list()).to_lowercase().contains("pkcs"));
    let row = scene.store.read(Keys).await.unwrap().remove(0);
    assert_eq!(format!("{:?}", row.sealed), "Sealed(..)");
    let secret = keyring.0.master.open(&row.kid, row.purpose, &row.sealed).unwrap();
    assert!(!contains(scene._folder.path(), &secret), "a private half lies open on the disk");
    assert!(contains(scene._folder.path(), row.sealed.as_bytes()), "the search finds what is there");
    assert_ne!(row.sealed, Sealed::from_bytes(secret.to_vec()));
}

fn contains(folder: &Path, needle: &[u8]) -> bool {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    files.into_iter().any(|file| file.windows(needle.len()).any(|window| window == needle))
}
