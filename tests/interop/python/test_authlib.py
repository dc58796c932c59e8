"""Authlib refreshes: twice inside R, where the answer carries no new refresh token, and again after R, where it does."""

import os
import time
import unittest

# The server is on this machine and speaks plain HTTP.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.integrations.base_client.errors import OAuthError  # noqa: E402
from authlib.integrations.requests_client import OAuth2Session  # noqa: E402

from dev import Dev  # noqa: E402


class Authlib(unittest.TestCase):
    """Against a server whose R is 2 s."""

    @classmethod
    def setUpClass(cls):
        cls.remint = Dev(speed=60)
        cls.addClassCleanup(cls.remint.stop)
        cls.endpoint = cls.remint.metadata()["token_endpoint"]

    def session(self):
        token = self.remint.login("demo-refresh")
        session = OAuth2Session(
            "demo-refresh", token=token, token_endpoint=self.endpoint, token_endpoint_auth_method="none"
        )
        self.addCleanup(session.close)
        return session

    def test_a_session_is_refreshed_twice_inside_r_and_goes_on_behind_it(self):
        session = self.session()
        first = session.token["refresh_token"]
        for _ in range(2):
            session.refresh_token(self.endpoint)
            self.assertEqual(session.token["refresh_token"], first, "it keeps the one that it has")
        time.sleep(self.remint.window + 0.1)
        session.refresh_token(self.endpoint)
        second = session.token["refresh_token"]
        self.assertNotEqual(second, first, "after R the token is rotated")
        session.refresh_token(self.endpoint)
        self.assertEqual(session.token["refresh_token"], second)
        time.sleep(self.remint.window + 0.1)
        session.refresh_token(self.endpoint)
        self.assertNotEqual(session.token["refresh_token"], second)

    def test_a_request_refreshes_by_itself_what_has_expired(self):
        session = self.session()
        session.token["expires_at"] = int(time.time()) - 1
        answer = session.get(f"{self.remint.issuer}/oauth2/jwks")
        self.assertEqual(answer.status_code, 200)
        self.assertGreater(session.token["expires_at"], time.time())

    def test_a_refresh_token_that_was_revoked_is_refused_as_the_specification_says(self):
        session = self.session()
        revoked = session.revoke_token(
            self.remint.metadata()["revocation_endpoint"], token=session.token["refresh_token"]
        )
        self.assertEqual(revoked.status_code, 200)
        with self.assertRaises(OAuthError) as refused:
            session.refresh_token(self.endpoint)
        self.assertEqual(refused.exception.error, "invalid_grant")
        self.assertEqual(refused.exception.description, "session ended: revoked")

    def test_a_confidential_client_gets_a_token_of_its_own(self):
        service = next(one for one in self.remint.facts["clients"] if "client_secret" in one)
        for method in ["client_secret_basic", "client_secret_post"]:
            with self.subTest(method=method), OAuth2Session(
                service["client_id"], service["client_secret"], scope="read", token_endpoint_auth_method=method
            ) as session:
                token = session.fetch_token(self.endpoint, grant_type="client_credentials")
                self.assertEqual(token["scope"], "read")
                self.assertNotIn("refresh_token", token)


if __name__ == "__main__":
    unittest.main()
