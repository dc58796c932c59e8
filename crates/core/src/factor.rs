//! The second factor of an account: when it is demanded, how a log-in says that it was shown, and who may change it.
//! One rule says all: a verified number is the second factor of its account, from that moment until it is removed.
//! Never compares a code.

use crate::phone::PhoneNumber;
use crate::refusal::Refusal;
use crate::session::{RECENT_LOGIN, recently_authenticated};
use crate::time::Timestamp;
use crate::user::User;

/// A password was shown (RFC 8176 section 2).
pub const PASSWORD: &str = "pwd";
/// A code that was sent to the registered number was shown (RFC 8176 section 2).
pub const SMS: &str = "sms";
/// More than one factor was shown (RFC 8176 section 2).
pub const MULTIPLE: &str = "mfa";

/// The number that a code is sent to after the password was right; `None` where the password is enough.
pub const fn demanded(user: &User) -> Option<&PhoneNumber> {
    user.phone_number.as_ref()
}

/// `amr` of a log-in that showed the password.
pub fn amr_of_password() -> Vec<String> {
    vec![PASSWORD.to_owned()]
}

/// `amr` of a log-in that showed the password, and then the code that was sent.
pub fn amr_of_both() -> Vec<String> {
    [PASSWORD, SMS, MULTIPLE].map(str::to_owned).to_vec()
}

/// Whether a log-in that says `amr` showed all that its account demands.
pub fn is_shown(user: &User, amr: &[String]) -> bool {
    demanded(user).is_none() || amr.iter().any(|method| method == SMS)
}

/// Whether the holder of a token with this `auth_time` and `amr` may add, replace or remove a factor: the log-in was
/// recent, and showed the factor that there is (RFC 9470 section 3). Both are the token's, and of one log-in.
pub fn may_be_changed(user: &User, auth_time: Timestamp, amr: &[String], now: Timestamp) -> Result<(), Refusal> {
    recently_authenticated(auth_time, now)?;
    if is_shown(user, amr) { Ok(()) } else { Err(Refusal::FactorNotShown { max_age: RECENT_LOGIN.as_secs() }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn with_phone() -> User {
        User { phone_number: Some("+441632960011".parse().unwrap()), ..fixture::user() }
    }

    fn amr(methods: &[&str]) -> Vec<String> {
        methods.iter().map(|&method| method.to_owned()).collect()
    }

    #[test]
    fn a_verified_number_is_demanded_and_a_log_in_says_that_it_was_shown() {
        assert!(is_shown(&fixture::user(), &amr_of_password()));
        assert!(is_shown(&with_phone(), &amr_of_both()));
        assert!(!is_shown(&with_phone(), &amr_of_password()) && !is_shown(&with_phone(), &amr(&["mfa"])));
    }

    #[test]
    fn a_factor_is_changed_by_whoever_has_just_shown_it() {
        let (now, recent) = (Timestamp::from_secs(1000), Timestamp::from_secs(700));
        let (pwd, both) = (amr_of_password(), amr_of_both());
        assert_eq!(may_be_changed(&fixture::user(), recent, &pwd, now), Ok(()));
        assert_eq!(may_be_changed(&with_phone(), recent, &both, now), Ok(()));
        let without = may_be_changed(&with_phone(), recent, &pwd, now);
        assert_eq!(without, Err(Refusal::FactorNotShown { max_age: 300 }));
        let old = may_be_changed(&with_phone(), Timestamp::from_secs(699), &both, now);
        assert_eq!(old, Err(Refusal::AuthenticationTooOld { max_age: 300 }));
    }
}
