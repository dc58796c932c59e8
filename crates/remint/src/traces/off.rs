//! A binary without traces. The configuration refuses `traces_url` then.

use axum::Router;

use super::NoTraces;
use crate::proxies::Proxies;

/// No traces.
#[derive(Debug)]
pub struct Traces(());

impl Traces {
    /// Nothing is sent anywhere.
    ///
    /// # Errors
    /// None.
    pub const fn to(_: Option<&str>) -> Result<Self, NoTraces> {
        Ok(Self(()))
    }

    /// The router as it is.
    pub fn around(&self, router: Router, _: &Proxies) -> Router {
        router
    }

    /// There is nothing to end.
    #[expect(clippy::unused_async, reason = "as where there are traces")]
    pub async fn end(self) {}
}
