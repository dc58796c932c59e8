//! What a handler asks for by type: claims, claims if there are any, or a policy that must be met. Nothing here
//! verifies: without [`RemintLayer`](crate::RemintLayer) on the route the answer is a 500 that says so.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::layer::Guarded;
use crate::reject::Reject;
use crate::verifier::Verified;

/// The claims of the verified token, all of them, as a type of your own.
///
/// `Option<Claims<C>>` is [`None`] for a request without a token, behind
/// [`RemintLayer::passthrough`](crate::RemintLayer::passthrough); a bad token is refused either way.
#[derive(Clone, Copy, Debug)]
pub struct Claims<C>(pub C);

/// What a request must meet beyond a good token.
///
/// ```
/// use remint_guard::{Policy, Reject, Verified};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Me {
///     role: String,
/// }
///
/// struct Admin;
///
/// impl Policy for Admin {
///     type Claims = Me;
///
///     fn check(me: &Me, token: &Verified) -> Result<(), Reject> {
///         token.demand_scope("admin")?;
///         if me.role == "admin" { Ok(()) } else { Err(Reject::Denied { detail: "for administrators".into() }) }
///     }
/// }
/// ```
pub trait Policy {
    /// The claims that it looks at, and that the handler gets.
    type Claims: DeserializeOwned;

    /// Decides. `token` knows scope, authentication context and how long ago the person logged in.
    ///
    /// # Errors
    /// Any [`Reject`]: it is the answer.
    fn check(claims: &Self::Claims, token: &Verified) -> Result<(), Reject>;
}

/// The claims of a request that meets the policy: the guard stands in the handler's signature.
#[derive(Clone, Copy, Debug)]
pub struct Require<P: Policy>(pub P::Claims);

fn found(parts: &Parts) -> Result<Option<&Verified>, Reject> {
    parts.extensions.get::<Guarded>().map(|guarded| guarded.0.as_ref()).ok_or(Reject::LayerMissing)
}

impl<S: Sync> FromRequestParts<S> for Verified {
    type Rejection = Reject;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Reject> {
        found(parts)?.cloned().ok_or(Reject::Missing)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Verified {
    type Rejection = Reject;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Reject> {
        found(parts).map(|verified| verified.cloned())
    }
}

impl<S: Sync, C: DeserializeOwned> FromRequestParts<S> for Claims<C> {
    type Rejection = Reject;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Reject> {
        found(parts)?.ok_or(Reject::Missing)?.claims_as().map(Self)
    }
}

impl<S: Sync, C: DeserializeOwned> OptionalFromRequestParts<S> for Claims<C> {
    type Rejection = Reject;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Reject> {
        found(parts)?.map(|verified| verified.claims_as().map(Self)).transpose()
    }
}

impl<S: Sync, P: Policy> FromRequestParts<S> for Require<P> {
    type Rejection = Reject;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Reject> {
        let verified = found(parts)?.ok_or(Reject::Missing)?;
        let claims = verified.claims_as()?;
        P::check(&claims, verified)?;
        Ok(Self(claims))
    }
}
