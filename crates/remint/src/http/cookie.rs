//! Cookies: their names, their attributes, and which of those that a browser sends speaks for the page that asks. All
//! are `__Host-` cookies (RFC 6265bis section 4.1.3.2): of this host alone, over TLS, out of reach of scripts. Where two
//! of one name arrive, one was tossed in from elsewhere and nothing is decided. Never logs a value, never guesses.

use std::fmt;
use std::time::Duration;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use remint_core::client::{Client, Transport};
use remint_core::cookie::SessionCookie;
use remint_core::id::ClientId;
use remint_core::policy::Policy;
use remint_core::refusal::Refusal;

use crate::app::App;
use crate::failure::{BadRequest, Failure};
use crate::grant::issue::{Carried, Proof};
use crate::http::origin;
use crate::store::ClientById;

/// By which a page says whose cookie is meant, where its origin belongs to several clients.
static REMINT_CLIENT: HeaderName = HeaderName::from_static("remint-client");

/// The kinds of cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jar {
    /// The session of a client of the cookie policy.
    Session,
    /// The refresh token of a client whose transport is a cookie.
    Refresh,
}

impl Jar {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Session => "__Host-remint-session-",
            Self::Refresh => "__Host-remint-rt-",
        }
    }

    /// A session cookie comes along when a person follows a link to the gateway; a refresh token has no business there.
    const fn same_site(self) -> &'static str {
        match self {
            Self::Session => "Lax",
            Self::Refresh => "Strict",
        }
    }

    /// Whether the client, as it is set now, has such cookies.
    const fn is_of(self, client: &Client) -> bool {
        match self {
            Self::Session => matches!(client.policy, Policy::Cookie { .. }),
            Self::Refresh => matches!(client.transport, Transport::Cookie),
        }
    }

    /// The name of a client's cookie.
    pub fn name(self, client: &ClientId) -> String {
        format!("{}{client}", self.prefix())
    }
}

/// A cookie that a browser sent. Its value cannot be printed.
#[derive(Clone)]
pub struct Presented {
    /// Of which kind.
    pub jar: Jar,
    /// Of which client, by its name.
    pub client: ClientId,
    value: String,
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented({}..)", self.jar.name(&self.client))
    }
}

impl Presented {
    /// The value, to be parsed.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The value as a session cookie.
    pub fn session(&self) -> Result<SessionCookie, Refusal> {
        self.value.parse().map_err(|_| Refusal::BadCookie)
    }

    fn repeated(&self) -> BadRequest {
        BadRequest::Repeated(self.jar.name(&self.client))
    }
}

/// All cookies of these kinds, in whatever number of headers they came (RFC 9113 section 8.2.3).
fn all(headers: &HeaderMap, jars: &[Jar]) -> Vec<Presented> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let texts = pairs.filter_map(|pair| std::str::from_utf8(pair.trim_ascii()).ok());
    let ours = texts.filter_map(|text| {
        let (name, value) = text.split_once('=')?;
        let jar = jars.iter().copied().find(|jar| name.starts_with(jar.prefix()))?;
        let client = name[jar.prefix().len()..].parse().ok()?;
        Some(Presented { jar, client, value: value.to_owned() })
    });
    ours.collect()
}

/// The one cookie of the client of this kind.
pub fn of_client(headers: &HeaderMap, jar: Jar, client: &ClientId) -> Result<Option<Presented>, BadRequest> {
    one(all(headers, &[jar]).into_iter().filter(|cookie| cookie.client == *client))
}

/// The only one that there is; two of one name are refused, and of two names nobody says which is meant.
fn one(cookies: impl IntoIterator<Item = Presented>) -> Result<Option<Presented>, BadRequest> {
    let mut cookies = cookies.into_iter();
    match (cookies.next(), cookies.next()) {
        (first, None) => Ok(first),
        (Some(first), Some(second)) if first.jar == second.jar && first.client == second.client => {
            Err(first.repeated())
        }
        (_, Some(_)) => Err(BadRequest::SeveralCookies),
    }
}

/// The cookie that speaks for the page that asks: of a client whose page it is, under the origin rules. `None` where no
/// cookie of these kinds came.
pub async fn speaking(
    app: &App,
    headers: &HeaderMap,
    method: &Method,
    jars: &[Jar],
) -> Result<Option<Presented>, Failure> {
    let named: Option<ClientId> = headers.get(&REMINT_CLIENT).map(named).transpose()?;
    let (mut own, mut refused) = (Vec::new(), None);
    for cookie in all(headers, jars) {
        if named.as_ref().is_some_and(|named| *named != cookie.client) {
            continue;
        }
        let client = app.store.read(ClientById(cookie.client.clone())).await?;
        match client.filter(|client| cookie.jar.is_of(client)) {
            None => refused = refused.or(Some(Refusal::BadCookie)),
            Some(client) => match origin::check_cookie(headers, method, app, &client) {
                Ok(()) => own.push(cookie),
                Err(refusal) => refused = Some(refusal),
            },
        }
    }
    match (one(own)?, refused) {
        (None, Some(refusal)) => Err(refusal.into()),
        (own, _) => Ok(own),
    }
}

fn named(value: &HeaderValue) -> Result<ClientId, BadRequest> {
    let invalid = BadRequest::Invalid { name: "Remint-Client", why: "must be the `client_id` of a client" };
    value.to_str().ok().and_then(|text| text.parse().ok()).ok_or(invalid)
}

/// Adds the cookie that an answer carries.
pub fn set(headers: &mut HeaderMap, carried: &Carried) {
    let jar = match &carried.proof {
        Proof::Session(_) => Jar::Session,
        Proof::Refresh(_) => Jar::Refresh,
    };
    append(headers, jar, &carried.client, &carried.proof.reveal(), carried.lasts);
}

/// Takes the client's cookies away, by the attributes that they were set with. Only a log-out does.
pub fn clear(headers: &mut HeaderMap, client: &Client) {
    for jar in [Jar::Session, Jar::Refresh].into_iter().filter(|jar| jar.is_of(client)) {
        append(headers, jar, &client.id, "", Duration::ZERO);
    }
}

fn append(headers: &mut HeaderMap, jar: Jar, client: &ClientId, value: &str, lasts: Duration) {
    let (name, same_site, max_age) = (jar.name(client), jar.same_site(), lasts.as_secs());
    let text = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite={same_site}; Max-Age={max_age}");
    // Names and values of ours are base64url, digits, dots and the unreserved characters of a `client_id`.
    if let Ok(mut line) = HeaderValue::from_str(&text) {
        line.set_sensitive(true);
        headers.append(SET_COOKIE, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, HeaderValue::from_bytes(line).unwrap())).collect()
    }

    fn read(lines: &[&[u8]]) -> Result<Option<String>, BadRequest> {
        let web = "web".parse().unwrap();
        Ok(of_client(&headers(lines), Jar::Session, &web)?.map(|cookie| cookie.value))
    }

    #[test]
    fn a_cookie_is_found_among_others_in_one_header_or_several() {
        let line: &[u8] = b"a=b; __Host-remint-session-web=x=y; c";
        assert_eq!(read(&[line]), Ok(Some("x=y".into())));
        assert_eq!(read(&[b"a=b", b"__Host-remint-session-web=x"]), Ok(Some("x".into())));
        assert_eq!(read(&[b"\xff=\xff;__Host-remint-session-web=x"]), Ok(Some("x".into())));
    }

    #[test]
    fn another_name_is_another_cookie() {
        let others: [&[u8]; 6] = [
            b"__host-remint-session-web=x",
            b"remint-session-web=x",
            b"__Host-remint-session-=x",
            b"__Host-remint-session-web2=x",
            b"__Host-remint-session-w eb=x",
            b"__Host-remint-rt-web=x",
        ];
        assert_eq!(read(&others), Ok(None));
    }

    #[test]
    fn two_cookies_of_one_name_are_refused_wherever_they_stand() {
        let name = "__Host-remint-session-web";
        let refused = Err(BadRequest::Repeated(name.into()));
        assert_eq!(read(&[format!("{name}=x; {name}=y").as_bytes()]), refused);
        assert_eq!(read(&[format!("{name}=x; {name}=x").as_bytes()]), refused);
        assert_eq!(read(&[format!("{name}=x").as_bytes(), format!("a=b; {name}=").as_bytes()]), refused);
    }

    #[test]
    fn a_cookie_that_came_cannot_be_printed() {
        let lines: [&[u8]; 1] = [b"__Host-remint-session-web=secret"];
        let shown = format!("{:?}", all(&headers(&lines), &[Jar::Session]));
        assert_eq!(shown, "[Presented(__Host-remint-session-web..)]");
    }
}
