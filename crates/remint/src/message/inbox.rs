//! The inbox of `remint dev` and of tests: messages stay in memory, for whoever is at this machine to read. It does not
//! exist in `serve`. Keeps so many and no more.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Content, Message, Sender, Sending};

/// The newest that are kept.
const MOST: usize = 100;

/// A message as it was read by nobody yet.
#[derive(Clone)]
pub struct Letter {
    /// The message.
    pub message: Message,
    /// What it says.
    pub text: String,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Letter(..)")
    }
}

impl Letter {
    /// The code, where it carries one.
    pub fn code(&self) -> Option<&str> {
        match &self.message.content {
            Content::Code(code) => Some(code.reveal()),
            Content::NumberReplaced | Content::NumberRemoved => None,
        }
    }
}

/// Messages in memory. Clones are one inbox.
#[derive(Clone, Debug)]
pub struct Inbox {
    host: String,
    letters: Arc<Mutex<VecDeque<Letter>>>,
}

impl Inbox {
    /// An empty one; `host` is who the messages are from.
    pub fn new(host: String) -> Self {
        Self { host, letters: Arc::default() }
    }

    /// What came, the newest first.
    pub fn letters(&self) -> Vec<Letter> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Sender for Inbox {
    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        Box::pin(async move {
            let text = message.content.text(&self.host).to_string();
            let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
            letters.push_front(Letter { message: message.clone(), text });
            letters.truncate(MOST);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use remint_core::code::Code;
    use remint_core::time::Timestamp;

    #[tokio::test]
    async fn the_newest_is_first_and_memory_has_a_bound() {
        let inbox = Inbox::new("id.example.test".into());
        for n in 0..150_u8 {
            let content = if n == 149 { Content::NumberRemoved } else { Content::Code(Code::from_random([n; 16])) };
            let message = Message {
                id: n.to_string(),
                to: "+12025550123".parse().unwrap(),
                content,
                at: Timestamp::from_secs(n.into()),
            };
            inbox.send(&message).await.unwrap();
        }
        let letters = inbox.letters();
        assert_eq!((letters.len(), letters[0].message.id.as_str(), letters[0].code()), (100, "149", None));
        let code = Code::from_random([148; 16]);
        assert_eq!(letters[1].code(), Some(code.reveal()));
        assert!(letters[1].text.starts_with(&format!("{} is your code for id.example.test", code.reveal())));
        assert!(!format!("{letters:?} {inbox:?}").contains(code.reveal()));
    }
}
