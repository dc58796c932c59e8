//! Backup and restore: a copy that is whole although the server writes, and a restored store that never passes for the
//! history that went on after the copy.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Body;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use remint::app::App;
use remint::entropy::Entropy;
use remint::keyring::{KeyringError, MasterKey};
use remint::restore::{RestoreError, Restored, restore};
use remint::settings::Settings;
use remint::store::{AccountOf, ClientById, OpenError, Store, StoreOptions, Users, examine};
use remint_core::audit::Doer;
use remint_core::change::{Changes, Identifier, Row};
use remint_core::event::Event;
use remint_core::id::UserId;
use remint_core::rev::Rev;
use remint_core::user::User;
use serde_json::json;
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::follow::follow;
use crate::scene::{ISSUER, MASTER_KEY, Scene};

const PAST_R: Duration = Duration::from_secs(31);

/// The copy that the control socket answers, as a file.
async fn backup(scene: &Scene) -> (TempDir, PathBuf) {
    let router = remint::http::control::router(scene.app.clone());
    let request = Request::get("/admin/api/backup").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(bytes.len(), length);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("copy");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn settings(data: &Path) -> Settings {
    Settings::new(ISSUER.parse().unwrap(), data.to_owned())
}

async fn restored_into(scene: &Scene, copy: &Path, data: &Path, end_sessions: bool) -> Result<Restored, RestoreError> {
    let master: MasterKey = MASTER_KEY.parse().unwrap();
    restore(copy, &settings(data), master, (scene.clock.clone(), Entropy::system()), end_sessions, &Doer::operator())
        .await
}

/// The scene as it goes on from the copy, and what the operator was told.
async fn after_restore(scene: &Scene, copy: &Path, end_sessions: bool) -> (Scene, String) {
    let folder = TempDir::new().unwrap();
    let restored = restored_into(scene, copy, folder.path(), end_sessions).await.unwrap();
    let told = restored.view(scene.clock.now()).to_string();
    let master: MasterKey = MASTER_KEY.parse().unwrap();
    let clock = scene.clock.clone();
    let app = App::open(settings(folder.path()), master, clock.clone(), Entropy::system()).await.unwrap();
    let router = remint::http::router(app.clone());
    (Scene { app, router, clock, ada: scene.ada, folder }, told)
}

#[tokio::test]
async fn a_session_that_ended_after_the_backup_lives_again_and_the_operator_is_told() {
    let scene = Scene::new().await;
    let kept = scene.login("refresh").await;
    let ended = scene.login("refresh").await;
    let (_folder, copy) = backup(&scene).await;
    scene.bare(Method::DELETE, "/session", Some(&ended.text("account_token"))).await.expect(204);
    scene.advance(Duration::from_secs(3600));
    let (after, told) = after_restore(&scene, &copy, false).await;
    assert!(told.contains("2 were live in it") && told.contains("--end-all-sessions"), "{told}");
    assert!(told.contains("\"age_seconds\":3600"), "{told}");
    for login in [&kept, &ended] {
        let first = after.refresh("refresh", &login.text("refresh_token")).await.expect(200);
        assert!(first.body.get("refresh_token").is_none(), "in doubt: commits are missing");
    }
    after.advance(PAST_R);
    let rotated = after.refresh("refresh", &kept.text("refresh_token")).await.expect(200);
    assert!(rotated.body.get("refresh_token").is_some(), "and then as ever");
}

#[tokio::test]
async fn a_token_that_the_store_has_forgotten_is_no_theft() {
    let scene = Scene::new().await;
    let first = scene.login("refresh").await.text("refresh_token");
    let (_folder, copy) = backup(&scene).await;
    scene.advance(PAST_R);
    let second = scene.refresh("refresh", &first).await.expect(200).text("refresh_token");
    scene.advance(PAST_R);
    let third = scene.refresh("refresh", &second).await.expect(200).text("refresh_token");
    let (after, _) = after_restore(&scene, &copy, false).await;
    after.refresh("refresh", &third).await.expect(200);
    after.advance(PAST_R);
    after.refresh("refresh", &third).await.expect(200);
}

/// The whole audit log, an entry a line, in the order of the file.
async fn audit_log(scene: &Scene) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let query = if cursor.is_empty() { "limit=3".to_owned() } else { format!("limit=3&cursor={cursor}") };
        let page = scene.admin(Method::GET, &format!("/admin/api/audit?{query}"), json!({})).await.expect(200).body;
        all.extend(page["entries"].as_array().unwrap().iter().map(ToString::to_string));
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return all,
        }
    }
}

#[tokio::test]
async fn the_audit_log_is_in_the_restored_store_as_it_was_and_goes_on_from_there() {
    let scene = Scene::new().await;
    scene.login("refresh").await.expect(200);
    let wrong = json!({"client_id": "rolling", "identifier": "ada@example.test", "password": "wrong"});
    scene.json(Method::POST, "/session", None, wrong).await.expect(400);
    let asked = "/admin/api/users/ada@example.test?reason=asked+by+telephone";
    scene.admin(Method::PATCH, asked, json!({"role": "admiral"})).await.expect(200);
    scene.admin(Method::POST, "/admin/api/clients/fixed/disable", json!({})).await.expect(200);
    let before = audit_log(&scene).await;
    assert!(before.len() > 3 && before.iter().any(|entry| entry.contains("asked by telephone")), "{before:#?}");
    let (_folder, copy) = backup(&scene).await;
    scene.admin(Method::POST, "/admin/api/clients/fixed/enable", json!({})).await.expect(200);
    let (after, _) = after_restore(&scene, &copy, false).await;
    let restored = audit_log(&after).await;
    assert_eq!(restored[1..], before, "what came after the copy is not in it, and nothing else differs");
    assert!(restored[0].contains("\"store.restored\"") && restored[0].contains("\"operator\""), "{}", restored[0]);
    assert!(
        audit_log(&scene).await.iter().any(|entry| entry.contains("\"store.backed_up\"")),
        "and who copied all data"
    );
    after.admin(Method::POST, "/admin/api/clients/fixed/enable", json!({})).await.expect(200);
    let longer = audit_log(&after).await;
    assert_eq!((longer.len(), &longer[1..]), (restored.len() + 1, &restored[..]), "the newest first");
}

#[tokio::test]
async fn every_place_in_the_old_history_gets_a_snapshot_of_what_still_matters() {
    let scene = Scene::new().await;
    let origin = follow(&scene, None).await.place;
    let login = scene.login("rolling").await;
    scene.bare(Method::DELETE, "/session", Some(&login.text("account_token"))).await.expect(204);
    let at_backup = follow(&scene, None).await.place;
    let (_folder, copy) = backup(&scene).await;
    let later = scene.login("rolling").await;
    scene.bare(Method::DELETE, "/session", Some(&later.text("account_token"))).await.expect(204);
    let lost = follow(&scene, None).await.place;
    let (after, _) = after_restore(&scene, &copy, false).await;
    for place in [&origin, &at_backup, &lost] {
        let heard = follow(&after, Some(place)).await;
        assert!(!heard.resumed, "{place}");
        assert!(matches!(heard.snapshot[..], [Event::SessionEnded { .. }]), "{heard:?}");
    }
    let place = follow(&after, None).await.place;
    assert!(follow(&after, Some(&place)).await.resumed, "and the new history goes on");
}

#[tokio::test]
async fn no_version_that_a_token_may_carry_is_given_again() {
    let scene = Scene::new().await;
    let account = scene.login("rolling").await.text("account_token");
    let (_folder, copy) = backup(&scene).await;
    let mut newest = 0;
    for name in ["a", "b", "c"] {
        let changed = scene.json(Method::PATCH, "/account", Some(&account), json!({"nickname": name})).await;
        newest = changed.expect(200).claims()["cv"].as_u64().unwrap();
    }
    let pv = scene.app.store.read(ClientById("rolling".parse().unwrap())).await.unwrap().unwrap().pv;
    let (after, _) = after_restore(&scene, &copy, false).await;
    let login = after.login("rolling").await;
    assert!(login.claims()["cv"].as_u64().unwrap() > newest + 1000);
    assert!(login.claims()["pv"].as_u64().unwrap() > pv + 1000);
    assert_eq!(login.claims()["nickname"], "ada", "the record is that of the backup");
}

#[tokio::test]
async fn all_sessions_can_be_ended_and_no_token_that_is_out_is_believed() {
    let scene = Scene::new().await;
    let login = scene.login("refresh").await;
    let kid = |scene: &Scene| scene.app.keyring.list()[0].kid.clone();
    let (_folder, copy) = backup(&scene).await;
    let (after, told) = after_restore(&scene, &copy, true).await;
    assert!(told.contains("everybody logs in again"), "{told}");
    let refused = after.refresh("refresh", &login.text("refresh_token")).await.expect(400);
    assert_eq!(refused.body["error_description"], "session ended: revoked");
    after.bare(Method::GET, "/session", Some(&login.text("account_token"))).await.expect(401);
    let heard = follow(&after, None).await;
    let withdrawn = |event: &Event| matches!(event, Event::KeyWithdrawn { kid: gone, .. } if *gone == kid(&scene));
    assert!(heard.snapshot.iter().any(withdrawn), "guards hear of it: {heard:?}");
    let again = after.login("refresh").await;
    after.bare(Method::GET, "/session", Some(&again.text("account_token"))).await.expect(200);
}

/// A user and an identifier, which are one commit.
fn pair(n: u32) -> Changes {
    let id = UserId::from_bytes(((u128::from(n) + 1) << 64).to_be_bytes());
    let user = User::new(id, Default::default(), crate::scene::START);
    let identifier = Identifier { text: format!("user-{n:05}"), user: id, rev: Rev::NEW };
    Changes::none().write(Row::User(user)).write(Row::Identifier(identifier))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_taken_under_load_is_one_moment() {
    let scene = Scene::new().await;
    let store = scene.app.store.clone();
    for n in 0..500 {
        store.commit(pair(n)).await.unwrap();
    }
    let (done, written) = tokio::sync::watch::channel(500_u32);
    let load = tokio::spawn(async move {
        for n in 500..100_000 {
            store.commit(pair(n)).await.unwrap();
            if done.send(n + 1).is_err() {
                return;
            }
        }
    });
    let before = *written.borrow();
    let (_folder, copy) = backup(&scene).await;
    let after = *written.borrow();
    drop(written);
    load.await.unwrap();
    assert!(after > before, "whoever writes goes on meanwhile");
    let (restored, _) = after_restore(&scene, &copy, false).await;
    let users = restored.app.store.read(Users { after: None, limit: usize::MAX }).await.unwrap().len() - 1; // ada
    assert!((before as usize..=after as usize + 1).contains(&users), "{before} {users} {after}");
    for (n, there) in [(users - 1, true), (users, false)] {
        let found = restored.app.store.read(AccountOf(format!("user-{n:05}"))).await.unwrap();
        assert_eq!(found.is_some(), there, "{n}: what was one commit is in it or is not");
    }
}

#[tokio::test]
async fn a_restore_that_fails_leaves_no_data_and_one_that_is_refused_changes_none() {
    let scene = Scene::new().await;
    let (folder, copy) = backup(&scene).await;
    let data = folder.path().join("data");
    let other: MasterKey = MASTER_KEY.chars().rev().collect::<String>().parse().unwrap();
    let room = (scene.clock.clone(), Entropy::system());
    let wrong = restore(&copy, &settings(&data), other, room, false, &Doer::operator()).await.unwrap_err();
    assert!(matches!(wrong, RestoreError::Keyring(KeyringError::WrongMasterKey)), "{wrong}");
    let left = |data: &Path| {
        let names = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    };
    assert!(left(&data).is_empty(), "{:?}", left(&data));

    let bytes = std::fs::read(&copy).unwrap();
    std::fs::write(&copy, &bytes[..bytes.len() / 2]).unwrap();
    let cut = restored_into(&scene, &copy, &data, false).await.unwrap_err();
    assert!(matches!(cut, RestoreError::Backup(_)) && cut.to_string().contains("cut off"), "{cut}");
    std::fs::write(&copy, "no database, but long enough to be looked at".repeat(50)).unwrap();
    let foreign = restored_into(&scene, &copy, &data, false).await.unwrap_err();
    assert!(foreign.to_string().contains("no backup of Remint: name another file"), "{foreign}");
    assert!(left(&data).is_empty(), "{:?}", left(&data));

    std::fs::write(&copy, &bytes).unwrap();
    restored_into(&scene, &copy, &data, false).await.unwrap();
    assert_eq!(left(&data), ["remint.db", "remint.lock"]);
    let mode = std::fs::metadata(data.join("remint.db")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let again = restored_into(&scene, &copy, &data, false).await.unwrap_err();
    assert!(matches!(again, RestoreError::Exists(_)) && again.to_string().contains("nothing is overwritten"));
    let running = restored_into(&scene, &copy, scene.folder.path(), false).await.unwrap_err();
    assert!(matches!(running, RestoreError::Open(OpenError::Locked { .. })), "{running}");
}

/// What lies in the folder of a killed server: the data file, and beside it the log that holds the newest commits.
fn as_if_killed(scene: &Scene, to: &Path) -> PathBuf {
    for name in ["remint.db", "remint.db-wal"] {
        std::fs::copy(scene.folder.path().join(name), to.join(name)).unwrap();
    }
    to.join("remint.db")
}

#[tokio::test]
async fn the_folder_of_a_killed_server_is_restored_with_the_commits_that_are_in_its_log_alone() {
    let scene = Scene::new().await;
    scene.commit(pair(7)).await;
    let folder = TempDir::new().unwrap();
    let copy = as_if_killed(&scene, folder.path());
    assert!(std::fs::metadata(copy.with_extension("db-wal")).unwrap().len() > 0, "else this shows nothing");
    let (restored, _) = after_restore(&scene, &copy, false).await;
    let found = restored.app.store.read(AccountOf("user-00007".into())).await.unwrap();
    assert!(found.is_some(), "what was acknowledged is there");
}

#[tokio::test]
async fn what_a_restore_that_was_cut_off_left_behind_is_not_played_into_the_next_one() {
    let scene = Scene::new().await;
    let (folder, copy) = backup(&scene).await;
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    for left in ["restoring.db", "restoring.db-wal", "restoring.db-shm", "restoring.db-journal"] {
        let from = if left == "restoring.db-wal" { "remint.db-wal" } else { "remint.db" };
        std::fs::copy(scene.folder.path().join(from), data.join(left)).unwrap();
    }
    restored_into(&scene, &copy, &data, false).await.unwrap();
    let names = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(
        names.collect::<std::collections::BTreeSet<_>>(),
        ["remint.db", "remint.lock"].map(str::to_owned).into()
    );
    let examined = examine(&data.join("remint.db")).unwrap();
    assert_eq!(examined.users, 1);
}

#[tokio::test]
async fn a_backup_is_never_served_as_it_is() {
    let scene = Scene::new().await;
    let (folder, copy) = backup(&scene).await;
    assert_eq!(examine(&copy).unwrap().taken_at, scene.clock.now());
    let place = folder.path().join("remint.db");
    std::fs::rename(&copy, &place).unwrap();
    let refused = Store::open(&place, StoreOptions::default(), [1; 16]).err().unwrap();
    assert!(matches!(refused, OpenError::Backup { .. }) && refused.to_string().contains("remint restore"), "{refused}");
}
