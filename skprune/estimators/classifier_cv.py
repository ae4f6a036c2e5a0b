"""The cross-validated pruned classifier."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar

import numpy as np
from joblib import Memory
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from skorch import NeuralNet

from skprune.estimators.classifier import PrunedClassifier
from skprune.estimators.cv import BasePrunedCV
from skprune.estimators.delegation import Delegated
from skprune.estimators.wrapping import WrapsNet
from skprune.strategies.strategy import Strategy
from skprune.structures import Structure
from skprune.training.nets import default_classifier_net

__all__ = ["PrunedClassifierCV"]


# The mixin has to come before BaseEstimator, and so before what the base derives from.
class PrunedClassifierCV(BasePrunedCV, ClassifierMixin, WrapsNet):
    """Neural network classifier whose strategy and sparsity are chosen by cross-validation.

    Each fold trains one dense network and prunes it to all sparsities, by all strategies.

    Parameters
    ----------
    estimator : NeuralNetClassifier or NeuralNetBinaryClassifier, default=None
        The skorch net to train and prune; see :class:`~skprune.PrunedClassifier`. One that is
        trained is not trained again before it is pruned, and has seen all the rows, so that its
        scores are too good.
    strategies : str, Strategy, or list of these, default=None
        The strategies to choose from: by the names that :class:`~skprune.PrunedClassifier` lists,
        or as a :class:`~skprune.Strategy`. They share one dense network a fold.

        - None: ``"hessian"`` for a network of the default module,
          :class:`~skprune.network.MLP`, of at most 50,000 weights, unless its structure fixes the
          sparsity, as N:M does; ``"magnitude"`` for any other.
        - ``"auto"``: the portfolio of ``"magnitude"``, ``"gradual_magnitude"``, ``"hessian"`` and
          ``"lottery_ticket"``. After a fold the half of the strategies goes that keeps less of the
          score along the path, until two are left; these are the candidates.

    sparsities : int or sequence of float, default=8
        The sparsities to choose from, in any order. A number stands for so many whose densities
        fall evenly, by ratio, from 0.5 to 0.02, or to the smallest that leaves each layer an
        element; of each strategy, whose allocation may have less to remove.
    budget : {"elements", "weights", "parameters", "macs", "bytes"}, default="elements"
        What the sparsities are fractions of: see :class:`~skprune.PrunedClassifier`.
    structure : str or Structure, default="weight"
        What is removed together: ``"weight"``, ``"unit"``, ``"head"``, ``"feature"``, ``"block"``
        or ``"2:4"``, which :class:`~skprune.PrunedClassifier` explains, or an object of
        :mod:`skprune.structures`.
    path : {"restart", "branch", "chained"}, default="branch"
        How the network gets to each sparsity. What is chosen is then fitted in the same way.

        - ``"restart"``: each sparsity starts from the dense network. The networks are those that a
          ``GridSearchCV`` over a :class:`~skprune.PrunedClassifier` fits, score for score.
        - ``"branch"``: the steps of a strategy that prunes in steps are gone once, from dense to
          the sparsest, with a step to each sparsity among them. There a copy branches off, which
          is trained for the rest of `fine_tune_epochs`. This is cheaper where the steps are dear,
          as those of ``"hessian"`` are. With a strategy that takes one step, or has a regularizer,
          a regrowth or an importance that watches the training, it is what ``"restart"`` is.
        - ``"chained"``: each sparsity starts from the network of the one before, and trains for as
          large a share of `fine_tune_epochs` as it removes of what is left. This is cheaper, and
          better where much is removed. A strategy that prunes before training trains in full at its
          first sparsity; one that goes back to early weights, at each.

    max_time : float, default=None
        With ``strategies="auto"``, about how many seconds a fit may take: strategies are begun, the
        cheap ones first, while a fold has not had its share. One is gone through in any case.
    cv : int, cross-validation splitter or iterable, default=None
        How the data are split: 5 folds if None, stratified by class.
    scoring : str, callable, list, tuple, set or dict, default=None
        What is measured; the estimator's own ``score`` if None. Of several metrics, the one that
        `selection` has as its ``scoring`` decides, or else the first (of a set, by name).
    selection : {"best", "one_std_err", "non_inferior"} or callable, default="non_inferior"
        How the strategy and the sparsity are chosen.

        - ``"best"``: those of the best mean score.
        - ``"one_std_err"``: the greatest sparsity whose mean score is within one standard error of
          the best.
        - ``"non_inferior"``: the greatest sparsity that is at most 1 % worse than the dense network
          by the mean of the differences on the same folds, less a standard error of that mean. It
          stands for ``NonInferior(relative=True)``.
        - callable: a :class:`~skprune.model_selection.NonInferior`, or a rule that
          :func:`~skprune.model_selection.sparsest_within` makes; or a function that takes
          ``cv_results_`` and returns an index.

    fine_tune_epochs : int, default=None
        Number of epochs that what is left is trained for, at each sparsity; half of the net's
        ``max_epochs`` if None, unless the strategy has its own way.
    protect : list of str or type, default=None
        Layers that keep their weights and units: their names; patterns such as
        ``"encoder.*.norm"``, in which ``*`` stands for anything; types such as
        ``torch.nn.LayerNorm``. A layer loses inputs where units before it go. The output layer
        always keeps its units.
    class_weight : dict, list of dict or "balanced", default=None
        Weights of the classes in the loss, as in scikit-learn.
    memory : str, os.PathLike or joblib.Memory, default=None
        Where trained dense networks are kept; see :class:`~skprune.PrunedClassifier`.
    n_jobs : int, default=None
        Number of folds at a time.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, batches, dropout and random scores; each fold begins with the
        same. A thread that draws from the global generators itself in mid-fit changes the result.
    verbose : int, default=0
        With 1 or more, a progress bar over the fits, which moves as folds are done; with 0,
        nothing.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray
        As a scikit-learn search has it, with ``param_strategy`` and ``param_sparsity``. The fit
        times are those of the pruning, without the dense training. For rules there are also the
        scores of the dense networks (such as ``split0_dense_score``, the same in each row), and
        ``test_ratio``: the number of test rows by that of training rows where splits overlap, and
        0 where each row is tested once.
    best_estimator_ : PrunedClassifier
        What was chosen, fitted on all the data. ``partial_fit`` of it goes on training.
    best_index_ : int
        Which candidate was chosen.
    selection_report_ : SelectionReport
        Why it was chosen, and the others were not; see
        :class:`~skprune.model_selection.SelectionReport`. It prints as a table.
    best_params_ : dict
        Its strategy and sparsity, as they were given.
    metric_ : str
        Name of the metric that decided (``"score"`` if there is one).
    scorer_ : callable
        The scorer of that metric, by which ``score`` goes.
    best_score_ : float
        Its mean score. As the best of many, it is too good.
    best_score_corrected_ : float
        What can be expected of its score on new data: the choice is made again and again by rows
        that are drawn from the test rows, and scored on the others. For ``score`` and scorers of
        scikit-learn; it is computed when it is first asked for.
    best_score_interval_ : tuple of float
        The 90 % confidence interval of ``best_score_corrected_``.
    strategy_ : str or Strategy
        The chosen strategy.
    dropped_strategies_ : dict of str to str
        Which strategies of ``"auto"`` are not among the candidates, and why.
    sparsity_ : float
        The fraction of the structure's elements that is gone from the network that was fitted.
    sparsities_ : ndarray of shape (n_sparsities,)
        All sparsities, rising.
    score_path_ : ndarray of shape (n_candidates, n_splits)
        The scores that decided.
    dense_scores_ : dict of str to ndarray of shape (n_splits,)
        Scores of the dense networks, by metric (``"score"`` if there is one).
    dense_fit_times_ : ndarray of shape (n_splits,)
        Seconds that the dense trainings took.
    refit_time_ : float
        Seconds that the last fit, of what was chosen, took.
    stability_ : dict of str to dict of str to ndarray
        By strategy (those that look the same are numbered): ``"sparsity"``, its sparsities; for
        each of them ``"mask"``, the stability of the masks over the folds, with ``"mask_lower"``
        and ``"mask_upper"``, its confidence interval; ``"churn"``, the fraction of test rows whose
        prediction pruning changes; ``"churn_between_folds"``, the fraction of all rows on which two
        folds' networks disagree;
        ``"recall_change"`` of shape (n_sparsities, n_classes), what pruning adds to the recall of
        each class.
    net_, module_, masks_, kept_, report_, removals_, predictor_, history_
        As in :class:`~skprune.PrunedClassifier`: those of ``best_estimator_``.
    classes_, n_features_in_, feature_names_in_
        Likewise.

    See Also
    --------
    PrunedClassifier : With one strategy and one sparsity.
    pruning_path : The path without cross-validation.

    References
    ----------
    Nadeau, C., & Bengio, Y. (2003). Inference for the generalization error. Machine Learning, 52,
    239-281.

    Tsamardinos, I., Greasidou, E., & Borboudakis, G. (2018). Bootstrapping the out-of-sample
    predictions for efficient and accurate cross-validation. Machine Learning, 107, 1895-1922.

    Nogueira, S., Sechidis, K., & Brown, G. (2018). On the stability of feature selection
    algorithms. Journal of Machine Learning Research, 18(174).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import scale
    >>> from skprune import PrunedClassifierCV
    >>> X, y = load_iris(return_X_y=True)
    >>> search = PrunedClassifierCV(sparsities=[0.5, 0.8, 0.99], cv=3, random_state=0)
    >>> bool(search.fit(scale(X), y).sparsity_ in (0.5, 0.8))
    True
    """

    axes: ClassVar[dict[str, Mapping[Any, Any]]] = {
        **WrapsNet.axes,
        "estimator": {None: default_classifier_net},
    }

    _parameter_constraints: ClassVar[dict] = {
        **BasePrunedCV._parameter_constraints,
        "class_weight": PrunedClassifier._parameter_constraints["class_weight"],
    }
    _point_class = PrunedClassifier
    _nets = PrunedClassifier._nets

    classes_ = Delegated()

    def __init__(
        self,
        estimator: NeuralNet | None = None,
        *,
        strategies: str | Strategy | Sequence[str | Strategy] | None = None,
        sparsities: int | Sequence[float] = 8,
        budget: str = "elements",
        structure: str | Structure = "weight",
        path: str = "branch",
        max_time: float | None = None,
        cv: Any = None,
        scoring: Any = None,
        selection: str | Callable[[dict[str, Any]], int] = "non_inferior",
        fine_tune_epochs: int | None = None,
        protect: list[str | type] | None = None,
        class_weight: dict | list | str | None = None,
        memory: str | PathLike | Memory | None = None,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.strategies = strategies
        self.sparsities = sparsities
        self.budget = budget
        self.structure = structure
        self.path = path
        self.max_time = max_time
        self.cv = cv
        self.scoring = scoring
        self.selection = selection
        self.fine_tune_epochs = fine_tune_epochs
        self.protect = protect
        self.class_weight = class_weight
        self.memory = memory
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict probabilities with the network that was fitted.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Of each class, in the order of ``classes_``. For several labels a row, of each label.
        """
        return self._fitted().predict_proba(X)

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
        return self._fitted().predict_log_proba(X)

    def _has_scores(self) -> bool:
        """Whether there is a decision_function; before a fit that is not known."""
        return "best_estimator_" not in vars(self) or hasattr(
            self.best_estimator_, "decision_function"
        )

    @available_if(_has_scores)
    def decision_function(self, X: Any) -> np.ndarray:
        """Compute scores: what the network that was fitted puts out before a softmax or a sigmoid.

        There are none where :class:`PrunedClassifier` has none.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs.

        Returns
        -------
        scores : ndarray of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_labels)
            One number a row for two classes, the log-odds of the second.
        """
        return self._fitted().decision_function(X)
