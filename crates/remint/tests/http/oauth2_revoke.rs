//! `/oauth2/revoke` (RFC 7009).

use http::Method;

use crate::scene::Scene;

async fn revoke(scene: &Scene, client: &str, token: &str) -> crate::scene::Reply {
    scene.form("/oauth2/revoke", &[("client_id", client), ("token", token)]).await
}

#[tokio::test]
async fn revoking_a_refresh_token_ends_its_session_whichever_generation_it_is() {
    let scene = Scene::new().await;
    let first = scene.login("refresh").await;
    revoke(&scene, "refresh", &first.text("refresh_token")).await.expect(200);
    revoke(&scene, "refresh", &first.text("refresh_token")).await.expect(200);
    let refused = scene.refresh("refresh", &first.text("refresh_token")).await.expect(400);
    assert_eq!(refused.body["error_description"], "session ended: revoked");
}

#[tokio::test]
async fn revoking_an_access_token_ends_its_session() {
    let scene = Scene::new().await;
    let first = scene.login("rolling").await;
    revoke(&scene, "rolling", &first.text("access_token")).await.expect(200);
    scene.bare(Method::GET, "/session", Some(&first.text("account_token"))).await.expect(401);
}

#[tokio::test]
async fn a_token_that_is_not_ours_changes_nothing_and_is_answered_alike() {
    let scene = Scene::new().await;
    let first = scene.login("refresh").await.text("refresh_token");
    let mut forged = first.clone();
    let last = if forged.pop() == Some('A') { 'E' } else { 'A' };
    forged.push(last);
    for foreign in ["x", "a.b.c", &forged, &first[..first.len() - 1]] {
        revoke(&scene, "refresh", foreign).await.expect(200);
    }
    scene.refresh("refresh", &first).await.expect(200);
}

#[tokio::test]
async fn a_token_of_another_client_is_not_ended_and_its_holder_hears_so() {
    let scene = Scene::new().await;
    let first = scene.login("refresh").await;
    for token in ["refresh_token", "access_token"] {
        let refused = revoke(&scene, "stranger", &first.text(token)).await.expect(400);
        assert_eq!(refused.body["error"], "invalid_grant");
    }
    scene.refresh("refresh", &first.text("refresh_token")).await.expect(200);
}
