//! What APIs, pages and backends ask all day, each against a handler on the same core behind the same accept loop that
//! reads as much and answers the same bytes: introspection, the check of a session by its cookie, a client's own token
//! (the floor signs it too), and the keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::child::{Server, free_port};
use crate::load::Load;
use crate::report::title;
use crate::seed::{API, Proof, SERVICE, Seeded, WEB, api_secret};
use crate::turns::turns;
use crate::wire::{Connection, FORM, asking, basic};
use crate::{Fallible, Scale};

/// So many tokens are introspected in turn.
const TOKENS: u64 = 1000;

pub(crate) async fn measure(scale: Scale) -> Fallible<()> {
    title(&format!(
        "calls: {} sessions with a cookie, {} connections, the server on one core; ratio to the floor per processor second",
        scale.sessions, scale.connections
    ));
    let seeded = Arc::new(Seeded::new(scale.sessions, Proof::Cookie).await?);
    let server = Server::remint(seeded.path(), free_port()?, "info").await?;
    let tokens = tokens(&server, &seeded).await?;
    let introspect = in_turn(r#""active":true"#, move |n| {
        let form = format!("token={}", tokens[(n % TOKENS) as usize]);
        asking("POST", "/oauth2/introspect", &basic(API, api_secret().reveal()), Some((FORM, &form)))
    });
    let check = {
        let seeded = Arc::clone(&seeded);
        in_turn(r#""policy":"cookie""#, move |n| {
            let cookie = format!("cookie: __Host-remint-session-{WEB}={}\r\n", seeded.cookie(n));
            asking("GET", "/session", &cookie, None)
        })
    };
    let keys = in_turn(r#""keys""#, |_| asking("GET", "/oauth2/jwks", "", None));
    for (name, load, method) in
        [("introspection", introspect, "POST"), ("check by cookie", check, "GET"), ("keys", keys, "GET")]
    {
        let text = answer(&server, &load).await?;
        let floor = Server::floor(seeded.path(), "", &text).await?;
        let body = (method == "POST").then_some((FORM, "token=a-token"));
        let plain = asking(method, "/text", "", body);
        let plain = Load::of(load.expects(), move || Some(plain.clone()));
        turns((&server, &load), (&floor, &plain), scale).await?.print_briefly(name);
    }
    own_token(&server, &seeded, scale).await
}

/// Requests that go on for ever, by their number.
fn in_turn(expects: &'static str, request: impl Fn(u64) -> String + Send + Sync + 'static) -> Load {
    let number = AtomicU64::new(0);
    Load::of(expects, move || Some(request(number.fetch_add(1, Ordering::Relaxed))))
}

/// Live tokens of as many sessions, as a backend gets them for their cookies.
async fn tokens(server: &Server, seeded: &Seeded) -> Fallible<Vec<String>> {
    let (mut connection, mut tokens) = (Connection::open(server.address).await?, Vec::new());
    for number in 0..TOKENS {
        let body = format!(r#"{{"cookie":"{}"}}"#, seeded.cookie(number));
        let credential = basic(API, api_secret().reveal());
        let request = asking("POST", "/session/exchange", &credential, Some(("json", &body)));
        tokens.push(connection.exchange(request.as_bytes()).await?.member("access_token")?);
    }
    Ok(tokens)
}

/// What the server answers to the next request.
async fn answer(server: &Server, load: &Load) -> Fallible<String> {
    let mut connection = Connection::open(server.address).await?;
    let request = load.next().ok_or("there are no requests")?;
    Ok(String::from_utf8(connection.exchange(request.as_bytes()).await?.body.to_vec())?)
}

/// `client_credentials`: within one quantum it is the same token, which is signed once.
async fn own_token(server: &Server, seeded: &Seeded, scale: Scale) -> Fallible<()> {
    let form = format!("grant_type=client_credentials&client_id={SERVICE}&client_secret={}", api_secret().reveal());
    let request = asking("POST", "/oauth2/token", "", Some((FORM, &form)));
    let load = Load::of(r#""access_token""#, move || Some(request.clone()));
    let text: serde_json::Value = serde_json::from_str(&answer(server, &load).await?)?;
    let payload = text["access_token"].as_str().and_then(|token| token.split('.').nth(1)).ok_or("no token")?;
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(payload)?)?;
    let floor = Server::floor(seeded.path(), &claims, "").await?;
    turns((server, &load), (&floor, &load), scale).await?.print_briefly("client_credentials");
    Ok(())
}
