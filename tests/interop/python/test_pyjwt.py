"""PyJWT verifies Remint's access tokens with the keys that it fetches itself, and refuses those that it must."""

import base64
import json
import time
import unittest

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from dev import Dev

CLIENTS = ["demo-rolling", "demo-fixed", "demo-refresh"]


def encoded(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


class PyJwt(unittest.TestCase):
    """Against one server; some tests start another."""

    @classmethod
    def setUpClass(cls):
        cls.remint = cls.started()

    @classmethod
    def started(cls, **options):
        server = Dev(**options)
        cls.addClassCleanup(server.stop)
        return server

    def verified(self, token, keys_of=None, **expected):
        keys = jwt.PyJWKClient((keys_of or self.remint).metadata()["jwks_uri"])
        expected = {"issuer": self.remint.issuer, "audience": self.remint.audience, **expected}
        key = keys.get_signing_key_from_jwt(token)
        required = {"require": ["exp", "iat", "iss", "aud", "sub", "jti"]}
        return jwt.decode(token, key.key, algorithms=["ES256"], options=required, **expected)

    def test_a_token_of_each_client_is_verified_as_it_is(self):
        for client in CLIENTS:
            with self.subTest(client=client):
                claims = self.verified(self.remint.login(client)["access_token"])
                shown = (claims["client_id"], claims["nickname"], claims["role"])
                self.assertEqual(shown, (client, "ada", "engineer"))

    def test_a_token_that_was_changed_is_refused(self):
        for client in CLIENTS:
            head, claims, signature = self.remint.login(client)["access_token"].split(".")
            changed = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
            changed["role"] = "admin"
            with self.subTest(client=client), self.assertRaises(jwt.InvalidSignatureError):
                self.verified(".".join([head, encoded(changed), signature]))

    def test_a_token_for_another_audience_is_refused(self):
        tokens = self.remint.login("demo-fixed")
        with self.assertRaises(jwt.InvalidAudienceError):
            self.verified(tokens["access_token"], audience="other-api")
        with self.assertRaises(jwt.InvalidAudienceError):
            self.verified(tokens["account_token"])

    def test_a_token_signed_by_another_key_under_the_name_of_the_right_one_is_refused(self):
        token = self.remint.login("demo-fixed")["access_token"]
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(token, options={"verify_signature": False})
        forged = jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256", headers=header)
        with self.assertRaises(jwt.InvalidSignatureError):
            self.verified(forged)

    def test_a_token_of_another_issuer_is_refused_by_its_key_and_by_its_name(self):
        other = self.started()
        token = other.login("demo-fixed")["access_token"]
        self.assertTrue(self.verified(token, keys_of=other, issuer=other.issuer))
        with self.assertRaises(jwt.PyJWKClientError):
            self.verified(token)
        with self.assertRaises(jwt.InvalidIssuerError):
            self.verified(token, keys_of=other)

    def test_a_token_is_refused_when_it_has_expired(self):
        fast = self.started(speed=60)
        tokens = fast.login("demo-refresh")
        self.assertTrue(self.verified(tokens["access_token"], keys_of=fast, issuer=fast.issuer))
        time.sleep(tokens["expires_in"] + 1)
        with self.assertRaises(jwt.ExpiredSignatureError):
            self.verified(tokens["access_token"], keys_of=fast, issuer=fast.issuer)


if __name__ == "__main__":
    unittest.main()
