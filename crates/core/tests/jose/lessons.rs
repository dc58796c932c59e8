//! One test for each fault that a token library or an identity server shipped, as far as it lies in the token itself.

use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use remint_core::claims::{Confirmation, Expected, NothingExpected, Possession, Profile, SessionClaims};
use remint_core::json::JsonError;
use remint_core::jwk::{Algorithm, Jwk, JwkError, KeyParts, PublicKey};
use remint_core::jwks::{Jwks, JwksError, MAX_KEYS};
use remint_core::jws::{MAX_TOKEN_BYTES, Part, TokenError, Typ, Unverified, compact};
use remint_core::time::Timestamp;
use serde_json::{Map, Value, json};

use crate::keys::*;

/// The order of P-256, and that of Ed25519's group.
const P256_ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
const ED25519_ORDER_LE: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn audience() -> Vec<String> {
    vec![AUDIENCE.to_owned()]
}

type Outcome = Result<remint_core::claims::AccessClaims, TokenError>;

fn accept(token: &str) -> Outcome {
    accept_as(Profile::Rfc9068, token)
}

fn accept_as(profile: Profile, token: &str) -> Outcome {
    Expected::new(ISSUER, &audience()).unwrap().profile(profile).accept(token, &JWKS, NOW)
}

/// Claims with changes, ordinarily signed with ES256.
fn accept_claims(changes: Value) -> Outcome {
    accept(&sign(&header(&ES256), claims(changes), &ES256))
}

fn with_header(header: &str) -> Outcome {
    accept(&sign(header, claims(json!({})), &ES256))
}

/// A good ES256 token with another signature in its place.
fn with_signature(signature: &[u8]) -> Outcome {
    let token = sign(&header(&ES256), claims(json!({})), &ES256);
    let (signed, _) = token.rsplit_once('.').unwrap();
    accept(&format!("{signed}.{}", encode(signature)))
}

fn good_signature(token: &str) -> Vec<u8> {
    decode(token.rsplit_once('.').unwrap().1)
}

#[test]
fn a_good_token_of_each_algorithm_is_accepted() {
    for key in all() {
        let accepted = accept(&sign(&header(key), claims(json!({})), key)).unwrap();
        assert_eq!((accepted.sub.as_str(), accepted.aud), ("ann", audience()));
    }
}

#[test]
fn row_01_alg_none_is_refused_in_every_spelling() {
    for alg in
        ["none", "None", "NONE", "nOnE", "", "es256", "ES256 ", "HS256", "HS512", "RS1", "PBES2-HS256+A128KW", "dir"]
    {
        let header = format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"es"}}"#);
        assert_eq!(with_header(&header), Err(TokenError::UnknownAlgorithm), "{alg}");
        let unsigned = format!("{}.{}.", encode(&header), encode(claims(json!({}))));
        assert_eq!(accept(&unsigned), Err(TokenError::UnknownAlgorithm), "{alg}");
    }
    for header in [r#"{"typ":"at+jwt"}"#, r#"{"alg":null}"#, r#"{"alg":["ES256"]}"#] {
        assert_eq!(with_header(header), Err(TokenError::Header { parameter: "alg" }));
    }
}

#[test]
fn row_02_the_public_key_is_never_an_hmac_secret() {
    let public = serde_json::to_vec(RS256.public().jwk()).unwrap();
    let signed = format!("{}.{}", encode(r#"{"alg":"HS256","typ":"at+jwt","kid":"rs"}"#), encode(claims(json!({}))));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), signed.as_bytes());
    assert_eq!(accept(&format!("{signed}.{}", encode(tag))), Err(TokenError::UnknownAlgorithm));

    let signed = format!("{}.{}", encode(header(&RS256)), encode(claims(json!({}))));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), signed.as_bytes());
    assert_eq!(accept(&format!("{signed}.{}", encode(tag))), Err(TokenError::BadSignature));
}

#[test]
fn row_02_the_algorithm_of_another_key_is_refused() {
    let header = r#"{"alg":"PS256","typ":"at+jwt","kid":"rs"}"#; // the same modulus signs, but the key is bound to RS256
    assert_eq!(accept(&sign(header, claims(json!({})), &PS256)), Err(TokenError::AlgorithmMismatch));
    let header = r#"{"alg":"ES256","typ":"at+jwt","kid":"ed"}"#;
    assert_eq!(accept(&sign(header, claims(json!({})), &ES256)), Err(TokenError::AlgorithmMismatch));
}

#[test]
fn row_03_a_symmetric_key_in_a_key_set_is_passed_over() {
    let set =
        Jwks::parse(br#"{"keys":[{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMko","kid":"h","alg":"HS256"}]}"#)
            .unwrap();
    assert!(set.keys().is_empty());
    assert_eq!(set.skipped()[0].cause, JwkError::Unsupported { member: "kty" });
}

#[test]
fn row_05_and_34_a_key_or_its_address_in_the_header_is_refused() {
    let jwk = serde_json::to_string(ES256.public().jwk()).unwrap();
    for (parameter, value) in [
        ("jwk", jwk.as_str()),
        ("jku", r#""https://evil.example/keys""#),
        ("x5u", r#""https://evil.example/cert""#),
        ("x5c", r#"["MIIB"]"#),
        ("jwk", "null"),
    ] {
        let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"es","{parameter}":{value}}}"#);
        assert_eq!(with_header(&header), Err(TokenError::Header { parameter }));
    }
}

#[test]
fn row_06_and_26_encrypted_tokens_are_refused_by_name() {
    assert_eq!(accept("eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d"), Err(TokenError::Encrypted));
    let header = r#"{"alg":"ES256","typ":"at+jwt","kid":"es","enc":"A256GCM"}"#;
    assert_eq!(with_header(header), Err(TokenError::Encrypted));
    let header = r#"{"alg":"ES256","typ":"at+jwt","kid":"es","zip":"DEF"}"#;
    assert_eq!(with_header(header), Err(TokenError::Header { parameter: "zip" }));
}

#[test]
fn row_07_ecdsa_numbers_outside_their_range_are_refused() {
    let good = good_signature(&sign(&header(&ES256), claims(json!({})), &ES256));
    let order = hex(P256_ORDER);
    let (zero, ones) = ([0; 32], [0xff; 32]);
    for (r, s) in [(&zero[..], &zero[..]), (&order, &order), (&zero, &good[32..]), (&good[..32], &zero), (&ones, &ones)]
    {
        assert_eq!(with_signature(&[r, s].concat()), Err(TokenError::BadSignature));
    }
}

#[test]
fn row_08_an_empty_or_short_signature_is_refused() {
    let good = good_signature(&sign(&header(&ES256), claims(json!({})), &ES256));
    for signature in [&[][..], &good[..63], &good[..32], &[&good[..], &[0]].concat()] {
        assert_eq!(with_signature(signature), Err(TokenError::BadSignature));
    }
}

#[test]
fn row_09_and_10_only_the_compact_form_is_a_token() {
    let token = sign(&header(&ES256), claims(json!({})), &ES256);
    let [protected, payload, signature] = <[&str; 3]>::try_from(token.split('.').collect::<Vec<_>>()).unwrap();
    let general = json!({"payload": payload, "signatures": [{"protected": protected, "signature": signature}]});
    let polyglot = format!(r#"{{"protected":"{protected}","payload":"{payload}","signature":"{signature}","x":".."}}"#);
    for form in [general.to_string(), polyglot, String::new(), ".".into(), "a.b".into(), format!("{token}.")] {
        assert!(matches!(accept(&form), Err(TokenError::NotCompact | TokenError::Base64 { .. })), "{form}");
    }
}

#[test]
fn row_10_the_verified_bytes_are_the_ones_given_out() {
    let odd = " {\"sub\" :\t\"\\u0061nn\"}\n";
    let token = sign(&header(&ES256), odd, &ES256);
    let payload = Unverified::parse(&token).unwrap().verify(&JWKS, Typ::AccessToken).unwrap();
    assert_eq!(payload.as_bytes(), odd.as_bytes());
}

#[test]
fn row_12_a_der_signature_is_refused() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let key = signing_key(Algorithm::Es256, "der", pair.to_pkcs8v1().unwrap().as_ref());
    let signed = format!("{}.{}", encode(header(&key)), encode(claims(json!({}))));
    let der = pair.sign(&rng(), signed.as_bytes()).unwrap();
    let keys = Jwks::of([key.public().clone()]).unwrap();
    let verify = |signature: &[u8]| {
        let token = format!("{signed}.{}", encode(signature));
        Unverified::parse(&token).unwrap().verify(&keys, Typ::AccessToken).map(|_| ())
    };
    assert_eq!(verify(der.as_ref()), Err(TokenError::BadSignature));
    assert_eq!(verify(&key.sign(signed.as_bytes(), &rng()).unwrap()), Ok(()));
}

#[test]
fn row_12_base64url_is_strict() {
    let token = sign(&header(&ES256), claims(json!({})), &ES256);
    let [protected, payload, signature] = <[&str; 3]>::try_from(token.split('.').collect::<Vec<_>>()).unwrap();
    let stray = |text: &str| {
        // 64 bytes leave four unused bits in the last character: set one
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = alphabet.find(text.chars().last().unwrap()).unwrap();
        format!("{}{}", &text[..text.len() - 1], &alphabet[last + 1..=last + 1])
    };
    for (token, part) in [
        (format!("{protected}.{payload}.{signature}=="), Part::Signature),
        (format!("{protected}.{payload}.{signature}\n"), Part::Signature),
        (format!("{protected}.{payload}.{}", stray(signature)), Part::Signature),
        (format!("{protected}=.{payload}.{signature}"), Part::Header),
        (format!(" {protected}.{payload}.{signature}"), Part::Header),
        (format!("{protected}+.{payload}.{signature}"), Part::Header),
    ] {
        assert_eq!(accept(&token), Err(TokenError::Base64 { part }), "{token}");
    }
    let padded = format!("{protected}.{payload}=");
    let signature = encode(ES256.sign(padded.as_bytes(), &rng()).unwrap());
    assert_eq!(accept(&format!("{padded}.{signature}")), Err(TokenError::Base64 { part: Part::Payload }));
}

#[test]
fn row_13_an_ed25519_scalar_beyond_the_order_is_refused() {
    let token = sign(&header(&EDDSA), claims(json!({})), &EDDSA);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = decode(signature);
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(hex(ED25519_ORDER_LE)) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    assert_eq!(carry, 0, "S + L still fits 32 bytes");
    assert_eq!(accept(&format!("{signed}.{}", encode(signature))), Err(TokenError::BadSignature));
}

/// Not a fault of ours but a fact to build on: tokens are told apart by `jti` and `sid`, never by their bytes.
#[test]
fn row_14_the_ecdsa_twin_verifies_and_carries_the_same_jti() {
    let token = sign(&header(&ES256), claims(json!({})), &ES256);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut twin = decode(signature);
    let mut borrow = 0;
    for (at, order) in hex(P256_ORDER).iter().enumerate().rev() {
        let difference = i16::from(*order) - i16::from(twin[32 + at]) - borrow;
        borrow = i16::from(difference < 0);
        twin[32 + at] = difference.rem_euclid(256) as u8;
    }
    let twin = format!("{signed}.{}", encode(twin));
    assert_ne!(twin, token);
    assert_eq!(accept(&twin).unwrap().jti, accept(&token).unwrap().jti);
}

#[test]
fn row_16_a_mistyped_claim_is_an_error_that_names_it() {
    for (name, value) in [
        ("exp", json!("4000000000")),
        ("exp", json!(true)),
        ("exp", json!([4_000_000_000_u64])),
        ("exp", json!({})),
        ("exp", json!(-1)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(1e300)),
        ("exp", json!(4_000_000_000_000_u64)),
        ("nbf", json!("1")),
        ("iat", json!("1")),
        ("iat", json!(-0.5)),
        ("auth_time", json!("1")),
        ("iss", json!(7)),
        ("iss", json!([ISSUER])),
        ("sub", json!(7)),
        ("sub", json!("")),
        ("client_id", json!({})),
        ("jti", json!(1)),
        ("jti", json!("")),
        ("scope", json!(["a"])),
        ("amr", json!("pwd")),
        ("amr", json!([1])),
        ("acr", json!(1)),
        ("sid", json!(1)),
        ("sid", json!("")),
        ("cv", json!("1")),
        ("cv", json!(-1)),
        ("pv", json!(1.5)),
        ("cnf", json!("x")),
        ("aud", json!(1)),
        ("aud", json!([AUDIENCE, 1])),
        ("aud", json!("")),
    ] {
        assert_eq!(
            accept_claims(json!({ name: value.clone() })),
            Err(TokenError::MistypedClaim { name }),
            "{name} {value}"
        );
    }
}

#[test]
fn row_16_null_is_not_absence() {
    for name in ["exp", "nbf", "iat", "aud", "sub", "scope", "cnf", "sid", "cv", "pv", "auth_time"] {
        let mut members: Map<String, Value> = serde_json::from_str(&claims(json!({}))).unwrap();
        members.insert(name.to_owned(), Value::Null);
        let token = sign(&header(&ES256), Value::Object(members).to_string(), &ES256);
        assert_eq!(accept(&token), Err(TokenError::MistypedClaim { name }));
    }
}

#[test]
fn row_16_a_missing_claim_is_named() {
    for name in ["iss", "sub", "aud", "exp", "client_id", "iat", "jti"] {
        assert_eq!(accept_claims(json!({ name: null })), Err(TokenError::MissingClaim { name }));
    }
}

#[test]
fn row_16_dates_may_have_a_fraction_and_never_lengthen_a_life() {
    let accepted = accept_claims(json!({"exp": 4_000_000_000.9, "nbf": 1_000_000_000.1, "iat": 1e9})).unwrap();
    assert_eq!((accepted.exp, accepted.nbf, accepted.iat), (4_000_000_000, Some(1_000_000_001), Some(1_000_000_000)));
}

#[test]
fn row_17_aud_is_exact_and_may_be_a_list() {
    assert!(accept_claims(json!({"aud": ["https://other.example", AUDIENCE]})).is_ok());
    for aud in ["https://api.example/", "https://API.example", "https://api.exampl", "https://api.example.evil"] {
        assert_eq!(accept_claims(json!({"aud": aud})), Err(TokenError::WrongAudience), "{aud}");
        assert_eq!(accept_claims(json!({"aud": [aud]})), Err(TokenError::WrongAudience), "{aud}");
    }
}

#[test]
fn row_17_an_empty_aud_is_refused() {
    assert_eq!(accept_claims(json!({"aud": []})), Err(TokenError::MistypedClaim { name: "aud" }));
    assert_eq!(accept_claims(json!({"aud": [""]})), Err(TokenError::MistypedClaim { name: "aud" }));
}

#[test]
fn row_18_a_verifier_without_an_audience_cannot_be_made() {
    let (none, empty) = (vec![], vec![String::new()]);
    assert_eq!(Expected::new(ISSUER, &none).unwrap_err(), NothingExpected);
    assert_eq!(Expected::new(ISSUER, &empty).unwrap_err(), NothingExpected);
    assert_eq!(Expected::new("", &audience()).unwrap_err(), NothingExpected);
}

#[test]
fn row_19_expiry_and_start_hold_to_the_second_with_leeway_at_both_ends() {
    let token = sign(&header(&ES256), claims(json!({"exp": 2000, "nbf": 1000})), &ES256);
    let audience = audience();
    let at = |micros: i64, leeway: u64| {
        let expected = Expected::new(ISSUER, &audience).unwrap().leeway(Duration::from_secs(leeway));
        expected.accept(&token, &JWKS, Timestamp::from_micros(micros)).map(|_| ())
    };
    assert_eq!(at(999_999_999, 0), Err(TokenError::NotYetValid));
    assert_eq!(at(1_000_000_000, 0), Ok(()));
    assert_eq!(at(1_999_999_999, 0), Ok(()));
    assert_eq!(at(2_000_000_000, 0), Err(TokenError::Expired));
    assert_eq!(at(989_999_999, 10), Err(TokenError::NotYetValid));
    assert_eq!(at(990_000_000, 10), Ok(()));
    assert_eq!(at(2_009_999_999, 10), Ok(()));
    assert_eq!(at(2_010_000_000, 10), Err(TokenError::Expired));
    assert_eq!(at(i64::MAX, u64::MAX), Err(TokenError::Expired));
}

#[test]
fn row_20_a_bad_signature_is_never_hidden_behind_expiry() {
    let token = sign(&header(&ES256), claims(json!({"exp": 1, "iss": "https://other.example"})), &ES256);
    let forged = format!("{}.{}", token.rsplit_once('.').unwrap().0, encode([1; 64]));
    assert_eq!(accept(&forged), Err(TokenError::BadSignature));
    assert_eq!(accept(&token), Err(TokenError::WrongIssuer));
    assert_eq!(accept_claims(json!({"exp": 1})), Err(TokenError::Expired));
}

#[test]
fn row_21_any_crit_is_refused() {
    for crit in [r#"["exp"]"#, r#"["b64"]"#, "[]", r#""exp""#, "null", "{}"] {
        let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"es","crit":{crit},"exp":1}}"#);
        assert_eq!(with_header(&header), Err(TokenError::Critical), "{crit}");
    }
}

#[test]
fn row_22_b64_is_refused_in_every_form() {
    for b64 in ["false", "true", "null"] {
        let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"es","b64":{b64}}}"#);
        assert_eq!(with_header(&header), Err(TokenError::Header { parameter: "b64" }));
    }
}

#[test]
fn row_23_duplicate_members_are_refused_also_behind_escapes() {
    let duplicate = |part| Err(TokenError::DuplicateMember { part });
    for header in [
        r#"{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"es"}"#,
        r#"{"alg":"ES256","\u0061lg":"none","typ":"at+jwt","kid":"es"}"#,
        r#"{"alg":"ES256","typ":"at+jwt","kid":"es","x":{"y":1,"\u0079":2}}"#,
    ] {
        assert_eq!(with_header(header), duplicate(Part::Header), "{header}");
    }
    for extra in [r#""sub":"bob""#, r#""s\u0075b":"bob""#, r#""x":[{"y":1,"\u0079":2}]"#] {
        let payload = format!("{},{extra}}}", claims(json!({})).strip_suffix('}').unwrap());
        assert_eq!(accept(&sign(&header(&ES256), payload, &ES256)), duplicate(Part::Payload), "{extra}");
    }
}

#[test]
fn row_24_other_kinds_of_token_are_not_access_tokens() {
    let refused = |profile: Profile| Err(TokenError::WrongType { expected: profile.typ() });
    for typ in [
        r#""logout+jwt""#,
        r#""dpop+jwt""#,
        r#""secevent+jwt""#,
        r#""at+jwt ""#,
        r#""application/application/at+jwt""#,
        r#""""#,
    ] {
        let header = format!(r#"{{"alg":"ES256","kid":"es","typ":{typ}}}"#);
        let token = sign(&header, claims(json!({})), &ES256);
        assert_eq!(accept(&token), refused(Profile::Rfc9068), "{typ}");
        assert_eq!(accept_as(Profile::AnyJwt, &token), refused(Profile::AnyJwt), "{typ}");
    }
    for header in [r#"{"alg":"ES256","kid":"es","typ":"JWT"}"#, r#"{"alg":"ES256","kid":"es"}"#] {
        let token = sign(header, claims(json!({})), &ES256);
        assert_eq!(accept(&token), refused(Profile::Rfc9068));
        assert!(accept_as(Profile::AnyJwt, &token).is_ok());
    }
    assert_eq!(with_header(r#"{"alg":"ES256","kid":"es","typ":1}"#), Err(TokenError::Header { parameter: "typ" }));
    let events = sign(r#"{"alg":"ES256","kid":"es"}"#, claims(json!({"events": {}})), &ES256);
    assert_eq!(accept_as(Profile::AnyJwt, &events), refused(Profile::AnyJwt));
}

#[test]
fn row_24_typ_is_compared_without_case_and_prefix() {
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"] {
        assert!(with_header(&format!(r#"{{"alg":"ES256","kid":"es","typ":"{typ}"}}"#)).is_ok(), "{typ}");
    }
}

#[test]
fn row_24_a_payload_verified_as_one_kind_is_not_read_as_another() {
    let token = sign(r#"{"alg":"ES256","kid":"es","typ":"logout+jwt"}"#, claims(json!({})), &ES256);
    let payload = Unverified::parse(&token).unwrap().verify(&JWKS, Typ::LogoutToken).unwrap();
    let checked = Expected::new(ISSUER, &audience()).unwrap().check(&payload, NOW);
    assert_eq!(checked, Err(TokenError::WrongType { expected: Typ::AccessToken }));
}

#[test]
fn row_25_length_is_capped_before_anything_is_read() {
    assert_eq!(accept(&".".repeat(MAX_TOKEN_BYTES)), Err(TokenError::NotCompact));
    assert_eq!(accept(&".".repeat(MAX_TOKEN_BYTES + 1)), Err(TokenError::TooLong));
    let token = sign(&header(&ES256), claims(json!({"x": "y".repeat(MAX_TOKEN_BYTES)})), &ES256);
    assert_eq!(accept(&token), Err(TokenError::TooLong));
}

#[test]
fn row_28_a_deep_or_broken_json_is_an_error() {
    let deep = format!("{}{}", r#"{"x":"#.repeat(700), "1".to_owned() + &"}".repeat(700));
    let token = sign(&header(&ES256), deep, &ES256);
    assert_eq!(accept(&token), Err(TokenError::Json { part: Part::Payload, cause: JsonError::TooDeep }));
    for payload in ["", "null", "[]", "{", "\u{feff}{}"] {
        let token = sign(&header(&ES256), payload, &ES256);
        assert!(matches!(accept(&token), Err(TokenError::Json { part: Part::Payload, .. })), "{payload}");
    }
    assert!(matches!(accept(".."), Err(TokenError::Json { part: Part::Header, .. })));
}

#[test]
fn row_33_kid_is_a_map_key_and_nothing_else() {
    for kid in ["../../../../dev/null", "'or(1=1)--", "es;id", "http://169.254.169.254/", "es/../es", "ES"] {
        let refused = with_header(&format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{kid}"}}"#));
        assert_eq!(refused, Err(TokenError::UnknownKey { kid: Some(kid.parse().unwrap()) }));
    }
    for kid in [
        r#""""#,
        r#""es\"""#,
        r#""es\\""#,
        r#""a b""#,
        r#""es\u0000""#,
        r#""es\n[error] forged log line""#,
        "1",
        "null",
        r#"["es"]"#,
    ] {
        let refused = with_header(&format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":{kid}}}"#));
        assert_eq!(refused, Err(TokenError::Header { parameter: "kid" }), "{kid}");
    }
}

#[test]
fn row_33_without_kid_a_key_is_used_only_where_there_is_no_choice() {
    let bare = r#"{"alg":"ES256","typ":"at+jwt"}"#;
    assert!(with_header(bare).is_ok());
    let other = EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let other = signing_key(Algorithm::Es256, "es2", other.to_pkcs8v1().unwrap().as_ref());
    let two = Jwks::of([ES256.public().clone(), other.public().clone()]).unwrap();
    let token = sign(bare, claims(json!({})), &ES256);
    let refused = Unverified::parse(&token).unwrap().verify(&two, Typ::AccessToken).unwrap_err();
    assert_eq!(refused, TokenError::UnknownKey { kid: None });
}

#[test]
fn row_33_a_key_is_not_tried_on_a_token_that_names_another() {
    let verify = |header: &str| {
        let token = sign(header, claims(json!({})), &ES256);
        Unverified::parse(&token).unwrap().verify_with(ES256.public(), Typ::AccessToken).map(|_| ())
    };
    assert_eq!(verify(&header(&ES256)), Ok(()));
    assert_eq!(verify(r#"{"alg":"ES256","typ":"at+jwt"}"#), Ok(()));
    let other = Err(TokenError::UnknownKey { kid: Some("ed".parse().unwrap()) });
    assert_eq!(verify(r#"{"alg":"ES256","typ":"at+jwt","kid":"ed"}"#), other);
}

#[test]
fn an_error_never_quotes_the_token_but_its_kid() {
    let secret = "hunter2";
    let payload = claims(json!({"iss": secret, "sub": secret, "aud": [secret], "hunter2": secret}));
    let token = sign(&header(&ES256), &payload, &ES256);
    let forged = format!("{}.{}", token.rsplit_once('.').unwrap().0, encode([1; 64]));
    let header_only = sign(r#"{"alg":"hunter2","typ":"hunter2","hunter2":1}"#, "{}", &ES256);
    let typed = sign(r#"{"alg":"ES256","typ":"hunter2"}"#, "{}", &ES256);
    for token in [&token, &forged, &header_only, &typed, &sign(&header(&ES256), "{\"hunter2\": hunter2}", &ES256)] {
        let error = accept(token).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
    }
}

#[test]
fn row_41_a_bound_token_is_no_bearer_token() {
    let audience = audience();
    let checked = |cnf: Value| {
        let token = sign(&header(&ES256), claims(json!({ "cnf": cnf })), &ES256);
        assert_eq!(accept(&token), Err(TokenError::BoundToken));
        let expected = Expected::new(ISSUER, &audience).unwrap().possession(Possession::CheckedByCaller);
        expected.accept(&token, &JWKS, NOW).map(|claims| claims.cnf)
    };
    assert_eq!(checked(json!({"jkt": "abc"})), Ok(Some(Confirmation::Jkt("abc".into()))));
    assert_eq!(checked(json!({"x5t#S256": "abc"})), Ok(Some(Confirmation::CertificateThumbprint("abc".into()))));
    for cnf in [json!({}), json!({"jkt": 1}), json!({"jwk": {}}), json!({"jkt": "a", "x5t#S256": "b"})] {
        assert_eq!(checked(cnf), Err(TokenError::BoundToken));
    }
}

#[test]
fn a_minted_token_is_accepted_with_its_mapped_claims_beside() {
    let extra = json!({"sid": "s1", "cv": 4, "pv": 2, "amr": ["pwd", "otp"], "phone_verified": true});
    let written = claims(extra);
    for key in all() {
        let accepted = accept(&compact(Typ::AccessToken, written.as_ref(), key, &rng()).unwrap()).unwrap();
        assert_eq!(accepted.session, Some(SessionClaims { sid: "s1".into(), cv: 4 }));
        assert_eq!((accepted.pv, accepted.amr), (Some(2), vec!["pwd".to_owned(), "otp".to_owned()]));
        assert_eq!(accepted.rest, Map::from_iter([("phone_verified".to_owned(), json!(true))]));
    }
}

#[test]
fn a_minted_token_that_headers_cannot_hold_is_refused() {
    let refused = compact(Typ::AccessToken, &[b'x'; 3000], &ES256, &rng()).unwrap_err();
    assert!(matches!(refused, remint_core::jwk::SignError::TooLong { bytes: 3585.. }));
}

#[test]
fn tokens_of_any_issuer_need_only_iss_sub_aud_exp() {
    let foreign = json!({
        "client_id": null, "iat": null, "jti": null, "sid": "abc", "pv": "1.0", "cv": null,
        "scope": ["read", "write"], "preferred_username": "ann"
    });
    let token = sign(r#"{"alg":"RS256","kid":"rs","typ":"JWT"}"#, claims(foreign), &RS256);
    let accepted = accept_as(Profile::AnyJwt, &token).unwrap();
    assert_eq!((accepted.session, accepted.pv, accepted.scope.as_deref()), (None, None, Some("read write")));
    assert_eq!(Value::Object(accepted.rest), json!({"sid": "abc", "pv": "1.0", "preferred_username": "ann"}));
    let joined = sign(&header(&ES256), claims(json!({"scope": ["read admin"]})), &ES256);
    assert_eq!(accept_as(Profile::AnyJwt, &joined), Err(TokenError::MistypedClaim { name: "scope" }));
}

#[test]
fn an_rsa_key_without_alg_serves_both_encodings_and_with_alg_one() {
    let parts = RS256.public().jwk().parts.clone();
    let free = PublicKey::from_jwk(&Jwk { kid: None, alg: None, parts: parts.clone() }).unwrap();
    let bound = PublicKey::from_jwk(&Jwk { kid: None, alg: Some(Algorithm::Rs256), parts }).unwrap();
    let pss = sign(r#"{"alg":"PS256","typ":"at+jwt"}"#, claims(json!({})), &PS256);
    let pkcs1 = sign(r#"{"alg":"RS256","typ":"at+jwt"}"#, claims(json!({})), &RS256);
    let verify = |token: &str, key| Unverified::parse(token).unwrap().verify_with(key, Typ::AccessToken).map(|_| ());
    assert_eq!((verify(&pss, &free), verify(&pkcs1, &free)), (Ok(()), Ok(())));
    assert_eq!((verify(&pss, &bound), verify(&pkcs1, &bound)), (Err(TokenError::AlgorithmMismatch), Ok(())));
    let crossed = sign(r#"{"alg":"PS256","typ":"at+jwt"}"#, claims(json!({})), &RS256);
    assert_eq!(verify(&crossed, &free), Err(TokenError::BadSignature));
}

#[test]
fn a_key_set_passes_over_what_it_cannot_use_and_counts_it() {
    let good = serde_json::to_value(ES256.public().jwk()).unwrap();
    let with = |name: &str, value: Value| {
        let mut key = good.clone();
        key["kid"] = json!(format!("with-{name}"));
        key[name] = value;
        key
    };
    let document = json!({"keys": [
        good, with("use", json!("enc")), with("crv", json!("P-521")), with("kty", json!("AKP")), with("d", json!("AQ")),
        with("key_ops", json!(["sign"])), with("alg", json!("ES384")), with("alg", json!("RS256")), with("x", json!("AQ")),
        with("y", json!(encode([7; 32]))), 7, with("x5c", json!(["ignored"])), with("key_ops", json!(["verify"])),
    ]});
    let set = Jwks::parse(document.to_string().as_bytes()).unwrap();
    let causes: Vec<_> = set.skipped().iter().map(|skipped| skipped.cause.clone()).collect();
    let unsupported = |member| JwkError::Unsupported { member };
    assert_eq!(
        causes,
        [
            JwkError::NotForSignatures,
            unsupported("crv"),
            unsupported("kty"),
            JwkError::Private { member: "d" },
            JwkError::NotForSignatures,
            unsupported("alg"),
            JwkError::AlgorithmMismatch,
            JwkError::Malformed { member: "x" },
            JwkError::Unsound("the point is not on P-256"),
            JwkError::Json(JsonError::NotAnObject),
        ]
    );
    assert_eq!(set.keys().len(), 3);
    assert!(set.key("with-x5c").is_some() && set.key("with-d").is_none());
}

#[test]
fn a_key_set_round_trips_and_holds_public_members_only() {
    let document = serde_json::to_vec(&*JWKS).unwrap();
    let again = Jwks::parse(&document).unwrap();
    let jwks = |set: &Jwks| set.keys().iter().map(PublicKey::to_jwk).collect::<Vec<_>>();
    assert_eq!((jwks(&again), again.skipped().len()), (jwks(&JWKS), 0));
    let document: Value = serde_json::from_slice(&document).unwrap();
    for key in document["keys"].as_array().unwrap() {
        assert!(
            key.as_object()
                .unwrap()
                .keys()
                .all(|name| ["kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"].contains(&name.as_str()))
        );
    }
}

#[test]
fn a_key_set_with_two_different_keys_of_one_id_is_refused() {
    let mut jwk = EDDSA.public().to_jwk();
    jwk.kid = ES256.public().jwk().kid.clone();
    let document = |keys: [&Jwk; 2]| serde_json::to_vec(&json!({ "keys": keys })).unwrap();
    let refused = Jwks::parse(&document([ES256.public().jwk(), &jwk])).unwrap_err();
    assert_eq!(refused, JwksError::DuplicateKid { kid: ES256.kid().clone() });
    assert_eq!(Jwks::parse(&document([&jwk, &jwk])).unwrap().keys().len(), 1);
}

#[test]
fn a_key_set_is_bounded() {
    let many = json!({"keys": vec![json!({}); MAX_KEYS + 1]}).to_string();
    assert_eq!(Jwks::parse(many.as_bytes()).unwrap_err(), JwksError::TooMany);
    assert_eq!(Jwks::parse(&vec![b' '; 512 * 1024 + 1]).unwrap_err(), JwksError::TooLong);
    assert_eq!(Jwks::parse(b"{}").unwrap_err(), JwksError::NoKeys);
    assert_eq!(Jwks::parse(br#"{"keys":[],"keys":[]}"#).unwrap_err(), JwksError::Json(JsonError::DuplicateMember));
}

#[test]
fn weak_rsa_numbers_are_refused() {
    let KeyParts::Rsa { n, e } = RS256.public().jwk().parts.clone() else { panic!("an RSA key") };
    let verdict = |n: Vec<u8>, e: Vec<u8>| {
        PublicKey::from_jwk(&Jwk { kid: None, alg: None, parts: KeyParts::Rsa { n, e } }).map(|_| ())
    };
    let unsound = |text| Err(JwkError::Unsound(text));
    let mut even = n.clone();
    *even.last_mut().unwrap() &= 0xfe;
    assert_eq!(verdict(n.clone(), e.clone()), Ok(()));
    assert_eq!(verdict(n[..255].to_vec(), e.clone()), unsound("the modulus has less than 2048 bits"));
    assert_eq!(verdict([&[0xff; 769][..], &n].concat(), e.clone()), unsound("the modulus has more than 8192 bits"));
    assert_eq!(verdict(even, e.clone()), unsound("the modulus is even"));
    assert_eq!(verdict(n.clone(), vec![3]), unsound("the exponent is less than 65537"));
    assert_eq!(verdict(n.clone(), vec![1, 0, 2]), unsound("the exponent is even"));
    assert_eq!(verdict(n.clone(), vec![3, 0, 0, 0, 1]), unsound("the exponent has more than 33 bits"));
    assert_eq!(verdict([&[0][..], &n].concat(), e), Err(JwkError::Malformed { member: "n" }));
}

#[test]
fn a_signing_key_of_another_kind_is_refused_and_none_is_printed() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let refused = remint_core::jwk::SigningKey::from_pkcs8(algorithm, "k".parse().unwrap(), &RSA_DOCUMENT);
        assert_eq!(refused.unwrap_err(), JwkError::Pkcs8);
    }
    assert_eq!(format!("{:?}", *ES256), r#"SigningKey { kid: Kid("es"), algorithm: Es256, .. }"#);
}
