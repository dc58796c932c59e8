//! Messages to a person's phone: what they say, who carries them, and how long a request waits for that. A request holds
//! nothing of the store while a message is on its way. Never logs a number or a code.

mod declared;
mod inbox;
mod webhook;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use remint_core::code::{CODE_LIFE, Code};
use remint_core::phone::PhoneNumber;
use remint_core::sender::{SmsLimits, SomeLimits};
use remint_core::time::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::failure::Failure;
use crate::keyring::Keyring;
use crate::meters;
use crate::settings::{Carrier, Settings};
use crate::store::Store;

use declared::Declared;
pub use declared::{opened, sealed};
pub use inbox::{Inbox, Letter};
pub use webhook::Webhook;

/// What a message says.
#[derive(Clone, Debug)]
pub enum Content {
    /// A code.
    Code(Code),
    /// Another number has taken this one's place: told to the old one.
    NumberReplaced,
    /// The account has no number any more: told to the old one.
    NumberRemoved,
}

impl Content {
    /// The word for it, for programs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Code(_) => "code",
            Self::NumberReplaced => "number_replaced",
            Self::NumberRemoved => "number_removed",
        }
    }

    /// The text. `host` is who it is from.
    pub fn text(&self, host: &str) -> Zeroizing<String> {
        let minutes = CODE_LIFE.as_secs() / 60;
        Zeroizing::new(match self {
            Self::Code(code) => {
                format!("{} is your code for {host}, for {minutes} minutes. Give it to nobody.", code.reveal())
            }
            Self::NumberReplaced => {
                format!("Your account at {host} now uses another phone number. Was that not you? Ask for help there.")
            }
            Self::NumberRemoved => {
                format!("Your account at {host} uses this phone number no more. Was that not you? Ask for help there.")
            }
        })
    }
}

/// A message to one number.
#[derive(Clone, Debug)]
pub struct Message {
    /// The same however often it is tried: who receives it twice can tell.
    pub id: String,
    /// To whom.
    pub to: PhoneNumber,
    /// What it says.
    pub content: Content,
    /// When it was written.
    pub at: Timestamp,
}

/// Why a message was not carried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Nobody was reached, so nothing was sent.
    #[error("the sender cannot be reached")]
    Unreachable,
    /// It was handed over, and no answer came in time: it may have been sent.
    #[error("the sender did not answer in time")]
    NoAnswer,
    /// The sender said no.
    #[error("the sender answered {status}")]
    Refused {
        /// The status.
        status: u16,
    },
}

/// A message on its way.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), SendError>> + Send + 'a>>;

/// Somebody who carries messages.
pub trait Sender: fmt::Debug + Send + Sync {
    /// Carries a message, or says why not. Tries again by itself where that makes sense.
    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a>;
}

/// As many messages may be on their way at once.
const UNDER_WAY: usize = 256;

/// What goes out: by whom the settings name, else by the sender that an administrator declared.
#[derive(Clone, Debug)]
pub struct Outbox {
    set: Option<Arc<dyn Sender>>,
    declared: Arc<Declared>,
    limits: SomeLimits,
    inbox: Option<Inbox>,
    places: Arc<Semaphore>,
    patience: Duration,
    clock: Clock,
    entropy: Entropy,
}

/// The carrier of messages cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("the sender of messages cannot be set up: {0}")]
pub struct BadCarrier(String);

impl Outbox {
    /// By the settings. A request waits for half of the server deadline at most.
    ///
    /// # Errors
    /// Where a webhook is set whose client cannot be built.
    pub fn open(
        settings: &Settings,
        (store, keyring): (&Store, &Keyring),
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, BadCarrier> {
        let host = settings.issuer.host().to_owned();
        let declared = Arc::new(Declared::new(store.clone(), keyring.clone(), host.clone(), clock.clone()));
        let inbox = matches!(settings.sms.carrier, Carrier::Inbox).then(|| Inbox::new(host.clone()));
        let set: Option<Arc<dyn Sender>> = match &settings.sms.carrier {
            Carrier::Nobody => None,
            Carrier::Inbox => inbox.clone().map(|inbox| Arc::new(inbox) as Arc<dyn Sender>),
            Carrier::Webhook(target) => {
                let webhook = Webhook::new(target, host, clock.clone());
                Some(Arc::new(webhook.map_err(|error| BadCarrier(error.to_string()))?))
            }
        };
        let (patience, places) = (settings.timing.server_deadline / 2, Arc::new(Semaphore::new(UNDER_WAY)));
        Ok(Self { set, declared, limits: settings.sms.limits.clone(), inbox, places, patience, clock, entropy })
    }

    /// The inbox of `remint dev`, if it is that which carries.
    pub const fn inbox(&self) -> Option<&Inbox> {
        self.inbox.as_ref()
    }

    /// Whether there is anybody who carries messages: asked before anything is counted or written for one.
    ///
    /// # Errors
    /// [`Failure::NoSender`]; [`Failure::NotSent`] where there is one that cannot be used.
    pub async fn ready(&self) -> Result<(), Failure> {
        self.sender().await.map(drop)
    }

    /// The limits in force: as they are set, else as they are declared, else the usual ones.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn limits(&self) -> Result<SmsLimits, Failure> {
        let declared = self.declared.row().await?.map(|row| row.limits).unwrap_or_default();
        Ok(self.limits.over(declared.over(SmsLimits::default())))
    }

    async fn sender(&self) -> Result<Arc<dyn Sender>, Failure> {
        match &self.set {
            Some(set) => Ok(Arc::clone(set)),
            None => self.declared.sender().await?.ok_or(Failure::NoSender),
        }
    }

    /// Sends a message, and waits a little for the outcome: a sender that is slow goes on without the request, and
    /// counts as good.
    ///
    /// # Errors
    /// [`SendError`] where it is known to have failed.
    pub async fn deliver(&self, to: &PhoneNumber, content: Content) -> Result<(), SendError> {
        let Some(task) = self.sent(to, content).await else { return Err(SendError::Unreachable) };
        match tokio::time::timeout(self.patience, task).await {
            Err(_) => Ok(()), // it goes on
            Ok(outcome) => outcome.unwrap_or(Err(SendError::NoAnswer)),
        }
    }

    /// Sends a message that nobody waits for.
    pub async fn tell(&self, to: &PhoneNumber, content: Content) {
        drop(self.sent(to, content).await);
    }

    /// A message on its way, on a task of its own; `None` where nobody carries it, or too many are.
    async fn sent(&self, to: &PhoneNumber, content: Content) -> Option<JoinHandle<Result<(), SendError>>> {
        let sender = self.sender().await.ok()?;
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            tracing::warn!(kind = content.kind(), "too many messages are on their way: one was not sent");
            return None;
        };
        let id = self.entropy.bytes::<16>().iter().map(|byte| format!("{byte:02x}")).collect();
        let message = Message { id, to: to.clone(), content, at: self.clock.now() };
        Some(tokio::spawn(async move {
            let outcome = sender.send(&message).await;
            drop(place);
            meters::message(word(&outcome));
            if let Err(error) = &outcome {
                tracing::warn!(id = message.id, kind = message.content.kind(), %error, "a message was not sent");
            }
            outcome
        }))
    }
}

const fn word(outcome: &Result<(), SendError>) -> &'static str {
    match outcome {
        Ok(()) => "sent",
        Err(SendError::Unreachable) => "unreachable",
        Err(SendError::NoAnswer) => "no_answer",
        Err(SendError::Refused { .. }) => "refused",
    }
}
