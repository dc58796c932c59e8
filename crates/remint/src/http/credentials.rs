//! Who the calling client or api is (RFC 6749 section 2.3): HTTP Basic or the body, never both; a public client names
//! itself and has no secret. Compares secrets in constant time and says only that they are wrong.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use remint_core::audit::{Actor, Doer, Target};
use remint_core::client::{Api, Client};
use remint_core::id::ClientId;
use remint_core::refusal::Refusal;
use remint_core::secret::{ClientSecret, SecretHash};

use crate::app::App;
use crate::failure::{BadRequest, Failure};
use crate::grant::refused;
use crate::http::body::decode;
use crate::http::caller::Caller;
use crate::store::{ApiById, ClientById};

/// An id and, where one came, a secret.
#[derive(Debug)]
pub struct Credentials {
    id: ClientId,
    secret: Option<ClientSecret>,
}

/// What an unknown client's secret is compared with: the work is the same.
const NOBODY: SecretHash = SecretHash::from_bytes([0; 32]);

impl Credentials {
    /// From the `Authorization` header or the body's `client_id` and `client_secret`.
    pub fn of(headers: &HeaderMap, id: Option<&str>, secret: Option<&str>) -> Result<Self, Failure> {
        match (basic(headers)?, id, secret) {
            (Some(_), _, Some(_)) => Err(BadRequest::TwoAuthentications.into()),
            (Some(basic), Some(id), None) if id != basic.id.as_str() => Err(Refusal::BadClient.into()),
            (Some(basic), _, None) => Ok(basic),
            (None, Some(id), secret) => {
                let id = id.parse().map_err(|_| Refusal::BadClient)?;
                Ok(Self { id, secret: secret.map(ClientSecret::presented) })
            }
            (None, None, _) => Err(BadRequest::Missing("client_id").into()),
        }
    }

    /// The client, if these are its credentials: a confidential one must show its secret, a public one must not show
    /// any. A disabled client is known, and refused at the gate. That one was refused is told to the audit log.
    pub async fn client(&self, app: &App, caller: &Caller) -> Result<Arc<Client>, Failure> {
        let client = app.store.read(ClientById(self.id.clone())).await?;
        let good = self.are_of(client.as_deref());
        match client {
            Some(client) if good => Ok(client),
            known => Err(refused(app, caller, known.map(|client| Target::Client(client.id.clone()))).await),
        }
    }

    /// The client as memory has it, if these were its credentials when it was read last: see [`Store::recalled`]. Of one
    /// that it refuses nothing is known.
    ///
    /// [`Store::recalled`]: crate::store::Store::recalled
    pub fn recalled(&self, app: &App) -> Option<Arc<Client>> {
        app.store.recalled(&self.id).filter(|client| self.are_of(Some(client)))
    }

    fn are_of(&self, client: Option<&Client>) -> bool {
        match (client.map_or(Some(NOBODY), |client| client.secret), &self.secret) {
            (Some(hash), Some(secret)) => hash.matches(secret),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// The api whose credential this is: by HTTP Basic only.
    pub async fn api(app: &App, caller: &Caller, headers: &HeaderMap) -> Result<Arc<Api>, Failure> {
        let Some(Self { id, secret: Some(secret) }) = basic(headers)? else { return Err(Refusal::BadClient.into()) };
        let api = app.store.read(ApiById(id)).await?;
        let good = api.as_ref().map_or(NOBODY, |api| api.secret).matches(&secret);
        match api {
            Some(api) if good => Ok(api),
            known => Err(refused(app, caller, known.map(|api| Target::Api(api.id.clone()))).await),
        }
    }
}

/// Of a name that nobody has nothing is told.
async fn refused(app: &App, caller: &Caller, known: Option<Target>) -> Failure {
    if let Some(target) = known {
        refused::tell(app, &Doer::at(Actor::Nobody, caller.address), target, refused::SECRET).await;
    }
    Refusal::BadClient.into()
}

/// HTTP Basic: id and secret each form-encoded (RFC 6749 section 2.3.1, appendix B).
fn basic(headers: &HeaderMap) -> Result<Option<Credentials>, Failure> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let Some(header) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(BadRequest::Repeated("Authorization".into()).into());
    }
    let text = header.to_str().map_err(|_| Refusal::BadClient)?;
    let Some((scheme, encoded)) = text.split_once(' ') else { return Err(Refusal::BadClient.into()) };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    read_basic(encoded).map(Some).ok_or(Failure::Refused(Refusal::BadClient))
}

fn read_basic(encoded: &str) -> Option<Credentials> {
    let bytes = STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (id, secret) = text.split_once(':')?;
    let secret = decode(secret.as_bytes())?;
    Some(Credentials { id: decode(id.as_bytes())?.parse().ok()?, secret: Some(ClientSecret::presented(&secret)) })
}

/// The token of `Authorization: Bearer` (RFC 6750 section 2.1): one header, the scheme in any case.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let Some(header) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(BadRequest::Repeated("Authorization".into()).into());
    }
    let malformed = || BadRequest::Malformed { what: "the Authorization header", why: "it is not `Bearer <token>`" };
    let text = header.to_str().map_err(|_| malformed())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(malformed().into());
    }
    Ok(Some(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(text).unwrap())])
    }

    #[test]
    fn basic_credentials_are_form_encoded_inside() {
        let encoded = STANDARD.encode("demo%2Dapi:a+b%3A");
        let read = read_basic(&encoded).unwrap();
        assert_eq!(read.id.as_str(), "demo-api");
        assert_eq!(read.secret.unwrap().reveal(), "a b:");
    }

    #[test]
    fn two_ways_at_once_are_refused() {
        let headers = headers(&format!("Basic {}", STANDARD.encode("a:b")));
        let both = Credentials::of(&headers, Some("a"), Some("b"));
        assert!(matches!(both, Err(Failure::Request(BadRequest::TwoAuthentications))));
        assert!(matches!(Credentials::of(&headers, Some("other"), None), Err(Failure::Refused(Refusal::BadClient))));
        assert!(Credentials::of(&headers, Some("a"), None).is_ok());
    }

    #[test]
    fn a_bearer_header_is_read_in_its_one_form() {
        assert_eq!(bearer(&headers("bearer abc")).unwrap(), Some("abc"));
        for wrong in ["Bearer", "Bearer ", "Basic abc", "abc"] {
            assert!(bearer(&headers(wrong)).is_err(), "{wrong}");
        }
        let mut two = headers("Bearer a");
        two.append(AUTHORIZATION, HeaderValue::from_static("Bearer b"));
        assert!(bearer(&two).is_err());
    }
}
