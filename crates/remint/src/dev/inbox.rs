//! `/dev/inbox`: the messages that a real server would send to phones, for whoever is at this machine to read. Does not
//! exist in `serve`; stands behind dev's guard against DNS rebinding, and no page of another origin can read it.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CACHE_CONTROL;
use serde_json::{Value, json};

use super::front::{HEADERS, STYLE, escaped};
use crate::app::App;
use crate::message::{Inbox, Letter};

/// The page, and the same for programs.
pub(super) fn router(app: &App) -> Router {
    let Some(inbox) = app.outbox.inbox().cloned() else { return Router::new() };
    let for_programs = inbox.clone();
    Router::new()
        .route("/dev/inbox", get(move || async move { (HEADERS, page(&inbox.letters())) }))
        .route("/dev/inbox.json", get(move || async move { listed(&for_programs) }))
}

fn listed(inbox: &Inbox) -> Response {
    let all: Vec<Value> = inbox.letters().iter().map(letter).collect();
    ([(CACHE_CONTROL, "no-store")], axum::Json(json!({ "messages": all }))).into_response()
}

fn letter(letter: &Letter) -> Value {
    let message = &letter.message;
    json!({
        "id": message.id,
        "at": message.at.secs(),
        "to": message.to.as_str(),
        "kind": message.content.kind(),
        "code": letter.code(),
        "text": letter.text,
    })
}

fn page(letters: &[Letter]) -> String {
    let rows: String = letters
        .iter()
        .map(|letter| {
            let (to, text) = (escaped(letter.message.to.as_str()), escaped(&letter.text));
            format!("<tr><td><code>{to}</code></td><td>{text}</td></tr>")
        })
        .collect();
    let table = if rows.is_empty() {
        "<p>Nothing was sent yet.</p>".to_owned()
    } else {
        format!(
            "<table><thead><tr><th scope=\"col\">to</th><th scope=\"col\">message</th></tr></thead><tbody>{rows}</tbody></table>"
        )
    };
    format!(
        r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Inbox · Remint dev</title>
<style>{STYLE}</style></head><body><main><h1>Inbox</h1>
<p>What a real server would send to phones, the newest first. It stays in the memory of <code>remint dev</code>.</p>
{table}
<p><a href="/dev/inbox.json">The same for programs</a>, <a href="/">back</a></p>
</main></body></html>
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Content, Message, Sender as _};
    use remint_core::code::Code;
    use remint_core::time::Timestamp;

    #[tokio::test]
    async fn a_message_is_shown_to_people_and_to_programs() {
        let inbox = Inbox::new("<localhost>:7070".into());
        assert!(page(&inbox.letters()).contains("Nothing was sent yet"));
        let code = Code::from_random([7; 16]);
        let message = Message {
            id: "m1".into(),
            to: "+12025550123".parse().unwrap(),
            content: Content::Code(code.clone()),
            at: Timestamp::from_secs(9),
        };
        inbox.send(&message).await.unwrap();
        let shown = page(&inbox.letters());
        assert!(shown.contains(code.reveal()) && shown.contains("&lt;localhost&gt;"), "{shown}");
        let listed = letter(&inbox.letters()[0]);
        assert_eq!((&listed["code"], &listed["to"]), (&json!(code.reveal()), &json!("+12025550123")));
    }
}
