//! The examples of RFC 7515 appendix A, RFC 7638 section 3.1 and RFC 8037 appendix A.

use crate::keys::{self, public, rng};
use remint_core::jwk::{Algorithm, SigningKey};
use remint_core::jws::{TokenError, Typ, Unverified};

const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const PAYLOAD_TEXT: &[u8] = b"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";

const RSA_A2: &str = concat!(
    r#"{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-"#,
    "Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-",
    "bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_",
    r#"I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#
);
const SIGNATURE_A2: &str = concat!(
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdb",
    "F9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383",
    "LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWy",
    "wlVmtVrBp0igcN_IoypGlUPQGe77Rw"
);
const EC_A3: &str = concat!(
    r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","#,
    r#""y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#
);
const SIGNATURE_A3: &str = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const ED25519_SIGNED: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
const ED25519_SIGNATURE: &str =
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

#[test]
fn rfc7515_a2_rs256_verifies() {
    let token = format!("eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}.{SIGNATURE_A2}");
    let payload = Unverified::parse(&token).unwrap().verify_with(&public(RSA_A2), Typ::IdToken).unwrap();
    assert_eq!(payload.as_bytes(), PAYLOAD_TEXT);
}

#[test]
fn rfc7515_a3_es256_verifies() {
    let token = format!("eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}.{SIGNATURE_A3}");
    let payload = Unverified::parse(&token).unwrap().verify_with(&public(EC_A3), Typ::IdToken).unwrap();
    assert_eq!(payload.as_bytes(), PAYLOAD_TEXT);
}

#[test]
fn rfc7515_a1_hs256_is_refused() {
    let token =
        format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{PAYLOAD}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    assert_eq!(Unverified::parse(&token).unwrap_err(), TokenError::UnknownAlgorithm);
}

#[test]
fn rfc7515_a4_es512_is_refused() {
    let token = concat!(
        "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZq",
        "wqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXo",
        "lLzeO_Jn"
    );
    assert_eq!(Unverified::parse(token).unwrap_err(), TokenError::UnknownAlgorithm);
}

#[test]
fn rfc7515_a5_none_is_refused() {
    let token = format!("eyJhbGciOiJub25lIn0.{PAYLOAD}.");
    assert_eq!(Unverified::parse(&token).unwrap_err(), TokenError::UnknownAlgorithm);
}

#[test]
fn rfc8037_a4_a5_ed25519_verifies_and_signs_the_same_bytes() {
    let token = format!("{ED25519_SIGNED}.{ED25519_SIGNATURE}");
    let payload = Unverified::parse(&token).unwrap().verify_with(&public(ED25519), Typ::IdToken).unwrap();
    assert_eq!(payload.as_bytes(), b"Example of Ed25519 signing");

    let seed = keys::decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    let document = [&b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20"[..], &seed].concat();
    let key = SigningKey::from_pkcs8(Algorithm::EdDsa, "a".parse().unwrap(), &document).unwrap();
    assert_eq!(key.public().jwk().parts, public(ED25519).jwk().parts);
    assert_eq!(keys::encode(key.sign(ED25519_SIGNED.as_bytes(), &rng()).unwrap()), ED25519_SIGNATURE);
}

#[test]
fn rfc8037_a3_ed25519_thumbprint() {
    assert_eq!(public(ED25519).thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn rfc7638_3_1_rsa_thumbprint_ignores_optional_members() {
    let key = concat!(
        r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_"#,
        "BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAta",
        "Sqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBn",
        r#"iIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#
    );
    assert_eq!(public(key).thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}
