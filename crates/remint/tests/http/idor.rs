//! Somebody else's id in every path that takes one: answered like an id that nobody has, byte for byte, and nothing
//! happens to what it names.

use http::Method;
use remint::http::admin::{Endpoint, endpoints};
use serde_json::json;

use crate::admin::Administrator;
use crate::scene::{Reply, Scene};

const NOBODY: &str = "AAAAAAAAAAAAAAAAAAAAAA";

fn seen(reply: &Reply) -> (u16, String, String) {
    let kind = reply.header("content-type").to_owned();
    (reply.status.as_u16(), kind, reply.body.to_string())
}

#[tokio::test]
async fn an_id_of_another_person_is_answered_like_none() {
    let scene = Scene::new().await;
    let new = json!({"identifiers": ["eve"], "password": "a long password of eve"});
    let eve = scene.admin(Method::POST, "/admin/api/users", new).await.expect(201).text("id");
    let login = json!({"client_id": "rolling", "identifier": "eve", "password": "a long password of eve"});
    let mallory = scene.json(Method::POST, "/session", None, login).await.expect(200).text("account_token");
    let ada = scene.login("rolling").await.expect(200);
    let sid = ada.claims()["sid"].as_str().unwrap().to_owned();
    let theirs = [sid.as_str(), &scene.ada.to_string(), &eve, "rolling", "demo-api"];
    for other in theirs {
        for method in [Method::DELETE, Method::GET, Method::PATCH, Method::POST] {
            let ask = async |id: &str| scene.bare(method.clone(), &format!("/sessions/{id}"), Some(&mallory)).await;
            let (foreign, none) = (ask(other).await, ask(NOBODY).await);
            assert_eq!(seen(&foreign), seen(&none), "{method} {other}");
            assert!(!foreign.status.is_success(), "{method} {other}: {foreign:?}");
        }
    }
    scene.bare(Method::GET, "/session", Some(&ada.text("account_token"))).await.expect(200);
    let listed = scene.bare(Method::GET, "/sessions", Some(&mallory)).await.expect(200);
    assert!(!listed.body.to_string().contains(&sid), "{listed:?}");
}

#[tokio::test]
async fn an_id_of_another_kind_is_nothing_to_administration() {
    let scene = Scene::new().await;
    let scopes = "remint:users:read remint:users:write remint:clients remint:sessions remint:keys";
    let chief = Administrator::new(&scene, "chief", scopes, &[]).await;
    let sid = scene.login("rolling").await.expect(200).claims()["sid"].as_str().unwrap().to_owned();
    let (ada, kid) = (scene.ada.to_string(), scene.app.keyring.list()[0].kid.clone());
    let mut asked = 0;
    for Endpoint { method, path, .. } in endpoints().into_iter().filter(|endpoint| endpoint.path.contains('{')) {
        let (name, ids) = match path {
            _ if path.starts_with("/users/") => ("{user}", vec![sid.as_str(), "rolling", "demo-api", &kid]),
            _ if path.starts_with("/sessions/") => ("{sid}", vec![ada.as_str(), "rolling", "demo-api", &kid]),
            _ if path.starts_with("/clients/") => ("{id}", vec![ada.as_str(), &sid, "demo-api"]),
            _ if path.starts_with("/apis/") => ("{id}", vec![ada.as_str(), &sid, "rolling"]),
            _ if path.starts_with("/keys/") => ("{kid}", vec![ada.as_str(), &sid, "rolling"]),
            _ => ("{name}", vec![ada.as_str(), "rolling", "%00", "%ff", "..%2fusers"]),
        };
        let body = match path {
            _ if path.ends_with("/password") => json!({"password": "a long password"}),
            _ if path.ends_with("/mapping/preview") => json!({"user": ada, "mapping": {}}),
            _ => json!({}),
        };
        for id in ids {
            let path = format!("/admin/api{}", path.replace(name, id));
            let answered = scene.json(method.clone(), &path, Some(&chief.token), body.clone()).await;
            assert_eq!(answered.status, 404, "{method} {path}: {answered:?}");
            asked += 1;
        }
    }
    assert!(asked > 90, "{asked}");
}
