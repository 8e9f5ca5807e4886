"""What a person is told when the hub does not hand the weights out."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from napari_pathfm.errors import WeightsError
from napari_pathfm.weights import hub_file, hub_folder


class _Hub(BaseHTTPRequestHandler):
    """A hub that refuses in the way it was told to."""

    status, headers_sent = 404, {}

    def do_HEAD(self):
        self.send_response(self.status)
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, *_):
        """Stay quiet."""


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Run a hub on the loopback address and point huggingface_hub at it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Hub", (_Hub,), {}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    constants = "huggingface_hub.constants"
    monkeypatch.setattr(f"{constants}.ENDPOINT", address)
    monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(
        "huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE",
        template,
        raising=False,
    )
    monkeypatch.setattr(f"{constants}.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(f"{constants}.HF_HUB_OFFLINE", False)
    yield server.RequestHandlerClass
    server.shutdown()
    thread.join()
    server.server_close()


def ask():
    page = "https://huggingface.co/some/model"
    return hub_file("some/model", "model.safetensors", revision=None, access_page=page)


def test_gated_without_token(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    hub.status, hub.headers_sent = 401, {"X-Error-Code": "GatedRepo"}
    with pytest.raises(
        WeightsError, match=r"no token is set.*hf auth login.*--weights"
    ):
        ask()


def test_gated_with_a_token_that_has_no_access(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_x")
    hub.status, hub.headers_sent = 403, {"X-Error-Code": "GatedRepo"}
    with pytest.raises(WeightsError, match="accept its licence at https://hugg"):
        ask()


def test_unknown_repository_and_missing_file(hub):
    hub.status, hub.headers_sent = 404, {"X-Error-Code": "RepoNotFound"}
    with pytest.raises(WeightsError, match="was not found"):
        ask()
    hub.status, hub.headers_sent = 404, {"X-Error-Code": "EntryNotFound"}
    with pytest.raises(WeightsError, match="lacks the expected file"):
        ask()


def test_offline_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE"):
        hub_folder("some/model", revision=None, access_page="https://huggingface.co")
