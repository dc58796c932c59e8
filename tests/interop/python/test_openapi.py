"""Schemathesis asks what the OpenAPI document says can be asked, well and badly, and holds every answer against it."""

import http.client
import json
import pathlib
import socket
import subprocess
import sys
import unittest

import requests

from dev import TIMEOUT, Dev

SCOPES = (
    "remint:users:read remint:users:write remint:clients remint:keys remint:sessions remint:sessions:open remint:audit"
)
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
]
# Some two thousand requests in about a minute; the run is deterministic, so that it says the same tomorrow.
EXAMPLES = 6
SECONDS = {"administration": 40, "sessions": 15}


class OverSocket(http.client.HTTPConnection):
    """HTTP to the control socket, as the command line speaks it."""

    def __init__(self, path):
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self._path)


class OpenApi(unittest.TestCase):
    """Against one server."""

    @classmethod
    def setUpClass(cls):
        cls.remint = Dev()
        cls.addClassCleanup(cls.remint.stop)

    def over_socket(self, method, path, body=None):
        """Asks as whoever may do everything."""
        connection = OverSocket(pathlib.Path(self.remint.data) / "control.sock")
        self.addCleanup(connection.close)
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())

    def administrator(self):
        """The token of a client that may do everything."""
        client = {
            "id": "tester",
            "policy": {"kind": "fixed", "life": 600},
            "confidential": True,
            "client_credentials": True,
            "apis": ["demo-api"],
            "scopes": "read write",
            "administration": {"scopes": SCOPES, "opens_sessions_at": ["demo-refresh"]},
        }
        made = self.over_socket("POST", "/admin/api/clients", client)
        form = {"grant_type": "client_credentials", "resource": f"{self.remint.issuer}/admin/api"}
        url = f"{self.remint.issuer}/oauth2/token"
        answer = requests.post(url, data=form, auth=("tester", made["client_secret"]), timeout=TIMEOUT)
        answer.raise_for_status()
        return answer.json()["access_token"]

    def holds(self, token, seconds, *which):
        """Runs schemathesis over some of the operations, for about so long."""
        command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run"]
        command += [f"{self.remint.issuer}/admin/api/openapi.json", "-H", f"Authorization: Bearer {token}", *which]
        command += ["--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES)]
        command += ["--max-time", str(seconds), "--generation-deterministic"]
        command += ["--no-shrink", "--no-color", "--warnings", "off", "--continue-on-failure"]
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=60 + 6 * seconds, check=False, cwd=self.remint.data
        )
        said = ran.stdout + ran.stderr
        self.assertEqual(ran.returncode, 0, said[-20000:])
        self.assertIn("generated", said)

    def test_administration_answers_as_it_is_described(self):
        token = self.administrator()
        # It finds the key that signed this token and withdraws it: rightly, all that follows would be 401.
        self.holds(token, SECONDS["administration"], "--include-path-regex", "^/admin/api/(?!keys/)")
        # What was asked well was done, and told.
        log = self.over_socket("GET", "/admin/api/audit?limit=1000&actor=client:tester")["entries"]
        acts = {entry["act"] for entry in log}
        done = {"user.created", "session.opened", "client.created", "api.created", "attribute.declared", "keys.rotated"}
        done.add("sender.set")
        self.assertLessEqual(done, acts, log[:5])

    def test_sessions_and_oauth_answer_as_they_are_described(self):
        token = self.remint.login("demo-rolling")["account_token"]
        self.holds(token, SECONDS["sessions"], "--exclude-path-regex", "^/(admin/api/|session/events$)")  # a stream has no end


if __name__ == "__main__":
    unittest.main()
