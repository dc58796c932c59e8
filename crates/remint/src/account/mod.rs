//! Who a person is: the identifiers they type, the passwords they know, how often they may try, the
//! phone number that is their second factor, and what they may do to their own record and sessions. Never mints a token itself.

pub mod codes;
pub mod external;
mod hashers;
pub mod identifier;
pub mod line;
pub mod password;
pub mod phone;
pub mod record;
pub mod throttle;
