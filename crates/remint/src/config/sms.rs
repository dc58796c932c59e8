//! Settings of messages to phones. The secret of the webhook stands in a file of its own or in the environment, never
//! in the configuration; never printed.

use zeroize::Zeroizing;

use super::{Environment, Key, Reading};
use crate::settings::{Carrier, Sms, WebhookSecret, WebhookTarget};

/// The secret itself, where it is no file.
pub(super) const SECRET: &str = "REMINT_SMS_WEBHOOK_SECRET";

impl Reading<'_> {
    /// Without a webhook nobody carries messages, and no second factor can be set up.
    pub(super) fn sms(&mut self, environment: &Environment) -> Sms {
        let usual = Sms::default();
        Sms {
            carrier: self.carrier(environment),
            per_number: self.positive(Key::SmsPerNumber, usual.per_number),
            per_block: self.positive(Key::SmsPerBlock, usual.per_block),
            per_address: self.positive(Key::SmsPerAddress, usual.per_address),
            per_day: self.positive(Key::SmsPerDay, usual.per_day),
            countries: self.countries(),
        }
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
        let text = match (named, given) {
            (None, None) => return None,
            (Some(_), Some(_)) => {
                self.wrong
                    .push(format!("the secret of the webhook is given twice, by {SECRET} and as a file: keep one"));
                return None;
            }
            (None, Some(text)) => Zeroizing::new(text.to_owned()),
            (Some(named), None) => match std::fs::read_to_string(named.text()) {
                Ok(text) => Zeroizing::new(text.trim().to_owned()),
                Err(error) => {
                    self.wrong.push(format!("`sms_webhook_secret_file` ({}) cannot be read: {error}", named.origin));
                    return None;
                }
            },
        };
        let secret = WebhookSecret::new(&text);
        if secret.is_none() {
            let least = WebhookSecret::MIN_BYTES;
            self.wrong.push(format!(
                "the secret of the webhook has fewer than {least} bytes: make one with `openssl rand -hex 32`"
            ));
        }
        secret
    }

    fn countries(&mut self) -> Vec<String> {
        let Some(found) = self.sources.value(Key::SmsCountries) else { return Vec::new() };
        let code = |text: &&String| {
            (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0')
        };
        if !found.values.iter().all(|text| code(&text)) {
            let (origin, expected) = (&found.origin, Key::SmsCountries.expected());
            self.wrong.push(format!("`sms_countries` ({origin}) must be {expected}"));
        }
        found.values.clone()
    }
}

const NO_SECRET: &str = "`sms_webhook_url` is set, and the secret that messages are signed with is not: make one with \
                         `openssl rand -hex 32`, tell it to the receiver, and name its file in `sms_webhook_secret_file` \
                         or give it in REMINT_SMS_WEBHOOK_SECRET";
