//! Every path to a token x every state in which there must be none: refused in every cell. The control column shows
//! that each path gives a token when nothing is wrong.

use std::time::Duration;

use http::Method;
use remint::account::external::ExternalId;
use remint::store::{ClientById, UserById};
use remint_core::change::{Changes, Identifier, Row};
use remint_core::client::Client;
use remint_core::rev::Rev;
use remint_core::session::EndReason;
use serde_json::json;

use crate::scene::{IDENTIFIER, PASSWORD, Reply, Scene, secret};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Login,
    Reauthentication,
    RenewWithAccountToken,
    RenewWithApiToken,
    RefreshGrant,
    RefreshGrantForAccountToken,
    PatchAccount,
    ClientCredentials,
    Vouched,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    UserDisabled,
    UserDeleted,
    EpochRaised,
    PasswordChangedElsewhere,
    ClientDisabled,
    SessionEnded,
    SessionExpired,
}

const PATHS: [Path; 9] = [
    Path::Login,
    Path::Reauthentication,
    Path::RenewWithAccountToken,
    Path::RenewWithApiToken,
    Path::RefreshGrant,
    Path::RefreshGrantForAccountToken,
    Path::PatchAccount,
    Path::ClientCredentials,
    Path::Vouched,
];

const WRONGS: [Wrong; 8] = [
    Wrong::Nothing,
    Wrong::UserDisabled,
    Wrong::UserDeleted,
    Wrong::EpochRaised,
    Wrong::PasswordChangedElsewhere,
    Wrong::ClientDisabled,
    Wrong::SessionEnded,
    Wrong::SessionExpired,
];

impl Path {
    const fn client(self) -> &'static str {
        match self {
            Self::RefreshGrant | Self::RefreshGrantForAccountToken => "refresh",
            Self::ClientCredentials => "service",
            _ => "rolling",
        }
    }

    /// A log-in opens a session of its own, and a client has neither user nor session.
    const fn is_touched_by(self, wrong: Wrong) -> bool {
        match (self, wrong) {
            (_, Wrong::Nothing) => false,
            (_, Wrong::ClientDisabled) => true,
            (Self::ClientCredentials, _) => false,
            (
                Self::Login | Self::Vouched,
                Wrong::EpochRaised | Wrong::PasswordChangedElsewhere | Wrong::SessionEnded | Wrong::SessionExpired,
            ) => false,
            // The password was right: a dead session is no hint to it, and a new one is opened.
            (
                Self::Reauthentication,
                Wrong::EpochRaised | Wrong::PasswordChangedElsewhere | Wrong::SessionEnded | Wrong::SessionExpired,
            ) => false,
            (_, _) => true,
        }
    }
}

async fn walk(scene: &Scene, path: Path, held: &Reply) -> Reply {
    let account = held.body["account_token"].as_str().unwrap_or_default();
    let login = json!({"client_id": path.client(), "identifier": IDENTIFIER, "password": PASSWORD});
    match path {
        Path::Login => scene.json(Method::POST, "/session", None, login).await,
        Path::Reauthentication => scene.json(Method::POST, "/session", Some(account), login).await,
        Path::RenewWithAccountToken => scene.bare(Method::POST, "/session/renew", Some(account)).await,
        Path::RenewWithApiToken => scene.bare(Method::POST, "/session/renew", Some(&held.text("access_token"))).await,
        Path::RefreshGrant => scene.refresh("refresh", &held.text("refresh_token")).await,
        Path::RefreshGrantForAccountToken => {
            let token = held.text("refresh_token");
            let form = [
                ("grant_type", "refresh_token"),
                ("client_id", "refresh"),
                ("refresh_token", token.as_str()),
                ("resource", crate::scene::ISSUER),
            ];
            scene.form("/oauth2/token", &form).await
        }
        Path::PatchAccount => {
            scene.json(Method::PATCH, "/account", Some(account), json!({"nickname": "changed"})).await
        }
        Path::ClientCredentials => {
            let secret = secret();
            let form =
                [("grant_type", "client_credentials"), ("client_id", "service"), ("client_secret", secret.reveal())];
            scene.form("/oauth2/token", &form).await
        }
        Path::Vouched => {
            let body = json!({"user": "ada-1", "client_id": "rolling", "amr": ["pwd"]});
            scene.admin(Method::POST, "/admin/api/sessions", body).await
        }
    }
}

async fn spoil(scene: &Scene, path: Path, wrong: Wrong, held: Option<&Reply>) {
    let user = scene.app.store.read(UserById(scene.ada)).await.unwrap().unwrap();
    match wrong {
        Wrong::Nothing => {}
        Wrong::UserDisabled => scene.commit(Changes::none().write(Row::User(user.disabled()))).await,
        Wrong::UserDeleted => scene.commit(Changes::none().write(Row::User(user.deleted()))).await,
        Wrong::EpochRaised => {
            scene.commit(Changes::none().write(Row::User(user.with_new_epoch(EndReason::Everywhere)))).await;
        }
        Wrong::PasswordChangedElsewhere => {
            scene.commit(Changes::none().write(Row::User(user.with_new_epoch(EndReason::PasswordChanged)))).await;
        }
        Wrong::ClientDisabled => {
            let client = scene.app.store.read(ClientById(path.client().parse().unwrap())).await.unwrap().unwrap();
            let disabled = Client { disabled: true, pv: client.pv + 1, ..(*client).clone() };
            scene.commit(Changes::none().write(Row::Client(disabled))).await;
        }
        Wrong::SessionEnded => {
            if let Some(held) = held {
                let session = scene.session(held.claims()["sid"].as_str().unwrap()).await.session;
                let ended = session.ended(EndReason::Revoked, scene.clock.now());
                scene.commit(Changes::none().write(Row::Session(ended))).await;
            }
        }
        Wrong::SessionExpired => {
            if let Some(held) = held {
                let session = scene.session(held.claims()["sid"].as_str().unwrap()).await.session;
                let expired = remint_core::session::Session { idle_at: scene.clock.now(), ..session };
                scene.commit(Changes::none().write(Row::Session(expired))).await;
            }
        }
    }
}

#[tokio::test]
async fn no_path_gives_a_token_to_whom_it_must_not() {
    for path in PATHS {
        for wrong in WRONGS {
            let scene = Scene::new().await;
            let held =
                if path == Path::ClientCredentials { None } else { Some(scene.login(path.client()).await.expect(200)) };
            scene.advance(Duration::from_secs(15 * 60)); // past half and jitter: renewals are due
            if path == Path::Vouched {
                let text = "ada-1".parse::<ExternalId>().unwrap().identifier();
                let known = Identifier { text, user: scene.ada, rev: Rev::NEW };
                scene.commit(Changes::none().write(Row::Identifier(known))).await;
            }
            spoil(&scene, path, wrong, held.as_ref()).await;
            let nobody = Reply { status: http::StatusCode::OK, headers: http::HeaderMap::new(), body: json!({}) };
            let reply = walk(&scene, path, held.as_ref().unwrap_or(&nobody)).await;
            let gives = reply.body.get("access_token").is_some();
            assert_eq!(gives, !path.is_touched_by(wrong), "{path:?} x {wrong:?}: {reply:?}");
            assert!(!reply.status.is_server_error(), "{path:?} x {wrong:?}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn a_log_in_in_flight_does_not_outlive_a_disable() {
    let scene = std::sync::Arc::new(Scene::new().await);
    let logins: Vec<_> = (0..8)
        .map(|_| {
            let scene = scene.clone();
            tokio::spawn(async move { scene.login("refresh").await })
        })
        .collect();
    tokio::task::yield_now().await;
    let user = scene.user().await;
    scene.commit(Changes::none().write(Row::User(user.disabled()))).await;
    for login in logins {
        let reply = login.await.unwrap();
        if reply.status == 200 {
            scene.refresh("refresh", &reply.text("refresh_token")).await.expect(400);
        }
    }
    scene.login("refresh").await.expect(400);
}
