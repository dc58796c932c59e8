//! What an access token says: read from verified bytes, checked, and written when one is minted.
//!
//! A claim that is there with the wrong type is an error that names it; it never counts as absent. An error carries no
//! claims. What is *not* checked here: whether the session still lives (the ledger does that), `scope` (the API does),
//! `iat` (RFC 7519 asks nothing of it), and proofs of possession (the caller, who then says so).

use std::time::Duration;

use serde_json::{Map, Number, Value};

use crate::json;
use crate::jwks::Jwks;
use crate::jws::{Part, Payload, TokenError, Typ, Unverified};
use crate::time::Timestamp;

/// The last second of the year 9999. A later date in a token is a unit mistaken (milliseconds), and no life at all.
pub const MAX_DATE_SECS: i64 = 253_402_300_799;

/// The session behind a token of this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionClaims {
    /// The session.
    pub sid: String,
    /// The version of the user's claims that the token shows.
    pub cv: u64,
}

/// What binds a token to a key (RFC 7800 section 3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// `jkt`: the thumbprint of the key of a DPoP proof (RFC 9449 section 6.1).
    Jkt(String),
    /// `x5t#S256`: the thumbprint of a client certificate (RFC 8705 section 3.1).
    CertificateThumbprint(String),
    /// Another or more than one method: no caller can claim to have checked it.
    Other,
}

/// The claims of an access token that was verified and accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessClaims {
    /// Who issued it.
    pub iss: String,
    /// Whom it speaks for.
    pub sub: String,
    /// For whom it is meant; never empty.
    pub aud: Vec<String>,
    /// The client to which it was issued.
    pub client_id: Option<String>,
    /// The session behind it; absent in client tokens and in those of other issuers.
    pub session: Option<SessionClaims>,
    /// The version of the client's settings.
    pub pv: Option<u64>,
    /// When it was issued, seconds since the epoch.
    pub iat: Option<i64>,
    /// When it expires, seconds since the epoch.
    pub exp: i64,
    /// Before when it is not valid, seconds since the epoch.
    pub nbf: Option<i64>,
    /// Its id.
    pub jti: Option<String>,
    /// The scopes, between single blanks (RFC 6749 section 3.3).
    pub scope: Option<String>,
    /// When the person last proved who they are, seconds since the epoch.
    pub auth_time: Option<i64>,
    /// How they proved it (RFC 8176).
    pub amr: Vec<String>,
    /// How good the proof was.
    pub acr: Option<String>,
    /// The key to which the token is bound.
    pub cnf: Option<Confirmation>,
    /// Everything else, mapped claims included.
    pub rest: Map<String, Value>,
}

/// How much a token must carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// RFC 9068 section 2.2: `typ` is `at+jwt`; `client_id`, `iat` and `jti` are demanded beside `iss sub aud exp`.
    #[default]
    Rfc9068,
    /// Any issuer's JWT: `typ` may also be `JWT` or absent, and only `iss sub aud exp` are demanded. `scope` may be an
    /// array of strings; `sid`, `cv` and `pv` are another issuer's own business where they are not of this server's
    /// form, and stay in [`AccessClaims::rest`]. A claim `events` marks a security event or logout token, which is
    /// refused (RFC 8417 section 2.2). ID tokens of the same issuer are told apart by their `aud` alone: give an API an
    /// audience of its own.
    AnyJwt,
}

impl Profile {
    /// The kind of token that the profile accepts.
    pub const fn typ(self) -> Typ {
        match self {
            Self::Rfc9068 => Typ::AccessToken,
            Self::AnyJwt => Typ::AnyAccessToken,
        }
    }
}

/// What the caller does about tokens that are bound to a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Possession {
    /// Nothing: a bound token is refused (RFC 9449 section 7.2).
    #[default]
    Bearer,
    /// The caller checks the proof that belongs to [`AccessClaims::cnf`] before it serves.
    CheckedByCaller,
}

/// A verifier must name an audience: without one every token of the issuer would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("name the issuer, and at least one audience that tokens must carry; neither may be empty")]
pub struct NothingExpected;

/// What a verifier demands of a token.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    issuer: &'a str,
    audience: &'a [String],
    leeway: Duration,
    profile: Profile,
    possession: Possession,
}

impl<'a> Expected<'a> {
    /// Tokens of `issuer` for any of `audience`, both compared byte for byte, in the profile of RFC 9068, as bearer,
    /// without leeway.
    ///
    /// # Errors
    /// [`NothingExpected`] where the issuer, the list or one of its entries is empty.
    pub fn new(issuer: &'a str, audience: &'a [String]) -> Result<Self, NothingExpected> {
        if issuer.is_empty() || audience.is_empty() || audience.iter().any(String::is_empty) {
            return Err(NothingExpected);
        }
        let (profile, possession) = (Profile::default(), Possession::default());
        Ok(Self { issuer, audience, leeway: Duration::ZERO, profile, possession })
    }

    /// Allows for clocks that differ by up to `leeway`, at both ends of a token's life.
    #[must_use]
    pub fn leeway(self, leeway: Duration) -> Self {
        Self { leeway, ..self }
    }

    /// Sets how much a token must carry.
    #[must_use]
    pub fn profile(self, profile: Profile) -> Self {
        Self { profile, ..self }
    }

    /// Sets what the caller does about bound tokens.
    #[must_use]
    pub fn possession(self, possession: Possession) -> Self {
        Self { possession, ..self }
    }

    /// The whole road from a string to claims: [`Unverified::parse`], [`Unverified::verify`], [`Expected::check`].
    ///
    /// # Errors
    /// [`TokenError`], the first that applies.
    pub fn accept(&self, token: &str, keys: &Jwks, now: Timestamp) -> Result<AccessClaims, TokenError> {
        self.check(&Unverified::parse(token)?.verify(keys, self.profile.typ())?, now)
    }

    /// Checks a verified payload at `now`, in the order of RFC 9068 section 4 as far as it is not done yet:
    ///
    /// 1. the payload was verified as the kind of token that the profile accepts;
    /// 2. it is a strict JSON object;
    /// 3. every claim that is demanded is there, and every known claim that is there has its type;
    /// 4. `iss` is the issuer, byte for byte;
    /// 5. `aud` names one of the audiences, byte for byte;
    /// 6. `exp` is after now, with the leeway;
    /// 7. `nbf` is not after now, with the leeway;
    /// 8. there is no `cnf`, or the caller checks it.
    ///
    /// # Errors
    /// [`TokenError`], the first that applies.
    pub fn check(&self, payload: &Payload, now: Timestamp) -> Result<AccessClaims, TokenError> {
        if payload.typ() != self.profile.typ() {
            return Err(TokenError::WrongType { expected: self.profile.typ() });
        }
        let members = json::object(payload.as_bytes());
        let members = members.map_err(|cause| TokenError::json(Part::Payload, cause))?;
        let claims = Reader { members, profile: self.profile }.claims()?;
        self.meant_for_us(&claims)?;
        self.timely(&claims, now)?;
        match (&claims.cnf, self.possession) {
            (None, _)
            | (Some(Confirmation::Jkt(_) | Confirmation::CertificateThumbprint(_)), Possession::CheckedByCaller) => {
                Ok(claims)
            }
            (Some(_), Possession::Bearer) | (Some(Confirmation::Other), _) => Err(TokenError::BoundToken),
        }
    }

    fn meant_for_us(&self, claims: &AccessClaims) -> Result<(), TokenError> {
        if claims.iss != self.issuer {
            return Err(TokenError::WrongIssuer);
        }
        if !claims.aud.iter().any(|named| self.audience.contains(named)) {
            return Err(TokenError::WrongAudience);
        }
        Ok(())
    }

    /// Steps 6 and 7 of [`Expected::check`] alone, for claims that were accepted before (RFC 7519 sections 4.1.4 and
    /// 4.1.5): on or after `exp` they are refused, before `nbf` too.
    ///
    /// # Errors
    /// [`TokenError::Expired`], [`TokenError::NotYetValid`].
    pub fn timely(&self, claims: &AccessClaims, now: Timestamp) -> Result<(), TokenError> {
        if Timestamp::from_secs(claims.exp).plus(self.leeway) <= now {
            return Err(TokenError::Expired);
        }
        if claims.nbf.is_some_and(|nbf| Timestamp::from_secs(nbf) > now.plus(self.leeway)) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }
}

/// Takes the known claims out of the members, one type at a time.
struct Reader {
    members: Map<String, Value>,
    profile: Profile,
}

impl Reader {
    fn claims(mut self) -> Result<AccessClaims, TokenError> {
        if self.profile == Profile::AnyJwt && self.members.contains_key("events") {
            return Err(TokenError::WrongType { expected: self.profile.typ() });
        }
        Ok(AccessClaims {
            iss: demanded("iss", self.text("iss")?)?,
            sub: demanded("sub", self.text("sub")?)?,
            aud: demanded("aud", self.audience()?)?,
            client_id: self.in_rfc9068("client_id", Self::text)?,
            session: self.session()?,
            pv: self.own_number("pv")?,
            iat: self.in_rfc9068("iat", Self::date)?,
            exp: demanded("exp", self.date("exp")?)?,
            nbf: self.date_rounded("nbf", f64::ceil)?,
            jti: self.in_rfc9068("jti", Self::text)?,
            scope: self.scope()?,
            auth_time: self.date("auth_time")?,
            amr: self.texts("amr")?.unwrap_or_default(),
            acr: self.text("acr")?,
            cnf: self.confirmation()?,
            rest: self.members,
        })
    }

    fn in_rfc9068<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Self, &'static str) -> Result<Option<T>, TokenError>,
    ) -> Result<Option<T>, TokenError> {
        match (read(self, name)?, self.profile) {
            (None, Profile::Rfc9068) => Err(TokenError::MissingClaim { name }),
            (claim, _) => Ok(claim),
        }
    }

    /// A string, and not the empty one: an empty `sub` or `jti` would stand for everybody's.
    fn text(&mut self, name: &'static str) -> Result<Option<String>, TokenError> {
        match self.members.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(TokenError::MistypedClaim { name }),
        }
    }

    fn texts(&mut self, name: &'static str) -> Result<Option<Vec<String>>, TokenError> {
        match self.members.remove(name) {
            None => Ok(None),
            Some(Value::Array(elements)) => {
                elements.into_iter().map(|element| string(name, element)).collect::<Result<_, _>>().map(Some)
            }
            Some(_) => Err(TokenError::MistypedClaim { name }),
        }
    }

    /// RFC 7519 section 4.1.3: one string, or an array of strings. An empty array names nobody and is refused.
    fn audience(&mut self) -> Result<Option<Vec<String>>, TokenError> {
        if matches!(self.members.get("aud"), Some(Value::String(_))) {
            return Ok(self.text("aud")?.map(|one| vec![one]));
        }
        match self.texts("aud")? {
            Some(audience) if audience.is_empty() => Err(TokenError::MistypedClaim { name: "aud" }),
            audience => Ok(audience),
        }
    }

    /// A NumericDate that is rounded towards the past.
    fn date(&mut self, name: &'static str) -> Result<Option<i64>, TokenError> {
        self.date_rounded(name, f64::floor)
    }

    /// RFC 7519 section 2 lets a NumericDate have a fraction. It is rounded to the side that shortens the token's life.
    fn date_rounded(&mut self, name: &'static str, round: fn(f64) -> f64) -> Result<Option<i64>, TokenError> {
        match self.members.remove(name) {
            None => Ok(None),
            Some(Value::Number(number)) => date(&number, round).map(Some).ok_or(TokenError::MistypedClaim { name }),
            Some(_) => Err(TokenError::MistypedClaim { name }),
        }
    }

    /// `sid` and `cv` make a session only together. In [`Profile::Rfc9068`] each must have its type where it is present;
    /// one without the other belongs to another issuer, and stays where it is.
    fn session(&mut self) -> Result<Option<SessionClaims>, TokenError> {
        let sid = self.members.get("sid").map(|sid| sid.as_str().filter(|sid| !sid.is_empty()));
        let cv = self.members.get("cv").map(Value::as_u64);
        if self.profile == Profile::Rfc9068 && (sid == Some(None) || cv == Some(None)) {
            let name = if sid == Some(None) { "sid" } else { "cv" };
            return Err(TokenError::MistypedClaim { name });
        }
        let (Some(Some(sid)), Some(Some(cv))) = (sid, cv) else {
            return Ok(None);
        };
        let session = SessionClaims { sid: sid.to_owned(), cv };
        self.members.remove("sid");
        self.members.remove("cv");
        Ok(Some(session))
    }

    /// An unsigned number that is this server's own claim.
    fn own_number(&mut self, name: &'static str) -> Result<Option<u64>, TokenError> {
        match (self.members.get(name).map(Value::as_u64), self.profile) {
            (Some(Some(number)), _) => {
                self.members.remove(name);
                Ok(Some(number))
            }
            (Some(None), Profile::Rfc9068) => Err(TokenError::MistypedClaim { name }),
            (Some(None), Profile::AnyJwt) | (None, _) => Ok(None),
        }
    }

    /// RFC 8693 section 4.2: one string. Some issuers write an array: its elements are joined, none may hold a blank.
    fn scope(&mut self) -> Result<Option<String>, TokenError> {
        const NAME: &str = "scope";
        if self.profile == Profile::AnyJwt && matches!(self.members.get(NAME), Some(Value::Array(_))) {
            let scopes = self.texts(NAME)?.unwrap_or_default();
            let whole = scopes.iter().all(|scope| !scope.contains(char::is_whitespace));
            return if whole { Ok(Some(scopes.join(" "))) } else { Err(TokenError::MistypedClaim { name: NAME }) };
        }
        match self.members.remove(NAME) {
            None => Ok(None),
            Some(Value::String(scope)) => Ok(Some(scope)), // the empty one says that nothing is allowed
            Some(_) => Err(TokenError::MistypedClaim { name: NAME }),
        }
    }

    fn confirmation(&mut self) -> Result<Option<Confirmation>, TokenError> {
        const NAME: &str = "cnf";
        let methods = match self.members.remove(NAME) {
            None => return Ok(None),
            Some(Value::Object(methods)) => methods,
            Some(_) => return Err(TokenError::MistypedClaim { name: NAME }),
        };
        let mut methods = methods.into_iter();
        Ok(Some(match (methods.next(), methods.next()) {
            (Some((method, Value::String(thumbprint))), None) if method == "jkt" => Confirmation::Jkt(thumbprint),
            (Some((method, Value::String(thumbprint))), None) if method == "x5t#S256" => {
                Confirmation::CertificateThumbprint(thumbprint)
            }
            _ => Confirmation::Other,
        }))
    }
}

fn demanded<T>(name: &'static str, claim: Option<T>) -> Result<T, TokenError> {
    claim.ok_or(TokenError::MissingClaim { name })
}

fn string(name: &'static str, element: Value) -> Result<String, TokenError> {
    match element {
        Value::String(text) if !text.is_empty() => Ok(text),
        _ => Err(TokenError::MistypedClaim { name }),
    }
}

/// Seconds in `0..=MAX_DATE_SECS`; anything else is not a date.
fn date(number: &Number, round: fn(f64) -> f64) -> Option<i64> {
    const RANGE: std::ops::RangeInclusive<i64> = 0..=MAX_DATE_SECS;
    let whole = match number.as_i64() {
        Some(whole) => whole,
        None => {
            let rounded = round(number.as_f64()?);
            // The range is inside that of exactly representable whole numbers, so the conversion loses nothing.
            if (0.0..=MAX_DATE_SECS as f64).contains(&rounded) { rounded as i64 } else { return None }
        }
    };
    RANGE.contains(&whole).then_some(whole)
}
