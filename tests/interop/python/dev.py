"""A `remint dev` of the test's own, in a folder of its own: started, asked for its facts, ended."""

import json
import os
import pathlib
import subprocess
import tempfile
import time

import requests

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = os.environ.get("REMINT_BIN", str(ROOT / "target" / "debug" / "remint"))
TIMEOUT = 10


class Dev:
    """One of them, `speed` times faster than life; the facts of its `dev.json` are in `facts`."""

    def __init__(self, speed=1):
        self._folder = tempfile.TemporaryDirectory(prefix="remint-interop-")
        self.data = data = pathlib.Path(self._folder.name) / "data"
        options = ["dev", "--no-open", "--port", "0", "--speed", str(speed), "--data", str(data)]
        # `scripts/scan-logs` reads what is kept in the folder of the tests' logs.
        log = pathlib.Path(os.environ.get("TEST_LOGS", self._folder.name)) / f"python-{os.getpid()}.log"
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                [BINARY, *options], env={}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr
            )
        if not self._process.stdout.readline().startswith(b"Remint is running"):
            raise RuntimeError(f"remint dev ended with {self._process.wait()}: {log.read_text()}")
        self.facts = json.loads((data / "dev.json").read_text())
        self.issuer = self.facts["issuer"]
        self.audience = self.facts["audience"]
        self.window = self.facts["timing"]["window"]

    def login(self, client_id):
        """Logs the demo's user in; answers the token response. A busy machine may not hash a password in time: 503."""
        body = {**self.facts["user"], "client_id": client_id}
        for _ in range(10):
            answer = requests.post(f"{self.issuer}/session", json=body, timeout=TIMEOUT)
            if answer.status_code != 503:
                break
            time.sleep(1)
        answer.raise_for_status()
        return answer.json()

    def metadata(self):
        """What RFC 8414 tells."""
        url = f"{self.issuer}/.well-known/oauth-authorization-server"
        return requests.get(url, timeout=TIMEOUT).json()

    def stop(self):
        """Ends it, in order."""
        self._process.terminate()
        self._process.wait()
        self._process.stdout.close()
        self._folder.cleanup()
