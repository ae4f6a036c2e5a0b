"""What is deployed: the predictor that a fit left, and the fitted steps before it."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skprune.casting import cast_inputs
from skprune.deployment.folding import affine_of, with_affine
from skprune.deployment.runtimes.torch import OnArrays
from skprune.network.chunks import forward_in_chunks
from skprune.network.dtypes import has_embedding, numpy_dtype
from skprune.network.forward import first_output, run_module
from skprune.pruning.inputs import InputSpec
from skprune.pruning.outputs import Outputs
from skprune.pruning.predictor import Predictor

__all__ = ["Source", "source_of"]

_FEW_ROWS = 8


@dataclass(frozen=True)
class Source:
    """A network and all around it that a deployed predictor is made of.

    Attributes
    ----------
    module : Module
        The network, on the CPU and in evaluation mode.
    example : Tensor or mapping of str to Tensor
        A few rows of what the network takes.
    inputs : InputSpec
        What inputs the first step, or the network, takes.
    outputs : Outputs
        What makes predictions of its outputs.
    transformers : tuple of transformers
        Fitted steps that come first.
    name : str
        What messages call it.
    """

    module: nn.Module
    example: Any
    inputs: InputSpec
    outputs: Outputs
    transformers: tuple[Any, ...]
    name: str

    @property
    def floating(self) -> str:
        """NumPy's name of the type of the network's numbers."""
        return np.dtype(numpy_dtype(self.module)).name

    @property
    def has_embedding(self) -> bool:
        """Whether the network looks whole numbers up."""
        return has_embedding(self.module)

    def network_inputs(self, X: Any) -> Any:
        """Bring rows of the user's to what the network takes.

        Parameters
        ----------
        X : array-like, data frame, sparse matrix or mapping of str to these
            Rows, as the estimator takes them.

        Returns
        -------
        X : ndarray or dict of str to ndarray
            The same rows after all steps, checked, dense and in the type of the weights.
        """
        for transformer in self.transformers:
            X = transformer.transform(X)
        X = cast_inputs(
            self.inputs.checked(X, self.name), self.floating, lambda: self.has_embedding
        )
        return (
            {key: _dense(rows) for key, rows in X.items()} if isinstance(X, Mapping) else _dense(X)
        )

    def network_outputs(self, X: Any) -> np.ndarray:
        """Compute what the network puts out, by torch.

        Parameters
        ----------
        X : ndarray or dict of str to ndarray
            What :meth:`network_inputs` gives.

        Returns
        -------
        outputs : ndarray of shape (n_rows, ...)
            The outputs.
        """
        return forward_in_chunks(lambda rows: first_output(run_module(self.module, rows)), X)

    def with_example(self, X: Any) -> "Source":
        """Take the first rows of what the network takes for its example.

        Parameters
        ----------
        X : ndarray or dict of str to ndarray
            What :meth:`network_inputs` gives.

        Returns
        -------
        source : Source
            The same with an example.
        """
        if isinstance(X, Mapping):
            few: Any = {key: torch.from_numpy(rows[:_FEW_ROWS].copy()) for key, rows in X.items()}
        else:
            few = torch.from_numpy(X[:_FEW_ROWS].copy())
        return replace(self, example=few)

    def in_single_precision(self) -> "Source":
        """Give the network numbers of single precision."""

        def single(rows: Tensor) -> Tensor:
            return rows.float() if rows.is_floating_point() else rows

        if isinstance(self.example, Tensor):
            example: Any = single(self.example)
        else:
            example = {key: single(rows) for key, rows in self.example.items()}
        return replace(self, module=deepcopy(self.module).float(), example=example)

    def folded(self) -> "Source | None":
        """Fold the last step into the network's first layer.

        Returns
        -------
        folded : Source or None
            It has a step less and another network; None if the step is no scaler, or the network
            does not begin with a linear layer.
        """
        affine = affine_of(self.transformers[-1]) if self.transformers else None
        if affine is None or not isinstance(self.example, Tensor) or self.example.dim() != 2:
            return None
        scale, shift = affine
        if not (np.isfinite(scale).all() and np.isfinite(shift).all() and scale.all()):
            return None
        module = with_affine(self.module, scale, shift, self.example)
        if module is None:
            return None
        scaler, rows = self.transformers[-1], self.example.double().numpy()
        example = torch.from_numpy((rows - shift) / scale).to(self.example.dtype)
        names = getattr(scaler, "feature_names_in_", None)
        inputs = replace(self.inputs, feature_names=None if names is None else tuple(names))
        return replace(
            self,
            module=module,
            example=example,
            inputs=inputs,
            transformers=self.transformers[:-1],
        )


def source_of(estimator: Any) -> Source:
    """Take apart what is to be deployed.

    Parameters
    ----------
    estimator : estimator, Pipeline, search or Predictor
        A fitted estimator of skprune's, a pipeline that ends in one, a search that found one, or
        what it left.

    Returns
    -------
    source : Source
        Its parts.

    Raises
    ------
    TypeError
        If it is none of these.
    NotFittedError
        If it is not fitted.
    """
    from sklearn.pipeline import Pipeline
    from sklearn.utils.validation import check_is_fitted

    if isinstance(estimator, Predictor):
        return _of_predictor(estimator)
    if isinstance(estimator, Pipeline):
        check_is_fitted(estimator)
        *steps, (_, last) = estimator.steps
        before = tuple(step for _, step in steps if step not in (None, "passthrough"))
        source = source_of(last)
        return replace(source, transformers=(*before, *source.transformers))
    if hasattr(estimator, "predictor_"):
        return _of_predictor(estimator.predictor_)
    if hasattr(estimator, "best_estimator_"):
        return source_of(estimator.best_estimator_)
    if hasattr(type(estimator), "predictor_"):
        check_is_fitted(estimator)
        _ = estimator.predictor_  # an error that says why there is none
    raise TypeError(
        f"Only a fitted estimator of skprune's, a Pipeline that ends in one, a search that found "
        f"one, or a Predictor can be deployed; got a {type(estimator).__name__}. A net of skorch's "
        "becomes one by PrunedClassifier(net, sparsity=0) or PrunedRegressor(net, sparsity=0)."
    )


def _of_predictor(predictor: Predictor) -> Source:
    outputs: Any = deepcopy(predictor.outputs)
    if callable(outputs.nonlinearity):
        outputs.nonlinearity = OnArrays(outputs.nonlinearity)
    return Source(
        deepcopy(predictor.module).cpu().eval(),
        predictor.example,
        # Types of torch's would import it where the predictor is loaded.
        replace(predictor.inputs, dtype=None),
        outputs,
        (),
        predictor.name,
    )


def _dense(rows: Any) -> np.ndarray:
    return rows if isinstance(rows, np.ndarray) else rows.toarray()
