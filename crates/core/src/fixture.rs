//! A user, a client, an api and a session for the tests of the rooms beside. Compiled in tests only.

use serde_json::json;

use crate::attribute::Declarations;
use crate::client::{Api, Client, Transport};
use crate::id::{SessionId, UserId};
use crate::jwk::Algorithm;
use crate::mapping::Mapping;
use crate::policy::Policy;
use crate::refresh::{Chain, MacKeyId};
use crate::rev::Rev;
use crate::secret::{Salt, SecretHash};
use crate::session::{Continuity, Device, Opening, Session};
use crate::time::Timestamp;
use crate::user::User;

pub(crate) fn user() -> User {
    let attributes = serde_json::from_value(json!({"nickname": "ada", "role": "engineer"})).unwrap();
    User::new(UserId::from_bytes([1; 16]), attributes, Timestamp::default())
}

pub(crate) fn declarations() -> Declarations {
    let all = json!([
        {"name": "nickname", "type": "string", "writable_by": "user"},
        {"name": "role", "type": "string"},
        {"name": "age", "type": "integer"},
        {"name": "groups", "type": "string_list"},
        {"name": "newsletter", "type": "boolean"},
    ]);
    serde_json::from_value::<Vec<_>>(all).unwrap().into_iter().collect()
}

pub(crate) fn mapping() -> Mapping {
    serde_json::from_value(json!({"nickname": "nickname", "role": "role"})).unwrap()
}

pub(crate) fn api() -> Api {
    Api {
        id: "demo-api".parse().unwrap(),
        audience: "demo-api".parse().unwrap(),
        scopes: "read write".parse().unwrap(),
        algorithm: Algorithm::Es256,
        max_life: Policy::fixed().life(),
        secret: SecretHash::of(b"secret"),
        rev: Rev::NEW,
    }
}

pub(crate) fn client(policy: Policy) -> Client {
    Client {
        id: "demo".parse().unwrap(),
        name: "Demo".into(),
        pv: 1,
        disabled: false,
        first_party: true,
        secret: None,
        longest_life: policy.life(),
        policy,
        client_credentials: false,
        origins: vec![],
        apis: vec!["demo-api".parse().unwrap()],
        scopes: "read".parse().unwrap(),
        mapping: Mapping::default(),
        always_return_refresh: false,
        transport: Transport::Body,
        administration: None,
        rev: Rev::NEW,
    }
}

pub(crate) fn continuity(policy: &Policy) -> Continuity {
    match policy {
        Policy::Rolling { .. } => Continuity::Rolling,
        Policy::Fixed { .. } => Continuity::Fixed,
        Policy::Refresh { .. } => {
            Continuity::Refresh(Chain::new(MacKeyId(1), Salt::from_bytes([5; 16]), Timestamp::default()))
        }
        Policy::Cookie { .. } => Continuity::Cookie(SecretHash::of(b"cookie")),
    }
}

pub(crate) fn session(policy: Policy) -> Session {
    let opening = Opening {
        sid: SessionId::from_bytes([2; 16]),
        continuity: continuity(&policy),
        scope: "read".parse().unwrap(),
        amr: vec!["pwd".into()],
        device: Device::default(),
    };
    Session::open(&user(), &client(policy.clone()).id, &policy, opening, Timestamp::default())
}
