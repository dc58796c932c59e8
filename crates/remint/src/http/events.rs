//! `GET /session/events`: the page's own channel, server-sent events read by fetch. It says that this session ended or
//! that its record changed, and nothing else; it ends when the session does. The number of streams has a bound.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use remint_core::feed;

use crate::app::App;
use crate::feed::Watcher;
use crate::http::error::BearerError;
use crate::http::session::Account;

/// The first event names the version of the record that is now: what happened while no stream was open is not missed.
pub async fn follow(State(app): State<App>, Account(bearer): Account) -> Result<Response, BearerError> {
    let watcher = Watcher::open(&app, bearer).await?;
    let frames = stream::unfold(watcher, |mut watcher| async move {
        watcher.next().await.map(|frame| (Ok::<_, Infallible>(frame), watcher))
    });
    let frames = frames.take_until(Box::pin(app.drain.begun()));
    let headers = [(CONTENT_TYPE, feed::CONTENT_TYPE), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(frames)).into_response())
}
