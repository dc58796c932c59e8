//! What PostgreSQL says it did: that renewals are heap-only updates and the hot path goes by primary key, that the purge
//! removes in slices and holds nobody up, and that the commands of the guide for operators do what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use http::Method;
use remint::jobs::purge::{Pace, SLICE, pass};
use remint::store::{AuditLog, SessionById, Whereabouts, relocate};
use remint_core::id::SessionId;
use remint_core::refresh;
use remint_core::session::{Continuity, Session};
use remint_core::time::Timestamp;
use serde_json::json;

use crate::cluster::Cluster;
use crate::scene::{Scene, open};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Past R and W, and not yet stale.
const LATER: Duration = Duration::from_secs(60);
/// Requests that are under way at once.
const AT_ONCE: usize = 16;

const GUIDE: &str = include_str!("../../../../docs/postgresql-operation.md");

/// A scene on a database of its own.
struct Place {
    scene: Scene,
    database: String,
    server: &'static Cluster,
}

impl Place {
    async fn new() -> Self {
        Self::on(Cluster::shared()).await
    }

    async fn on(server: &'static Cluster) -> Self {
        let database = server.new_database();
        let url = server.url(&database).parse().unwrap();
        Self { scene: Scene::with(|settings| settings.database = Some(url)).await, database, server }
    }

    fn ask(&self, sql: &str) -> Vec<String> {
        self.server.ask(&self.database, sql)
    }

    /// The same database, opened by another process after `between`. What a process did is counted when it is gone.
    async fn reopened(self, between: impl FnOnce(&dyn Fn(&str) -> Vec<String>)) -> Self {
        let Self { scene: Scene { app, router, clock, ada, folder }, database, server } = self;
        drop(router);
        app.store.clone().close().await;
        drop(app);
        between(&|sql| server.ask(&database, sql));
        let url = server.url(&database).parse().unwrap();
        let app = open(&folder, &clock, |settings| settings.database = Some(url)).await;
        let scene = Scene { router: remint::http::router(app.clone()), app, clock, ada, folder };
        scene.advance(LATER); // nothing of before is in doubt
        Self { scene, database, server }
    }

    /// As many sessions more as `many`, all like the one of `sid` but for their ids, and which they are.
    fn copies(&self, sid: &str, many: usize, changed: &str) -> Vec<SessionId> {
        let copied = format!(
            "WITH new AS (SELECT hashint8extended(n, 7) AS slot FROM generate_series(1, {many}) AS n) \
             INSERT INTO sessions SELECT (jsonb_populate_record(s, jsonb_build_object('slot', new.slot, 'sid', \
             int8send(new.slot # (-9223372036854775808)) || '\\x0000000000000007'::BYTEA) || {changed})).* \
             FROM new, sessions AS s WHERE encode(s.sid, 'hex') = '{sid}' \
             RETURNING encode(sid, 'hex')",
        );
        let copies: Vec<_> = self.ask(&copied).iter().map(|hex| session_id(hex)).collect();
        assert_eq!(copies.len(), many);
        copies
    }

    async fn session(&self, sid: SessionId) -> Session {
        self.scene.app.store.read(SessionById(sid)).await.unwrap().unwrap()
    }

    /// Presents the head of each session, and expects another.
    async fn rotated(&self, sids: &[SessionId]) {
        let rotate = async |sid: SessionId| {
            let session = self.session(sid).await;
            let Continuity::Refresh(chain) = session.continuity else { panic!("{sid}: not a refresh session") };
            let key = self.scene.app.keyring.refresh_key(chain.kid).unwrap();
            let head = refresh::derive(chain.kid, &key, sid, &chain.salt, chain.head).reveal();
            let answer = self.scene.refresh("refresh", &head).await.expect(200);
            assert_ne!(answer.text("refresh_token"), head);
        };
        stream::iter(sids).map(|sid| rotate(*sid)).buffer_unordered(AT_ONCE).collect::<()>().await;
    }
}

fn session_id(hex: &str) -> SessionId {
    SessionId::from_bytes(u128::from_str_radix(hex, 16).unwrap().to_be_bytes())
}

/// The session of a log-in, as the database prints its id.
fn hex(sid: &str) -> String {
    let sid: SessionId = sid.parse().unwrap();
    format!("{:032x}", u128::from_be_bytes(*sid.as_bytes()))
}

/// Everything that a page, an api and a backend ask all day, of sessions that are there.
async fn hot_path(place: &Place, logins: &Logins) {
    let scene = &place.scene;
    place.rotated(&logins.refresh).await;
    scene.page(Method::GET, "/session", &logins.cookie, None).await.expect(200);
    let token = scene.exchange("demo-api", &logins.cookie).await.expect(200).text("access_token");
    scene.introspect("demo-api", &token).await.expect(200);
}

/// Sessions that were opened before.
struct Logins {
    refresh: Vec<SessionId>,
    cookie: String,
}

/// Log-ins, and as many copies of the one with a refresh token.
async fn logged_in(place: &Place, many: usize) -> Logins {
    let login = place.scene.login("refresh").await.expect(200);
    let sid = login.claims()["sid"].as_str().unwrap().to_owned();
    let cookie = place.scene.login("web").await.expect(200).cookie();
    let mut refresh = place.copies(&hex(&sid), many, "'{}'");
    refresh.sort_unstable(); // in no order of the pages
    Logins { refresh, cookie }
}

/// Tables that grow with people and sessions, as the database names them.
const GROWING: &str = "(relname LIKE 'sessions%' OR relname IN \
                       ('users', 'identifiers', 'passwords', 'counters', 'challenges', 'feed'))";

/// Of tables that grow: the indexes that were used, and those of them that were read from end to end.
fn ways(ask: &dyn Fn(&str) -> Vec<String>) -> (Vec<String>, Vec<String>) {
    let indexes =
        ask(&format!("SELECT indexrelname FROM pg_stat_user_indexes WHERE idx_scan > 0 AND {GROWING} ORDER BY 1"));
    let scanned = ask(&format!("SELECT relname FROM pg_stat_user_tables WHERE seq_scan > 0 AND {GROWING} ORDER BY 1"));
    (indexes, scanned)
}

/// Forgets what was counted so far: not before those are gone who counted, for they tell it when they go.
fn counting_anew(ask: &dyn Fn(&str) -> Vec<String>) {
    let others = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
                  AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    for _ in 0..500 {
        if ask(others) == ["0"] {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    ask("SELECT pg_stat_reset()");
}

/// Updates of sessions, and which share of them was heap-only.
fn heap_only(ask: &dyn Fn(&str) -> Vec<String>) -> (u64, f64) {
    let sum = |column: &str| {
        let sql = format!("SELECT sum({column})::BIGINT FROM pg_stat_user_tables WHERE relname LIKE 'sessions%'");
        ask(&sql)[0].parse::<u32>().unwrap()
    };
    let (all, heap_only) = (sum("n_tup_upd"), sum("n_tup_hot_upd"));
    (all.into(), f64::from(heap_only) / f64::from(all.max(1)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_hot_path_goes_by_primary_key_and_writes_no_index() {
    static ALONE: OnceLock<Cluster> = OnceLock::new();
    let place = Place::on(ALONE.get_or_init(|| Cluster::of("-alone"))).await;
    let logins = logged_in(&place, 600).await;
    let rounds = 5;
    let place = place.reopened(counting_anew).await;
    for _ in 0..rounds {
        place.scene.advance(LATER);
        hot_path(&place, &logins).await;
    }
    let mut seen = None;
    place.reopened(|ask| seen = Some((ways(ask), heap_only(ask)))).await;

    let ((indexes, scanned), (updates, share)) = seen.unwrap();
    assert!(indexes.iter().all(|index| index.ends_with("_pkey")), "{indexes:?}");
    assert!(indexes.iter().any(|index| index == "sessions_pkey"), "{indexes:?}");
    assert_eq!(scanned, [""; 0]);
    assert_eq!(updates, 600 * rounds);
    // A page has room for a fifth of its rows, twice in five rounds it is cleared: some move to another page.
    assert!(share > 0.95, "{share} of {updates} updates were heap-only");
}

/// The columns of a row that differ, by a statement that shows it.
fn row(place: &Place, sid: SessionId) -> BTreeMap<String, serde_json::Value> {
    let id = u128::from_be_bytes(*sid.as_bytes());
    let sql = format!("SELECT to_jsonb(s) FROM sessions AS s WHERE encode(sid, 'hex') = '{id:032x}'");
    serde_json::from_str(&place.ask(&sql)[0]).unwrap()
}

#[tokio::test]
async fn no_index_holds_what_a_renewal_changes() {
    let place = Place::new().await;
    let logins = logged_in(&place, 1).await;
    place.scene.advance(LATER);
    let before = row(&place, logins.refresh[0]);
    place.rotated(&logins.refresh).await;
    let after = row(&place, logins.refresh[0]);
    let changed: BTreeSet<_> = after.iter().filter(|(name, value)| before[*name] != **value).map(|(n, _)| n).collect();
    for column in ["rev", "generation", "delivered_at"] {
        assert!(changed.contains(&column.to_owned()), "{changed:?}");
    }
    let held = place.ask(
        "SELECT a.attname FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) \
         WHERE i.indrelid = 'sessions'::REGCLASS",
    );
    assert_eq!(held.iter().collect::<BTreeSet<_>>(), BTreeSet::from([&"slot".to_owned(), &"user_id".to_owned()]));
    assert!(held.iter().all(|column| !changed.contains(column)), "{changed:?}");
    let computed = "SELECT count(*) FROM pg_index WHERE indrelid = 'sessions'::REGCLASS \
                    AND (indexprs IS NOT NULL OR indpred IS NOT NULL)";
    assert_eq!(place.ask(computed), ["0"], "an index of an expression, or a partial one, may hold anything");
    let room = "SELECT array_to_string(reloptions, ' ') FROM pg_class WHERE relname = 'sessions'";
    assert_eq!(place.ask(room), ["fillfactor=80"]);
}

/// From now on each statement that removes sessions, and each that renews some, leaves a line.
const WATCHED: &str = "
    CREATE TABLE watched (n BIGINT GENERATED ALWAYS AS IDENTITY, act TEXT, rows BIGINT);
    CREATE FUNCTION watch() RETURNS TRIGGER LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO watched (act, rows) SELECT TG_OP, count(*) FROM touched;
      RETURN NULL;
    END $$;
    CREATE TRIGGER removed AFTER DELETE ON sessions REFERENCING OLD TABLE AS touched
      FOR EACH STATEMENT EXECUTE FUNCTION watch();
    CREATE TRIGGER renewed AFTER UPDATE ON sessions REFERENCING NEW TABLE AS touched
      FOR EACH STATEMENT EXECUTE FUNCTION watch();";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_thousand_sessions_go_in_slices_while_others_are_renewed() {
    const MANY: usize = 50_000;
    let place = Place::new().await;
    let logins = logged_in(&place, 4).await;
    let login = place.scene.login("refresh").await.expect(200);
    let sid = hex(login.claims()["sid"].as_str().unwrap());
    let ran_out = "jsonb_build_object('idle_at', s.created_at, 'slot', new.slot # 1, 'sid', \
                int8send((new.slot # 1) # (-9223372036854775808)) || '\\x0000000000000008'::BYTEA)";
    place.copies(&sid, MANY, ran_out);
    place.scene.advance(DAY + place.scene.app.horizon().await.unwrap());
    place.ask(&format!("SELECT pg_stat_reset(); {WATCHED}"));
    let over = AtomicBool::new(false);
    let purging = async {
        let purged = purge(&place).await;
        over.store(true, Ordering::Relaxed);
        purged
    };
    let (purged, renewals) = tokio::join!(purging, renewed_until(&place, &logins.refresh, &over));
    assert_eq!(purged, MANY as u64);
    let one = |sql: &str| place.ask(sql)[0].parse::<u64>().unwrap();
    assert_eq!(one("SELECT sum(rows)::BIGINT FROM watched WHERE act = 'DELETE'"), MANY as u64);
    let largest = one("SELECT max(rows) FROM watched WHERE act = 'DELETE'");
    assert!(largest <= SLICE as u64, "{largest} in one statement");
    assert_eq!(one("SELECT sum(rows)::BIGINT FROM watched WHERE act = 'UPDATE'"), renewals);
    let (first, last) = (
        one("SELECT min(n) FROM watched WHERE act = 'DELETE'"),
        one("SELECT max(n) FROM watched WHERE act = 'DELETE'"),
    );
    let between = one(&format!("SELECT count(*) FROM watched WHERE act = 'UPDATE' AND n BETWEEN {first} AND {last}"));
    assert!(between > 0, "no renewal came in between");
    let mut seen = None;
    place.reopened(|ask| seen = Some(ways(ask))).await;
    let (indexes, scanned) = seen.unwrap();
    assert!(!indexes.iter().any(|index| index == "sessions_of_user"), "{indexes:?}");
    assert!(!scanned.contains(&"sessions".to_owned()), "the purge walks along the key");
}

/// A pass that rests between slices, though not as long as one beside a busy server does.
async fn purge(place: &Place) -> u64 {
    let pace = Pace { least_pause: Duration::from_millis(2), times: 0 };
    pass(&place.scene.app, pace).await.unwrap().sessions
}

/// Renews some sessions over and over, each renewal answered, until it is over. How many there were.
async fn renewed_until(place: &Place, sids: &[SessionId], over: &AtomicBool) -> u64 {
    let mut renewals = 0;
    while !over.load(Ordering::Relaxed) {
        place.rotated(sids).await;
        renewals += sids.len() as u64;
        place.scene.advance(LATER);
    }
    renewals
}

/// The `sql` blocks of the guide, in order.
fn blocks() -> Vec<&'static str> {
    GUIDE.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_commands_of_the_guide_work_and_the_divided_tables_serve_as_before() {
    let place = Place::new().await;
    let logins = logged_in(&place, 600).await;
    let audited = || AuditLog {
        actor: None,
        target: None,
        act: None,
        since: Timestamp::default(),
        until: AuditLog::before(Timestamp::MAX),
        limit: 99,
    };
    let ada = format!("/admin/api/users/{}", place.scene.ada);
    place.scene.admin(Method::PATCH, &ada, json!({"nickname": "countess"})).await.expect(200);
    let entries = place.scene.app.store.read(audited()).await.unwrap();
    assert_eq!(blocks().len(), 7);
    let place = place
        .reopened(|ask| {
            blocks().into_iter().for_each(|block| drop(ask(block)));
            assert_eq!(ask("SELECT count(*) FROM pg_inherits WHERE inhparent = 'sessions'::REGCLASS"), ["16"]);
            let filled = "SELECT count(DISTINCT tableoid) FROM sessions";
            assert_eq!(ask(filled), ["16"], "600 random ids fill all ranges");
            counting_anew(ask);
        })
        .await;
    assert_eq!(place.scene.app.store.read(audited()).await.unwrap(), entries, "nothing of the audit log is lost");
    for _ in 0..3 {
        place.scene.advance(LATER);
        hot_path(&place, &logins).await;
    }
    let mut seen = None;
    let place = place.reopened(|ask| seen = Some((ways(ask), heap_only(ask)))).await;
    let ((indexes, scanned), (updates, _)) = seen.unwrap();
    assert!(indexes.iter().all(|index| index.ends_with("_pkey")), "{indexes:?}");
    assert_eq!(scanned, ["sessions_00"; 0]);
    assert_eq!(updates, 1800);
    let room = "SELECT count(*) FROM pg_class WHERE relname ~ '^sessions_\\d+$' AND 'fillfactor=80' = ANY(reloptions)";
    assert_eq!(place.ask(room), ["16"]);
    place.scene.login("refresh").await.expect(200);
    place.scene.admin(Method::PATCH, &ada, json!({"nickname": "ada"})).await.expect(200);
    assert!(place.scene.app.store.read(audited()).await.unwrap().len() > entries.len(), "the audit log goes on");
    let (divided, folder) = (place.server.url(&place.database).parse().unwrap(), tempfile::tempdir().unwrap());
    let file = Whereabouts::Sqlite(folder.path().join("remint.db"));
    let place = place
        .reopened(|ask| {
            let moving = std::thread::spawn(move || relocate(&divided, &file, None, &mut |_| {}));
            let moved = moving.join().unwrap().unwrap();
            let sessions = moved.iter().find(|moved| moved.table == "sessions").unwrap();
            assert_eq!(ask("SELECT count(*) FROM sessions"), [sessions.tally.rows.to_string()], "and it can be moved");
        })
        .await;
    place.scene.advance(DAY * 100);
    assert_eq!(purge(&place).await, 603, "what is over goes from every part");
}
