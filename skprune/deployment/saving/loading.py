"""Loading: what a file describes, made again without running anything of the file."""

from collections.abc import Collection
from os import PathLike, fspath
from typing import Any

from torch import nn

from skprune.deployment.saving.array_kinds import ARRAY_KINDS
from skprune.deployment.saving.arrays import ArrayReader
from skprune.deployment.saving.container import Container
from skprune.deployment.saving.estimators import EstimatorKind, NetKind, TrainingKind
from skprune.deployment.saving.fields import check, names_in
from skprune.deployment.saving.networks import NetworkKind, SavedNetwork
from skprune.deployment.saving.objects import LearnedKind, MadeKind, RandomStateKind
from skprune.deployment.saving.plain_kinds import PLAIN_KINDS
from skprune.deployment.saving.predictors import PredictorKind
from skprune.deployment.saving.trust import Names
from skprune.deployment.saving.values import Kind, Reader
from skprune.exceptions import InvalidFileError

__all__ = ["from_bytes", "kinds", "load"]

_GIBIBYTE = 1 << 30


def load(
    path: str | PathLike,
    *,
    trusted: Collection[Any] = (),
    module: nn.Module | None = None,
    max_bytes: int = _GIBIBYTE,
) -> Any:
    """Load what :func:`~skprune.save` wrote, without running code of the file.

    A file has numbers and text. Classes that it names are looked up where they are known (torch's
    layers and optimizers, skorch's nets and the callbacks that touch no files, scikit-learn's
    scalers and encoders, skprune itself) or trusted by you, and nowhere else; they are called with
    plain data. A network is made by its class, cut to size by the removals that were recorded, and
    given its weights. What is larger than the file may be is refused before there is memory for it.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    trusted : list of str, module, type or callable, default=()
        Where the file may look up classes and functions of yours: names of modules or packages
        (``"my_networks"``), which are then imported, of single classes (``"my_networks.Net"``), or
        these themselves. Trust a module only if all of its functions may be called with arguments
        that the file chooses.
    module : nn.Module, default=None
        The network as it was before it was pruned, with any weights, to be used in place of one
        that the file describes. It is needed where the network's class takes something else than
        plain data, and is left as it is.
    max_bytes : int, default=1 GiB
        How much memory the dense network, or all arrays of the file, may take; what describes
        them has 16 MiB at the most.

    Returns
    -------
    estimator : PrunedClassifier, PrunedRegressor, Pipeline or Predictor
        What was saved. It predicts the same, to the last bit unless the file has half precision,
        and has the same ``classes_``, ``n_features_in_``, ``feature_names_in_``, ``report_``,
        ``masks_``, ``kept_`` and ``removals_``. Some things are not those of the original:

        - ``memory`` is None, and a device that this machine lacks is the CPU;
        - the rows of its ``example`` are made up;
        - ``history_`` is empty, and ``partial_fit`` begins with a new optimizer and another random
          state, unless the file was saved with ``training=True``;
        - a net that was given trained as ``estimator`` is a ``FrozenEstimator`` without weights, so
          that ``fit`` is an error and does not begin from something else.

    Raises
    ------
    InvalidFileError
        If the file is none of skprune's, or of a later version, damaged, larger than it may be, or
        names a class that is not trusted.
    OSError
        If the file cannot be read.

    Warns
    -----
    IncompleteWarning
        If the estimator cannot be trained on, since something could not be written, such as a
        callback that is a lambda.

    See Also
    --------
    save : Writes the file; there is an example.
    """
    if module is not None and not isinstance(module, nn.Module):
        raise TypeError(
            f"module must be a network, made as the original was, and no {type(module).__name__}."
        )
    names = Names(trusted)
    with open(fspath(path), "rb") as file:
        # One byte more than is allowed shows that there are more.
        data = file.read(max_bytes + (1 << 24) + 1)
    return from_bytes(data, names, given=module, max_bytes=max_bytes)


def from_bytes(
    data: bytes,
    names: Names,
    *,
    given: nn.Module | None = None,
    stand_in: nn.Module | None = None,
    max_bytes: int = 1 << 62,
) -> Any:
    """Make what the bytes of a file describe.

    Parameters
    ----------
    data : bytes
        The file.
    names : Names
        Where its names are looked up.
    given : nn.Module, default=None
        The network before it was pruned; see :func:`load`.
    stand_in : nn.Module, default=None
        The pruned network, for a file that needs one to be given.
    max_bytes : int, default=2**62
        See :func:`load`.

    Returns
    -------
    value : object
        What was saved.

    Raises
    ------
    InvalidFileError
        If the bytes are no such file.
    """
    try:
        container = Container(data, max_bytes)
        about = container.about
        names_in(about, "the file", {"skprune", "object", "arrays"})
        arrays = ArrayReader(about["arrays"], container.lengths, max_bytes)
        network = NetworkKind(given=given, stand_in=stand_in, max_bytes=max_bytes)
        arrays.begin(container.streams())
        reader = Reader(kinds(network, EstimatorKind()), arrays, names)
        value = reader.read(about["object"], "the file")
        arrays.finish()
        whole = not isinstance(value, (SavedNetwork, dict, list, str, int, float, type(None)))
        check(whole, "the file", "it holds no estimator")
    except InvalidFileError:
        raise
    except Exception as error:  # whatever a class makes of what does not fit
        raise InvalidFileError(
            f"What the file describes does not fit together: {type(error).__name__}: {error}"
        ) from error
    return value


def kinds(network: NetworkKind, estimator: EstimatorKind) -> tuple[Kind, ...]:
    """List what a file can hold beside what JSON holds.

    Parameters
    ----------
    network : NetworkKind
        How networks are written and read.
    estimator : EstimatorKind
        How estimators are.

    Returns
    -------
    kinds : tuple of Kind
        In the order in which they are asked.
    """
    return (
        *ARRAY_KINDS,
        *PLAIN_KINDS,
        network,
        PredictorKind(),
        estimator,
        NetKind(),
        TrainingKind(),
        MadeKind(),
        RandomStateKind(),
        LearnedKind(),
    )
