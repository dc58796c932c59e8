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

use crate::scene::{IDENTIFIER, NUMBER, PASSWORD, Reply, Scene, from_page, secret};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Login,
    Reauthentication,
    RenewWithAccountToken,
    RenewWithApiToken,
    RefreshGrant,
    RefreshGrantForAccountToken,
    PatchAccount,
    VerifyPhone,
    RemovePhone,
    SecondFactor,
    ReauthenticationWithFactor,
    CookieSecondFactor,
    CookieReauthenticationWithFactor,
    ClientCredentials,
    CookieLogin,
    CookieReauthentication,
    RenewWithSessionCookie,
    PatchAccountWithCookie,
    ExchangeOfCookie,
    ExchangeOfCookieByAnotherApi,
    RenewWithRefreshCookie,
    IntrospectionOfSessionToken,
    IntrospectionOfClientToken,
    PageEvents,
    PageEventsWithCookie,
    Vouched,
    VouchedWithCookie,
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

const PATHS: [Path; 27] = [
    Path::Login,
    Path::Reauthentication,
    Path::RenewWithAccountToken,
    Path::RenewWithApiToken,
    Path::RefreshGrant,
    Path::RefreshGrantForAccountToken,
    Path::PatchAccount,
    Path::VerifyPhone,
    Path::RemovePhone,
    Path::SecondFactor,
    Path::ReauthenticationWithFactor,
    Path::CookieSecondFactor,
    Path::CookieReauthenticationWithFactor,
    Path::ClientCredentials,
    Path::CookieLogin,
    Path::CookieReauthentication,
    Path::RenewWithSessionCookie,
    Path::PatchAccountWithCookie,
    Path::ExchangeOfCookie,
    Path::ExchangeOfCookieByAnotherApi,
    Path::RenewWithRefreshCookie,
    Path::IntrospectionOfSessionToken,
    Path::IntrospectionOfClientToken,
    Path::PageEvents,
    Path::PageEventsWithCookie,
    Path::Vouched,
    Path::VouchedWithCookie,
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
            Self::ClientCredentials | Self::IntrospectionOfClientToken => "service",
            Self::CookieLogin
            | Self::CookieReauthentication
            | Self::CookieSecondFactor
            | Self::CookieReauthenticationWithFactor
            | Self::RenewWithSessionCookie
            | Self::PatchAccountWithCookie
            | Self::ExchangeOfCookie
            | Self::ExchangeOfCookieByAnotherApi
            | Self::PageEventsWithCookie
            | Self::VouchedWithCookie => "web",
            Self::RenewWithRefreshCookie => "spa",
            _ => "rolling",
        }
    }

    /// How long to wait before it is gone. A token that is introspected must not have expired by itself; a code and a
    /// recent log-in do not last long.
    const fn until_due(self) -> Duration {
        match self {
            Self::VerifyPhone
            | Self::RemovePhone
            | Self::SecondFactor
            | Self::ReauthenticationWithFactor
            | Self::CookieSecondFactor
            | Self::CookieReauthenticationWithFactor => Duration::ZERO,
            Self::IntrospectionOfSessionToken | Self::IntrospectionOfClientToken => Duration::from_secs(60),
            _ => Duration::from_secs(15 * 60),
        }
    }

    const fn is_of_a_client_alone(self) -> bool {
        matches!(self, Self::ClientCredentials | Self::IntrospectionOfClientToken)
    }

    /// Whether the answer gives what must not be given: a token, what a page is told in its place, or the word that a
    /// token stands.
    fn gives(self, reply: &Reply) -> bool {
        match self {
            Self::CookieLogin
            | Self::CookieReauthentication
            | Self::CookieSecondFactor
            | Self::CookieReauthenticationWithFactor
            | Self::RenewWithSessionCookie
            | Self::PatchAccountWithCookie => {
                assert!(!reply.body.to_string().contains("eyJ"), "a page gets no token: {reply:?}");
                reply.body.get("claims").is_some()
            }
            Self::IntrospectionOfSessionToken | Self::IntrospectionOfClientToken => reply.body["active"] == json!(true),
            Self::PageEvents | Self::PageEventsWithCookie => reply.status == 200,
            Self::VouchedWithCookie => reply.body.get("cookie").is_some(),
            _ => reply.body.get("access_token").is_some(),
        }
    }

    /// A log-in opens a session of its own, and a client has neither user nor session.
    const fn is_touched_by(self, wrong: Wrong) -> bool {
        match (self, wrong) {
            (_, Wrong::Nothing) => false,
            (_, Wrong::ClientDisabled) => true,
            (Self::ClientCredentials | Self::IntrospectionOfClientToken, _) => false,
            // What was begun beside credentials dies with them; the session that is proved anew is no condition.
            (
                Self::SecondFactor
                | Self::ReauthenticationWithFactor
                | Self::CookieSecondFactor
                | Self::CookieReauthenticationWithFactor,
                Wrong::SessionEnded | Wrong::SessionExpired,
            ) => false,
            (
                Self::Login | Self::CookieLogin | Self::Vouched | Self::VouchedWithCookie,
                Wrong::EpochRaised | Wrong::PasswordChangedElsewhere | Wrong::SessionEnded | Wrong::SessionExpired,
            ) => false,
            // The password was right: a dead session is no hint to it, and a new one is opened.
            (
                Self::Reauthentication | Self::CookieReauthentication,
                Wrong::EpochRaised | Wrong::PasswordChangedElsewhere | Wrong::SessionEnded | Wrong::SessionExpired,
            ) => false,
            (_, _) => true,
        }
    }
}

/// What was begun before anything goes wrong: a code that was sent, and the challenge that it answers.
#[derive(Debug, Default)]
struct Begun {
    challenge: String,
    code: String,
}

/// The half of a path that comes before.
async fn begin(scene: &Scene, path: Path, held: &Reply) -> Begun {
    let account = held.body["account_token"].as_str();
    let login = json!({"client_id": path.client(), "identifier": IDENTIFIER, "password": PASSWORD});
    let asked = match path {
        Path::VerifyPhone => {
            let body = json!({"phone_number": NUMBER});
            scene.json(Method::POST, "/account/phone", account, body).await.expect(202);
            return Begun { challenge: String::new(), code: scene.code() };
        }
        Path::SecondFactor | Path::CookieSecondFactor => {
            scene.with_factor().await;
            scene.json(Method::POST, "/session", None, login).await
        }
        Path::ReauthenticationWithFactor => {
            scene.with_factor().await;
            scene.json(Method::POST, "/session", account, login).await
        }
        Path::CookieReauthenticationWithFactor => {
            scene.with_factor().await;
            scene.page(Method::POST, "/session", &held.cookie(), Some(login)).await
        }
        _ => return Begun::default(),
    };
    Begun { challenge: asked.expect(403).text("challenge"), code: scene.code() }
}

async fn walk(scene: &Scene, path: Path, held: &Reply, begun: &Begun) -> Reply {
    let account = held.body["account_token"].as_str().unwrap_or_default();
    let login = json!({"client_id": path.client(), "identifier": IDENTIFIER, "password": PASSWORD});
    let cookie = || held.cookie();
    match path {
        Path::CookieLogin => scene.json(Method::POST, "/session", None, login).await,
        Path::CookieReauthentication => scene.page(Method::POST, "/session", &cookie(), Some(login)).await,
        Path::RenewWithSessionCookie | Path::RenewWithRefreshCookie => {
            scene.page(Method::POST, "/session/renew", &cookie(), None).await
        }
        Path::PatchAccountWithCookie => {
            scene.page(Method::PATCH, "/account", &cookie(), Some(json!({"nickname": "changed"}))).await
        }
        Path::ExchangeOfCookie => scene.exchange("demo-api", &cookie()).await,
        Path::ExchangeOfCookieByAnotherApi => scene.exchange("other-api", &cookie()).await,
        Path::IntrospectionOfSessionToken | Path::IntrospectionOfClientToken => {
            scene.introspect("demo-api", &held.text("access_token")).await
        }
        Path::PageEvents => scene.opened(by_token(account)).await,
        Path::PageEventsWithCookie => scene.opened(from_page(Method::GET, "/session/events", &cookie(), None)).await,
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
        Path::VerifyPhone => {
            scene.json(Method::POST, "/account/phone/verify", Some(account), json!({"code": begun.code})).await
        }
        Path::RemovePhone => scene.bare(Method::DELETE, "/account/phone", Some(account)).await,
        Path::CookieReauthenticationWithFactor => {
            let body = json!({"client_id": path.client(), "challenge": begun.challenge, "code": begun.code});
            scene.page(Method::POST, "/session/factor", &cookie(), Some(body)).await
        }
        Path::SecondFactor | Path::ReauthenticationWithFactor | Path::CookieSecondFactor => {
            scene.factor(path.client(), &begun.challenge, &begun.code).await
        }
        Path::ClientCredentials => {
            let secret = secret();
            let form =
                [("grant_type", "client_credentials"), ("client_id", "service"), ("client_secret", secret.reveal())];
            scene.form("/oauth2/token", &form).await
        }
        Path::Vouched | Path::VouchedWithCookie => {
            let body = json!({"user": "ada-1", "client_id": path.client(), "amr": ["pwd"]});
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
                let session = scene.session(&sid(held)).await.session;
                let ended = session.ended(EndReason::Revoked, scene.clock.now());
                scene.commit(Changes::none().write(Row::Session(ended))).await;
            }
        }
        Wrong::SessionExpired => {
            if let Some(held) = held {
                let session = scene.session(&sid(held)).await.session;
                let expired = remint_core::session::Session { idle_at: scene.clock.now(), ..session };
                scene.commit(Changes::none().write(Row::Session(expired))).await;
            }
        }
    }
}

fn sid(held: &Reply) -> String {
    let shown = held.body.get("claims").cloned().unwrap_or_else(|| held.claims());
    shown["sid"].as_str().unwrap().to_owned()
}

fn by_token(token: &str) -> http::Request<axum::body::Body> {
    crate::scene::with_token(http::Request::get("/session/events"), Some(token))
        .body(axum::body::Body::empty())
        .unwrap()
}

/// What the path needs to begin with.
async fn held(scene: &Scene, path: Path) -> Reply {
    if !path.is_of_a_client_alone() {
        return scene.login(path.client()).await.expect(200);
    }
    let secret = secret();
    let form = [("grant_type", "client_credentials"), ("client_id", "service"), ("client_secret", secret.reveal())];
    scene.form("/oauth2/token", &form).await.expect(200)
}

#[tokio::test]
async fn no_path_gives_a_token_to_whom_it_must_not() {
    for path in PATHS {
        for wrong in WRONGS {
            let scene = Scene::new().await;
            let held = held(&scene, path).await;
            let begun = begin(&scene, path, &held).await;
            scene.advance(path.until_due()); // past half and jitter: renewals are due
            if matches!(path, Path::Vouched | Path::VouchedWithCookie) {
                let text = "ada-1".parse::<ExternalId>().unwrap().identifier();
                let known = Identifier { text, user: scene.ada, rev: Rev::NEW };
                scene.commit(Changes::none().write(Row::Identifier(known))).await;
            }
            spoil(&scene, path, wrong, (!path.is_of_a_client_alone()).then_some(&held)).await;
            let reply = walk(&scene, path, &held, &begun).await;
            assert_eq!(path.gives(&reply), !path.is_touched_by(wrong), "{path:?} x {wrong:?}: {reply:?}");
            assert!(!reply.status.is_server_error(), "{path:?} x {wrong:?}: {reply:?}");
            scene.app.store.clone().close().await; // its connections are not kept for as long as this runtime
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
