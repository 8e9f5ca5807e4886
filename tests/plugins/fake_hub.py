"""A hub on the loopback address that gives, refuses, stalls and breaks off at will."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

REPO = "makers/model"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
_ACCESS = {
    "none": "Access to model {} is restricted and you are not in the authorized list. "
    "Visit the page to ask for access.",
    "pending": "Your request to access model {} is awaiting a review from the repo "
    "authors.",
    "rejected": "Your request to access model {} has been rejected by the repo's "
    "authors.",
}
_SCOPE = (
    "Please enable access to public gated repositories in your fine-grained token "
    "settings to view this repository."
)


class FakeHub:
    """What the hub holds, and how it behaves.

    `fault` is what goes wrong: ``"429"`` or another status for every answer, ``"html"``
    a page of a portal, ``"slow"`` nothing for a while, ``"truncated"``, ``"reset"`` and
    ``"corrupt"`` in the body of a file.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.gated: str | bool = False
        self.access = "granted"
        self.accounts = {"hf_good": "ada"}
        self.fault = ""
        self.slow_s = 3.0
        self.asked: list[str] = []
        self.released = threading.Event()

    def info(self):
        siblings = [
            {
                "rfilename": name,
                "size": len(data),
                "lfs": {"sha256": _sha(data), "size": len(data), "pointerSize": 134},
            }
            for name, data in self.files.items()
        ]
        return {"id": REPO, "sha": COMMIT, "gated": self.gated, "siblings": siblings}

    def tree(self):
        return [
            {
                "type": "file",
                "path": name,
                "size": len(data),
                "oid": _sha(data)[:40],
                "lfs": {"oid": _sha(data), "size": len(data), "pointerSize": 134},
            }
            for name, data in self.files.items()
        ]


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def log_message(self, *_):
        """Stay quiet."""

    def _answer(self):
        hub, path = self.hub, urlsplit(self.path).path.strip("/")
        hub.asked.append(f"{self.command} /{path}")
        if hub.fault == "slow":
            hub.released.wait(hub.slow_s)
        if hub.fault.isdigit():
            return self._refuse(int(hub.fault))
        if hub.fault == "html":
            return self._send(200, b"<html>Please log in to the guest network</html>")
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in hub.accounts:
            said = "Invalid credentials in Authorization header"
            return self._refuse(401, message=said)
        if path == "":
            return self._send(200, b"hub")
        if path == "api/whoami-v2":
            return self._json({"type": "user", "name": hub.accounts.get(token)})
        if REPO not in path:
            return self._refuse(404 if token else 401, "RepoNotFound")
        if path.startswith(f"api/models/{REPO}"):
            rest = path.removeprefix(f"api/models/{REPO}").strip("/").split("/")
            if len(rest) > 1 and rest[1] not in (COMMIT, "main"):
                return self._refuse(404, "RevisionNotFound")
            return self._json(hub.tree() if rest[0] == "tree" else hub.info())
        return self._file(*path.removeprefix(f"{REPO}/resolve/").split("/", 1), token)

    def _file(self, revision, name, token):
        hub = self.hub
        if revision not in (COMMIT, "main"):
            return self._refuse(404, "RevisionNotFound")
        if name not in hub.files:
            return self._refuse(404, "EntryNotFound")
        # A model card is open to everybody, whatever the gate.
        gated = hub.gated and name != "README.md"
        if gated and not token:
            said = f"Access to model {REPO} is restricted. Please log in."
            return self._refuse(401, "GatedRepo", said)
        if gated and hub.access == "scope":
            return self._refuse(403, message=_SCOPE)
        if gated and hub.access != "granted":
            return self._refuse(403, "GatedRepo", _ACCESS[hub.access].format(REPO))
        data = hub.files[name]
        etag = f'"{_sha(data)}"'
        headers = {"X-Repo-Commit": COMMIT, "ETag": etag, "X-Linked-Etag": etag}
        headers["X-Linked-Size"] = str(len(data))
        if self.command == "GET" and hub.fault in ("truncated", "reset"):
            self._head(200, len(data), headers)
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            if hub.fault == "reset":
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.connection.close()
            return None
        if hub.fault == "corrupt":
            data = data[:-8] + b"!" * 8
        return self._send(200, data, headers)

    def _json(self, told):
        return self._send(200, json.dumps(told).encode(), {"Content-Type": "x/json"})

    def _refuse(self, status, code=None, message=None):
        headers = {}
        if code:
            headers["X-Error-Code"] = code
        if message:
            headers["X-Error-Message"] = message
        return self._send(status, b"", headers)

    def _send(self, status, body, headers=None):
        self._head(status, len(body), headers or {})
        if self.command == "GET":
            try:
                self.wfile.write(body)
            except ConnectionError:
                self.close_connection = True

    def _head(self, status, length, headers):
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(length))
            self.end_headers()
        except ConnectionError:
            # The client did not wait for us.
            self.close_connection = True


@pytest.fixture
def fake_hub(monkeypatch, tmp_path):
    """Run a hub, and point huggingface_hub and an empty cache at it; no token."""
    hub = FakeHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    constants = "huggingface_hub.constants"
    monkeypatch.setattr(f"{constants}.ENDPOINT", hub.address)
    monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(
        "huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE",
        template,
        raising=False,
    )
    hub.cache = tmp_path / "hub-cache"
    monkeypatch.setattr(f"{constants}.HF_HUB_CACHE", str(hub.cache))
    monkeypatch.setattr(f"{constants}.HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(f"{constants}.HF_HUB_OFFLINE", False)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    # The same for a program that is started.
    hub.environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))},
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(tmp_path / "hf-home"),
    }
    # huggingface_hub waits a second before it takes a download up again.
    real = time.sleep
    monkeypatch.setattr(time, "sleep", lambda s: real(min(s, 0.01)))

    def close():
        hub.released.set()
        server.shutdown()
        thread.join()
        server.server_close()

    hub.close = close
    yield hub
    if thread.is_alive():
        close()
