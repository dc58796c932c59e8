//! `/admin/api/...` over the network: who may come in with which token, what nobody can grant, lost updates, pages, and
//! what the audit log keeps.

use http::{Method, Request};
use remint::http::admin::{Endpoint, endpoints};
use remint::store::Clients;
use remint_core::administration::AdminScope;
use serde_json::{Value, json};

use crate::scene::{IDENTIFIER, ISSUER, PAGE, Reply, Scene, header, json_request, secret, with_token};

const EVERYTHING: &str = "remint:users:read remint:users:write remint:clients remint:keys remint:sessions \
                          remint:sessions:open remint:audit";

pub(crate) const ADMIN: &str = "https://id.example.test/admin/api";

/// A client that administers, with these scopes, and its token.
pub(crate) struct Administrator {
    pub(crate) id: String,
    secret: String,
    pub(crate) token: String,
}

impl Administrator {
    pub(crate) async fn new(scene: &Scene, id: &str, scopes: &str, at: &[&str]) -> Self {
        let body = json!({
            "id": id, "policy": {"kind": "fixed", "life": 600}, "confidential": true, "client_credentials": true,
            "apis": ["demo-api"], "scopes": "read", "administration": {"scopes": scopes, "opens_sessions_at": at},
        });
        let made = scene.admin(Method::POST, "/admin/api/clients", body).await.expect(201);
        let mut made = Self { id: id.into(), secret: made.text("client_secret"), token: String::new() };
        made.token = made.asks(scene, None).await.expect(200).text("access_token");
        made
    }

    pub(crate) async fn asks(&self, scene: &Scene, scope: Option<&str>) -> Reply {
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", &self.id),
            ("client_secret", &self.secret),
            ("resource", ADMIN),
        ];
        form.extend(scope.map(|scope| ("scope", scope)));
        scene.form("/oauth2/token", &form).await
    }

    async fn get(&self, scene: &Scene, path: &str) -> Reply {
        scene.bare(Method::GET, &format!("/admin/api{path}"), Some(&self.token)).await
    }

    async fn send(&self, scene: &Scene, method: Method, path: &str, body: Value) -> Reply {
        scene.json(method, &format!("/admin/api{path}"), Some(&self.token), body).await
    }
}

/// The path of an endpoint with a name for each thing that it names.
fn path(endpoint: &Endpoint) -> String {
    let names = [("{user}", IDENTIFIER), ("{sid}", "AAAAAAAAAAAAAAAAAAAAAA"), ("{id}", "none"), ("{kid}", "none")];
    let path = names.into_iter().fold(endpoint.path.to_owned(), |path, (name, with)| path.replace(name, with));
    format!("/admin/api{}", path.replace("{name}", "none"))
}

async fn knock(scene: &Scene, endpoint: &Endpoint, token: Option<&str>) -> Reply {
    match endpoint.method {
        Method::GET => scene.bare(Method::GET, &path(endpoint), token).await,
        _ => scene.json(endpoint.method.clone(), &path(endpoint), token, json!({})).await,
    }
}

#[tokio::test]
async fn no_endpoint_lets_anybody_in_who_lacks_its_scope() {
    let scene = Scene::new().await;
    let chief = Administrator::new(&scene, "chief", EVERYTHING, &["rolling"]).await;
    for endpoint in endpoints() {
        let refused = knock(&scene, &endpoint, None).await.expect(401);
        assert_eq!(refused.header("www-authenticate"), "Bearer realm=\"remint\"", "{endpoint:?}");
        for needed in endpoint.needs {
            let others = AdminScope::ALL.iter().filter(|scope| *scope != needed).map(|scope| scope.as_str());
            let scope = others.collect::<Vec<_>>().join(" ");
            let token = chief.asks(&scene, Some(&scope)).await.expect(200).text("access_token");
            let refused = knock(&scene, &endpoint, Some(&token)).await.expect(403);
            assert_eq!(refused.text("error"), "insufficient_scope", "{endpoint:?}");
            assert!(refused.header("www-authenticate").contains(&format!("scope=\"{needed}\"")), "{refused:?}");
        }
        let needs: Vec<_> = endpoint.needs.iter().map(|scope| scope.as_str()).collect();
        let token = chief.asks(&scene, Some(&needs.join(" "))).await.expect(200).text("access_token");
        let answered = knock(&scene, &endpoint, Some(&token)).await;
        assert!(![401, 403, 405].contains(&answered.status.as_u16()), "{endpoint:?}: {answered:?}");
        assert!(!answered.status.is_server_error(), "{endpoint:?}: {answered:?}");
    }
}

#[tokio::test]
async fn no_other_token_opens_administration() {
    let scene = Scene::new().await;
    let chief = Administrator::new(&scene, "chief", EVERYTHING, &[]).await;
    let person = scene.login("rolling").await.expect(200);
    let secret = secret();
    let service = [("grant_type", "client_credentials"), ("client_id", "service"), ("client_secret", secret.reveal())];
    let service = scene.form("/oauth2/token", &service).await.expect(200);
    for token in [person.text("access_token"), person.text("account_token"), service.text("access_token")] {
        let refused = scene.bare(Method::GET, "/admin/api/users", Some(&token)).await.expect(401);
        assert_eq!(refused.text("error"), "invalid_token");
    }
    for path in ["/session", "/sessions"] {
        scene.bare(Method::GET, path, Some(&chief.token)).await.expect(401);
    }
    scene.bare(Method::POST, "/session/renew", Some(&chief.token)).await.expect(401);
}

#[tokio::test]
async fn who_may_not_administer_gets_no_token_for_it() {
    let scene = Scene::new().await;
    let clerk = Administrator::new(&scene, "clerk", "remint:users:read", &[]).await;
    assert_eq!(
        clerk.asks(&scene, Some("remint:users:read remint:keys")).await.expect(400).text("error"),
        "invalid_scope"
    );
    let secret = secret();
    let service = [
        ("grant_type", "client_credentials"),
        ("client_id", "service"),
        ("client_secret", secret.reveal()),
        ("resource", ADMIN),
    ];
    assert_eq!(scene.form("/oauth2/token", &service).await.expect(400).text("error"), "invalid_target");
    let refresh = scene.login("refresh").await.expect(200).text("refresh_token");
    let form =
        [("grant_type", "refresh_token"), ("client_id", "refresh"), ("refresh_token", &refresh), ("resource", ADMIN)];
    assert_eq!(scene.form("/oauth2/token", &form).await.expect(400).text("error"), "invalid_target");
    let body = json!({"id": "mine", "audience": ADMIN});
    let taken = scene.admin(Method::POST, "/admin/api/apis", body).await.expect(400);
    assert_eq!(taken.text("field"), "audience");
}

#[tokio::test]
async fn an_administrators_token_says_what_it_is_for_and_dies_with_the_right_to_it() {
    let scene = Scene::new().await;
    let clerk = Administrator::new(&scene, "clerk", "remint:users:read", &[]).await;
    let claims = crate::scene::claims(&clerk.token);
    assert_eq!((claims["aud"].as_str(), claims["iss"].as_str()), (Some(ADMIN), Some(ISSUER)));
    assert_eq!((claims["scope"].as_str(), claims["sub"].as_str()), (Some("remint:users:read"), Some("clerk")));
    assert!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() <= 300);
    clerk.get(&scene, "/users").await.expect(200);
    let fewer = json!({"administration": {"scopes": "remint:audit"}});
    scene.admin(Method::PATCH, "/admin/api/clients/clerk", fewer).await.expect(200);
    clerk.get(&scene, "/users").await.expect(401);

    let other = Administrator::new(&scene, "other", "remint:users:read", &[]).await;
    scene.admin(Method::POST, "/admin/api/clients/other/disable", json!({})).await.expect(200);
    other.get(&scene, "/users").await.expect(401);

    let third = Administrator::new(&scene, "third", "remint:users:read", &[]).await;
    let form = [("client_id", "third"), ("client_secret", &third.secret), ("token", &third.token)];
    scene.form("/oauth2/revoke", &form).await.expect(200);
    third.get(&scene, "/users").await.expect(401);
}

#[tokio::test]
async fn nobody_grants_what_they_lack() {
    let scene = Scene::new().await;
    let clerk = Administrator::new(&scene, "clerk", "remint:clients", &[]).await;
    Administrator::new(&scene, "chief", EVERYTHING, &["rolling"]).await;
    let client = |change: Value| {
        let mut body = json!({"id": "new", "policy": {"kind": "fixed"}, "apis": ["demo-api"], "confidential": true,
                              "client_credentials": true});
        change.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        clerk.send(&scene, Method::POST, "/clients", body)
    };
    for (lacks, change) in [
        ("remint:keys", json!({"administration": {"scopes": "remint:keys"}})),
        ("write", json!({"scopes": "read write"})),
        ("rolling", json!({"administration": {"scopes": "remint:clients", "opens_sessions_at": ["rolling"]}})),
        ("other-api", json!({"apis": ["demo-api", "other-api"]})),
    ] {
        let refused = client(change).await.expect(403);
        assert_eq!(refused.text("error"), "insufficient_scope");
        assert!(refused.text("error_description").contains(lacks), "{refused:?}");
    }
    client(json!({"scopes": "read"})).await.expect(201);
    for (method, path) in [(Method::POST, "/clients/chief/secret"), (Method::POST, "/clients/chief/disable")] {
        clerk.send(&scene, method, path, json!({})).await.expect(403);
    }
    clerk.send(&scene, Method::PATCH, "/clients/chief", json!({"name": "Chief"})).await.expect(403);
    let own = json!({"administration": {"scopes": "remint:clients remint:keys"}});
    clerk.send(&scene, Method::PATCH, "/clients/clerk", own).await.expect(403);
    clerk.send(&scene, Method::PATCH, "/clients/new", json!({"name": "Shop"})).await.expect(200);
    // Whoever sets mapping or switches of a client decides what its scopes and apis are good for.
    for change in [json!({"mapping": {"role": "nickname"}}), json!({"first_party": true}), json!({"name": "Shop"})] {
        clerk.send(&scene, Method::PATCH, "/clients/rolling", change).await.expect(403);
    }
    clerk.send(&scene, Method::POST, "/clients/rolling/disable", json!({})).await.expect(200);
    clerk.send(&scene, Method::POST, "/clients/rolling/enable", json!({})).await.expect(403);
}

#[tokio::test]
async fn nobody_becomes_who_may_do_more_by_a_new_secret() {
    let scene = Scene::new().await;
    let clerk = Administrator::new(&scene, "clerk", "remint:clients remint:users:read remint:sessions", &[]).await;
    for (what, path, lacks) in [
        ("scopes that the clerk lacks", "/clients/service/secret", "write"),
        ("an api that the clerk may not call", "/apis/other-api/secret", "other-api"),
    ] {
        let refused = clerk.send(&scene, Method::POST, path, json!({})).await.expect(403);
        assert!(refused.text("error_description").contains(lacks), "{what}: {refused:?}");
    }
    let secret = secret();
    let service = [("grant_type", "client_credentials"), ("client_id", "service"), ("client_secret", secret.reveal())];
    scene.form("/oauth2/token", &service).await.expect(200);
    let wider = json!({"scopes": "read write pay"});
    clerk.send(&scene, Method::PATCH, "/apis/demo-api", wider).await.expect(403);
    clerk.send(&scene, Method::PATCH, "/apis/other-api", json!({"max_life": 604_800})).await.expect(403);
    clerk.send(&scene, Method::PATCH, "/apis/demo-api", json!({"max_life": 604_800})).await.expect(200);
    clerk.send(&scene, Method::POST, "/apis/demo-api/secret", json!({})).await.expect(200);
    let blind = Administrator::new(&scene, "blind", "remint:clients", &[]).await;
    let api = json!({"id": "ear", "audience": "ear"});
    let refused = blind.send(&scene, Method::POST, "/apis", api.clone()).await.expect(403);
    assert!(refused.text("error_description").contains("remint:users:read"), "an api hears of everybody: {refused:?}");
    blind.send(&scene, Method::POST, "/apis/demo-api/secret", json!({})).await.expect(403);
    clerk.send(&scene, Method::POST, "/apis", api).await.expect(201);
}

#[tokio::test]
async fn nobody_lets_people_write_into_their_records_what_they_could_not_write_there() {
    let scene = Scene::new().await;
    let clerk = Administrator::new(&scene, "clerk", "remint:clients", &[]).await;
    let role = json!({"name": "role", "type": "string", "writable_by": "user"});
    let payout = json!({"name": "payout", "type": "string", "writable_by": "user"});
    for declaration in [&role, &payout] {
        let refused = clerk.send(&scene, Method::POST, "/attributes", declaration.clone()).await.expect(403);
        assert!(refused.text("error_description").contains("remint:users:write"), "{refused:?}");
    }
    let stricter = json!({"name": "nickname", "type": "string", "max_bytes": 100});
    clerk.send(&scene, Method::POST, "/attributes", stricter).await.expect(200);
    let writer = Administrator::new(&scene, "writer", "remint:clients remint:users:write", &[]).await;
    writer.send(&scene, Method::POST, "/attributes", role).await.expect(200);
}

#[tokio::test]
async fn a_new_secret_ends_the_tokens_of_whoever_had_the_old_one() {
    let scene = Scene::new().await;
    let chief = Administrator::new(&scene, "chief", EVERYTHING, &[]).await;
    chief.get(&scene, "/users").await.expect(200);
    scene.admin(Method::POST, "/admin/api/clients/chief/secret", json!({})).await.expect(200);
    let refused = chief.get(&scene, "/users").await.expect(401);
    assert_eq!(refused.text("error"), "invalid_token");
    chief.asks(&scene, None).await.expect(401);
}

#[tokio::test]
async fn who_may_write_users_and_not_see_them_is_told_the_version_alone() {
    let scene = Scene::new().await;
    let writer = Administrator::new(&scene, "writer", "remint:users:write", &[]).await;
    let path = format!("/users/{}", scene.ada);
    writer.get(&scene, &path).await.expect(403);
    for patch in [json!({}), json!({"role": "chief"})] {
        let answered = writer.send(&scene, Method::PATCH, &path, patch).await.expect(200);
        let members: Vec<_> = answered.body.as_object().unwrap().keys().cloned().collect();
        assert_eq!(members, ["cv", "id"]);
    }
}

#[tokio::test]
async fn pages_may_call_as_soon_as_their_origin_is_said_to_be_the_clients() {
    let scene = Scene::new().await;
    let preflight = async |origin: &str| {
        let request =
            Request::options("/session").header("origin", origin).header("access-control-request-method", "POST");
        scene.send(request.body(axum::body::Body::empty()).unwrap()).await.status.as_u16()
    };
    let new = "https://new.example.test";
    assert_eq!((preflight(PAGE).await, preflight(new).await), (204, 403));
    let rolling = "/admin/api/clients/rolling";
    scene.admin(Method::PATCH, rolling, json!({"origins": [PAGE, new]})).await.expect(200);
    assert_eq!((preflight(PAGE).await, preflight(new).await), (204, 204), "the clock stands");
    scene.admin(Method::PATCH, rolling, json!({"origins": [PAGE]})).await.expect(200);
    assert_eq!((preflight(PAGE).await, preflight(new).await), (204, 403));
}

#[tokio::test]
async fn no_page_may_read_administration() {
    let scene = Scene::new().await;
    let chief = Administrator::new(&scene, "chief", EVERYTHING, &[]).await;
    let request = with_token(Request::get("/admin/api/users"), Some(&chief.token)).body(axum::body::Body::empty());
    let answered = scene.send(header(request.unwrap(), "origin", PAGE)).await;
    assert!(answered.headers.keys().all(|name| !name.as_str().starts_with("access-control-")), "{answered:?}");
    let preflight = Request::builder().method(Method::OPTIONS).uri("/admin/api/users").header("origin", PAGE);
    let preflight = preflight.header("access-control-request-method", "GET").body(axum::body::Body::empty()).unwrap();
    let answered = scene.send(preflight).await.expect(405);
    assert!(answered.headers.keys().all(|name| !name.as_str().starts_with("access-control-")), "{answered:?}");
}

#[tokio::test]
async fn a_change_of_what_somebody_else_changed_meanwhile_is_refused() {
    let scene = Scene::new().await;
    let chief = Administrator::new(&scene, "chief", EVERYTHING, &[]).await;
    let change = |path: &str, tag: &str, body: Value| {
        let request = json_request(Method::PATCH, &format!("/admin/api{path}"), Some(&chief.token), body);
        scene.send(header(request, "if-match", tag))
    };
    for (path, body, other) in [
        (format!("/users/{}", scene.ada), json!({"role": "chief"}), json!({"role": "clerk"})),
        ("/clients/chief".into(), json!({"name": "One"}), json!({"name": "Other"})),
    ] {
        let tag = chief.get(&scene, &path).await.expect(200).header("etag").to_owned();
        let changed = change(&path, &tag, body.clone()).await.expect(200);
        let newer = changed.header("etag").to_owned();
        assert!(newer != tag && chief.get(&scene, &path).await.header("etag") == newer, "{changed:?}");
        let refused = change(&path, &tag, other.clone()).await.expect(412);
        assert_eq!(refused.text("error"), "precondition_failed");
        change(&path, &format!("{tag}, {newer}"), other).await.expect(200);
        change(&path, "*", body).await.expect(200);
        change(&path, "nonsense", json!({})).await.expect(400);
    }
    for path in ["/apis/demo-api", "/attributes/role"] {
        assert!(chief.get(&scene, path).await.expect(200).header("etag").starts_with('"'), "{path}");
    }
    let delete = |path: &'static str, tag: &'static str| {
        let request = json_request(Method::DELETE, path, Some(&chief.token), json!({}));
        scene.send(header(request, "if-match", tag))
    };
    delete("/admin/api/users/ada@example.test", "\"999\"").await.expect(412);
    chief.get(&scene, "/users/ada@example.test").await.expect(200);
}

#[tokio::test]
async fn of_two_changes_that_saw_the_same_version_one_is_refused() {
    let scene = std::sync::Arc::new(Scene::new().await);
    let chief = std::sync::Arc::new(Administrator::new(&scene, "chief", EVERYTHING, &[]).await);
    let path = format!("/admin/api/users/{}", scene.ada);
    let tag = scene.bare(Method::GET, &path, Some(&chief.token)).await.expect(200).header("etag").to_owned();
    let changes = (0..8).map(|number| {
        let (scene, chief, path, tag) = (scene.clone(), chief.clone(), path.clone(), tag.clone());
        tokio::spawn(async move {
            let body = json!({"role": format!("role {number}")});
            let request = header(json_request(Method::PATCH, &path, Some(&chief.token), body), "if-match", &tag);
            scene.send(request).await.status.as_u16()
        })
    });
    let mut answers = Vec::new();
    for change in changes.collect::<Vec<_>>() {
        answers.push(change.await.unwrap());
    }
    answers.sort_unstable();
    assert_eq!(answers, [200, 412, 412, 412, 412, 412, 412, 412]);
}

async fn users(scene: &Scene, count: usize) {
    for number in 0..count {
        let body = json!({"identifiers": [format!("user{number:02}"), format!("user{number:02}@example.test")]});
        scene.admin(Method::POST, "/admin/api/users", body).await.expect(201);
    }
}

#[tokio::test]
async fn pages_follow_each_other_and_no_cursor_can_be_made_up() {
    let scene = Scene::new().await;
    let chief = Administrator::new(&scene, "chief", EVERYTHING, &[]).await;
    users(&scene, 7).await;
    for (query, all) in [("limit=3", 8), ("limit=3&identifier=USER", 7), ("limit=7&identifier=user", 7)] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = chief.get(&scene, &format!("/users?{query}{cursor}")).await.expect(200);
            seen.extend(page.body["users"].as_array().unwrap().iter().map(|user| user["id"].to_string()));
            assert!(page.body.get("total").is_none());
            match page.body["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let found = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!((found, seen.len()), (all, all), "{query}");
    }
    let next = chief.get(&scene, "/users?limit=2").await.expect(200).text("next");
    chief.get(&scene, &format!("/users?limit=5&cursor={next}")).await.expect(200);
    let mut forged: Vec<String> = (0..next.len())
        .map(|at| {
            let other = if &next[at..=at] == "A" { "B" } else { "A" };
            format!("{}{other}{}", &next[..at], &next[at + 1..])
        })
        .filter(|forged| *forged != next)
        .collect();
    forged.extend(["x".into(), String::new(), "A".repeat(43), "A".repeat(4000), format!("{next}AAAA")]);
    let bytes = |text: &str| base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text).ok();
    for forged in forged.iter().filter(|forged| bytes(forged) != bytes(&next)) {
        let refused = chief.get(&scene, &format!("/users?cursor={forged}")).await.expect(400);
        assert_eq!(refused.text("field"), "cursor", "{forged}");
    }
    for foreign in ["/users?status=active", "/users?identifier=u", "/sessions?", "/audit?"] {
        let and = if foreign.ends_with('?') { "" } else { "&" };
        chief.get(&scene, &format!("{foreign}{and}cursor={next}")).await.expect(400);
    }
}

#[tokio::test]
async fn nothing_is_shown_to_a_query_that_nobody_heeds() {
    let scene = Scene::new().await;
    for endpoint in endpoints().into_iter().filter(|endpoint| endpoint.method == Method::GET) {
        let refused = scene.admin(Method::GET, &format!("{}?lim%69ts=1", path(&endpoint)), json!({})).await;
        assert_eq!((refused.status.as_u16(), refused.text("field").as_str()), (400, "limits"), "{endpoint:?}");
    }
}

#[tokio::test]
async fn a_version_is_refused_where_nothing_is_compared_with_it() {
    let scene = Scene::new().await;
    let chief = Administrator::new(&scene, "chief", EVERYTHING, &["rolling"]).await;
    let (kid, clients) = (scene.app.keyring.list()[0].kid.clone(), scene.app.store.read(Clients).await.unwrap().len());
    let mut refusing = 0;
    for endpoint in endpoints().into_iter().filter(|endpoint| endpoint.method != Method::GET) {
        let at = path(&endpoint).replace("/keys/none", &format!("/keys/{kid}"));
        let body = json!({"id": "new", "audience": "new", "policy": {"kind": "fixed"}, "apis": ["demo-api"]});
        let request = header(json_request(endpoint.method.clone(), &at, Some(&chief.token), body), "if-match", "\"9\"");
        let answered = scene.send(request).await;
        if !endpoint.versioned {
            assert_eq!((answered.status.as_u16(), answered.text("field").as_str()), (400, "If-Match"), "{endpoint:?}");
            refusing += 1;
        }
    }
    assert_eq!(refusing, 8);
    assert_eq!(scene.app.store.read(Clients).await.unwrap().len(), clients, "nothing was done");
}

#[tokio::test]
async fn what_takes_no_body_takes_none() {
    let scene = Scene::new().await;
    let at = format!("/admin/api/users/{IDENTIFIER}/disable");
    let refused = scene.admin(Method::POST, &at, json!({"reason": "theft"})).await.expect(400);
    assert_eq!(refused.text("field"), "reason", "it belongs into the query");
    assert_eq!(scene.user().await.status, remint_core::user::UserStatus::Active);
    let patch = format!("/admin/api/users/{IDENTIFIER}");
    let refused = scene.admin(Method::PATCH, &patch, json!({"nickname": "a", "rank": 1})).await.expect(400);
    assert_eq!(refused.text("field"), "rank");
}

#[tokio::test]
async fn clients_and_apis_are_shown_a_page_at_a_time() {
    let scene = Scene::new().await;
    for (list, ids) in [
        ("clients", vec!["fixed", "refresh", "rolling", "service", "spa", "stranger", "web"]),
        ("apis", vec!["demo-api", "other-api"]),
    ] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let at = format!("/admin/api/{list}?limit=1{cursor}");
            let page = scene.admin(Method::GET, &at, json!({})).await.expect(200).body;
            seen.extend(page[list].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()));
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, ids);
    }
}

#[tokio::test]
async fn what_doctor_says_of_the_store_is_true_of_either() {
    let scene = Scene::new().await;
    let checks = scene.admin(Method::GET, "/admin/api/checks", json!({})).await.expect(200).body["checks"].take();
    let store = &checks[0];
    let word = if scene.app.settings.database.is_some() { "PostgreSQL 1" } else { "the data file is whole" };
    assert_eq!((&store["check"], &store["grade"]), (&json!("store"), &json!("ok")), "{checks}");
    assert!(store["found"].as_str().unwrap().contains(word), "{store}");
}

#[tokio::test]
async fn a_limit_out_of_range_is_refused_with_the_range() {
    let scene = Scene::new().await;
    let chief = Administrator::new(&scene, "chief", EVERYTHING, &[]).await;
    for list in ["/users", "/sessions", "/audit", "/clients", "/apis"] {
        for limit in ["0", "1001"] {
            let refused = chief.get(&scene, &format!("{list}?limit={limit}")).await.expect(400);
            assert_eq!(refused.text("field"), "limit");
            assert!(refused.text("error_description").contains("1 to 1000"), "{refused:?}");
        }
        for (wrong, field) in [
            ("limit=-1", "limit"),
            ("limit=x", "limit"),
            ("limit=1&nonsense=1", "nonsense"),
            ("limit=1&limit=2", "limit"),
        ] {
            let refused = chief.get(&scene, &format!("{list}?{wrong}")).await.expect(400);
            assert_eq!(refused.text("field"), field, "{list}?{wrong}");
        }
    }
}

#[tokio::test]
async fn sessions_and_users_are_found_by_what_they_are() {
    let scene = Scene::new().await;
    let chief = Administrator::new(&scene, "chief", EVERYTHING, &[]).await;
    users(&scene, 2).await;
    for client in ["rolling", "rolling", "refresh"] {
        scene.login(client).await.expect(200);
    }
    let count = |reply: Reply, list: &str| reply.body[list].as_array().unwrap().len();
    let sessions =
        async |query: &str| count(chief.get(&scene, &format!("/sessions?{query}")).await.expect(200), "sessions");
    assert_eq!(sessions("user=ada@example.test").await, 3);
    assert_eq!(sessions("client_id=refresh").await, 1);
    assert_eq!(sessions("client_id=rolling&user=user00").await, 0);
    scene.admin(Method::POST, "/admin/api/users/user00/disable", json!({})).await.expect(200);
    assert_eq!(count(chief.get(&scene, "/users?status=disabled").await.expect(200), "users"), 1);
    assert_eq!(count(chief.get(&scene, "/users?identifier=user0&status=active").await.expect(200), "users"), 1);
    assert_eq!(count(chief.get(&scene, "/users?identifier=user00%40example.test").await.expect(200), "users"), 1);
    assert_eq!(count(chief.get(&scene, "/users?identifier=%25").await.expect(200), "users"), 0, "no pattern");
    chief.get(&scene, "/users?status=deleted").await.expect(400);
    chief.get(&scene, "/sessions?user=nobody").await.expect(404);
}

#[tokio::test]
async fn a_mapping_is_tried_on_a_user_and_nothing_changes() {
    let scene = Scene::new().await;
    let chief = Administrator::new(&scene, "chief", EVERYTHING, &[]).await;
    let before = chief.get(&scene, "/clients/rolling").await.body;
    let trial =
        json!({"user": IDENTIFIER, "mapping": {"title": "role", "phone": {"from": "payout", "absent": "null"}}});
    let shown = chief.send(&scene, Method::POST, "/clients/rolling/mapping/preview", trial).await.expect(200).body;
    assert_eq!(
        (shown["before"]["nickname"].as_str(), shown["before"]["role"].as_str()),
        (Some("ada"), Some("engineer"))
    );
    assert_eq!((shown["after"]["title"].as_str(), shown["after"]["phone"].is_null()), (Some("engineer"), true));
    assert!(shown["after"].get("nickname").is_none() && shown["fits"] == json!(true), "{shown}");
    assert_eq!(shown["after"]["pv"].as_i64().unwrap(), shown["before"]["pv"].as_i64().unwrap() + 1);
    for (mapping, word) in
        [(json!({"sub": "role"}), "reserved"), (json!({"x": "shoe_size"}), "not declared"), (json!(7), "mapping")]
    {
        let trial = json!({"user": IDENTIFIER, "mapping": mapping});
        let refused = chief.send(&scene, Method::POST, "/clients/rolling/mapping/preview", trial).await.expect(400);
        assert!(refused.text("error_description").contains(word), "{refused:?}");
    }
    let large = json!({"nickname": "x".repeat(2900)});
    chief.send(&scene, Method::PATCH, "/users/ada@example.test", large).await.expect(200);
    let trial = json!({"user": IDENTIFIER, "mapping": {"a": "nickname"}});
    let shown = chief.send(&scene, Method::POST, "/clients/rolling/mapping/preview", trial).await.expect(200).body;
    assert_eq!(shown["fits"], json!(false));
    assert_eq!(chief.get(&scene, "/clients/rolling").await.body, before);
}

#[tokio::test]
async fn a_patch_answers_the_record_and_refuses_what_is_not_declared_by_name() {
    let scene = Scene::new().await;
    let chief = Administrator::new(&scene, "chief", EVERYTHING, &[]).await;
    let path = format!("/users/{}", scene.ada);
    let patched = chief.send(&scene, Method::PATCH, &path, json!({"role": "chief"})).await.expect(200);
    assert_eq!((patched.body["cv"].as_u64(), patched.body["attributes"]["role"].as_str()), (Some(2), Some("chief")));
    for member in ["shoe_size", "cv", "id", "status", "password", "__proto__"] {
        let refused = chief.send(&scene, Method::PATCH, &path, json!({ member: "x" })).await.expect(400);
        assert!(refused.text("error_description").contains(member), "{refused:?}");
    }
}

#[tokio::test]
async fn the_description_names_every_endpoint_with_what_it_needs_and_nothing_that_is_not_there() {
    let scene = Scene::new().await;
    let document = scene.bare(Method::GET, "/admin/api/openapi.json", None).await.expect(200).body;
    assert_eq!((document["openapi"].as_str(), document["servers"][0]["url"].as_str()), (Some("3.1.0"), Some(ISSUER)));
    let paths = document["paths"].as_object().unwrap();
    let said = |method: &Method, path: &str| paths[path][method.as_str().to_ascii_lowercase()].clone();
    for Endpoint { method, path, needs, .. } in endpoints() {
        let operation = said(&method, &format!("/admin/api{path}"));
        let scopes: Vec<_> = needs.iter().map(|scope| scope.as_str()).collect();
        assert_eq!(operation["security"], json!([{ "administrator": scopes }]), "{method} {path}");
    }
    let mut ids = Vec::new();
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().unwrap() {
            ids.push(operation["operationId"].to_string());
            let path = path.replace("{user}", "x").replace("{sid}", "x").replace("{id}", "x");
            let path = path.replace("{name}", "x").replace("{kid}", "x");
            let method: Method = method.to_ascii_uppercase().parse().unwrap();
            let answered = scene.json(method.clone(), &path, None, json!({})).await;
            assert!(![404, 405].contains(&answered.status.as_u16()), "{method} {path}: {answered:?}");
        }
    }
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "each has an id of its own");
    references(&document, &document);
}

/// Every reference leads to a shape.
fn references(document: &Value, part: &Value) {
    match part {
        Value::Object(members) => {
            if let Some(to) = members.get("$ref").and_then(Value::as_str) {
                assert!(document.pointer(&to[1..]).is_some(), "{to}");
            }
            members.values().for_each(|member| references(document, member));
        }
        Value::Array(items) => items.iter().for_each(|item| references(document, item)),
        _ => {}
    }
}

#[tokio::test]
async fn a_character_that_a_database_cannot_keep_is_nobodys_name_and_no_failure() {
    let scene = Scene::new().await;
    let user = format!("/admin/api/users/{}", scene.ada);
    let asked = [
        "users?identifier=a%00",
        "users/a%00",
        "sessions?user=a%00",
        "sessions?client_id=a%00",
        "sessions/a%00",
        "audit?actor=a%00",
        "audit?target=a%00",
        "audit?act=a%00",
        "attributes/a%00",
        "apis/a%00",
        "clients/a%00",
        "senders/a%00",
    ];
    for path in asked {
        let reply = scene.admin(Method::GET, &format!("/admin/api/{path}"), Value::Null).await;
        assert!([200, 400, 404].contains(&reply.status.as_u16()), "{path}: {reply:?}");
    }
    let written = [
        (Method::POST, "/admin/api/users".to_owned(), json!({"identifiers": ["a\0"]})),
        (Method::POST, "/admin/api/users".to_owned(), json!({"external_id": "a\0"})),
        (Method::POST, "/admin/api/users?reason=a%00".to_owned(), json!({"identifiers": ["eve@example.test"]})),
        (Method::PATCH, user, json!({"nickname": "a\0"})),
        (Method::POST, "/admin/api/attributes".to_owned(), json!({"name": "a\0", "type": "string"})),
        (Method::POST, "/admin/api/clients".to_owned(), json!({"id": "a", "name": "a\0", "policy": "rolling"})),
        (Method::POST, "/admin/api/apis".to_owned(), json!({"id": "a", "audience": "a\0"})),
        (Method::DELETE, "/admin/api/keys/a%00".to_owned(), Value::Null),
    ];
    for (method, path, body) in written {
        let reply = scene.admin(method, &path, body).await;
        assert!(!reply.status.is_server_error(), "{path}: {reply:?}");
    }
    let typed = json!({"client_id": "rolling", "identifier": "a\0", "password": "no password of anybody"});
    scene.json(Method::POST, "/session", None, typed).await.expect(400);
}
