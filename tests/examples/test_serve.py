"""The server of the example answers requests as the model predicts, and refuses what it should."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

import skprune
from tests.examples.common import EXAMPLES, ROOT

pytestmark = pytest.mark.slow

X, _ = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
OPTIONS = ("--max-rows", "100", "--max-bytes", "100000")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int, Any]]:
    """Address of a server that runs the example, and the model that it serves."""
    path = tmp_path_factory.mktemp("serve") / "digits.skprune"
    arguments = ["-W", "error", EXAMPLES / "serve.py", path, "--demo", "--port", "0", *OPTIONS]
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Listening on http://127.0.0.1:"), line
    host, _, port = line.removeprefix("Listening on http://").strip().partition(":")
    yield host, int(port), skprune.load(path)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) in (0, -signal.SIGINT, 128 + signal.SIGINT, 1)
    process.stdout.close()


def ask(
    server: tuple[str, int, Any], body: Any, path: str = "/predict", method: str = "POST"
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(*server[:2], timeout=20)
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    connection.request(method, path, data, {"content-type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    is_json = answer.getheader("content-type") == "application/json"
    return answer.status, json.loads(content) if is_json else content.decode()


def test_it_says_that_it_is_there(server: tuple[str, int, Any]) -> None:
    status, answer = ask(server, None, "/health", "GET")
    assert status == 200
    assert answer["status"] == "ok"
    assert answer["n_features"] == 64


@pytest.mark.parametrize("n_rows", [1, 100])
def test_it_predicts_as_the_model(server: tuple[str, int, Any], n_rows: int) -> None:
    status, answer = ask(server, {"rows": X[:n_rows].tolist()})
    assert status == 200
    assert answer["predictions"] == server[2].predict(X[:n_rows]).tolist()
    expected = server[2].predict_proba(X[:n_rows])
    np.testing.assert_allclose(answer["probabilities"], expected, rtol=1e-4, atol=1e-5)


def test_it_predicts_for_many_at_once(server: tuple[str, int, Any]) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda row: ask(server, {"rows": [row.tolist()]}), X[:64]))
    assert {status for status, _ in answers} == {200}
    found = [answer["predictions"][0] for _, answer in answers]
    assert found == server[2].predict(X[:64]).tolist()


ROW = X[0].tolist()


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"rows": []}, 422, "at least 1 item"),
        ({"rows": [ROW] * 101}, 422, "at most 100 items"),
        ({"rows": [ROW[1:]]}, 422, "at least 64 items"),
        ({"rows": [[*ROW, 1.0]]}, 422, "at most 64 items"),
        ({"rows": [["1", *ROW[1:]]]}, 422, "valid number"),
        ({"rows": [[None, *ROW[1:]]]}, 422, "valid number"),
        (b'{"rows": [[NaN]]}', 422, "finite number"),
        ({"rows": [[1e300, *ROW[1:]]]}, 422, "too large for single precision"),
        ({"rows": "all"}, 422, "valid list"),
        ({"rows": [ROW], "path": "/etc/passwd"}, 422, "not permitted"),
        (b"{", 422, ""),
        (b"", 422, ""),
        ({"rows": [[0.123456789012345] * 64] * 99}, 413, "Content Too Large"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_it_says_what_is_wrong(
    server: tuple[str, int, Any], body: Any, status: int, message: str
) -> None:
    found, answer = ask(server, body)
    assert found == status
    assert message in json.dumps(answer)
    assert ask(server, None, "/health", "GET")[0] == 200


def test_a_body_without_a_length_has_an_end(server: tuple[str, int, Any]) -> None:
    """It comes in chunks, and the server answers before the last of them."""
    with socket.create_connection(server[:2], timeout=20) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        chunk = b"%x\r\n" % 10_000 + b"[" * 10_000 + b"\r\n"
        try:
            for _ in range(200):
                connection.sendall(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert connection.recv(20).startswith(b"HTTP/1.1 413")
    assert ask(server, None, "/health", "GET")[0] == 200


def test_a_file_of_another_kind_is_not_served(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"\x80\x04K\x01.")
    run = subprocess.run(
        [sys.executable, EXAMPLES / "serve.py", path],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "InvalidFileError: This is no file of skprune" in run.stderr
