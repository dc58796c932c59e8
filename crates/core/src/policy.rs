//! How long things live, and how the holder proves that the session goes on: one enum, four policies. Impossible
//! settings are refused here, when they are set, with a message that says what to change. Never looks at a session.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// From the first byte of a request read to its answer written, at most: past it nothing is decided or committed.
pub const SERVER_DEADLINE: Duration = Duration::from_secs(5);
/// The client timeout of the SDKs, and the default of a client's setting.
pub const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);
/// Minting times (`iat`) are rounded down to this, so that tabs racing get one token.
pub const QUANTUM: Duration = Duration::from_secs(5);
/// The shortest life of an access token.
pub const LEAST_LIFE: Duration = Duration::from_secs(5);

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Cookies live at most 400 days (RFC 6265bis section 5.5); nothing of ours lives longer.
pub(crate) const LONGEST: Duration = Duration::from_secs(400 * 24 * 3600);

/// The lifetimes of a client's sessions, and the proof of continuity that renews them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Policy {
    /// The access token itself, past half of its life, is the proof.
    Rolling {
        /// Life of an access token.
        #[serde(with = "seconds", default = "default_rolling_life")]
        life: Duration,
        /// From log-in to the end, whatever happens.
        #[serde(with = "seconds", default = "default_rolling_absolute")]
        absolute: Duration,
    },
    /// It lives and ends: nothing renews it.
    Fixed {
        /// Life of the session and of its tokens.
        #[serde(with = "seconds", default = "default_fixed_life")]
        life: Duration,
    },
    /// A refresh token is the proof (RFC 6749 sections 1.5 and 6).
    Refresh {
        /// Life of an access token.
        #[serde(with = "seconds", default = "default_short_life")]
        life: Duration,
        /// The longest a client waits for an answer.
        #[serde(with = "seconds", default = "default_client_timeout")]
        client_timeout: Duration,
        /// Without use by a person, the session ends after this.
        #[serde(with = "seconds", default = "default_idle")]
        idle: Duration,
        /// From log-in to the end, whatever happens.
        #[serde(with = "seconds", default = "default_absolute")]
        absolute: Duration,
    },
    /// An opaque cookie is the proof; the session stays on the server.
    Cookie {
        /// Life of the short token that the gateway or a backend gets in the cookie's place.
        #[serde(with = "seconds", default = "default_short_life")]
        life: Duration,
        /// Without use by a person, the session ends after this.
        #[serde(with = "seconds", default = "default_idle")]
        idle: Duration,
        /// From log-in to the end, whatever happens.
        #[serde(with = "seconds", default = "default_absolute")]
        absolute: Duration,
    },
}

const fn default_rolling_life() -> Duration {
    Duration::from_secs(20 * MINUTE.as_secs())
}
const fn default_rolling_absolute() -> Duration {
    Duration::from_secs(12 * HOUR.as_secs())
}
const fn default_fixed_life() -> Duration {
    Duration::from_secs(7 * DAY.as_secs())
}
const fn default_short_life() -> Duration {
    Duration::from_secs(5 * MINUTE.as_secs())
}
const fn default_client_timeout() -> Duration {
    CLIENT_TIMEOUT
}
const fn default_idle() -> Duration {
    Duration::from_secs(14 * DAY.as_secs())
}
const fn default_absolute() -> Duration {
    Duration::from_secs(90 * DAY.as_secs())
}

/// The windows of the refresh machine: both derived from how long a request and its answer can be on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// W: a parent presented within this gets the same head again.
    pub parent: Duration,
    /// R: a head presented within this after its delivery is not rotated.
    pub rotate: Duration,
}

impl Windows {
    /// W = R = 2F + S, where F = client timeout + server deadline, and S is how far the nodes' clocks may lie apart.
    pub fn derived(client_timeout: Duration, server_deadline: Duration, clock_skew: Duration) -> Self {
        let window = 2 * (client_timeout + server_deadline) + clock_skew;
        Self { parent: window, rotate: window }
    }
}

/// A setting that cannot work, and what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImpossiblePolicy {
    /// A stale access token must not be due for renewal while its parent's window is open.
    #[error(
        "half of the access life ({half:?}) must exceed the window in which a lost answer is repeated ({window:?}): raise `life` above {} s or lower `client_timeout`",
        2 * window.as_secs()
    )]
    LifeWithinWindow {
        /// Half of the access life.
        half: Duration,
        /// The window W.
        window: Duration,
    },
    /// Idle reaches beyond absolute.
    #[error("`idle` ({idle:?}) must not exceed `absolute` ({absolute:?}): lower `idle` or raise `absolute`")]
    IdleBeyondAbsolute {
        /// The idle limit.
        idle: Duration,
        /// The absolute limit.
        absolute: Duration,
    },
    /// An access token would outlive its session.
    #[error("`life` ({life:?}) must not exceed {limit} ({bound:?}): lower `life` or raise {limit}")]
    LifeBeyondSession {
        /// The access life.
        life: Duration,
        /// The setting that bounds it, by name.
        limit: &'static str,
        /// That setting.
        bound: Duration,
    },
    /// A token would live longer than an api allows.
    #[error(
        "`life` ({life:?}) must not exceed the cap of the api `{audience}` ({cap:?}): lower `life` or raise the api's `max_life`"
    )]
    LifeBeyondCap {
        /// The access life.
        life: Duration,
        /// The api's cap.
        cap: Duration,
        /// The api.
        audience: String,
    },
    /// Shorter than a token can usefully live, or than the quantum of minting.
    #[error("`{setting}` ({value:?}) must be at least {least:?}")]
    TooShort {
        /// Which setting.
        setting: &'static str,
        /// What it was set to.
        value: Duration,
        /// The least that works.
        least: Duration,
    },
    /// Longer than anything may live.
    #[error("`{setting}` ({value:?}) must be at most 400 days")]
    TooLong {
        /// Which setting.
        setting: &'static str,
        /// What it was set to.
        value: Duration,
    },
}

/// What the server as a whole sets: the same for every client, scaled as one by `dev --speed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From the first byte of a request read to its answer written, at most.
    pub server_deadline: Duration,
    /// How far apart the clocks of two nodes may lie: zero with one node.
    pub clock_skew: Duration,
    /// Minting times are rounded down to this.
    pub quantum: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { server_deadline: SERVER_DEADLINE, clock_skew: Duration::ZERO, quantum: QUANTUM }
    }
}

impl Policy {
    /// The rolling policy with its defaults: 20 minutes, 12 hours.
    pub const fn rolling() -> Self {
        Self::Rolling { life: default_rolling_life(), absolute: default_rolling_absolute() }
    }

    /// The fixed policy with its default: 7 days.
    pub const fn fixed() -> Self {
        Self::Fixed { life: default_fixed_life() }
    }

    /// The refresh policy with its defaults: 5 minutes, idle 14 days, absolute 90 days.
    pub const fn refresh() -> Self {
        Self::Refresh {
            life: default_short_life(),
            client_timeout: CLIENT_TIMEOUT,
            idle: default_idle(),
            absolute: default_absolute(),
        }
    }

    /// The cookie policy with its defaults: 5 minutes, idle 14 days, absolute 90 days.
    pub const fn cookie() -> Self {
        Self::Cookie { life: default_short_life(), idle: default_idle(), absolute: default_absolute() }
    }

    /// Its name, as it is set and shown.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Rolling { .. } => "rolling",
            Self::Fixed { .. } => "fixed",
            Self::Refresh { .. } => "refresh",
            Self::Cookie { .. } => "cookie",
        }
    }

    /// Life of an access token.
    pub const fn life(&self) -> Duration {
        match self {
            Self::Rolling { life, .. }
            | Self::Fixed { life }
            | Self::Refresh { life, .. }
            | Self::Cookie { life, .. } => *life,
        }
    }

    /// From log-in to the end, whatever happens.
    pub const fn absolute(&self) -> Duration {
        match self {
            Self::Fixed { life } => *life,
            Self::Rolling { absolute, .. } | Self::Refresh { absolute, .. } | Self::Cookie { absolute, .. } => {
                *absolute
            }
        }
    }

    /// How long a session goes on without use. A rolling session is as old as its newest token: when that has run
    /// out, nothing can renew it.
    pub const fn idle(&self) -> Duration {
        match self {
            Self::Rolling { life, .. } | Self::Fixed { life } => *life,
            Self::Refresh { idle, .. } | Self::Cookie { idle, .. } => *idle,
        }
    }

    /// The windows of the refresh machine under this policy; those of the default timeout where it has no say.
    pub fn windows(&self, timing: &Timing) -> Windows {
        let client_timeout = match self {
            Self::Refresh { client_timeout, .. } => *client_timeout,
            Self::Rolling { .. } | Self::Fixed { .. } | Self::Cookie { .. } => CLIENT_TIMEOUT,
        };
        Windows::derived(client_timeout, timing.server_deadline, timing.clock_skew)
    }

    /// Refuses settings that cannot work. `caps` are the audiences that the client may call, each with the longest
    /// token life that it allows.
    pub fn check<'a>(
        &self,
        timing: &Timing,
        caps: impl IntoIterator<Item = (&'a str, Duration)>,
    ) -> Result<(), ImpossiblePolicy> {
        self.check_bounds(timing)?;
        self.check_order()?;
        if let Self::Refresh { life, .. } = self {
            let (half, window) = (*life / 2, self.windows(timing).parent);
            if half <= window {
                return Err(ImpossiblePolicy::LifeWithinWindow { half, window });
            }
        }
        let life = self.life();
        match caps.into_iter().find(|(_, cap)| life > *cap) {
            Some((audience, cap)) => Err(ImpossiblePolicy::LifeBeyondCap { life, cap, audience: audience.to_owned() }),
            None => Ok(()),
        }
    }

    fn check_bounds(&self, timing: &Timing) -> Result<(), ImpossiblePolicy> {
        let (value, least) = (self.life(), LEAST_LIFE.max(timing.quantum * 2));
        if value < least {
            return Err(ImpossiblePolicy::TooShort { setting: "life", value, least });
        }
        if let Self::Refresh { client_timeout, .. } = self
            && *client_timeout < Duration::from_millis(500)
        {
            let least = Duration::from_millis(500);
            return Err(ImpossiblePolicy::TooShort { setting: "client_timeout", value: *client_timeout, least });
        }
        let bounded = [("life", self.life()), ("idle", self.idle()), ("absolute", self.absolute())];
        match bounded.into_iter().find(|(_, value)| *value > LONGEST) {
            Some((setting, value)) => Err(ImpossiblePolicy::TooLong { setting, value }),
            None => Ok(()),
        }
    }

    fn check_order(&self) -> Result<(), ImpossiblePolicy> {
        let (life, idle, absolute) = (self.life(), self.idle(), self.absolute());
        match self {
            Self::Fixed { .. } => Ok(()),
            Self::Rolling { .. } if life > absolute => {
                Err(ImpossiblePolicy::LifeBeyondSession { life, limit: "`absolute`", bound: absolute })
            }
            Self::Rolling { .. } => Ok(()),
            Self::Refresh { .. } | Self::Cookie { .. } if idle > absolute => {
                Err(ImpossiblePolicy::IdleBeyondAbsolute { idle, absolute })
            }
            Self::Refresh { .. } | Self::Cookie { .. } if life > idle => {
                Err(ImpossiblePolicy::LifeBeyondSession { life, limit: "`idle`", bound: idle })
            }
            Self::Refresh { .. } | Self::Cookie { .. } => Ok(()),
        }
    }
}

/// Durations are set and shown in seconds, whole or not: `300`, `0.5`.
pub(crate) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        if value.subsec_nanos() == 0 {
            serializer.serialize_u64(value.as_secs())
        } else {
            serializer.serialize_f64(value.as_secs_f64())
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(seconds).map_err(|_| serde::de::Error::custom("not a duration in seconds"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_CAPS: [(&str, Duration); 0] = [];

    #[test]
    fn the_defaults_are_those_of_the_design_and_possible() {
        let timing = Timing::default();
        for policy in [Policy::rolling(), Policy::fixed(), Policy::refresh(), Policy::cookie()] {
            policy.check(&timing, NO_CAPS).unwrap();
        }
        assert_eq!(Policy::rolling().life(), 20 * MINUTE);
        assert_eq!(Policy::rolling().absolute(), 12 * HOUR);
        assert_eq!(Policy::fixed().life(), 7 * DAY);
        assert_eq!((Policy::refresh().life(), Policy::refresh().idle()), (5 * MINUTE, 14 * DAY));
        assert_eq!(Policy::refresh().absolute(), 90 * DAY);
        assert_eq!((Policy::cookie().life(), Policy::cookie().idle()), (5 * MINUTE, 14 * DAY));
        assert_eq!(
            Policy::refresh().windows(&timing),
            Windows { parent: Duration::from_secs(30), rotate: Duration::from_secs(30) }
        );
    }

    #[test]
    fn a_policy_is_written_as_an_operator_writes_it() {
        let policy: Policy = serde_json::from_str(r#"{"kind":"refresh","life":600,"client_timeout":0.5}"#).unwrap();
        assert_eq!(
            policy,
            Policy::Refresh {
                life: 10 * MINUTE,
                client_timeout: Duration::from_millis(500),
                idle: 14 * DAY,
                absolute: 90 * DAY
            }
        );
        let text = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy);
        assert!(serde_json::from_str::<Policy>(r#"{"kind":"fixed","life":-1}"#).is_err());
        assert!(serde_json::from_str::<Policy>(r#"{"kind":"rolling","idle":60}"#).is_err(), "not a setting of it");
        assert!(serde_json::from_str::<Policy>(r#"{"kind":"fixed","life":1e40}"#).is_err());
    }

    #[test]
    fn each_impossible_setting_is_refused_by_name() {
        let timing = Timing::default();
        let refused = |policy: Policy| policy.check(&timing, NO_CAPS).unwrap_err().to_string();
        let refresh = |life, idle, absolute| Policy::Refresh { life, client_timeout: CLIENT_TIMEOUT, idle, absolute };
        assert!(refused(refresh(MINUTE, DAY, DAY)).contains("raise `life` above 60 s"));
        assert!(refused(refresh(5 * MINUTE, 2 * DAY, DAY)).contains("lower `idle` or raise `absolute`"));
        assert!(refused(refresh(5 * MINUTE, MINUTE, DAY)).contains("lower `life` or raise `idle`"));
        assert!(refused(Policy::Rolling { life: DAY, absolute: HOUR }).contains("raise `absolute`"));
        assert!(refused(Policy::Fixed { life: Duration::from_secs(9) }).contains("at least 10s"));
        assert!(refused(Policy::Fixed { life: 401 * DAY }).contains("at most 400 days"));
        let capped = Policy::fixed().check(&timing, [("pay", 8 * DAY), ("mail", DAY)]).unwrap_err();
        assert!(capped.to_string().contains("cap of the api `mail`"), "{capped}");
    }

    #[test]
    fn half_of_the_access_life_must_exceed_the_window_not_equal_it() {
        let timing = Timing::default();
        let life = |life| Policy::Refresh { life, client_timeout: CLIENT_TIMEOUT, idle: DAY, absolute: DAY };
        assert!(life(Duration::from_secs(60)).check(&timing, NO_CAPS).is_err());
        assert!(life(Duration::from_secs(61)).check(&timing, NO_CAPS).is_ok());
    }
}
