//! Which pages may speak to which client (DESIGN: a browser request must come from the issuer or one of the client's
//! origins), and CORS for exactly that origin. The preflight knows no client: any client's origin passes it, the
//! request itself is checked against its own. Never sends a wildcard, never reflects an unknown origin.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderName, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use remint_core::client::{Client, Origin};
use remint_core::refusal::Refusal;
use remint_core::time::Timestamp;

use crate::app::App;
use crate::store::Clients;

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a page must be able to read.
const EXPOSED: &str = "Remint-Token, Remint-Renew, WWW-Authenticate, Retry-After";
const METHODS: &str = "GET, POST, PATCH, DELETE";
const HEADERS: &str = "Authorization, Content-Type, Remint-Client";

/// Whether a page's request comes from a page that the client owns. Without the headers of a browser there is no page.
pub fn check(headers: &HeaderMap, app: &App, client: &Client) -> Result<(), Refusal> {
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (Some(origin), None) => {
            let origin = origin.to_str().ok().and_then(|text| text.parse::<Origin>().ok());
            let owned = |origin: &Origin| origin == app.settings.issuer.origin() || client.origins.contains(origin);
            origin.filter(owned).map(drop).ok_or(Refusal::ForeignOrigin)
        }
        (None, _) => match headers.get(&SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
            None | Some(b"same-origin" | b"none") => Ok(()),
            Some(_) => Err(Refusal::ForeignOrigin),
        },
        (Some(_), Some(_)) => Err(Refusal::ForeignOrigin),
    }
}

/// The same for a request that a cookie speaks for, which a browser sends along by itself: what changes something must
/// say from which page it comes. A browser does; without these headers a bearer token is taken, a cookie is not.
pub fn check_cookie(headers: &HeaderMap, method: &Method, app: &App, client: &Client) -> Result<(), Refusal> {
    check(headers, app, client)?;
    let same_origin = || headers.get(&SEC_FETCH_SITE).is_some_and(|site| site.as_bytes() == b"same-origin");
    if method.is_safe() || headers.contains_key(ORIGIN) || same_origin() {
        return Ok(());
    }
    Err(Refusal::UnknownOrigin)
}

/// Answers preflights, and lets known origins read answers.
pub async fn cors(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(origin) = request.headers().get(ORIGIN).cloned() else {
        let mut response = next.run(request).await;
        response.headers_mut().append(VARY, HeaderValue::from_static("Origin"));
        return response;
    };
    let known = known(&app, &origin).await;
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight { preflighted(known.is_some()) } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(page) = known {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        if page == Page::WithCookies {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
    response
}

fn preflighted(known: bool) -> Response {
    if !known {
        return StatusCode::FORBIDDEN.into_response();
    }
    let allowed = [
        (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS)),
        (ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS)),
        (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600")),
    ];
    (StatusCode::NO_CONTENT, allowed).into_response()
}

/// What a known page may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Page {
    /// Read answers.
    WithTokens,
    /// Send cookies too: a client of it has some.
    WithCookies,
}

/// Whether it is the issuer's origin or any client's. A store that does not answer lets nobody read.
async fn known(app: &App, origin: &HeaderValue) -> Option<Page> {
    let origin = origin.to_str().ok()?.parse::<Origin>().ok()?;
    let own = (origin == *app.settings.issuer.origin()).then_some(Page::WithTokens);
    app.origins.of_clients(app).await.get(&origin).copied().or(own)
}

/// The origins of all clients, read once a second at most: a flood of requests from pages asks the store no more often.
/// What this node changes counts at once, what another one changes within that second.
#[derive(Debug, Default)]
pub struct KnownOrigins {
    read: ArcSwapOption<Read>,
    changes: AtomicU64,
}

#[derive(Debug)]
struct Read {
    at: Timestamp,
    /// How many changes there had been before.
    changes: u64,
    pages: Arc<Pages>,
}

type Pages = BTreeMap<Origin, Page>;

const READ_EVERY: Duration = Duration::from_secs(1);

impl KnownOrigins {
    /// A client was changed here.
    pub fn forget(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    async fn of_clients(&self, app: &App) -> Arc<Pages> {
        let (now, changes) = (app.clock.now(), self.changes.load(Ordering::SeqCst));
        let good = |read: &Arc<Read>| read.changes == changes && now.since(read.at) < READ_EVERY && now >= read.at;
        if let Some(read) = self.read.load_full().filter(good) {
            return Arc::clone(&read.pages);
        }
        let clients = app.store.read(Clients).await.unwrap_or_default();
        let mut pages = Pages::new();
        for client in clients.iter().filter(|client| !client.disabled) {
            let page = if client.has_cookies() { Page::WithCookies } else { Page::WithTokens };
            for origin in &client.origins {
                pages.entry(origin.clone()).and_modify(|known| *known = page.max(*known)).or_insert(page);
            }
        }
        let pages = Arc::new(pages);
        self.read.store(Some(Arc::new(Read { at: now, changes, pages: Arc::clone(&pages) })));
        pages
    }
}
