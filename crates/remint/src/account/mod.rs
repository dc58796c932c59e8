//! Who a person is: the identifiers they type, the passwords they know, how often they may try. Never opens a session
//! and never mints a token.

pub mod identifier;
pub mod password;
pub mod throttle;
