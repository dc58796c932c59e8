//! `GET /sdk/<version>/<file>`: the browser library as it stands in the repository.

use std::path::Path;

use axum::body::Body;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use remint::http::sdk::{FILES, VERSION};
use tower::ServiceExt as _;

use crate::scene::Scene;

async fn bytes(scene: &Scene, path: &str) -> Vec<u8> {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let answer = scene.router.clone().oneshot(request).await.unwrap();
    answer.into_body().collect().await.unwrap().to_bytes().to_vec()
}

#[tokio::test]
async fn every_module_of_the_library_is_served_byte_for_byte_under_its_version() {
    let scene = Scene::new().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/browser");
    let names: Vec<String> =
        folder.read_dir().unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let modules: Vec<&String> = names.iter().filter(|name| name.ends_with(".js")).collect();
    assert_eq!(modules.len(), FILES.len(), "{modules:?}");
    for name in modules {
        let path = format!("/sdk/{VERSION}/{name}");
        let head = scene.bare(Method::GET, &path, None).await.expect(200);
        assert_eq!(head.header("content-type"), "text/javascript; charset=utf-8");
        assert_eq!(head.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(head.header("access-control-allow-origin"), "*");
        assert_eq!(bytes(&scene, &path).await, std::fs::read(folder.join(name)).unwrap(), "{name}");
    }
}

#[tokio::test]
async fn whoever_has_a_module_is_not_sent_it_again() {
    let scene = Scene::new().await;
    let path = format!("/sdk/{VERSION}/index.js");
    let tag = scene.bare(Method::GET, &path, None).await.header("etag").to_owned();
    let again = |tag: &str| Request::get(&path).header("if-none-match", tag).body(Body::empty()).unwrap();
    let known = scene.send(again(&tag)).await.expect(304);
    assert_eq!(known.header("etag"), tag);
    scene.send(again("\"another\"")).await.expect(200);
}

#[tokio::test]
async fn another_version_another_file_and_what_lies_beside_are_not_there() {
    let scene = Scene::new().await;
    for path in [
        "/sdk/0.0.0/index.js".to_owned(),
        format!("/sdk/{VERSION}/package.json"),
        format!("/sdk/{VERSION}/..%2findex.js"),
        format!("/sdk/{VERSION}/"),
        "/play".to_owned(),
        "/dev/facts.json".to_owned(),
    ] {
        scene.bare(Method::GET, &path, None).await.expect(404);
    }
}
