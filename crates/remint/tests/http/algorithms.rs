//! Apis that take another algorithm than ES256, and what an api may not be called.

use base64::Engine as _;
use http::Method;
use remint::app::{App, StartError};
use remint::clock::Clock;
use remint::entropy::Entropy;
use remint::keyring::MasterKey;
use remint::settings::Settings;
use remint_core::change::{Changes, Row};
use remint_core::claims::Expected;
use remint_core::jwk::Algorithm;
use remint_core::jwks::Jwks;
use serde_json::{Value, json};

use crate::scene::{IDENTIFIER, ISSUER, PASSWORD, Reply, Scene, api};

fn header(token: &str) -> Value {
    let first = token.split('.').next().unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(first).unwrap()).unwrap()
}

async fn login_for(scene: &Scene, resource: &str) -> Reply {
    let body = json!({"client_id": "fixed", "identifier": IDENTIFIER, "password": PASSWORD, "resource": resource});
    scene.json(Method::POST, "/session", None, body).await
}

#[tokio::test]
async fn an_api_gets_tokens_of_the_algorithm_that_it_takes_and_the_published_keys_verify_them() {
    let scene = Scene::new().await;
    for (name, algorithm) in [("EdDSA", Algorithm::EdDsa), ("RS256", Algorithm::Rs256)] {
        let audience = format!("{}-api", name.to_lowercase());
        assert!(scene.app.keyring.signer(algorithm).is_none(), "{name}: no key before an api asks for it");
        let body = json!({"id": audience, "audience": audience, "scopes": "read write", "algorithm": name});
        scene.admin(Method::POST, "/admin/api/apis", body).await.expect(201);
        assert!(scene.app.keyring.signer(algorithm).is_some());
        scene
            .admin(Method::PATCH, "/admin/api/clients/fixed", json!({"apis": ["demo-api", audience]}))
            .await
            .expect(200);

        let token = login_for(&scene, &audience).await.expect(200).text("access_token");
        assert_eq!(header(&token)["alg"], json!(name));
        let published = scene.bare(Method::GET, "/oauth2/jwks", None).await.expect(200).body;
        let published = Jwks::parse(published.to_string().as_bytes()).unwrap();
        let audiences = [audience];
        let claims = Expected::new(ISSUER, &audiences).unwrap().accept(&token, &published, scene.clock.now());
        assert!(claims.is_ok(), "{name}: {claims:?}");
        let others = published.keys().iter().filter(|key| !key.serves(algorithm)).cloned();
        let others = Jwks::of(others).unwrap();
        assert!(Expected::new(ISSUER, &audiences).unwrap().accept(&token, &others, scene.clock.now()).is_err());
    }
    let token = login_for(&scene, "demo-api").await.expect(200).text("access_token");
    assert_eq!(header(&token)["alg"], json!("ES256"), "what others take changes nothing for this api");
}

#[tokio::test]
async fn no_api_is_called_what_the_issuer_is_called() {
    let scene = Scene::new().await;
    let reply =
        scene.admin(Method::POST, "/admin/api/apis", json!({"id": "sly", "audience": ISSUER})).await.expect(400);
    assert_eq!(reply.text("field"), "audience");

    // The public URL is changed to what an api is called already.
    let taken = "https://orders.example.test";
    let orders = remint_core::client::Api { audience: taken.parse().unwrap(), ..api("orders") };
    scene.commit(Changes::none().write(Row::Api(orders))).await;
    scene.app.store.clone().close().await;
    let settings = Settings {
        database: scene.app.settings.database.clone(),
        ..Settings::new(taken.parse().unwrap(), scene.folder.path().to_owned())
    };
    let master: MasterKey = crate::scene::MASTER_KEY.parse().unwrap();
    let opened = App::open(settings, master, Clock::manual(scene.clock.now()), Entropy::system()).await;
    assert!(matches!(opened.err(), Some(StartError::ApiIsIssuer { api, .. }) if api.as_str() == "orders"));
}
