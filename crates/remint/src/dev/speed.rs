//! `--speed N`: lives, idle limits, timeouts and the quantum divided by one number, so that a life can be watched.
//! Knows numbers only.

use std::time::Duration;

use remint_core::policy::{CLIENT_TIMEOUT, LEAST_LIFE, Policy, QUANTUM, SERVER_DEADLINE, Timing};

use super::DevError;
use crate::settings::Settings;

/// How many times faster lives run out, as far as that can work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speed(u32);

/// Client timeout and server deadline are not shorter, so W is at least 2 s.
const LEAST_TIMEOUT: Duration = Duration::from_millis(500);
/// Tokens carry whole seconds.
const LEAST_QUANTUM: Duration = Duration::from_secs(1);

impl Speed {
    /// Refuses a speed at which one of the demo's policies cannot work.
    pub(super) fn new(speed: u32) -> Result<Self, DevError> {
        let chosen = Self(speed.max(1));
        for policy in [Policy::rolling(), Policy::fixed(), Policy::refresh(), Policy::cookie()] {
            let scaled = chosen.policy(&policy);
            let too_fast = |why: String| DevError::TooFast { speed, why };
            if scaled.life() < LEAST_LIFE {
                let (name, life) = (policy.name(), scaled.life());
                return Err(too_fast(format!(
                    "the access token of `{name}` would live {life:?}, less than {LEAST_LIFE:?}"
                )));
            }
            scaled.check(&chosen.timing(), []).map_err(|impossible| too_fast(impossible.to_string()))?;
        }
        Ok(chosen)
    }

    /// How many times faster.
    pub(super) const fn times(self) -> u32 {
        self.0
    }

    fn divided(self, whole: Duration, least: Duration) -> Duration {
        (whole / self.0).max(least)
    }

    pub(super) fn timing(self) -> Timing {
        Timing {
            server_deadline: self.divided(SERVER_DEADLINE, LEAST_TIMEOUT),
            clock_skew: Duration::ZERO,
            quantum: self.divided(QUANTUM, LEAST_QUANTUM),
        }
    }

    fn client_timeout(self) -> Duration {
        self.divided(CLIENT_TIMEOUT, LEAST_TIMEOUT)
    }

    /// The settings of the server at this speed.
    pub(super) fn scaled(self, settings: Settings) -> Settings {
        let leeway = self.divided(settings.leeway, LEAST_TIMEOUT);
        Settings { timing: self.timing(), client_timeout: self.client_timeout(), leeway, ..settings }
    }

    /// A policy at this speed.
    pub(super) fn policy(self, policy: &Policy) -> Policy {
        let by = |whole: Duration| whole / self.0;
        match policy {
            Policy::Rolling { life, absolute } => Policy::Rolling { life: by(*life), absolute: by(*absolute) },
            Policy::Fixed { life } => Policy::Fixed { life: by(*life) },
            Policy::Refresh { life, client_timeout: _, idle, absolute } => Policy::Refresh {
                life: by(*life),
                client_timeout: self.client_timeout(),
                idle: by(*idle),
                absolute: by(*absolute),
            },
            Policy::Cookie { life, idle, absolute } => {
                Policy::Cookie { life: by(*life), idle: by(*idle), absolute: by(*absolute) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floors_hold_and_the_window_is_at_least_two_seconds() {
        let fastest = Speed::new(60).unwrap();
        let policy = fastest.policy(&Policy::refresh());
        assert_eq!(policy.life(), Duration::from_secs(5));
        assert_eq!(fastest.timing().quantum, Duration::from_secs(1));
        assert_eq!(policy.windows(&fastest.timing()).parent, Duration::from_secs(2));
        let ten = Speed::new(10).unwrap();
        let windows = ten.policy(&Policy::refresh()).windows(&ten.timing());
        assert_eq!(windows.parent, Duration::from_secs(3));
        let usual = Speed::new(1).unwrap();
        assert_eq!(usual.timing(), Timing::default());
    }

    #[test]
    fn a_speed_at_which_a_token_would_live_under_five_seconds_is_refused() {
        let refused = Speed::new(61).unwrap_err().to_string();
        assert!(refused.contains("--speed 61") && refused.contains("`refresh`"), "{refused}");
        assert!((1..=60).all(|speed| Speed::new(speed).is_ok()));
    }
}
