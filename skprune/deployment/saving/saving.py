"""Saving: an object of skprune in one small file that holds no code."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skprune.deployment.saving.container import pack
from skprune.deployment.saving.estimators import EstimatorKind
from skprune.deployment.saving.loading import from_bytes, kinds
from skprune.deployment.saving.networks import NetworkKind
from skprune.deployment.saving.trust import AllNames
from skprune.deployment.saving.values import Writer
from skprune.exceptions import InvalidFileError, UnsavableError
from skprune.files import write_whole
from skprune.network.forward import module_device, run_module
from skprune.pruning.batches import to_device
from skprune.pruning.predictor import Predictor

__all__ = ["save"]


def save(
    estimator: Any, path: str | PathLike, *, dtype: str | None = None, training: bool = False
) -> None:
    """Save a fitted estimator, a pipeline around one, or a predictor, in one small file.

    The file has the weights that are left and where they were, and in words how all the rest is
    made; :func:`~skprune.load` reads it without running anything of it. It is written next to its
    place and moved there when it is whole, so that an old file is there until a new one is. Before
    that it is read again, and what comes back has to predict as the estimator does.

    The rows that were trained on are not in the file, nor are the weights of a trained net that was
    given as ``estimator``, nor the folder of ``memory``.

    Parameters
    ----------
    estimator : PrunedClassifier, PrunedRegressor, Pipeline or Predictor
        What is saved: fitted. Of a search or a cross-validated estimator, give the
        ``best_estimator_``; of :func:`~skprune.prune`, the ``predictor``. The steps of a pipeline
        may be scalers, imputers and encoders of scikit-learn, and others whose attributes are
        numbers, text and arrays.
    path : str or os.PathLike
        The file; one that is there is replaced.
    dtype : {None, "float16"}, default=None
        The type in which weights are written. None keeps them exactly. ``"float16"`` rounds them to
        half precision, which takes half the room; what comes back computes in its own type, with
        the rounded weights.
    training : bool, default=False
        Whether to keep what only a training that goes on exactly needs: the state of the optimizer,
        which is as large as the dense network or larger, the history, and the state of the random
        generator. Without it, ``partial_fit`` of what comes back begins with a new optimizer and a
        new history.

    Raises
    ------
    UnsavableError
        If something has no form without code: a lambda, an object of an unknown class, a network
        that predicts otherwise when it is made again. The message says what and where.
    NotFittedError
        If the estimator is not fitted.
    OSError
        If the file cannot be written.

    Warns
    -----
    IncompleteWarning
        If something that only a training reads is left out; see :func:`~skprune.load`.

    See Also
    --------
    load : Reads the file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn.datasets import load_digits
    >>> import skprune
    >>> X, y = load_digits(return_X_y=True)
    >>> pruned = skprune.PrunedClassifier(sparsity=0.9, random_state=0).fit(X, y)
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "digits.skprune")
    ...     skprune.save(pruned, path)
    ...     size, loaded = path.stat().st_size, skprune.load(path)
    >>> bool((loaded.predict_proba(X) == pruned.predict_proba(X)).all())
    True
    >>> dense = pruned.report_.total_before.bytes
    >>> bool(size < dense / 5)
    True
    """
    if dtype not in (None, "float16"):
        raise ValueError(f"dtype must be None or 'float16'; got {dtype!r}.")
    _check(estimator)
    data = to_bytes(estimator, rounded=dtype is not None, training=training)
    _try_out(estimator, data, exact=dtype is None)
    write_whole(Path(path), data)


def to_bytes(estimator: Any, *, rounded: bool = False, training: bool = False) -> bytes:
    """Make the bytes of a file.

    Parameters
    ----------
    estimator : object
        What is saved.
    rounded : bool, default=False
        Whether weights are written in half precision.
    training : bool, default=False
        See :func:`save`.

    Returns
    -------
    data : bytes
        What :func:`~skprune.deployment.saving.loading.from_bytes` reads.
    """
    from skprune import __version__

    writer = Writer(kinds(NetworkKind(rounded=rounded), EstimatorKind(training=training)))
    about = writer.write(estimator, type(estimator).__name__)
    arrays = writer.arrays
    return pack({"skprune": __version__, "object": about, "arrays": arrays.about}, arrays.streams)


def _check(estimator: Any) -> None:
    name = type(estimator).__name__
    for attribute in ("best_estimator_", "predictor"):
        if hasattr(estimator, attribute):
            raise UnsavableError(
                f"A {name} is not saved itself. Save what predicts: its {attribute}."
            )
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    if not hasattr(type(last), "_to_saved") and not isinstance(last, Predictor):
        raise UnsavableError(
            f"save is for fitted estimators of skprune, pipelines that end in one, and predictors; "
            f"got a {name}{'' if last is estimator else f' that ends in a {type(last).__name__}'}. "
            "For others there are joblib.dump and skops.io.dump."
        )
    if not isinstance(last, Predictor):
        check_is_fitted(last, "net_")


def _try_out(estimator: Any, data: bytes, *, exact: bool) -> None:
    """Read what is to be written, and compare it with what it is of."""
    last = _network_of(estimator)
    try:
        loaded = _network_of(from_bytes(data, AllNames(), stand_in=last.module))
    except InvalidFileError as error:
        raise UnsavableError(f"What would be written could not be read. {error}") from error
    weights, others = last.module.state_dict(), loaded.module.state_dict()
    for name, tensor in weights.items() if exact else ():
        if not torch.equal(_bits(tensor), _bits(others[name])):
            raise UnsavableError(f"{name} does not come back as it is.")
    if last.example is None or not exact:
        return
    outputs, again = (_outputs(each.module, last.example) for each in (last, loaded))
    if not all(
        torch.allclose(one, other, rtol=1e-5, atol=1e-6, equal_nan=True)
        for one, other in zip(outputs, again, strict=True)
    ):
        raise UnsavableError(
            f"The network is not what its class and its arguments make of it: one that is made "
            f"again, with the same weights, puts out something else. Is there an attribute of the "
            f"{type(last.module).__name__} that was changed after it was made, or a buffer that "
            "its state_dict leaves out?"
        )


def _network_of(estimator: Any) -> Any:
    """Give what has the module and the example of what is saved."""
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    if isinstance(last, Predictor):
        return last
    return Predictor(last.module_, example=last._example)


def _bits(tensor: Tensor) -> Tensor:
    """Give the bits of numbers, those of zeros without their sign."""
    tensor = tensor.detach().cpu()
    return torch.where(tensor == 0, 0, tensor).contiguous().flatten().view(torch.uint8)


def _outputs(module: nn.Module, example: Any) -> list[Tensor]:
    module.eval()
    device = module_device(module)
    with torch.no_grad():
        outputs = run_module(module, to_device(example, device))
    leaves: list[Tensor] = []
    pending = [outputs]
    while pending:
        each = pending.pop()
        if isinstance(each, Tensor):
            leaves.append(each.cpu())
        elif isinstance(each, (list, tuple)):
            pending.extend(each)
        elif isinstance(each, Mapping):
            pending.extend(each.values())
    return leaves
