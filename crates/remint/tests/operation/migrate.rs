//! An installation that moves from a data file into a database and back: who was logged in stays so, who was not does not
//! come back, and guards go on from where they are. And a database that was brought back to an earlier point.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use http::Method;
use remint::app::App;
use remint::entropy::Entropy;
use remint::keyring::MasterKey;
use remint::restore::{RestoreError, Restored, raise_in_place};
use remint::settings::{Database, Settings};
use remint::store::{OpenError, Whereabouts, relocate};
use remint_core::audit::Doer;
use remint_core::change::{Changes, Row};
use remint_core::client::Client;
use remint_core::event::Event;
use remint_core::policy::Policy;
use serde_json::json;
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::follow::follow;
use crate::scene::{ISSUER, MASTER_KEY, Scene, client};

const PAST_R: Duration = Duration::from_secs(36);

fn new_database() -> Database {
    let cluster = Cluster::shared();
    cluster.url(&cluster.new_database()).parse().unwrap()
}

/// The name of a database.
fn name(database: &Database) -> &str {
    database.reveal().rsplit('/').next().unwrap()
}

fn settings(folder: &TempDir, database: Option<&Database>) -> Settings {
    let settings = Settings::new(ISSUER.parse().unwrap(), folder.path().to_owned());
    match database {
        Some(database) => settings.with_database(database.clone()),
        None => settings,
    }
}

fn master() -> MasterKey {
    MASTER_KEY.parse().unwrap()
}

/// The scene as a server goes on with it.
async fn served(scene: &Scene, folder: TempDir, database: Option<&Database>) -> Scene {
    let clock = scene.clock.clone();
    let app = App::open(settings(&folder, database), master(), clock.clone(), Entropy::system()).await.unwrap();
    let router = remint::http::router(app.clone());
    Scene { app, router, clock, ada: scene.ada, folder }
}

async fn moved(from: Whereabouts, to: Whereabouts) {
    tokio::task::spawn_blocking(move || relocate(&from, &to, None, &mut |_| {}).unwrap()).await.unwrap();
}

/// A refresh is answered, and rotates as ever when the doubt of a start is over.
async fn goes_on(scene: &Scene, token: &str) -> String {
    scene.refresh("refresh", token).await.expect(200);
    scene.advance(PAST_R);
    scene.refresh("refresh", token).await.expect(200).text("refresh_token")
}

async fn is_over(scene: &Scene, token: &str) {
    let refused = scene.refresh("refresh", token).await.expect(400);
    assert_eq!(refused.body["error_description"], "session ended: logout");
}

async fn ended(scene: &Scene, account_token: &str) {
    scene.bare(Method::DELETE, "/session", Some(account_token)).await.expect(204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_logged_in_stays_so_and_who_is_not_does_not_come_back_there_and_back_again() {
    let scene = Scene::with(|settings| settings.database = None).await;
    let (kept, gone, other) =
        (scene.login("refresh").await, scene.login("refresh").await, scene.login("refresh").await);
    let cookie = scene.login("web").await.expect(200).cookie();
    let wrong = json!({"client_id": "rolling", "identifier": "ada@example.test", "password": "wrong"});
    scene.json(Method::POST, "/session", None, wrong).await.expect(400);
    ended(&scene, &gone.text("account_token")).await;
    let (place, database) = (follow(&scene, None).await.place, new_database());
    let file = Whereabouts::Sqlite(scene.folder.path().join("remint.db"));
    scene.app.store.clone().close().await;
    moved(file, Whereabouts::Postgres(database.clone())).await;

    let there = served(&scene, TempDir::new().unwrap(), Some(&database)).await;
    assert!(follow(&there, Some(&place)).await.resumed, "nothing was lost, so a guard goes on from where it is");
    let newest = goes_on(&there, &kept.text("refresh_token")).await;
    is_over(&there, &gone.text("refresh_token")).await;
    there.page(Method::GET, "/session", &cookie, None).await.expect(200);
    there.login("rolling").await.expect(200);
    ended(&there, &other.text("account_token")).await;
    let later = follow(&there, Some(&place)).await.place;
    let log = there.admin(Method::GET, "/admin/api/audit", json!({})).await.expect(200).body;
    there.app.store.clone().close().await;

    let folder = TempDir::new().unwrap();
    moved(Whereabouts::Postgres(database), Whereabouts::Sqlite(folder.path().join("remint.db"))).await;
    let back = served(&scene, folder, None).await;
    assert!(follow(&back, Some(&later)).await.resumed);
    assert_eq!(back.admin(Method::GET, "/admin/api/audit", json!({})).await.expect(200).body, log);
    goes_on(&back, &newest).await;
    is_over(&back, &gone.text("refresh_token")).await;
    is_over(&back, &other.text("refresh_token")).await;
    back.login("refresh").await.expect(200);
}

/// A program of PostgreSQL, on the tests' server.
fn program(name: &str) -> Command {
    let there = PathBuf::from("/usr/lib/postgresql/15/bin").join(name);
    let mut program = Command::new(if there.exists() { there } else { name.into() });
    program.stdin(Stdio::null()).stdout(Stdio::null());
    program
}

/// A copy of a database in a file, while nodes write.
fn dumped(database: &Database) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("dump");
    let done = program("pg_dump").arg("--format=custom").arg("--file").arg(&file).arg(database.reveal()).status();
    assert!(done.unwrap().success());
    (folder, file)
}

/// That copy as a database.
fn restored(file: &PathBuf) -> Database {
    let database = new_database();
    let done = program("pg_restore").args(["--exit-on-error", "--dbname", database.reveal()]).arg(file).status();
    assert!(done.unwrap().success());
    database
}

async fn raised(scene: &Scene, database: &Database, end_sessions: bool) -> Result<Restored, RestoreError> {
    let folder = TempDir::new().unwrap();
    let room = (scene.clock.clone(), Entropy::system());
    raise_in_place(&settings(&folder, Some(database)), master(), room, end_sessions, &Doer::operator()).await
}

async fn on_postgres() -> (Scene, Database) {
    let database = new_database();
    (Scene::with(|settings| settings.database = Some(database.clone())).await, database)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_an_earlier_point_never_passes_for_what_went_on_after_it() {
    let (scene, database) = on_postgres().await;
    // A text that PostgreSQL itself cannot read as JSON.
    let odd = Client { name: "\0".into(), ..client("odd", Policy::fixed()) };
    scene.commit(Changes::none().write(Row::Client(odd))).await;
    let (kept, gone, ahead) =
        (scene.login("refresh").await, scene.login("refresh").await, scene.login("refresh").await);
    let account = scene.login("rolling").await.text("account_token");
    let early = scene.login("rolling").await;
    ended(&scene, &early.text("account_token")).await;
    let before = follow(&scene, None).await.place;
    let (_folder, dump) = dumped(&database);
    ended(&scene, &gone.text("account_token")).await;
    let changed = scene.json(Method::PATCH, "/account", Some(&account), json!({"nickname": "later"})).await.expect(200);
    scene.advance(PAST_R);
    let newest = scene.refresh("refresh", &ahead.text("refresh_token")).await.expect(200).text("refresh_token");
    let lost = follow(&scene, None).await.place;

    let again = restored(&dump);
    let told = raised(&scene, &again, false).await.unwrap().view(scene.clock.now()).to_string();
    assert!(told.contains("4 were live in it") && told.contains("--end-all-sessions"), "{told}");
    let after = served(&scene, TempDir::new().unwrap(), Some(&again)).await;
    for place in [&before, &lost] {
        let heard = follow(&after, Some(place)).await;
        assert!(!heard.resumed, "another history: {place}");
        assert!(matches!(heard.snapshot[..], [Event::SessionEnded { .. }]), "{heard:?}");
    }
    let login = after.login("rolling").await;
    let (cv, shown) = (login.claims()["cv"].as_u64().unwrap(), changed.claims()["cv"].as_u64().unwrap());
    assert!(cv > shown + 1000 && login.claims()["nickname"] == "ada", "{cv} {shown}");
    assert!(login.claims()["pv"].as_u64().unwrap() > 1000);
    after.refresh("refresh", &newest).await.expect(200); // ahead of the row: no theft
    goes_on(&after, &kept.text("refresh_token")).await;
    goes_on(&after, &gone.text("refresh_token")).await; // as the operator was told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_sessions_of_a_restored_database_can_be_ended_and_no_token_that_is_out_is_believed() {
    let (scene, database) = on_postgres().await;
    let login = scene.login("refresh").await;
    let kid = scene.app.keyring.list()[0].kid.clone();
    let again = restored(&dumped(&database).1);
    raised(&scene, &again, true).await.unwrap();
    let after = served(&scene, TempDir::new().unwrap(), Some(&again)).await;
    let refused = after.refresh("refresh", &login.text("refresh_token")).await.expect(400);
    assert_eq!(refused.body["error_description"], "session ended: revoked");
    after.bare(Method::GET, "/session", Some(&login.text("account_token"))).await.expect(401);
    let heard = follow(&after, None).await;
    let withdrawn = |event: &Event| matches!(event, Event::KeyWithdrawn { kid: gone, .. } if *gone == kid);
    assert!(heard.snapshot.iter().any(withdrawn), "guards hear of it: {heard:?}");
    let fresh = after.login("refresh").await;
    after.bare(Method::GET, "/session", Some(&fresh.text("account_token"))).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_nodes_use_or_that_another_key_opens_is_not_raised() {
    let (scene, database) = on_postgres().await;
    let versions = "SELECT CONCAT_WS(' ', SUM(cv), (SELECT encode(origin, 'hex') FROM feed_head)) FROM users";
    let before = Cluster::shared().ask(name(&database), versions);
    let used = raised(&scene, &database, true).await.unwrap_err();
    assert!(matches!(used, RestoreError::Open(OpenError::InUse { .. })) && used.to_string().contains("stop its nodes"));
    scene.app.store.clone().close().await;
    let folder = TempDir::new().unwrap();
    let other: MasterKey = MASTER_KEY.chars().rev().collect::<String>().parse().unwrap();
    let room = || (scene.clock.clone(), Entropy::system());
    let wrong =
        raise_in_place(&settings(&folder, Some(&database)), other, room(), true, &Doer::operator()).await.unwrap_err();
    assert!(matches!(wrong, RestoreError::Keyring(_)), "{wrong}");
    let none = raise_in_place(&settings(&folder, None), master(), room(), true, &Doer::operator()).await.unwrap_err();
    assert!(none.to_string().contains("`database` is not set"), "{none}");
    assert_eq!(Cluster::shared().ask(name(&database), versions), before, "nothing has changed");
}
