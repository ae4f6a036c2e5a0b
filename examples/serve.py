"""
Predictions over HTTP
=====================

A saved model answers requests: FastAPI checks them, uvicorn speaks HTTP, and the pruned network
predicts. The file is read by ``skprune.load``, which runs nothing of it, so that it may come from
somebody else. With ``--demo`` a model of handwritten digits is trained first::

    python serve.py digits.skprune --demo
    curl http://127.0.0.1:8000/health
    curl http://127.0.0.1:8000/predict -H 'content-type: application/json' -d '{"rows": [[0, ...]]}'

A request holds so many rows at the most, and so many bytes; a longer one is refused before it is
read to its end. Rows of another width, and numbers that are none, are answered by what is wrong
with them, and never reach the network.
"""

import argparse
import asyncio
import logging
import socket
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi import Request as HTTPRequest
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat
from sklearn.datasets import load_digits

import skprune
from skprune import PrunedClassifier, deploy

# %%
# The application
# ---------------
# What predicts is made by ``deploy`` of what was loaded. By ``--runtime auto`` it
# is the fastest that agrees with the network, which takes longer to start and more memory. Several
# threads may ask it at once.


def application(model: Any, runtime: str, max_rows: int, max_bytes: int) -> FastAPI:
    """Answer requests by the predictions of a fitted model."""
    predictor = deploy(model, runtime=runtime)
    width = predictor.n_features_in_
    app = FastAPI(title="Predictions of a pruned network", max_body_size=max_bytes)

    class Rows(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        rows: Annotated[
            list[Annotated[list[FiniteFloat], Field(min_length=width, max_length=width)]],
            Field(min_length=1, max_length=max_rows),
        ]

    class Answer(BaseModel):
        predictions: list[Any]
        probabilities: list[list[float]] | None = None

    @app.exception_handler(RequestValidationError)
    async def refuse(request: HTTPRequest, error: RequestValidationError) -> JSONResponse:
        """Say what is wrong, without sending back what was sent."""
        detail = [{"loc": each["loc"], "msg": each["msg"]} for each in error.errors()[:10]]
        return JSONResponse({"detail": detail}, status_code=422)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Say that the model is there, and what it takes."""
        return {"status": "ok", "n_features": width, "runtime": predictor.runtime_}

    @app.post("/predict")
    def predict(request: Rows) -> Answer:
        """Predict for some rows."""
        X = np.array(request.rows)
        if abs(X).max() > np.finfo(np.float32).max:
            raise HTTPException(422, "A number is too large for single precision.")
        if not hasattr(predictor, "predict_proba"):
            return Answer(predictions=predictor.predict(X).tolist())
        probabilities = predictor.predict_proba(X)
        return Answer(
            predictions=predictor.predict(X).tolist(), probabilities=probabilities.tolist()
        )

    return app


# %%
# The server
# ----------


def train(path: Path) -> None:
    """Prune a network for handwritten digits, and save it."""
    X, y = load_digits(return_X_y=True)
    pruned = PrunedClassifier(structure="unit", sparsity=0.8, random_state=0)
    skprune.save(pruned.fit((X / 16).astype(np.float32), y), path)


def main(arguments: list[str] | None = None) -> None:
    options = argparse.ArgumentParser(description="Serve the predictions of a saved model.")
    options.add_argument("path", type=Path, help="the file that skprune.save wrote")
    options.add_argument("--demo", action="store_true", help="train a model of digits first")
    options.add_argument("--trusted", nargs="*", default=[], help="see skprune.load")
    options.add_argument("--runtime", default="torch", help="see skprune.deploy; default: torch")
    options.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    options.add_argument("--port", type=int, default=8000, help="0 stands for any; default: 8000")
    options.add_argument("--max-rows", type=int, default=1024, help="default: %(default)s")
    options.add_argument("--max-bytes", type=int, default=1 << 22, help="default: 4 MiB")
    args = options.parse_args(arguments)
    if args.demo:
        train(args.path)
    model = skprune.load(args.path, trusted=args.trusted)
    app = application(model, args.runtime, args.max_rows, args.max_bytes)
    config = uvicorn.Config(app, log_level=logging.WARNING, timeout_keep_alive=30)
    with socket.create_server((args.host, args.port)) as listening:
        host, port = listening.getsockname()[:2]
        print(f"Listening on http://{host}:{port}", flush=True)
        asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))


if __name__ == "__main__":
    main()
