"""What a file keeps of a fitted estimator, and an estimator of it."""

from dataclasses import astuple
from typing import Any, TypeVar
from warnings import warn

import numpy as np
from sklearn.frozen import FrozenEstimator

from skprune.deployment.saving.networks import SavedNetwork
from skprune.estimators.inputs import spec_of_inputs
from skprune.estimators.targets import Classes, Labels, TaskTarget, Values
from skprune.exceptions import IncompleteWarning
from skprune.metrics.groups import UnitGroup, UnitGroups
from skprune.metrics.report import QUANTITIES, LayerSize, PruningReport
from skprune.structures import FeatureRecord
from skprune.training.masked_net import masks_of
from skprune.training.net_record import net_from, recipe_of, record_of, state_of
from skprune.training.nets import is_fitted_net, is_net, unwrapped

__all__ = ["check_complete", "from_saved", "to_saved"]

_Estimator = TypeVar("_Estimator")

# What is as it is in the file, where the estimator has it.
_AS_IT_IS = ("sparsity_", "n_features_in_", "feature_names_in_", "_keys", "_by_rows")
# The folder of a cache is one of the machine.
_OF_THE_MACHINE = ("memory",)


def to_saved(estimator: Any, *, training: bool) -> dict[str, Any]:
    """Say what a file keeps of a fitted estimator.

    Parameters
    ----------
    estimator : BasePruned
        The estimator.
    training : bool
        Whether it keeps all that a training goes on from: the state of the optimizer, the history
        and the state of the generator.

    Returns
    -------
    saved : dict of str to object
        What :func:`from_saved` takes.
    """
    net = estimator.net_
    params = estimator.get_params(deep=False)
    wrapped = unwrapped(params.pop("estimator"))
    for name in _OF_THE_MACHINE:
        params.pop(name, None)
    random_state, features = estimator._random_state, estimator._features
    if not training:  # a state is long, and the seed of another will do
        drawn = np.random.RandomState()
        drawn.set_state(random_state.get_state())
        random_state = int(drawn.randint(np.iinfo(np.int32).max))
    return {
        "params": params,
        "estimator": record_of(wrapped) if is_net(wrapped) else None,
        "began_trained": is_fitted_net(wrapped),
        "net": record_of(net),
        "training": state_of(net) if training else None,
        "classes_inferred": vars(net).get("classes_inferred_"),
        "network": SavedNetwork(
            net.module_,
            recipe_of(net),
            estimator.removals_,
            masks_of(net),
            estimator._example,
            estimator.masks_,
            estimator.kept_,
        ),
        "target": _target_to_plain(estimator._target),
        "report": _report_to_plain(estimator.report_),
        "features": None if features is None else features._asdict(),
        "random_state": random_state,
        "as_it_is": {n: v for n, v in vars(estimator).items() if n in _AS_IT_IS},
    }


def from_saved(cls: type[_Estimator], saved: dict[str, Any]) -> _Estimator:
    """Make a fitted estimator.

    Parameters
    ----------
    cls : type
        The estimator's class.
    saved : dict of str to object
        As :func:`to_saved` gives it.

    Returns
    -------
    estimator : BasePruned
        It predicts as the one that was saved.

    Raises
    ------
    ValueError
        If something does not fit.

    Warns
    -----
    IncompleteWarning
        If a parameter could not be written.
    """
    network: SavedNetwork = saved["network"]
    record, wrapped = saved["net"], saved["estimator"]
    params, lost, known = saved["params"], saved["lost"], saved["as_it_is"]
    if not known.keys() <= set(_AS_IT_IS):
        raise ValueError(f"An estimator has no attributes {sorted(known.keys() - set(_AS_IT_IS))}.")
    net = net_from(record, network.module, network.masks, saved["training"])
    if saved["classes_inferred"] is not None:
        net.classes_inferred_ = saved["classes_inferred"]
    began = None if wrapped is None else net_from(wrapped)
    if lost or saved["began_trained"] or (wrapped is not None and wrapped.left_out):
        # A fit would begin from something else than the first one did; this cannot be fitted.
        began = FrozenEstimator(cls.axes["estimator"][None]() if began is None else began)  # type: ignore[attr-defined]
    estimator: Any = cls(estimator=began, **params)  # type: ignore[call-arg]
    target = _target_from_plain(saved["target"])
    seed, features = saved["random_state"], saved["features"]
    vars(estimator).update(
        known,
        net_=net,
        masks_=dict(network.original_masks),
        kept_=dict(network.kept),
        removals_=network.removals,
        report_=_report_from_plain(saved["report"]),
        _masks=dict(network.masks),
        _features=None if features is None else FeatureRecord(**features),
        _target=target,
        _example=network.example,
        _random_state=np.random.RandomState(seed) if isinstance(seed, int) else seed,
        _left_out=tuple(sorted({*lost, *(f"estimator__{name}" for name in record.left_out)})),
    )
    if target.classes is not None:
        estimator.classes_ = target.classes
    estimator._inputs = spec_of_inputs(estimator, network.example)
    only_module = {"estimator__module"}
    if set(estimator._left_out) - only_module:
        warn(
            f"The file has no {', '.join(estimator._left_out)} of this {cls.__name__}, which could "
            "not be written without code. It predicts as the one that was saved, and cannot be "
            "trained.",
            IncompleteWarning,
            stacklevel=2,
        )
    return estimator


def check_complete(estimator: Any) -> None:
    """Raise an error if a loaded estimator lacks what a training needs.

    Parameters
    ----------
    estimator : BasePruned
        A fitted estimator.

    Raises
    ------
    ValueError
        The message says what is missing.
    """
    missing = [n for n in vars(estimator).get("_left_out", ()) if n != "estimator__module"]
    if missing:
        raise ValueError(
            f"This {type(estimator).__name__} comes from a file that has no {', '.join(missing)}, "
            "so that it cannot be trained as it was. Go on with the estimator that was saved."
        )


def _target_to_plain(target: TaskTarget) -> dict[str, Any]:
    if isinstance(target, Labels):
        return {"kind": "labels", "n_labels": len(target.classes), "sparse": target.sparse}
    if isinstance(target, Values):
        return {"kind": "values", "shape": list(target.shape)}
    return {"kind": "classes", "classes": target.classes}


def _target_from_plain(plain: dict[str, Any]) -> TaskTarget:
    kind = plain["kind"]
    if kind == "labels":
        return Labels(int(plain["n_labels"]), sparse=bool(plain["sparse"]))
    if kind == "values":
        return Values(tuple(map(int, plain["shape"])))
    classes = plain["classes"]
    if kind != "classes" or not isinstance(classes, np.ndarray) or classes.ndim != 1:
        raise ValueError("There are no classes, labels or values to predict.")
    return Classes(classes)


def _report_to_plain(report: PruningReport) -> dict[str, Any]:
    sizes = {
        when: {name: [getattr(size, q) for q in QUANTITIES] for name, size in layers.items()}
        for when, layers in (("before", report.before), ("after", report.after))
    }
    groups = [[*astuple(group)[:-1], list(group.layers)] for group in report.groups]
    return {**sizes, "groups": groups, "kept_whole": report.groups.kept_whole}


def _report_from_plain(plain: dict[str, Any]) -> PruningReport:
    before, after = (
        {name: LayerSize(*map(int, sizes)) for name, sizes in plain[when].items()}
        for when in ("before", "after")
    )
    groups = [
        UnitGroup(str(name), str(kind), int(whole), int(left), tuple(map(str, layers)))
        for name, kind, whole, left, layers in plain["groups"]
    ]
    return PruningReport(before, after, UnitGroups(groups, plain["kept_whole"]))
