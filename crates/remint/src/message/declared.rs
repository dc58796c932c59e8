//! The sender that an administrator declared: read from the store whenever a message is to go, so that every node uses what
//! was declared last; opened and built again only where its row has changed. Never logs an address or a secret.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use remint_core::key::Sealed;
use remint_core::sender::{Sender as Row, SenderName};
use zeroize::Zeroizing;

use super::{Sender, Webhook};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::keyring::Keyring;
use crate::settings::{WebhookSecret, WebhookTarget};
use crate::store::{SenderNamed, Store, StoreError};

/// What a sender's row is sealed for, beside its name.
const PURPOSE: &str = "sender";
/// Between the address and the secret: no address has one.
const BREAK: char = '\n';

/// An address and its secret as the row of a sender keeps them. `None` where the cryptography library fails.
pub fn sealed(keyring: &Keyring, name: SenderName, url: &str, secret: &WebhookSecret) -> Option<Sealed> {
    let text = Zeroizing::new(format!("{url}{BREAK}{}", secret.reveal()));
    keyring.seal(name.as_str(), PURPOSE, text.as_bytes())
}

/// Where a sender posts to; `None` where its row does not open, or holds something else.
pub fn opened(keyring: &Keyring, row: &Row) -> Option<WebhookTarget> {
    let bytes = keyring.unseal(row.name.as_str(), PURPOSE, &row.sealed)?;
    let (url, secret) = std::str::from_utf8(&bytes).ok()?.split_once(BREAK)?;
    let (url, secret) = (WebhookTarget::checked_url(url)?, WebhookSecret::new(secret)?);
    Some(WebhookTarget { url, secret, timeout: WebhookTarget::TIMEOUT })
}

/// The declared sender of messages to phones.
pub(super) struct Declared {
    store: Store,
    keyring: Keyring,
    host: String,
    clock: Clock,
    built: ArcSwapOption<(Row, Arc<Webhook>)>,
}

impl fmt::Debug for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Declared(..)")
    }
}

impl Declared {
    pub(super) fn new(store: Store, keyring: Keyring, host: String, clock: Clock) -> Self {
        Self { store, keyring, host, clock, built: ArcSwapOption::empty() }
    }

    /// As it is declared now, if it is.
    pub(super) async fn row(&self) -> Result<Option<Row>, StoreError> {
        self.store.read(SenderNamed(SenderName::Sms)).await
    }

    /// Whoever carries messages by it, if it is declared.
    pub(super) async fn sender(&self) -> Result<Option<Arc<dyn Sender>>, Failure> {
        let Some(row) = self.row().await? else { return Ok(None) };
        if let Some(built) = self.built.load_full().filter(|built| built.0 == row) {
            return Ok(Some(built.1.clone()));
        }
        let webhook = Arc::new(self.build(&row)?);
        self.built.store(Some(Arc::new((row, webhook.clone()))));
        Ok(Some(webhook))
    }

    fn build(&self, row: &Row) -> Result<Webhook, Failure> {
        let Some(target) = opened(&self.keyring, row) else {
            tracing::error!(sender = %row.name, "the declared sender does not open: declare it again");
            return Err(Failure::NotSent);
        };
        Webhook::new(&target, self.host.clone(), self.clock.clone()).map_err(|error| {
            tracing::error!(sender = %row.name, %error, "the declared sender cannot be used");
            Failure::NotSent
        })
    }
}
