//! Who is calling, as far as the connection says: the address behind trusted proxies, and the device.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};

use axum::extract::FromRequestParts;
use http::HeaderValue;
use http::header::USER_AGENT;
use http::request::Parts;
use remint_core::audit::{Actor, Doer};
use remint_core::id::ClientId;
use remint_core::session::Device;

use crate::app::App;
use crate::bearer::Bearer;
use crate::listen::Peer;

/// The caller of a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The address, behind the proxies that are trusted.
    pub address: IpAddr,
    /// The device, for the person to recognise it.
    pub device: Device,
}

impl Caller {
    /// The person whose token it is, as the audit log names who acts.
    pub fn person(&self, bearer: &Bearer) -> Doer {
        let actor = bearer.claims.sub.parse().map_or(Actor::Nobody, Actor::User);
        Doer::at(actor, self.address)
    }

    /// A client that authenticated itself, as the audit log names who acts.
    pub fn client(&self, id: &ClientId) -> Doer {
        Doer::at(Actor::Client(id.clone()), self.address)
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<Peer>().and_then(Peer::ip).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let forwarded = parts.headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes);
        let address = app.proxies.client_address(peer, forwarded);
        let user_agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(Self { address, device: Device::new(user_agent, &address.to_string()) })
    }
}
