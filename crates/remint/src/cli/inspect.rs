//! `remint token inspect`: says what a token says, in words. Asks nobody, verifies nothing, and never prints the part
//! that makes a token work: its signature or MAC.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remint_core::json;
use remint_core::refresh::RefreshToken;
use remint_core::time::Timestamp;
use serde_json::{Map, Value, json as value};

use super::{CliError, Exit, show, write};
use crate::clock::Clock;

/// Tokens.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Token {
    /// Explain every claim of an access token, or the parts of a refresh token
    Inspect {
        /// The token [default: the first line of standard input, which no list of processes shows]
        token: Option<String>,
    },
}

pub(super) fn run(json: bool, command: Token) -> Result<(), CliError> {
    let Token::Inspect { token } = command;
    let text = match token {
        Some(text) => text,
        None => {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line)?;
            line
        }
    };
    let text = text.trim();
    let text = text.strip_prefix("Bearer ").unwrap_or(text).trim(); // copied with its header
    let inspected =
        refresh_token(text).or_else(|| jwt(text)).ok_or_else(|| CliError::new(Exit::Usage, no_token(text)))?;
    let now = Clock::system().now();
    write(&if json { format!("{:#}", inspected.json(now)) } else { inspected.text(now) })
}

/// Why a text is no token, as near as can be said. Nothing of the text is repeated: it can be a secret.
fn no_token(text: &str) -> String {
    let parts: Vec<&str> = text.split('.').collect();
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part);
    match parts.as_slice() {
        [""] => "there is no token: it is empty".to_owned(),
        ["rt1", ..] => {
            "this begins like a refresh token, but is not whole: `rt1.`, a number, the session, two numbers \
                        and the MAC, with dots between. Was it cut?"
                .to_owned()
        }
        [_, _, _, _, _] => {
            "this has five parts: an encrypted token (RFC 7516), which Remint neither makes nor takes".to_owned()
        }
        [header, payload, _] => {
            let wrong =
                [("header", header), ("payload", payload)].into_iter().find_map(|(name, part)| {
                    match decoded(part).map(|bytes| json::object(&bytes)) {
                        Err(_) => Some(format!("its {name} is not base64url without padding (RFC 7515 section 2)")),
                        Ok(Err(why)) => Some(format!("its {name} is not a JSON object that can be taken: {why}")),
                        Ok(Ok(_)) => None,
                    }
                });
            format!("this has three parts like an access token, but {}", wrong.unwrap_or_default())
        }
        parts => format!(
            "this is neither an access token (three parts of base64url with dots between) nor a refresh token (rt1.…): \
             it has {} {}",
            parts.len(),
            if parts.len() == 1 { "part" } else { "parts" }
        ),
    }
}

/// What a token says.
struct Inspected {
    kind: &'static str,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

fn refresh_token(text: &str) -> Option<Inspected> {
    let token: RefreshToken = text.parse().ok()?;
    let part = |index: usize| text.split('.').nth(index).unwrap_or_default().to_owned();
    let claims =
        [("kid", 1), ("sid", 2), ("gen", 3), ("br", 4)].map(|(name, index)| (name.to_owned(), part(index).into()));
    let mut claims = Map::from_iter(claims);
    claims.insert("sid".into(), value!(token.sid()));
    Some(Inspected { kind: "a refresh token of Remint", header: Map::new(), claims })
}

fn jwt(text: &str) -> Option<Inspected> {
    let mut parts = text.split('.');
    let (header, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
    let object = |part: &str| json::object(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    let (header, claims) = (object(header)?, object(payload)?);
    let kind = match header.get("typ").and_then(Value::as_str) {
        Some("at+jwt" | "application/at+jwt") => "an access token (RFC 9068)",
        _ => "a JSON Web Token (RFC 7519), not one for access by RFC 9068",
    };
    Some(Inspected { kind, header, claims })
}

impl Inspected {
    fn json(&self, now: Timestamp) -> Value {
        value!({
            "kind": self.kind,
            "header": self.header,
            "claims": self.claims,
            "verified": false,
            "problems": self.problems(now),
        })
    }

    /// What any verifier would refuse, as far as the token itself says it (RFC 9068 sections 2 and 4).
    fn problems(&self, now: Timestamp) -> Vec<String> {
        if self.header.is_empty() {
            return Vec::new(); // a refresh token says nothing of its own life
        }
        let text = |name: &str| self.header.get(name).and_then(Value::as_str);
        let mut problems = Vec::new();
        if !matches!(text("typ"), Some("at+jwt" | "application/at+jwt")) {
            problems.push("its `typ` is not at+jwt: no api takes it for an access token".to_owned());
        }
        match text("alg") {
            Some("none") => problems.push("its `alg` is none: nobody signed it, and nobody takes it".to_owned()),
            Some(alg) if alg.starts_with("HS") => {
                problems.push(format!("its `alg` is {alg}, which needs a shared secret: Remint signs with key pairs"));
            }
            Some(_) | None => {}
        }
        for name in ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"] {
            if !self.claims.contains_key(name) {
                problems.push(format!("the claim `{name}` is missing, which every access token has"));
            }
        }
        problems.extend(["exp", "nbf", "iat"].into_iter().filter_map(|name| self.untimely(name, now)));
        problems
    }

    /// What is wrong with a time.
    fn untimely(&self, name: &str, now: Timestamp) -> Option<String> {
        let Some(secs) = self.claims.get(name)?.as_i64() else {
            return Some(format!("the claim `{name}` is not a whole number of seconds"));
        };
        let at = Timestamp::from_secs(secs);
        match name {
            "exp" if now >= at => Some(format!("it has expired, {}: renew it, or log in again", relative(at, now))),
            "exp" => None,
            _ if at > now => Some(format!("its `{name}` lies ahead, {}: is a clock wrong?", relative(at, now))),
            _ => None,
        }
    }

    fn text(&self, now: Timestamp) -> String {
        let mut lines = vec![format!("This is {}. Nothing of it was verified.", self.kind)];
        lines.extend(self.problems(now).iter().map(|problem| format!("Wrong: {}.", printable(problem))));
        for (title, members, explain) in [
            ("Header", &self.header, header as fn(&str) -> &'static str),
            (if self.header.is_empty() { "Parts" } else { "Claims" }, &self.claims, claim),
        ] {
            if !members.is_empty() {
                lines.extend([String::new(), title.to_owned()]);
            }
            let width = members.keys().map(String::len).max().unwrap_or_default();
            for (name, value) in members {
                let (name, told) = (printable(name), printable(&told(name, value, now)));
                lines.push(format!("  {name:width$}  {told}").trim_end().to_owned());
                lines.push(format!("  {:width$}    {}", "", explain(&name)));
            }
        }
        lines.join("\n")
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// A value; a time with its date, and how far away it is.
fn told(name: &str, value: &Value, now: Timestamp) -> String {
    let time = matches!(name, "exp" | "iat" | "nbf" | "auth_time").then(|| value.as_i64()).flatten();
    match (time, value) {
        (Some(secs), _) => format!("{secs} ({}, {})", show::utc(secs), relative(Timestamp::from_secs(secs), now)),
        (None, Value::String(text)) => text.clone(),
        (None, other) => other.to_string(),
    }
}

fn relative(at: Timestamp, now: Timestamp) -> String {
    let (ahead, behind) = (at.since(now).as_secs(), now.since(at).as_secs());
    match (ahead, behind) {
        (0, 0) => "now".to_owned(),
        (ahead, 0) => format!("in {}", length(ahead)),
        (_, behind) => format!("{} ago", length(behind)),
    }
}

fn length(secs: u64) -> String {
    let (days, hours, minutes, seconds) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60, secs % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

fn header(name: &str) -> &'static str {
    match name {
        "typ" => "what kind of token it is: `at+jwt` is an access token, and nothing else is taken for one",
        "alg" => "how it was signed; a verifier goes by the key's algorithm, never by this",
        "kid" => "which key signed it; the public half is at /oauth2/jwks",
        _ => "not a header of Remint",
    }
}

fn claim(name: &str) -> &'static str {
    match name {
        "iss" => "who issued it; an api believes one issuer",
        "sub" => "whom it speaks for: the user, or the client itself where there is no session",
        "aud" => "for which api it is; every other one refuses it",
        "client_id" => "the application that it was given to",
        "sid" => "the session; when it ends, every api refuses the token within a second",
        "cv" => "the version of the user record that it shows; an api that knows a later one calls it stale",
        "pv" => "the version of the client's settings that it was made by",
        "iat" => "when it was made",
        "exp" => "when it is over, for an api with a few seconds of leeway",
        "nbf" => "before that nobody takes it",
        "jti" => "its own name",
        "scope" => "what it may be used for",
        "auth_time" => "when the person last proved who they are",
        "amr" => "how they proved it (RFC 8176)",
        "acr" => "how good the proof was",
        "cnf" => "the key that its holder must prove to have",
        "gen" => "its generation: rises with each rotation",
        "br" => "its branch: rises when a lost answer is repeated after its window",
        "kid" => "which key of the keyring it was derived with",
        _ => "mapped from the user record by the client's settings",
    }
}

#[cfg(test)]
mod tests {
    use remint_core::id::SessionId;
    use remint_core::refresh::{MacKeyId, Position, derive};
    use remint_core::secret::{MacKey, Salt};

    use super::*;

    fn token() -> String {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(value!({"alg": "ES256", "typ": "at+jwt", "kid": "k1"}));
        let claims =
            part(value!({"iss": "https://id.example", "exp": 5100, "iat": 4900, "cv": 3, "nickname": "a\u{1b}da"}));
        format!("{header}.{claims}.SIGNATURE_BYTES")
    }

    #[test]
    fn every_claim_is_told_in_words_with_relative_times_and_without_the_signature() {
        let inspected = jwt(&token()).unwrap();
        let text = inspected.text(Timestamp::from_secs(5000));
        for word in
            ["RFC 9068", "5100 (1970-01-01 01:25:00Z, in 1 min 40 s)", "1 min 40 s ago", "calls it stale", "mapped"]
        {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert!(!text.contains("SIGNATURE") && !text.contains('\u{1b}'), "{text}");
        assert!(!inspected.json(Timestamp::default()).to_string().contains("SIGNATURE"));
    }

    #[test]
    fn a_refresh_token_is_told_without_its_mac() {
        let (key, salt) = (MacKey::from_bytes(&[1; 32]), Salt::from_bytes([2; 16]));
        let sid = SessionId::from_bytes([3; 16]);
        let text = derive(MacKeyId(7), &key, sid, &salt, Position { generation: 4, branch: 1 }).reveal();
        let inspected = refresh_token(&text).unwrap();
        let (mac, told) = (text.rsplit('.').next().unwrap(), inspected.text(Timestamp::default()));
        assert!(told.contains("generation") && told.contains(&sid.to_string()), "{told}");
        assert!(!told.contains(mac) && !inspected.json(Timestamp::default()).to_string().contains(mac));
    }

    #[test]
    fn what_is_wrong_with_a_token_is_said_in_words() {
        let inspected = jwt(&token()).unwrap();
        let told = |at: i64| inspected.problems(Timestamp::from_secs(at)).join("\n");
        assert!(told(5000).contains("`aud` is missing") && !told(5000).contains("expired"), "{}", told(5000));
        assert!(told(5160).contains("it has expired, 1 min 0 s ago"), "{}", told(5160));
        assert!(told(4000).contains("its `iat` lies ahead"), "{}", told(4000));
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let unsigned = format!("{}.{}.", part(value!({"alg": "none"})), part(value!({"exp": "soon"})));
        let told = jwt(&unsigned).unwrap().text(Timestamp::default());
        for word in ["Wrong: its `typ` is not at+jwt", "nobody signed it", "`exp` is not a whole number"] {
            assert!(told.contains(word), "{word}: {told}");
        }
    }

    #[test]
    fn why_a_text_is_no_token_is_said_without_repeating_it() {
        for (text, word) in [
            ("", "it is empty"),
            ("s3cret", "neither an access token"),
            ("rt1.1.s3cret", "Was it cut?"),
            ("a.b.c.d.e", "encrypted"),
            ("s3cre=.e30.x", "its header is not base64url"),
            ("e30.W10.s3cret", "its payload is not a JSON object"),
        ] {
            let told = no_token(text);
            assert!(told.contains(word) && !told.contains("s3cre"), "{text}: {told}");
        }
    }

    #[test]
    fn what_is_no_token_is_none() {
        for text in ["", "a.b.c", "rt1.1.x", "eyJ9.e30", &token().replace('.', "..")] {
            assert!(refresh_token(text).or_else(|| jwt(text)).is_none(), "{text}");
        }
    }
}
