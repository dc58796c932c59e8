//! `GET /feed`: the ordered stream of what an api must know, by the credential of that api and for its audience only;
//! it ends when that credential is changed. No CORS: it is not for pages.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use remint_core::event::Cursor;
use remint_core::feed::{self, Hello};
use std::convert::Infallible;
use std::time::Duration;

use crate::app::App;
use crate::feed::Terms;
use crate::http::caller::Caller;
use crate::http::credentials::Credentials;
use crate::http::error::OAuthError;
use crate::meters::Following;

/// Server-sent events ([`remint_core::feed`]); resumes at `Last-Event-ID` where that lies in this history.
pub async fn follow(State(app): State<App>, caller: Caller, headers: HeaderMap) -> Result<Response, OAuthError> {
    let api = Credentials::api(&app, &caller, &headers).await?;
    let last: Option<Cursor> =
        headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let terms =
        Terms { api: (api.id.clone(), api.rev), audience: api.audience.clone(), heartbeat: app.settings.heartbeat };
    let follower = app.hub.follow(terms, last, hello(&app, api.audience.as_str()), app.clock.now()).await?;
    let frames = stream::unfold((follower, Following::begin()), |(mut follower, counted)| async move {
        follower.next().await.map(|frame| (Ok::<_, Infallible>(frame), (follower, counted)))
    });
    let frames = frames.take_until(Box::pin(app.drain.begun()));
    let headers = [(CONTENT_TYPE, feed::CONTENT_TYPE), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(frames)).into_response())
}

fn hello(app: &App, audience: &str) -> Hello {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let settings = &app.settings;
    Hello {
        issuer: settings.issuer.as_str().to_owned(),
        audience: audience.to_owned(),
        client_timeout_ms: millis(settings.client_timeout),
        server_deadline_ms: millis(settings.timing.server_deadline),
        leeway_ms: millis(settings.leeway),
        heartbeat_ms: millis(settings.heartbeat),
        resumed: false,
        cursor: app.hub.newest(),
    }
}
