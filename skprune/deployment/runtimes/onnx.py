"""ONNX Runtime: fast for networks whose units were removed, and needs no torch."""

from collections.abc import Mapping
from threading import Lock
from typing import Any, ClassVar

import numpy as np

from skprune.deployment.requirements import require
from skprune.deployment.runtimes.base import Runtime

__all__ = ["OnnxRuntime", "session_of"]


class OnnxRuntime(Runtime):
    """Computes an ONNX model by ONNX Runtime.

    Parameters
    ----------
    model : bytes
        The model, serialized, with one output that counts: the first.
    n_threads : int, default=None
        How many threads compute at the most; the number of cores if None.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from skprune.deployment.onnx_graph import module_to_onnx
    >>> from skprune.deployment.runtimes.onnx import OnnxRuntime
    >>> model = module_to_onnx(torch.nn.Linear(3, 2), torch.randn(2, 3))
    >>> OnnxRuntime(model).outputs(np.zeros((4, 3), np.float32)).shape
    (4, 2)
    """

    name: ClassVar[str] = "onnx"
    chunk_rows: ClassVar[int] = 512

    def __init__(self, model: bytes, n_threads: int | None = None) -> None:
        self.model = model
        self.n_threads = n_threads
        self._begin()

    def _begin(self) -> None:
        self._lock = Lock()
        self._session: Any = None

    def outputs(self, X: Any) -> np.ndarray:
        """Compute the outputs; see :class:`Runtime`."""
        session, inputs, output = self._session or self._open()
        feed = (
            {name: X[name] for name in inputs}
            if isinstance(X, Mapping)
            else dict.fromkeys(inputs, X)
        )
        return session.run([output], feed)[0]

    def _open(self) -> Any:
        """Make the session when it is first needed; a pickle cannot hold it."""
        with self._lock:
            if self._session is None:
                session = session_of(self.model, self.n_threads)
                inputs = [each.name for each in session.get_inputs()]
                self._session = session, inputs, session.get_outputs()[0].name
        return self._session

    @property
    def n_bytes(self) -> int:
        """Size of the model; see :class:`Runtime`."""
        return len(self.model)

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self.model, "n_threads": self.n_threads}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()


def session_of(model: bytes, n_threads: int | None = None) -> Any:
    """Load a model into ONNX Runtime.

    Parameters
    ----------
    model : bytes
        The model, serialized.
    n_threads : int, default=None
        How many threads compute at the most; the number of cores if None.

    Returns
    -------
    session : onnxruntime.InferenceSession
        It computes on the CPU.

    Raises
    ------
    ImportError
        If ``onnxruntime`` is not installed.
    """
    ort = require("onnxruntime", "onnx", "runtime='onnx'")
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors: they are raised as well
    options.intra_op_num_threads = n_threads or 0
    options.inter_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
