"""The pruned classifier."""

from collections.abc import Mapping
from os import PathLike
from typing import Any, ClassVar, Self
from warnings import warn

import numpy as np
import torch
from joblib import Memory
from scipy.sparse import csr_matrix, issparse
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, is_multilabel, type_of_target
from skorch import NeuralNet
from torch import Tensor, nn

from skprune._sklearn import StrOptions
from skprune.estimators.base import BasePruned, as_it_was_on_error
from skprune.estimators.inputs import with_targets
from skprune.strategies.strategy import Strategy
from skprune.structures import Structure
from skprune.training.inference import net_outputs, own_prediction, sigmoid_of_labels
from skprune.training.nets import (
    CLASSIFIER_NETS,
    default_classifier_net,
    is_binary,
    module_dtype,
    takes_labels,
    takes_logarithms,
    takes_only_labels,
    unwrapped,
    wants_probabilities,
)

__all__ = ["PrunedClassifier"]


class _Classes:
    """What a classifier learns of its targets."""

    def __init__(self, classes: np.ndarray, multilabel: bool, sparse: bool = False) -> None:
        self.classes = classes
        self.multilabel = multilabel
        self.sparse = sparse


class PrunedClassifier(ClassifierMixin, BasePruned):
    """Neural network classifier that is trained, pruned, and fine-tuned.

    Parameters
    ----------
    estimator : NeuralNetClassifier or NeuralNetBinaryClassifier, default=None
        The skorch net to train and prune, or an already trained one (fitted, or in a
        ``FrozenEstimator``, or initialized with weights of its own), which is not trained again
        before it is pruned. It is never modified. Zeros of a net that was pruned before are
        weights like others, which training fills again.
        None stands for a multi-layer perceptron with one hidden layer of 100 units. The classes of
        a trained net are those of y in sorted order, where it was trained on others.
    strategy : str or Strategy, default="magnitude"
        How to prune: by name, or a :class:`~skprune.Strategy`, which combines its parts freely.

        - ``"random"``: removes weights at random; the baseline that others have to beat.
        - ``"magnitude"``: removes the smallest weights, all at once.
        - ``"lamp"``: removes the smallest weights in relation to the larger ones of their layer,
          all at once, wherever in the network they are.
        - ``"iterative_magnitude"``: removes the smallest weights in 5 steps, with training after
          each.
        - ``"gradual_magnitude"``: removes the smallest weights in 10 steps, many at first and few
          at the end, with training in between.
        - ``"sparse_optimization"``: as ``"gradual_magnitude"``, after a training under a group
          lasso, which shrinks what is removed together to zero.
        - ``"admm"``: as ``"gradual_magnitude"``, after a training that pulls the weights to the
          nearest ones that have the target sparsity.
        - ``"l0"``: as ``"gradual_magnitude"``, after a training in which weights or units have
          gates that learn to close.
        - ``"gradient"``: removes what changes the loss least, as estimated by gradients, in 10
          steps.
        - ``"movement"``: trains from scratch, and removes the weights that the first part of the
          training moves towards zero.
        - ``"hessian"``: removes what raises the loss least once the other weights have adapted, as
          estimated by the curvature of the loss, in 20 steps (optimal brain surgeon).
        - ``"layer_obs"``: removes what changes the outputs of its layer least once the other
          weights of the layer have adapted, in 10 steps.
        - ``"dynamic"``: as ``"gradual_magnitude"``; while it trains, the smallest weights are
          exchanged for removed ones with large gradients.
        - ``"splicing"``: removes the smallest weights, goes on training them unseen, and takes them
          back when they outgrow others.
        - ``"set"``: removes weights at random before training; while it trains, the smallest are
          exchanged for removed ones at random.
        - ``"rigl"``: removes weights at random before training; while it trains, the smallest are
          exchanged for removed ones with large gradients.
        - ``"distillation"``: as ``"gradual_magnitude"``; the training in between also learns from
          the predictions of the dense network.
        - ``"lottery_ticket"``: removes the smallest weights in 5 steps; after each, what is left
          goes back to its initial weights and is trained again.
        - ``"random_at_init"``: removes weights at random before training.
        - ``"snip"``: removes, before training, the weights whose product with their gradient is
          smallest.
        - ``"grasp"``: removes, before training, the weights without which the gradients become
          largest.
        - ``"synflow"``: removes, before training and in 100 steps, the weights that pass on least
          from the inputs to the outputs; it looks at no data.

    sparsity : float or None, default=0.8
        How much to prune: the fraction of the structure's elements (weights, units ...) that is
        removed, in [0, 1). None leaves it to an allocation that names a sparsity for each layer, or
        to a structure that fixes it, such as ``"2:4"``.
    structure : str or Structure, default="weight"
        What is removed together: by name, or an object of :mod:`skprune.structures`.

        - ``"weight"``: single weights, which are set to zero; units that are left without weights
          are removed.
        - ``"unit"``: neurons and channels, with all that is coupled to them; the network becomes
          smaller.
        - ``"feature"``: columns or channels of the input: all weights that read them are set to
          zero.
        - ``"block"``: blocks of 4 x 4 neighbouring weights of a matrix, which are set to zero.
        - ``"2:4"``: two of every four consecutive weights, as sparse tensor cores want it; needs
          ``sparsity=None``.

    fine_tune_epochs : int, default=None
        Number of epochs that what is left is trained for, all steps together. If None, half of
        the net's ``max_epochs``, or what the strategy's recovery has instead (a lottery ticket is
        trained anew at each step).
    protect : list of str, default=None
        Names of layers that keep their weights and units; a layer loses inputs where units before
        it go. The output layer always keeps its units.
    class_weight : dict, list of dict or "balanced", default=None
        Weights of the classes in the loss, as in scikit-learn.
    memory : str, os.PathLike or joblib.Memory, default=None
        Where trained dense networks are kept, so that a search over strategies and sparsities
        trains one for each fold. What it keeps is found again for an equal net, its code included,
        on equal data with an equal seed (``random_state`` has to be an
        int). Entries hold no code; see ``docs/how-to-memory.md``.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, batches, dropout and random scores. Fits in other threads do not
        disturb it; a thread that draws from the global generators itself in mid-fit does.
    verbose : int, default=0
        With 1 or more, a progress bar over the epochs of all stages, with the name of the stage;
        with 0, nothing. What the net prints is up to the net.

    Attributes
    ----------
    net_ : NeuralNet
        The trained and pruned skorch net.
    module_ : Module
        Its module: units that are gone are removed, masked weights are zero.
    masks_ : dict of str to ndarray of bool
        What the strategy kept of each weight, by the parameter's name, in the original shape.
        ``module_`` and ``report_`` have less where units have died of what it removed.
    sparsity_ : float
        The fraction of the structure's elements that is gone.
    report_ : PruningReport
        Weights, units, parameters, multiply-accumulates and bytes of each layer, before and after.
    removals_ : Removals
        The units that were removed. ``removals_.replay(module)`` cuts an equal network, dense and
        untrained, to the shape of ``module_``, so that its ``state_dict`` can be loaded into it.
    history_ : History
        skorch's history over all stages; each epoch says to which ``stage`` it belongs.
    classes_ : ndarray of shape (n_classes,)
        The class labels.
    n_features_in_ : int
        Number of features seen during fit; not for inputs in a mapping.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X has names that are all strings.

    See Also
    --------
    PrunedRegressor : The same for regression.

    References
    ----------
    Blalock, D., Gonzalez Ortiz, J. J., Frankle, J., & Guttag, J. (2020). What is the state of
    neural network pruning? Proceedings of Machine Learning and Systems 2.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skprune import PrunedClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> pruned = PrunedClassifier(random_state=0)
    >>> model = make_pipeline(StandardScaler(), pruned).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    >>> masks = pruned.masks_.values()
    >>> sum(mask.size for mask in masks), int(sum(mask.sum() for mask in masks))
    (700, 140)
    """

    axes: ClassVar[dict[str, Mapping[Any, Any]]] = {
        **BasePruned.axes,
        "estimator": {None: default_classifier_net},
    }

    _parameter_constraints: ClassVar[dict] = {
        **BasePruned._parameter_constraints,
        "class_weight": [None, dict, list, StrOptions({"balanced"})],
    }
    _nets = CLASSIFIER_NETS
    _estimator_type_is_regressor = False

    def __init__(
        self,
        estimator: NeuralNet | None = None,
        *,
        strategy: str | Strategy = "magnitude",
        sparsity: float | None = 0.8,
        structure: str | Structure = "weight",
        fine_tune_epochs: int | None = None,
        protect: list[str] | None = None,
        class_weight: dict | list | str | None = None,
        memory: str | PathLike | Memory | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.strategy = strategy
        self.sparsity = sparsity
        self.structure = structure
        self.fine_tune_epochs = fine_tune_epochs
        self.protect = protect
        self.class_weight = class_weight
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose

    def _learn_target(self, y: np.ndarray, net: NeuralNet | None) -> _Classes:
        sparse = issparse(y)
        if sparse and not is_multilabel(y):
            raise ValueError(
                "A sparse y has a column of zeros and ones for each of several labels a row. For "
                "anything else, give y.toarray()."
            )
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        if kind == "multilabel-indicator":
            return _Classes(np.arange(y.shape[1]), multilabel=True, sparse=sparse)
        if y.ndim == 2 and y.shape[1] > 1:
            raise ValueError(
                f"y has {y.shape[1]} columns of classes. Give one column, or several of zeros and "
                "ones for several labels a row."
            )
        classes = np.unique(column_or_1d(y))
        if net is not None:
            classes = _classes_of(net, classes)
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes; the data has one "
                f"class: {classes.tolist()}"
            )
        return _Classes(classes, multilabel=False)

    def _default_net(self) -> NeuralNet:
        return default_classifier_net()

    def _arguments(
        self,
        net: NeuralNet,
        target: _Classes,
        y: np.ndarray,
        sample_weight: np.ndarray | None,
    ) -> dict[str, Any]:
        return {
            "n_outputs": 1 if is_binary(net) else len(target.classes),
            "criterion": nn.BCEWithLogitsLoss if target.multilabel else nn.CrossEntropyLoss,
            "output_activation": "softmax" if wants_probabilities(net) else None,
        }

    def _encode_target(
        self, y: np.ndarray, target: _Classes, net: NeuralNet, outputs: Tensor
    ) -> np.ndarray:
        dtype = np.float64 if module_dtype(net.module_) == torch.float64 else np.float32
        if target.multilabel:
            if not takes_labels(net):
                raise ValueError(
                    f"y has several labels a row, which {type(net).__name__} with "
                    f"{type(net.criterion_).__name__} cannot learn. Use a NeuralNetClassifier with "
                    "criterion=torch.nn.BCEWithLogitsLoss and train_split=None (skorch's own split "
                    "is by class), or estimator=None."
                )
            _check_width(outputs, y.shape[1], "labels")
            return y.astype(dtype)
        codes = np.searchsorted(target.classes, column_or_1d(y, warn=True))
        if is_binary(net):
            if len(target.classes) != 2:
                raise ValueError(
                    f"{type(net).__name__} takes 2 classes; y has {len(target.classes)}. "
                    "Use a NeuralNetClassifier."
                )
            return codes.astype(dtype)
        if takes_only_labels(net):
            raise ValueError(
                f"y has one class a row, and {type(net.criterion_).__name__} takes several labels "
                "a row. Use a criterion such as torch.nn.CrossEntropyLoss, or give y as columns of "
                "zeros and ones."
            )
        _check_width(outputs, len(target.classes), "classes")
        _check_probabilities(net, outputs)
        return codes.astype(np.int64)

    def _encode_known(
        self, target: _Classes, net: NeuralNet, outputs: Tensor, y: np.ndarray
    ) -> np.ndarray:
        if not target.multilabel:
            _check_seen(np.unique(y), target.classes, "The y of predefined_split")
        return self._encode_target(y, target, net, outputs)

    def _row_weights(
        self, y: np.ndarray, target: _Classes, sample_weight: np.ndarray | None
    ) -> np.ndarray | None:
        if self.class_weight is None:
            return sample_weight
        class_weight = self.class_weight
        if isinstance(class_weight, dict) and not target.multilabel:
            # Rows to go on with may lack a class that has a weight, which is no mistake.
            absent = np.setdiff1d(target.classes, y)
            class_weight = {c: weight for c, weight in class_weight.items() if c not in absent}
        _check_class_weight(class_weight)
        weights = compute_sample_weight(class_weight, y)
        if sample_weight is not None:
            weights = weights * sample_weight
        if not weights.any():
            raise ValueError(
                "class_weight leaves all rows without weight: there is nothing to learn from."
            )
        return weights

    def _store_target(self, target: _Classes) -> None:
        self.classes_ = target.classes
        self._multilabel = target.multilabel
        self._sparse_labels = target.sparse

    def _known_target(self, y: np.ndarray) -> _Classes:
        if self._multilabel:
            if y.ndim != 2 or y.shape[1] != len(self.classes_):
                raise ValueError(
                    f"y has shape {y.shape}, but {type(self).__name__} was fitted with "
                    f"{len(self.classes_)} labels a row."
                )
        else:
            _check_seen(np.unique(y), self.classes_)
        return _Classes(self.classes_, self._multilabel)

    def partial_fit(
        self, X: Any, y: Any = None, classes: Any = None, sample_weight: Any = None
    ) -> Self:
        """Go on training for one epoch, under the masks.

        The first call on an estimator that is not fitted is a :meth:`fit`, and needs `classes`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels.
        classes : array-like of shape (n_classes,), default=None
            All classes that there will be; to be given in the first call. For several labels a
            row these are the numbers of the columns of y, ``[0, 1, 2]`` for three.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the loss.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            If y has a class that was not there before.
        """
        if hasattr(self, "net_"):
            if classes is not None and not np.array_equal(np.unique(classes), self.classes_):
                raise ValueError(
                    f"classes={np.unique(classes).tolist()} is not what it was in the first call "
                    f"to partial_fit or in fit: {self.classes_.tolist()}"
                )
            self._continue(X, y, sample_weight)
            return self
        if classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        self._validate_params()
        X, y = with_targets(self, X, y)
        classes = np.unique(classes)
        if type_of_target(y, input_name="y").startswith("multilabel"):
            _check_columns(classes, np.shape(y)[1])
            classes = None
        else:
            _check_seen(np.unique(np.asarray(y)), classes)
        with as_it_was_on_error(self):
            self._fit(X, y, sample_weight, classes=classes)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predict class labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels), or CSR matrix
            The most probable class of each row; for several labels a row, which have a
            probability above one half: a CSR matrix where y was sparse in fit.
        """
        return self._predicted(X, self._labels)

    def _labels(self, X: Any, *, check_finite: bool) -> np.ndarray:
        labels = own_prediction(self.net_, X, check_finite=check_finite)
        if labels is not None:
            labels = labels.astype(int)
            return self._as_given(labels) if self._multilabel else self.classes_[labels]
        outputs = self._outputs(X, to_rank=True, check_finite=check_finite)
        if self._multilabel:
            return self._as_given((outputs > 0.5).astype(int))
        if is_binary(self.net_):
            return self.classes_[(outputs[:, 1] > self.net_.threshold).astype(int)]
        return self.classes_[outputs.argmax(axis=1)]

    def _as_given(self, labels: np.ndarray) -> Any:
        """Give several labels a row as they were given to fit: sparse, or not."""
        return csr_matrix(labels) if self._sparse_labels else labels

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Compute the accuracy of the predictions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
            Class labels; None for those of a ``Dataset`` X.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
            For several labels a row, the share of rows that are right in all.
        """
        X, y = with_targets(self, X, y, reset=False)
        return super().score(X, y, sample_weight=sample_weight)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Of each class, in the order of ``classes_``. For several labels a row, of each label.
        """
        outputs = self._predicted(X, self._outputs)
        rounding = np.finfo(np.result_type(outputs, np.float16)).eps * outputs.shape[1]
        outputs = outputs.astype(np.float64)
        if self._multilabel:
            return outputs
        # Rows of rounded numbers should still add up to one.
        totals = outputs.sum(axis=1, keepdims=True)
        return np.where(abs(totals - 1) <= rounding, outputs / totals, outputs)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Predict the logarithms of the probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
            Logarithms of :meth:`predict_proba`.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def _outputs(self, X: Any, *, check_finite: bool, to_rank: bool = False) -> np.ndarray:
        nonlinearity = sigmoid_of_labels(self.net_) if self._multilabel else None
        return net_outputs(self.net_, X, nonlinearity, to_rank=to_rank, check_finite=check_finite)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what the estimator can do."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        net = unwrapped(self.estimator)
        if isinstance(net, self._nets):
            tags.classifier_tags.multi_class = not is_binary(net)
            tags.classifier_tags.multi_label = takes_labels(net)
        return tags


def _classes_of(net: NeuralNet, seen: np.ndarray) -> np.ndarray:
    """Classes of a trained net, in the labels of the data at hand."""
    try:
        known = np.asarray(net.classes_)
    except AttributeError:  # weights were loaded into it: it never saw labels
        return seen
    if seen.dtype.kind == known.dtype.kind and np.isin(seen, known).all():
        return known
    if len(seen) == len(known):
        return seen
    raise ValueError(
        f"The trained net knows {len(known)} classes, {known.tolist()}; y has {len(seen)}, "
        f"{seen.tolist()}, so that it is not clear which is which."
    )


def _check_class_weight(class_weight: Any) -> None:
    several = class_weight if isinstance(class_weight, list) else [class_weight]
    for weights in several:
        for label, weight in weights.items() if isinstance(weights, dict) else ():
            if not weight >= 0:
                raise ValueError(
                    f"class_weight[{label!r}] is {weight!r}; the weight of a class must be 0 or "
                    "more."
                )


def _check_columns(classes: np.ndarray, n_labels: int) -> None:
    columns = np.arange(n_labels)
    if not np.array_equal(classes, columns):
        raise ValueError(
            f"y has {n_labels} labels a row, and classes={classes.tolist()}: give the numbers of "
            f"its columns, classes={columns.tolist()}."
        )


def _check_seen(seen: np.ndarray, known: np.ndarray, whose: str = "y") -> None:
    unknown = np.setdiff1d(seen, known)
    if len(unknown):
        raise ValueError(
            f"{whose} has classes that were not there before: {unknown.tolist()}. "
            f"Known: {known.tolist()}."
        )


def _check_probabilities(net: NeuralNet, outputs: Tensor) -> None:
    """Raise an error where the loss would take the logarithm of a negative number."""
    if not takes_logarithms(net):
        return
    if (outputs < 0).any():
        raise ValueError(
            f"{type(net).__name__} with NLLLoss, skorch's default criterion, takes the logarithm "
            f"of the network's outputs, which must be probabilities; they go down to "
            f"{float(outputs.min()):.3g}. Set criterion=torch.nn.CrossEntropyLoss for a network "
            "that ends in plain scores, or let it end in a softmax (not a log_softmax)."
        )
    if ((outputs.sum(1) - 1).abs() > 1e-2).any():
        warn(
            f"{type(net).__name__} with NLLLoss, skorch's default criterion, takes the network's "
            "outputs for probabilities, and those of a row add up to "
            f"{float(outputs[0].sum()):.3g}. Set criterion=torch.nn.CrossEntropyLoss for a network "
            "that ends in plain scores, or let it end in a softmax.",
            UserWarning,
            stacklevel=2,
        )


def _check_width(outputs: Tensor, n_expected: int, what: str) -> None:
    if outputs.dim() < 2 or outputs.shape[1] != n_expected:
        raise ValueError(
            f"The network's output has shape {tuple(outputs.shape)} for {len(outputs)} rows; "
            f"{n_expected} {what} need {n_expected} columns."
        )
