//! Settings of messages to phones. The secret of the webhook stands in a file of its own or in the environment, never
//! in the configuration; never printed.

use std::path::Path;

use remint_core::phone::{BadCallingCode, CallingCode};
use remint_core::sender::SomeLimits;
use zeroize::Zeroizing;

use super::{Environment, Key, Reading};
use crate::settings::{Carrier, Sms, WebhookSecret, WebhookTarget};

/// The secret itself, where it is no file.
pub(super) const SECRET: &str = "REMINT_SMS_WEBHOOK_SECRET";

impl Reading<'_> {
    /// Without a webhook messages are carried by the sender that an administrator declared, or by nobody.
    pub(super) fn sms(&mut self, environment: &Environment) -> Sms {
        let carrier = self.carrier(environment);
        let mut limit = |key| self.parsed(key, |text| text.parse().ok());
        let (per_number, per_block) = (limit(Key::SmsPerNumber), limit(Key::SmsPerBlock));
        let (per_address, per_day) = (limit(Key::SmsPerAddress), limit(Key::SmsPerDay));
        let limits = SomeLimits { per_number, per_block, per_address, per_day, countries: self.countries() };
        Sms { carrier, limits }
    }

    fn carrier(&mut self, environment: &Environment) -> Carrier {
        let url = self.parsed(Key::SmsWebhookUrl, WebhookTarget::checked_url);
        let secret = self.webhook_secret(environment);
        match (url, secret) {
            (Some(url), Some(secret)) => {
                Carrier::Webhook(WebhookTarget { url, secret, timeout: WebhookTarget::TIMEOUT })
            }
            (Some(_), None) => {
                if self.sources.value(Key::SmsWebhookSecretFile).is_none() && environment.get(SECRET).is_none() {
                    self.wrong.push(NO_SECRET.to_owned());
                }
                Carrier::Nobody
            }
            (None, Some(_)) if self.sources.value(Key::SmsWebhookUrl).is_none() => {
                self.wrong.push("the secret of the webhook is set, and `sms_webhook_url` is not: set it".to_owned());
                Carrier::Nobody
            }
            (None, _) => Carrier::Nobody,
        }
    }

    /// From a file or from the environment, one of them only.
    fn webhook_secret(&mut self, environment: &Environment) -> Option<WebhookSecret> {
        let (named, given) = (self.sources.value(Key::SmsWebhookSecretFile), environment.get(SECRET));
        let read = match (named, given) {
            (None, None) => return None,
            (Some(_), Some(_)) => {
                self.wrong
                    .push(format!("the secret of the webhook is given twice, by {SECRET} and as a file: keep one"));
                return None;
            }
            (None, Some(text)) => checked_secret(text),
            (Some(named), None) => read_secret(Path::new(named.text()))
                .map_err(|why| format!("`sms_webhook_secret_file` ({}): {why}", named.origin)),
        };
        read.map_err(|why| self.wrong.push(why)).ok()
    }

    fn countries(&mut self) -> Option<Vec<CallingCode>> {
        let found = self.sources.value(Key::SmsCountries)?;
        let read = found.values.iter().map(|text| text.parse()).collect::<Result<_, BadCallingCode>>();
        read.map_err(|why| self.wrong.push(format!("`sms_countries` ({}) {why}", found.origin))).ok()
    }
}

/// The secret in a file, blanks around it ignored.
///
/// # Errors
/// Why there is none, and what to do.
pub(crate) fn read_secret(path: &Path) -> Result<WebhookSecret, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    checked_secret(Zeroizing::new(text).trim())
}

/// A secret that cannot be guessed.
///
/// # Errors
/// Where it can, and what to do.
pub(crate) fn checked_secret(text: &str) -> Result<WebhookSecret, String> {
    let least = WebhookSecret::MIN_BYTES;
    WebhookSecret::new(text).ok_or_else(|| {
        format!("the secret of the webhook has fewer than {least} bytes: make one with `openssl rand -hex 32`")
    })
}

const NO_SECRET: &str = "`sms_webhook_url` is set, and the secret that messages are signed with is not: make one with \
                         `openssl rand -hex 32`, tell it to the receiver, and name its file in `sms_webhook_secret_file` \
                         or give it in REMINT_SMS_WEBHOOK_SECRET";
