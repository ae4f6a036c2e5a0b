"""What is left of a fit when training is over: a network that predicts, without skorch."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from sklearn.utils.metaestimators import available_if
from torch import Tensor, nn

from skprune.network.chunks import NotFinite, forward_in_chunks
from skprune.network.dtypes import as_input_dtype
from skprune.network.hidden import HiddenLayer
from skprune.network.recipe import ModuleRecipe
from skprune.network.removals import Removals
from skprune.pruning.inputs import InputSpec
from skprune.pruning.outputs import Outputs, ValueOutputs, unchanged

__all__ = ["Predictor"]


class Predictor:
    """A pruned network, and all that it takes to predict with it.

    It needs torch, NumPy and scikit-learn, and no skorch. It can be pickled, as far as the network
    can; a pickle holds the weights, and the network's class by its name. Several threads can
    predict at once. Nothing is changed by a prediction, but that a network in training mode, which
    somebody trained meanwhile, is put into evaluation mode.

    A fitted estimator makes one of what it holds: ``estimator.predictor_``.

    Parameters
    ----------
    module : Module
        The pruned network. It is not copied: weights that change are what is predicted with.
    outputs : Outputs, default=None
        What makes predictions of the network's outputs:
        :class:`~skprune.pruning.ClassOutputs`, :class:`~skprune.pruning.BinaryOutputs`,
        :class:`~skprune.pruning.LabelOutputs`, or :class:`~skprune.pruning.ValueOutputs`, which
        None stands for.
    masks : mapping of str to Tensor of bool, default=None
        What is kept of each masked weight, by the parameter's name, in the shape that it has in
        `module`.
    removals : Removals, default=None
        The units that were removed. ``removals.replay(module)`` cuts an equal network, dense and
        untrained, to the shape of this one, so that its ``state_dict`` can be loaded into it.
    example : Tensor or mapping of str to Tensor, default=None
        A few rows of input.
    inputs : InputSpec, default=None
        What inputs the network takes; that of `example` if None.
    name : str, default="Predictor"
        What messages call it.
    recipe : ModuleRecipe, default=None
        What makes a network as this one was before it was pruned, if that is known: a file that is
        read on another day is then enough to have it again.

    Attributes
    ----------
    module, outputs, masks, removals, example, inputs, name, recipe
        As they were given.

    Examples
    --------
    >>> import pickle
    >>> from sklearn.datasets import load_iris
    >>> from skprune import PrunedClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> pruned = PrunedClassifier(random_state=0).fit(X, y)
    >>> predictor = pickle.loads(pickle.dumps(pruned.predictor_))
    >>> bool((predictor.predict(X) == pruned.predict(X)).all())
    True
    >>> predictor.inputs.row_shape, predictor.outputs.nonlinearity
    ((4,), 'softmax')

    Of a network of one's own:

    >>> import torch
    >>> from skprune.pruning import ClassOutputs, Predictor
    >>> network = torch.nn.Linear(2, 2, bias=False)
    >>> _ = network.load_state_dict({"weight": torch.eye(2)})
    >>> Predictor(network, ClassOutputs(["left", "right"])).predict([[3.0, 1.0], [1.0, 2.0]])
    array(['left', 'right'], dtype='<U5')
    """

    def __init__(
        self,
        module: nn.Module,
        outputs: Outputs | None = None,
        *,
        masks: Mapping[str, Tensor] | None = None,
        removals: Removals | None = None,
        example: Any = None,
        inputs: InputSpec | None = None,
        name: str = "Predictor",
        recipe: ModuleRecipe | None = None,
    ) -> None:
        self.module = module
        self.outputs = ValueOutputs() if outputs is None else outputs
        self.masks = {} if masks is None else dict(masks)
        self.removals = Removals() if removals is None else removals
        self.example = example
        self.inputs = InputSpec.of_example(example) if inputs is None else inputs
        self.name = name
        self.recipe = recipe

    def predict(self, X: Any) -> Any:
        """Predict classes, labels or values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs, as in the fit.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs), or CSR matrix
            The predictions.

        Raises
        ------
        ValueError
            If X does not look like what the network was fitted with.
        """
        return self.outputs.predictions(self._compute(X, self.outputs.deciding))

    def _has_probabilities(self) -> bool:
        return hasattr(self.outputs, "probabilities")

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict probabilities; a regressor has none.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs, as in the fit.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Of each class, in their order. For several labels a row, of each label.
        """
        outputs: Any = self.outputs
        return outputs.probabilities(self._compute(X, outputs.activated))

    def _has_scores(self) -> bool:
        return self.outputs.has_scores

    @available_if(_has_scores)
    def decision_function(self, X: Any) -> np.ndarray:
        """Compute scores: what the network puts out before a softmax or a sigmoid.

        A network that puts out probabilities, or goes through a nonlinearity of the user's, has
        none, and neither has a regressor.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs, as in the fit.

        Returns
        -------
        scores : ndarray of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_labels)
            One number a row for two classes, the log-odds of the second: it is above zero where the
            second is the more probable.
        """
        return self.outputs.scores(self._compute(X, unchanged))

    def hidden(self, X: Any, layer: HiddenLayer) -> np.ndarray:
        """Compute what a layer inside the network puts out.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs, as in the fit.
        layer : HiddenLayer
            The layer.

        Returns
        -------
        activations : ndarray of shape (n_samples, layer.width)
            A row for each row of X.
        """
        with layer.read(self.module) as activations:
            return self._compute(X, lambda outputs: activations(len(outputs)))

    def from_hidden(self, codes: np.ndarray, layer: HiddenLayer) -> np.ndarray:
        """Predict from what a layer inside the network puts out.

        Parameters
        ----------
        codes : ndarray of shape (n_samples, layer.width)
            What the layer is taken to put out. All that the network computes besides, it computes
            of an input of zeros.
        layer : HiddenLayer
            The layer.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The predictions.
        """
        zeros = torch.zeros((1, *self.inputs.row_shape), dtype=self.inputs.dtype)

        def outputs(chunk: Tensor) -> Tensor:
            with layer.replaced(self.module, chunk):
                return self.module(zeros.to(chunk.device).expand(len(chunk), *zeros.shape[1:]))

        self.module.eval()
        device = next((p.device for p in self.module.parameters()), torch.device("cpu"))
        codes = as_input_dtype(codes, self.module)
        return self.outputs.predictions(
            forward_in_chunks(lambda chunk: self.outputs.deciding(outputs(chunk)), codes, device)
        )

    def _compute(self, X: Any, apply: Callable[[Tensor], Tensor]) -> np.ndarray:
        """Check inputs, and compute the network's outputs with something applied to them."""
        if self.inputs.is_as_checked(X):
            try:
                return self._forward(X, apply, check_finite=True)
            except NotFinite:  # scikit-learn's own check says where, or that all is well
                pass
        return self._forward(self.inputs.checked(X, self.name), apply, check_finite=False)

    def _forward(
        self, X: Any, apply: Callable[[Tensor], Tensor], *, check_finite: bool
    ) -> np.ndarray:
        module = self.module
        if any(part.training for part in module.modules()):
            module.eval()
        device = next((p.device for p in module.parameters()), torch.device("cpu"))
        by_name = isinstance(X, Mapping)

        def outputs(chunk: Any) -> Tensor:
            result = module(**chunk) if by_name else module(chunk)
            # The first of several is the prediction.
            return apply(result[0] if isinstance(result, tuple) else result)

        X = as_input_dtype(X, module)
        return forward_in_chunks(outputs, X, device, check_finite=check_finite)

    def __repr__(self) -> str:
        module, outputs = type(self.module).__name__, type(self.outputs).__name__
        return f"Predictor({module}, {outputs})"
