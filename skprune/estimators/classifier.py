"""The pruned classifier."""

from collections.abc import Mapping
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
from joblib import Memory
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target
from skorch import NeuralNet

from skprune._sklearn import StrOptions
from skprune.estimators.base import BasePruned, as_it_was_on_error
from skprune.estimators.inputs import with_targets
from skprune.estimators.targets import TaskTarget, check_seen, learn_classes
from skprune.strategies.strategy import Strategy
from skprune.strategies.target import Target
from skprune.structures import Structure
from skprune.training.nets import (
    CLASSIFIER_NETS,
    default_classifier_net,
    is_binary,
    takes_labels,
    unwrapped,
)

__all__ = ["PrunedClassifier"]


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
        - ``"early_bird"``: removes, once, the smallest weights or units as soon as those of
          successive epochs of the training agree; the rest of the training is of what is left.
        - ``"random_at_init"``: removes weights at random before training.
        - ``"snip"``: removes, before training, the weights whose product with their gradient is
          smallest.
        - ``"grasp"``: removes, before training, the weights without which the gradients become
          largest.
        - ``"synflow"``: removes, before training and in 100 steps, the weights that pass on least
          from the inputs to the outputs; it looks at no data.

    sparsity : float, Target or None, default=0.8
        How much to prune: the fraction of `budget` that is removed, in [0, 1), or a
        :class:`~skprune.Target`, such as ``Target(at_most=100_000, budget="macs")``. None leaves
        it to an allocation that names a sparsity for each layer, to a structure that fixes it, such
        as ``"2:4"``, or to a regularizer.
    budget : {"elements", "weights", "parameters", "macs", "bytes"}, default="elements"
        What `sparsity` counts. ``"elements"`` are what the structure removes (weights, units ...),
        of the layers that are pruned. The others are quantities of the whole network as
        ``report_`` has them, of which at most ``1 - sparsity`` is left, and no element less than
        that takes: ``"weights"``, ``"parameters"`` (with biases and norms), ``"macs"``
        (multiply-accumulates per row of input), ``"bytes"`` (as they are stored, masked weights
        included, so that it needs ``structure="unit"``). Not for ``sparsity=None``.
    structure : str or Structure, default="weight"
        What is removed together: by name, or an object of :mod:`skprune.structures`.

        - ``"weight"``: single weights, which are set to zero; units that are left without weights
          are removed.
        - ``"unit"``: neurons, channels, heads of attention and their dimensions, hidden units of
          recurrent layers and columns of embeddings, with all that is coupled to them; the network
          becomes smaller. ``Unit(kinds=[...])`` says which of these may go.
        - ``"head"``: heads of attention alone.
        - ``"feature"``: columns or channels of the input: all weights that read them are set to
          zero.
        - ``"block"``: blocks of 4 x 4 neighbouring weights of a matrix, which are set to zero.
        - ``"2:4"``: two of every four consecutive weights, as sparse tensor cores want it; needs
          ``sparsity=None``.

    fine_tune_epochs : int, default=None
        Number of epochs that what is left is trained for, all steps together. If None, half of
        the net's ``max_epochs``, or what the strategy has instead (a lottery ticket is trained anew
        at each step; ``"early_bird"`` has no more than those ``max_epochs``).
    protect : list of str or type, default=None
        Layers that keep their weights and units: their names; patterns such as
        ``"encoder.*.norm"``, in which ``*`` stands for anything; types such as
        ``torch.nn.LayerNorm``. A layer loses inputs where units before it go. The output layer
        always keeps its units.
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
    kept_ : dict of str to ndarray of bool of shape (n_elements,)
        Which elements of the structure (weights, units ...) stayed, by layer, in the order of the
        original. Layers that lose their elements together go by the name of the first.
    sparsity_ : float
        The fraction of the structure's elements that is gone, whatever the budget counts.
    report_ : PruningReport
        Weights, units, parameters, multiply-accumulates and bytes of each layer, before and after.
    removals_ : Removals
        The units that were removed. ``removals_.replay(module)`` cuts an equal network, dense and
        untrained, to the shape of ``module_``, so that its ``state_dict`` can be loaded into it.
    predictor_ : Predictor
        The network with all that it takes to predict, without skorch; it can be pickled by itself.
        There is none where the net's class predicts in a way of its own, or rows need its loader.
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

    def __init__(
        self,
        estimator: NeuralNet | None = None,
        *,
        strategy: str | Strategy = "magnitude",
        sparsity: float | Target | None = 0.8,
        budget: str = "elements",
        structure: str | Structure = "weight",
        fine_tune_epochs: int | None = None,
        protect: list[str | type] | None = None,
        class_weight: dict | list | str | None = None,
        memory: str | PathLike | Memory | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.strategy = strategy
        self.sparsity = sparsity
        self.budget = budget
        self.structure = structure
        self.fine_tune_epochs = fine_tune_epochs
        self.protect = protect
        self.class_weight = class_weight
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose

    def _learn_target(self, y: np.ndarray, net: NeuralNet | None) -> TaskTarget:
        return learn_classes(y, net, type(self).__name__)

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
            check_seen(y, classes)
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
        return self._predicted(X, "predict")

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
        return self._predicted(X, "predict_proba")

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

    def _has_scores(self) -> bool:
        """Whether there is a decision_function; before a fit that is not known."""
        return "net_" not in vars(self) or self.predictor_.outputs.has_scores

    @available_if(_has_scores)
    def decision_function(self, X: Any) -> np.ndarray:
        """Compute scores: what the network puts out before a softmax or a sigmoid.

        There are none where the network puts out probabilities, or the net has a nonlinearity or a
        way to predict of its own.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs.

        Returns
        -------
        scores : ndarray of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_labels)
            One number a row for two classes, the log-odds of the second: it is above zero where the
            second is the more probable, whatever the net's threshold.
        """
        return self._predicted(X, "decision_function")

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what the estimator can do."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        net = unwrapped(self.estimator)
        if isinstance(net, self._nets):
            tags.classifier_tags.multi_class = not is_binary(net)
            tags.classifier_tags.multi_label = takes_labels(net)
        return tags


def _check_columns(classes: np.ndarray, n_labels: int) -> None:
    columns = np.arange(n_labels)
    if not np.array_equal(classes, columns):
        raise ValueError(
            f"y has {n_labels} labels a row, and classes={classes.tolist()}: give the numbers of "
            f"its columns, classes={columns.tolist()}."
        )
