//! Properties over tokens at random: as the oracle judges them, and never a panic.

use std::collections::HashSet;
use std::mem::discriminant;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use remint_core::claims::Expected;
use remint_core::json;
use remint_core::jwk::SigningKey;
use remint_core::jwks::Jwks;

use crate::keys::{AUDIENCE, ISSUER, JWKS, NOW, all, sign};
use crate::oracle::{Strictness, Verdict, compare};

/// Header members that are now and then added, or put in the place of the usual ones.
const HEADER: [&str; 32] = [
    r#""typ":"JWT""#,
    r#""typ":"Application/AT+JWT""#,
    r#""typ":null"#,
    r#""typ":1"#,
    r#""kid":"es""#,
    r#""kid":"rs""#,
    r#""kid":"no""#,
    r#""kid":null"#,
    r#""kid":7"#,
    r#""kid":"a b""#,
    r#""alg":"none""#,
    r#""alg":"HS256""#,
    r#""alg":"ES256""#,
    r#""alg":"PS256""#,
    r#""alg":null"#,
    r#""crit":["exp"]"#,
    r#""crit":[]"#,
    r#""b64":false"#,
    r#""zip":"DEF""#,
    r#""enc":"A256GCM""#,
    r#""jku":"https://evil.example""#,
    r#""x5u":"u""#,
    r#""x5c":[]"#,
    r#""jwk":null"#,
    r#""x5t":"abc""#,
    r#""x5t":7"#,
    r#""cty":{}"#,
    r#""nonce":1"#,
    r#""x":{"a":1,"a":2}"#,
    r#""x":{"a":1,"b":[{}]}"#,
    r#""k\u0069d":"es""#,
    r#""url":[]"#,
];

/// Claims that are now and then added, or put in the place of the usual ones.
const CLAIMS: [&str; 58] = [
    r#""exp":1"#,
    r#""exp":"4000000000""#,
    r#""exp":4e9"#,
    r#""exp":4000000000.5"#,
    r#""exp":-1"#,
    r#""exp":null"#,
    r#""exp":4000000000000"#,
    r#""exp":1e300"#,
    r#""exp":18446744073709551615"#,
    r#""nbf":1"#,
    r#""nbf":0.5"#,
    r#""nbf":4000000000"#,
    r#""nbf":"1""#,
    r#""nbf":null"#,
    r#""iat":"1""#,
    r#""iat":null"#,
    r#""iat":1e9"#,
    r#""iss":"https://other.example""#,
    r#""iss":["https://id.example"]"#,
    r#""iss":7"#,
    r#""sub":"""#,
    r#""sub":7"#,
    r#""sub":"bob""#,
    r#""aud":[]"#,
    r#""aud":["https://api.example","b"]"#,
    r#""aud":["b"]"#,
    r#""aud":"b""#,
    r#""aud":["https://api.example",""]"#,
    r#""aud":["https://api.example",1]"#,
    r#""aud":null"#,
    r#""client_id":1"#,
    r#""jti":"""#,
    r#""jti":null"#,
    r#""scope":["a"]"#,
    r#""scope":"""#,
    r#""scope":"a b""#,
    r#""amr":"pwd""#,
    r#""amr":["pwd"]"#,
    r#""amr":[""]"#,
    r#""acr":1"#,
    r#""acr":"1""#,
    r#""auth_time":true"#,
    r#""auth_time":5"#,
    r#""sid":"s""#,
    r#""sid":1"#,
    r#""cv":1"#,
    r#""cv":"1""#,
    r#""cv":-1"#,
    r#""pv":1.5"#,
    r#""pv":3"#,
    r#""cnf":{"jkt":"a"}"#,
    r#""cnf":{}"#,
    r#""cnf":null"#,
    r#""x":{"a":1,"\u0061":2}"#,
    r#""s\u0075b":"eve""#,
    r#""x":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"#,
    r#""x":{"a":{"a":"\":{"}}"#,
    r#""y":1e999"#,
];

#[derive(Clone, Debug)]
enum Damage {
    None,
    Replace(prop::sample::Index, char),
    Insert(prop::sample::Index, char),
    Cut(prop::sample::Index),
    Append(&'static str),
}

impl Damage {
    fn done_to(&self, mut token: String) -> String {
        match self {
            Self::None => {}
            Self::Replace(at, with) => {
                let at = at.index(token.len());
                token.replace_range(at..=at, &with.to_string());
            }
            Self::Insert(at, what) => token.insert(at.index(token.len()), *what),
            Self::Cut(at) => token.truncate(at.index(token.len())),
            Self::Append(what) => token.push_str(what),
        }
        token
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let character = prop::sample::select("AQgw048_-.=+/ \n\u{0}".chars().collect::<Vec<_>>());
    let at = any::<prop::sample::Index>;
    prop_oneof![
        12 => Just(Damage::None),
        1 => (at(), character.clone()).prop_map(|(at, with)| Damage::Replace(at, with)),
        1 => (at(), character).prop_map(|(at, what)| Damage::Insert(at, what)),
        1 => at().prop_map(Damage::Cut),
        1 => prop::sample::select(vec!["=", "==", ".", "..", ".a.b", "A", "\n"]).prop_map(Damage::Append),
    ]
}

/// An object of the usual members with some replaced, some left out and some added, in that order.
fn object(usual: &[(&str, String)], missing: Option<usize>, changes: &[&str], replace: bool) -> String {
    let name = |member: &str| member.split(':').next().unwrap_or_default().to_owned();
    let changed: HashSet<String> = changes.iter().filter(|_| replace).map(|change| name(change)).collect();
    let mut members: Vec<String> = usual
        .iter()
        .enumerate()
        .filter(|(at, (name, _))| missing != Some(*at) && !changed.contains(&format!("\"{name}\"")))
        .map(|(_, (name, value))| format!("\"{name}\":{value}"))
        .collect();
    members.extend(changes.iter().map(|change| (*change).to_owned()));
    format!("{{{}}}", members.join(","))
}

fn header(key: &SigningKey, missing: Option<usize>, changes: &[&str], replace: bool) -> String {
    let usual = [
        ("alg", format!("\"{}\"", key.algorithm())),
        ("typ", "\"at+jwt\"".into()),
        ("kid", format!("\"{}\"", key.kid())),
    ];
    object(&usual, missing, changes, replace)
}

fn payload(missing: Option<usize>, changes: &[&str], replace: bool, padding: usize) -> String {
    let quoted = |text: &str| format!("\"{text}\"");
    let usual = [
        ("iss", quoted(ISSUER)),
        ("sub", quoted("ann")),
        ("aud", quoted(AUDIENCE)),
        ("client_id", quoted("web")),
        ("iat", "1000000000".into()),
        ("exp", "4000000000".into()),
        ("jti", quoted("j1")),
        ("pad", quoted(&"p".repeat(padding))),
    ];
    object(&usual, missing, changes, replace)
}

/// Members changed, whether in the place of the usual ones (mostly) or beside them, and one usual member left out.
fn changes(
    of: &'static [&'static str],
    usual: usize,
) -> impl Strategy<Value = (Option<usize>, Vec<&'static str>, bool)> {
    (
        prop_oneof![9 => Just(None), 1 => (0..usual).prop_map(Some)],
        prop_oneof![
            3 => Just(vec![]),
            3 => prop::sample::select(of).prop_map(|one| vec![one]),
            1 => prop::collection::vec(prop::sample::select(of), 2),
        ],
        prop::bool::weighted(0.9),
    )
}

fn token() -> impl Strategy<Value = String> {
    let padding = prop_oneof![30 => Just(0), 1 => Just(9000usize)];
    (prop::sample::select(all().to_vec()), changes(&HEADER, 3), changes(&CLAIMS, 7), padding, damage()).prop_map(
        |(key, of_header, of_payload, padding, damage)| {
            let header = header(key, of_header.0, &of_header.1, of_header.2);
            let payload = payload(of_payload.0, &of_payload.1, of_payload.2, padding);
            damage.done_to(sign(&header, payload, key))
        },
    )
}

/// The property itself, on a fixed sequence, and the proof that the generator reaches all it is about.
#[test]
fn we_judge_as_the_oracle_or_a_named_strictness_says_why() {
    let mut runner = TestRunner::deterministic();
    let strategy = token();
    let (mut accepted, mut refused, mut explained) = (0, 0, HashSet::new());
    for _ in 0..6000 {
        match compare(&strategy.new_tree(&mut runner).unwrap().current(), NOW) {
            Verdict::BothAccept => accepted += 1,
            Verdict::BothRefuse => refused += 1,
            Verdict::Explained(strictness) => _ = explained.insert(discriminant(&strictness)),
        }
    }
    assert!(accepted > 500 && refused > 500, "accepted {accepted}, refused {refused}");
    for strictness in [
        Strictness::Length,
        Strictness::Extension,
        Strictness::EmbeddedKey,
        Strictness::KeyId,
        Strictness::Kind,
        Strictness::Duplicate,
        Strictness::Depth,
        Strictness::Absent(""),
        Strictness::Form(""),
        Strictness::Bound,
        Strictness::IgnoredParameter,
    ] {
        assert!(explained.contains(&discriminant(&strictness)), "{strictness:?} was never needed");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn we_judge_random_tokens_as_the_oracle(token in token()) {
        compare(&token, NOW);
    }

    #[test]
    fn no_string_panics(text in any::<String>(), token in "[A-Za-z0-9_=.-]{0,300}", dots in r"(\.|e30|bnVsbA|W10){0,9}") {
        let audience = [AUDIENCE.to_owned()];
        let expected = Expected::new(ISSUER, &audience).unwrap();
        for text in [&text, &token, &dots] {
            prop_assert!(expected.accept(text, &JWKS, NOW).is_err());
        }
    }

    #[test]
    fn no_signed_bytes_panic(header in any::<String>(), payload in any::<Vec<u8>>()) {
        let audience = [AUDIENCE.to_owned()];
        let expected = Expected::new(ISSUER, &audience).unwrap();
        let key = all()[0];
        prop_assert!(expected.accept(&sign(&header, &payload, key), &JWKS, NOW).is_err());
        prop_assert!(expected.accept(&sign(&crate::keys::header(key), &payload, key), &JWKS, NOW).is_err());
    }

    #[test]
    fn no_key_set_panics(bytes in any::<Vec<u8>>(), kty in "EC|OKP|RSA|oct", crv in "P-256|Ed25519", x in "[A-Za-z0-9_-]{0,90}") {
        let document = format!(r#"{{"keys":[{{"kty":"{kty}","crv":"{crv}","x":"{x}","y":"{x}","n":"{x}","e":"AQAB"}}]}}"#);
        let set = Jwks::parse(document.as_bytes()).unwrap();
        prop_assert_eq!(set.keys().len() + set.skipped().len(), 1);
        prop_assert!(Jwks::parse(&bytes).is_err());
    }

    #[test]
    fn strict_json_reads_what_lax_json_reads(text in r#"[\[\]{}":,0-9a-c\\ue+. -]{0,40}"#) {
        let lax = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text);
        match json::object(text.as_bytes()) {
            Ok(strict) => prop_assert_eq!(Some(strict), lax.ok()),
            Err(json::JsonError::DuplicateMember | json::JsonError::TooDeep) => {}
            Err(_) => prop_assert!(lax.is_err()),
        }
    }
}
