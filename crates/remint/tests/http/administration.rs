//! `/admin/api/...`, as the control socket serves it: what an operator changes, and what is refused.

use axum::body::Body;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::scene::{IDENTIFIER, Scene};

async fn ask(scene: &Scene, method: Method, path: &str, body: Value) -> (u16, Value) {
    let request = Request::builder().method(method).uri(format!("/admin/api{path}"));
    let request = request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap();
    let response = remint::http::admin::router(scene.app.clone()).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_new_password_gives_the_person_their_attempts_back() {
    let scene = Scene::new().await;
    let login = |password: &'static str| {
        let body = json!({"client_id": "rolling", "identifier": IDENTIFIER, "password": password});
        scene.json(Method::POST, "/session", None, body)
    };
    for _ in 0..10 {
        login("guess").await.expect(400);
    }
    login("guess").await.expect(429);
    let set = json!({"password": "difference engine 1822"});
    let (status, answer) = ask(&scene, Method::POST, &format!("/users/{}/password", scene.ada), set).await;
    assert_eq!(status, 200, "{answer}");
    login("difference engine 1822").await.expect(200);
}

#[tokio::test]
async fn settings_that_would_do_harm_unseen_are_refused_with_what_to_do() {
    let scene = Scene::new().await;
    let create = |change: Value| {
        let mut body = json!({"id": "new", "policy": {"kind": "rolling"}, "apis": ["demo-api"]});
        change.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        ask(&scene, Method::POST, "/clients", body)
    };
    for (change, word) in [
        (json!({"mapping": {"x": "shoe_size"}}), "remint attribute declare shoe_size"),
        (json!({"mapping": {"sub": "role"}}), "reserved"),
        (json!({"apis": ["demo-api", "demo-api"]}), "named twice"),
        (json!({"policy": {"kind": "rolling", "idle": 60}}), "idle"),
        (json!({"transport": "cookie"}), "first-party clients of the policy `refresh`"),
    ] {
        let (status, answer) = create(change.clone()).await;
        assert_eq!(status, 400, "{change}: {answer}");
        assert!(answer.to_string().contains(word), "{change}: {answer}");
    }
    let (status, answer) = ask(&scene, Method::POST, "/clients/rolling/secret", json!({})).await;
    assert_eq!(status, 400, "{answer}");
    assert!(answer.to_string().contains("public client"), "{answer}");
}
