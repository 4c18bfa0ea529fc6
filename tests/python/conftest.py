"""Shared fixtures of the Python test group: a weir server on a free loopback port.

    WEIR_BIN=build/release/weir python -m pytest tests/python

WEIR_BIN is the server binary, WEIR_MODEL a model directory (default models/weir-demo). Where either is
missing the tests that need a server skip and say so; the group is optional.
"""

import os
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
START_SECONDS = 60
STOP_SECONDS = 10
API_KEY = "sk-weir-test"  # any text: only a server started with --api-keys looks at it
MODEL_NAME = "weir-under-test"
SESSION_TOKENS = 512

os.environ["NO_PROXY"] = "127.0.0.1,localhost"  # a proxy of the environment must not see loopback requests


def free_port():
    """RETURNS: a port that was free a moment ago; a lost race shows as a server that does not start."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """One weir process; use it as a context manager."""

    def __init__(self, binary, model, log_path, *flags):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = log_path
        self.command = [
            str(binary), "serve", str(model), "--server-name", "127.0.0.1", "--server-port", str(self.port),
            "--model-name", MODEL_NAME, "--session-len", str(SESSION_TOKENS), *flags,
        ]
        self.process = None

    def __enter__(self):
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Asks politely first: a server that needs SIGKILL has failed, and the test must say so."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            pytest.fail(f"server ignored SIGTERM for {STOP_SECONDS} s\n{self.log()}")

    def log(self):
        return Path(self.log_path).read_text(errors="replace")[-4000:]

    def wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                pytest.fail(f"server exited with {self.process.returncode}: {' '.join(self.command)}\n{self.log()}")
            if self.status("/health/ready") == 200:
                return
            time.sleep(0.05)
        pytest.fail(f"server not ready after {START_SECONDS} s\n{self.log()}")

    def get(self, path):
        import httpx

        return httpx.get(self.url + path, headers={"Authorization": f"Bearer {API_KEY}"}, timeout=5, trust_env=False)

    def status(self, path):
        """RETURNS: the HTTP status, or None while nobody listens."""
        import httpx

        try:
            return self.get(path).status_code
        except httpx.TransportError:
            return None

    def metric(self, name, **labels):
        """RETURNS: the sum of all samples of `name` that carry `labels`; None if there is no such sample."""
        found = None
        for line in self.get("/metrics").text.splitlines():
            match = re.fullmatch(r"(\w[\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+\d+)?", line)
            if not match or match[1] != name:
                continue
            have = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
            if all(have.get(key) == value for key, value in labels.items()):
                found = (found or 0.0) + float(match[3])
        return found

    def wait_for_metric(self, name, wanted, seconds, **labels):
        """RETURNS: the last value seen, which is `wanted` unless `seconds` passed first."""
        deadline = time.monotonic() + seconds
        while True:
            value = self.metric(name, **labels)
            if value == wanted or time.monotonic() > deadline:
                return value
            time.sleep(0.02)

    def client(self, api_key=API_KEY):
        """RETURNS: a stock OpenAI client that never retries, so that tests see the first answer."""
        openai = pytest.importorskip("openai")
        return openai.OpenAI(base_url=self.url + "/v1", api_key=api_key, max_retries=0, timeout=60)


@pytest.fixture(scope="session")
def weir_binary():
    path = os.environ.get("WEIR_BIN")
    if not path:
        pytest.skip("WEIR_BIN is not set: no server to test")
    if not os.access(path, os.X_OK):
        pytest.skip(f"WEIR_BIN={path} is not an executable file")
    return Path(path).resolve()


@pytest.fixture(scope="session")
def weir_model():
    path = Path(os.environ.get("WEIR_MODEL", REPO / "models" / "weir-demo")).resolve()
    if not (path / "config.json").is_file():
        pytest.skip(f"no model in {path} (set WEIR_MODEL)")
    return path


@pytest.fixture(scope="session")
def start_server(weir_binary, weir_model, tmp_path_factory):
    """A function that makes a Server with extra flags: `with start_server("--api-keys", KEY) as server`."""
    pytest.importorskip("httpx")
    folder = tmp_path_factory.mktemp("weir")
    count = iter(range(1000))
    return lambda *flags: Server(weir_binary, weir_model, folder / f"server-{next(count)}.log", *flags)


@pytest.fixture(scope="session")
def server(start_server):
    """The server that most tests share; a test that changes its state must leave it as found."""
    with start_server() as running:
        yield running


@pytest.fixture(scope="session")
def client(server):
    return server.client()
