//! Messages by an HTTP webhook: a signed POST to one address that the operator set. Tries again where nobody answered or
//! the receiver could not; follows no redirect, reads no answer's body, takes no proxy from the environment.
//!
//! The body is JSON: `id` (the same for every try), `to` (E.164), `kind`, `text`. `Remint-Signature: t=<seconds>,v1=<hex>`
//! carries HMAC-SHA-256, under the shared secret, of `<t>.<body>`: a receiver refuses what is old or not ours.

use std::time::Duration;

use aws_lc_rs::hmac;
use remint_core::time::Timestamp;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, redirect};
use serde_json::json;
use zeroize::Zeroizing;

use super::{Message, SendError, Sender, Sending};
use crate::clock::Clock;
use crate::settings::WebhookTarget;

/// How often a message is tried.
const ATTEMPTS: u32 = 3;
/// Before the second try; twice as long before each further one.
const BACKOFF: Duration = Duration::from_millis(150);

/// The header of the signature.
pub(super) const SIGNATURE: &str = "Remint-Signature";

/// A sender by HTTP.
#[derive(Debug)]
pub struct Webhook {
    client: Client,
    target: WebhookTarget,
    key: hmac::Key,
    host: String,
    clock: Clock,
}

impl Webhook {
    /// To this address; `host` is who the messages are from.
    ///
    /// # Errors
    /// Where the HTTP client cannot be built, as on a machine without CA certificates.
    pub fn new(target: &WebhookTarget, host: String, clock: Clock) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .user_agent(concat!("remint/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(target.timeout)
            .timeout(target.timeout);
        let client = if target.url.starts_with("https:") { client } else { client.tls_certs_only([]) };
        let key = hmac::Key::new(hmac::HMAC_SHA256, target.secret.as_bytes());
        Ok(Self { client: client.build()?, target: target.clone(), key, host, clock })
    }

    /// One try.
    async fn post(&self, body: &str) -> Result<(), Tried> {
        let signature = signature(&self.key, self.clock.now(), body);
        let request = self.client.post(&self.target.url).header(CONTENT_TYPE, "application/json");
        let sent = request.header(SIGNATURE, signature).body(body.to_owned()).send().await;
        match sent.map(|answer| answer.status()) {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) => {
                let error = SendError::Refused { status: status.as_u16() };
                let again = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
                Err(Tried { error, again })
            }
            Err(error) if error.is_connect() => Err(Tried { error: SendError::Unreachable, again: true }),
            // It may have been sent: a second one would be a second message on the phone.
            Err(_) => Err(Tried { error: SendError::NoAnswer, again: false }),
        }
    }
}

/// A try that failed, and whether another makes sense.
struct Tried {
    error: SendError,
    again: bool,
}

impl Sender for Webhook {
    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        Box::pin(async move {
            let text = message.content.text(&self.host);
            let kind = message.content.kind();
            let body = json!({ "id": message.id, "to": message.to.as_str(), "kind": kind, "text": text.as_str() });
            let body = Zeroizing::new(body.to_string());
            let (mut wait, mut reached) = (BACKOFF, false);
            for attempt in 1.. {
                let Err(Tried { error, again }) = self.post(&body).await else { break };
                reached |= error != SendError::Unreachable;
                if !again || attempt >= ATTEMPTS {
                    // Where an earlier try has reached somebody, a message may be on its way.
                    return Err(if reached && error == SendError::Unreachable { SendError::NoAnswer } else { error });
                }
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            Ok(())
        })
    }
}

/// `t=<seconds>,v1=<hex of HMAC-SHA-256 over "<seconds>.<body>">`.
fn signature(key: &hmac::Key, now: Timestamp, body: &str) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{}.", now.secs()).as_bytes());
    context.update(body.as_bytes());
    let tag: String = context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={},v1={tag}", now.secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_over_time_and_body() {
        // Of `printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef`.
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"0123456789abcdef0123456789abcdef");
        let signed = signature(&key, Timestamp::from_secs(1_700_000_000), "{\"a\":1}");
        assert_eq!(signed, "t=1700000000,v1=f05f2539e3ae1c49aec5f8cfdad75ef6b06480b133973ffbb7ec9e18827af177");
    }
}
