"""A saved model behind HTTP: latency under load, and memory, dense against pruned.

Each server is ``examples/serve.py`` in a process of its own, with the network 784-1024-1024-10. Its
clients, in this process, send requests of one row at a fixed pace, whether or not the earlier ones
are answered; a latency counts from the moment at which its request was due. All of it runs on the
loopback of this machine, and clients and server share its cores.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch
from common import Row, parser, publish
from skorch import NeuralNetClassifier

import skprune
from skprune import PrunedClassifier
from skprune.network import MLP

ROOT = Path(__file__).parents[1]
FEATURES = 784
MODELS = {
    "dense": {"sparsity": 0.0},
    "weights, 95 %": {"sparsity": 0.95},
    "units, 90 %": {"sparsity": 0.9, "structure": "unit"},
}


def save_model(path: Path, hidden: tuple[int, ...], params: dict) -> None:
    random = np.random.default_rng(0)
    X = random.standard_normal((1000, FEATURES), dtype=np.float32)
    y = random.integers(0, 10, len(X))
    net = NeuralNetClassifier(
        MLP,
        module__hidden_layer_sizes=hidden,
        criterion=torch.nn.CrossEntropyLoss,
        max_epochs=1,
        train_split=None,
        verbose=0,
    )
    options = {"fine_tune_epochs": 0, "random_state": 0, **params}
    skprune.save(PrunedClassifier(net, **options).fit(X, y), path)


class Server:
    """A server in a process of its own."""

    def __init__(self, path: Path, runtime: str) -> None:
        command = [sys.executable, ROOT / "examples" / "serve.py", path, "--port", "0"]
        command += ["--runtime", runtime]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        began = perf_counter()
        self.process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, env=environment, text=True
        )
        assert self.process.stdout is not None
        address = self.process.stdout.readline().strip().removeprefix("Listening on http://")
        self.seconds = perf_counter() - began
        self.host, _, port = address.partition(":")
        self.port = int(port)

    def megabytes(self, which: str) -> float:
        """Memory of the process: VmRSS is what it has now, VmHWM what it had at the most."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(which)) / 1024

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


class Client:
    """Keeps a connection, and sends one request after another on it."""

    def __init__(self, server: Server, body: bytes) -> None:
        self.server = server
        head = (
            f"POST /predict HTTP/1.1\r\nhost: {server.host}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        self.request = head.encode() + body

    async def connect(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(self.server.host, self.server.port)

    async def ask(self) -> None:
        self.writer.write(self.request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().splitlines()
            if line.startswith(b"content-length")
        )
        await self.reader.readexactly(length)


async def under_load(server: Server, per_second: float, seconds: float) -> list[float]:
    """Latencies, in seconds, of requests at a fixed pace."""
    random = np.random.default_rng(1)
    row = random.standard_normal(FEATURES).astype(np.float32).round(4).tolist()
    body = json.dumps({"rows": [row]}).encode()
    idle = [Client(server, body) for _ in range(16)]
    for client in idle:
        await client.connect()
        await client.ask()
    latencies: list[float] = []
    waiting = asyncio.Semaphore(len(idle))

    async def one(due: float) -> None:
        async with waiting:
            client = idle.pop()
            await client.ask()
            latencies.append(perf_counter() - due)
            idle.append(client)

    began = perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(per_second * seconds)):
            due = began + number / per_second
            await asyncio.sleep(max(0.0, due - perf_counter()))
            tasks.create_task(one(due))
    return latencies


def measure(path: Path, runtime: str, per_second: float, seconds: float) -> Row:
    server = Server(path, runtime)
    try:
        computed = server.cpu_seconds()
        began = perf_counter()
        latencies = asyncio.run(under_load(server, per_second, seconds))
        elapsed = perf_counter() - began
        milliseconds = 1e3 * np.array(latencies)
        return {
            "file, bytes": path.stat().st_size,
            "answers a second": len(latencies) / elapsed,
            "p50, ms": float(np.percentile(milliseconds, 50)),
            "p99, ms": float(np.percentile(milliseconds, 99)),
            "processor, ms a request": 1e3 * (server.cpu_seconds() - computed) / len(latencies),
            "memory, MB": server.megabytes("VmRSS"),
            "start, s": server.seconds,
        }
    finally:
        server.close()


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--per-second", type=float, default=200, help="default: %(default)s")
    options.add_argument("--seconds", type=float, default=30, help="default: %(default)s")
    options.add_argument("--runtimes", nargs="+", default=["torch", "auto"], help="default: both")
    args = options.parse_args(arguments)
    hidden = (1024, 1024)
    if args.quick:
        args.seconds, hidden = 2, (32, 32)
    rows = []
    with TemporaryDirectory() as folder:
        for name, params in MODELS.items():
            path = Path(folder, "model.skprune")
            save_model(path, hidden, params)
            for runtime in args.runtimes:
                figures = measure(path, runtime, args.per_second, args.seconds)
                rows.append({"network": name, "runtime": runtime, **figures})
    publish(f"{args.per_second:g} requests a second for {args.seconds:g} s", rows, args.json)


if __name__ == "__main__":
    main()
