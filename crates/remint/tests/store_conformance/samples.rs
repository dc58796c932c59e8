//! Rows to store: ordinary ones, and the ones at the ends of what their types hold.

use std::sync::Arc;
use std::time::Duration;

use remint_core::attribute::Declaration;
use remint_core::change::{Identifier, PasswordRow, Row};
use remint_core::client::{Api, Client, Transport};
use remint_core::code::{self, Asking, Challenge, ChallengeToken, Code, HalfLogin, verification_of};
use remint_core::event::{Concerns, Event, Notice};
use remint_core::id::{SessionId, UserId};
use remint_core::jwk::{Algorithm, Jwk};
use remint_core::key::{Key, KeyState, Purpose, Sealed};
use remint_core::mapping::Mapping;
use remint_core::policy::Policy;
use remint_core::refresh::{Chain, MacKeyId, Position};
use remint_core::rev::Rev;
use remint_core::secret::{MacKey, PasswordHash, Salt, SecretHash};
use remint_core::sender::{Sender, SenderName, SomeLimits};
use remint_core::session::{Continuity, Device, EndReason, Opening, Session, State};
use remint_core::time::Timestamp;
use remint_core::user::{User, UserStatus};
use serde_json::json;

pub(crate) const SEED: [u8; 16] = [0xA5; 16];
/// The largest number that a column holds.
pub(crate) const MOST: u64 = i64::MAX as u64;

/// Sixteen bytes that say which they are.
pub(crate) fn bytes(n: u32) -> [u8; 16] {
    (u128::from(n) << 96 | 7).to_be_bytes()
}

pub(crate) fn uid(n: u32) -> UserId {
    UserId::from_bytes(bytes(n))
}

pub(crate) fn sid(n: u32) -> SessionId {
    SessionId::from_bytes(bytes(n))
}

pub(crate) fn user(n: u32) -> User {
    let attributes = serde_json::from_value(json!({"nickname": format!("user {n}"), "role": "engineer"})).unwrap();
    User::new(uid(n), attributes, Timestamp::from_secs(1_000))
}

pub(crate) fn client(name: &str) -> Client {
    Client {
        id: name.parse().unwrap(),
        name: "Demo".into(),
        pv: 1,
        disabled: false,
        first_party: true,
        secret: None,
        policy: Policy::refresh(),
        longest_life: Policy::refresh().life(),
        client_credentials: false,
        origins: vec!["https://app.example.com".parse().unwrap()],
        apis: vec!["demo-api".parse().unwrap()],
        scopes: "read write".parse().unwrap(),
        mapping: serde_json::from_value::<Mapping>(json!({"nickname": "nickname"})).unwrap(),
        always_return_refresh: false,
        transport: Transport::Body,
        administration: None,
        rev: Rev::NEW,
    }
}

pub(crate) fn api(name: &str, audience: &str) -> Api {
    Api {
        id: name.parse().unwrap(),
        audience: audience.parse().unwrap(),
        scopes: "read write".parse().unwrap(),
        algorithm: Algorithm::Es256,
        max_life: Duration::from_secs(3_600),
        secret: SecretHash::of(b"secret"),
        rev: Rev::NEW,
    }
}

pub(crate) fn chain() -> Chain {
    Chain::new(MacKeyId(1), Salt::from_bytes([5; 16]), Timestamp::from_secs(1_000))
}

pub(crate) fn session(n: u32, of: &User) -> Session {
    let opening = Opening {
        sid: sid(n),
        continuity: Continuity::Refresh(chain()),
        scope: "read write".parse().unwrap(),
        amr: vec!["pwd".into()],
        device: Device::new("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "192.0.2.7"),
    };
    Session::open(of, &client("demo").id, &Policy::refresh(), opening, Timestamp::from_secs(1_000))
}

pub(crate) fn ended(n: u32, at: i64, forget_after: i64) -> Notice {
    let event = Event::SessionEnded {
        sid: sid(n),
        reason: EndReason::Logout,
        forget_after: Timestamp::from_secs(forget_after),
    };
    let concerns = Concerns::Only(vec!["demo-api".parse().unwrap()]);
    Notice { event, concerns, at: Timestamp::from_secs(at) }
}

fn extreme_users() -> impl Iterator<Item = User> {
    let all = [UserStatus::Active, UserStatus::Disabled, UserStatus::Deleted];
    let odd = json!({"a": "\u{0}\n\"é漢😀", "b": 9_007_199_254_740_991_i64, "c": ["", "x"], "d": false});
    let odd: remint_core::user::Attributes = serde_json::from_value(odd).unwrap();
    EndReason::ALL.into_iter().enumerate().map(move |(i, epoch_reason)| User {
        cv: MOST,
        epoch: MOST - 1,
        epoch_reason,
        status: all[i % 3],
        attributes: if i == 0 { Default::default() } else { odd.clone() },
        phone_number: (i % 2 == 1).then(|| "+441632960011".parse().unwrap()),
        created_at: Timestamp::from_micros(if i == 1 { i64::MIN } else { i64::MAX }),
        ..user(100 + i as u32)
    })
}

fn extreme_sessions() -> impl Iterator<Item = Session> {
    let full = Chain {
        head: Position { generation: MOST, branch: u32::MAX },
        parent_branch: Some(u32::MAX),
        kid: MacKeyId(u32::MAX),
        salt: Salt::from_bytes([0xFF; 16]),
        delivered_at: Timestamp::MAX,
        acked_at: Some(Timestamp::from_micros(i64::MIN)),
    };
    let bare = Chain { parent_branch: None, acked_at: None, ..full.clone() };
    let cookie = SecretHash::of(b"cookie");
    let kinds = [
        Continuity::Rolling,
        Continuity::Fixed,
        Continuity::Cookie(cookie),
        Continuity::Refresh(full),
        Continuity::Refresh(bare),
        Continuity::Refresh(chain()),
    ];
    kinds.into_iter().zip(EndReason::ALL).enumerate().flat_map(|(i, (continuity, reason))| {
        let empty = Session {
            epoch: 0,
            continuity,
            scope: Default::default(),
            amr: vec![],
            device: Arc::default(),
            ..session(200 + i as u32, &user(1))
        };
        let full = Session {
            sid: sid(300 + i as u32),
            epoch: MOST,
            state: State::Ended { reason, at: Timestamp::MAX },
            amr: vec!["pwd".into(), "o\"t,p".into()],
            device: Arc::new(Device::new(&"ä".repeat(300), &"x".repeat(300))),
            bound_key: Some("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs".into()),
            absolute_at: Timestamp::MAX,
            ..empty.clone()
        };
        [empty, full]
    })
}

fn keys() -> impl Iterator<Item = Key> {
    let jwk =
        r#"{"kty":"OKP","crv":"Ed25519","kid":"k","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let public = Some(Jwk::parse(jwk.as_bytes()).unwrap());
    let states = [KeyState::Next, KeyState::Current, KeyState::Retired, KeyState::Withdrawn];
    let purposes = Algorithm::ALL.map(Purpose::Sign).into_iter().chain([Purpose::Refresh]);
    purposes.enumerate().map(move |(i, purpose)| Key {
        kid: format!("key-{i}"),
        purpose,
        state: states[i % 4],
        since: Timestamp::from_secs(5),
        created_at: Timestamp::from_secs(10 - i as i64),
        sealed: Sealed::from_bytes(if i == 0 { vec![] } else { vec![0; 5_000] }),
        public: if purpose == Purpose::Refresh { None } else { public.clone() },
        rev: Rev::NEW,
    })
}

/// A code of each purpose, and one whose every part is there.
fn challenges() -> impl Iterator<Item = Challenge> {
    let half = HalfLogin {
        client: "demo".parse().unwrap(),
        epoch: MOST,
        password: Rev::from_stored(i64::MAX),
        scope: Some("read write".parse().unwrap()),
        resource: Some("demo-api".parse().unwrap()),
        session: Some(sid(1)),
    };
    let bare = HalfLogin { epoch: 0, scope: None, resource: None, session: None, ..half.clone() };
    let number = || "+441632960011".parse().unwrap();
    let purposes = [
        (verification_of(sid(1)), code::Purpose::Verification { session: sid(1), replaces: None }),
        (verification_of(sid(2)), code::Purpose::Verification { session: sid(2), replaces: Some(number()) }),
        (ChallengeToken::from_random([1; 32]).id(), code::Purpose::Login(half)),
        (ChallengeToken::from_random([2; 32]).id(), code::Purpose::Login(bare)),
    ];
    purposes.into_iter().map(move |(id, purpose)| {
        let asking = Asking { id, user: uid(1), purpose, target: number() };
        let (digits, key) = (Code::from_random([3; 16]), MacKey::from_bytes(&[4; 32]));
        Challenge::new(asking, Rev::NEW, &digits, Salt::from_bytes([0xFF; 16]), &key, Timestamp::MAX)
    })
}

pub(crate) fn sender() -> Sender {
    let limits: SomeLimits = serde_json::from_value(json!({"per_number": 7, "countries": ["44", "49"]})).unwrap();
    Sender { name: SenderName::Sms, limits, sealed: Sealed::from_bytes(vec![1, 2, 3, 4, 5]), rev: Rev::NEW }
}

/// One of each kind at least, and those at the ends of what they hold.
pub(crate) fn every_row() -> Vec<Row> {
    let declared = |attribute| serde_json::from_value::<Declaration>(attribute).unwrap();
    let mut rows = vec![
        Row::User(user(1)),
        Row::Session(session(1, &user(1))),
        Row::Client(client("demo")),
        Row::Client(Client {
            pv: u64::MAX,
            disabled: true,
            secret: Some(SecretHash::of(b"s")),
            policy: Policy::rolling(),
            client_credentials: true,
            always_return_refresh: true,
            longest_life: Duration::from_millis(2_500),
            apis: vec![],
            ..client(&"x".repeat(64))
        }),
        Row::Api(api("demo-api", "demo-api")),
        Row::Api(Api { algorithm: Algorithm::Ps256, ..api("b", &"y".repeat(255)) }),
        Row::Identifier(Identifier { text: "ada@example.test".into(), user: uid(1), rev: Rev::NEW }),
        Row::Identifier(Identifier { text: "é漢😀".repeat(100), user: uid(2), rev: Rev::NEW }),
        Row::Password(PasswordRow {
            user: uid(1),
            hash: PasswordHash::from_phc("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".into()),
            changed_at: Timestamp::from_secs(7),
            rev: Rev::NEW,
        }),
        Row::Attribute(declared(json!({"name": "nickname", "type": "string", "writable_by": "user"}))),
        Row::Attribute(declared(json!({"name": "groups", "type": "string_list", "max_bytes": u64::MAX}))),
    ];
    rows.extend(extreme_users().map(Row::User));
    rows.extend(extreme_sessions().map(Row::Session));
    rows.extend(keys().map(Row::Key));
    rows.extend(challenges().map(Row::Challenge));
    rows.push(Row::Sender(sender()));
    rows
}

/// The row as it is stored after it was written once more.
pub(crate) fn stored(row: &Row) -> Row {
    let rev = row.rev().next();
    match row.clone() {
        Row::User(row) => Row::User(User { rev, ..row }),
        Row::Identifier(row) => Row::Identifier(Identifier { rev, ..row }),
        Row::Password(row) => Row::Password(PasswordRow { rev, ..row }),
        Row::Session(row) => Row::Session(Session { rev, ..row }),
        Row::Client(row) => Row::Client(Client { rev, ..row }),
        Row::Api(row) => Row::Api(Api { rev, ..row }),
        Row::Attribute(row) => Row::Attribute(Declaration { rev, ..row }),
        Row::Key(row) => Row::Key(Key { rev, ..row }),
        Row::Challenge(row) => Row::Challenge(Challenge { rev, ..row }),
        Row::Sender(row) => Row::Sender(Sender { rev, ..row }),
    }
}
