"""What the pictures read in ``cv_results_``: a metric, the sparsities, what tells lines apart."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skprune.components import near_match
from skprune.metrics.scorers import SCORERS

__all__ = [
    "group_labels",
    "last_rounds",
    "metric_of",
    "refit_metric",
    "relabelled",
    "search_in",
    "short_labels",
    "sparsities_of",
    "split_scores",
]

_LONGEST_LABEL = 40


def search_in(estimator: Any, attribute: str = "cv_results_") -> Any:
    """Find the fitted search in an estimator: itself, or the last step of a ``Pipeline``.

    Parameters
    ----------
    estimator : object
        What the user gave.
    attribute : str, default="cv_results_"
        The attribute that it is needed for.

    Returns
    -------
    search : object
        What has the attribute.

    Raises
    ------
    NotFittedError
        If it is not fitted.
    TypeError
        If it is fitted and has no such attribute.
    """
    while isinstance(estimator, Pipeline):
        estimator = estimator[-1]
    if not hasattr(estimator, attribute):
        check_is_fitted(estimator)
        searches = "PrunedClassifierCV and PrunedRegressorCV have it"
        if attribute == "cv_results_":
            searches += ", and searches such as GridSearchCV"
        raise TypeError(f"{type(estimator).__name__} has no {attribute}. {searches}.")
    return estimator


def refit_metric(search: Any) -> str | None:
    """Name the metric by which a search chose; None where it does not say.

    Parameters
    ----------
    search : object
        A fitted search: skprune's, which keeps the name, or another, whose ``refit`` may be the
        name of a metric, or a rule that has one as ``scoring``.

    Returns
    -------
    metric : str or None
        The name.
    """
    refit = getattr(search, "refit", None)
    metric = getattr(search, "metric_", getattr(refit, "scoring", refit))
    return metric if isinstance(metric, str) else None


def metric_of(
    cv_results: Mapping[str, Any],
    scoring: str | None,
    refit: str | None = None,
    cost: str | None = None,
) -> str:
    """Name the metric to draw.

    Parameters
    ----------
    cv_results : mapping of str to array
        ``cv_results_`` of a search.
    scoring : str or None
        What the user named. If None, the one that the search refits by or the one that is no cost.
    refit : str, default=None
        The metric that the search refits by.
    cost : str, default=None
        A metric that is not meant, besides those that skprune's scorers measure.

    Returns
    -------
    metric : str
        The name.

    Raises
    ------
    ValueError
        If the search has no such metric, or several to choose from.
    """
    known = [key.removeprefix("mean_test_") for key in cv_results if key.startswith("mean_test_")]
    listed = ", ".join(map(repr, known))
    if scoring is None:
        if refit in known:
            return refit
        scores = [name for name in known if name not in {*SCORERS, cost}]
        if len(scores) != 1:
            raise ValueError(f"Name the metric by scoring=: the search has {listed or 'none'}.")
        return scores[0]
    if scoring not in known:
        raise ValueError(
            f"The search has no metric {scoring!r}.{near_match(scoring, known)} Its metrics: "
            f"{listed}."
        )
    return scoring


def split_scores(cv_results: Mapping[str, Any], metric: str) -> np.ndarray:
    """Give the scores of each candidate on each split; the means alone where there are no splits.

    Parameters
    ----------
    cv_results : mapping of str to array
        ``cv_results_`` of a search.
    metric : str
        The metric's name.

    Returns
    -------
    scores : ndarray of shape (n_candidates, n_splits)
        The scores.
    """
    split = re.compile(rf"split\d+_test_{re.escape(metric)}")
    keys = [key for key in cv_results if split.fullmatch(key)] or [f"mean_test_{metric}"]
    return np.stack([np.asarray(cv_results[key], dtype=float) for key in keys], axis=1)


def sparsities_of(cv_results: Mapping[str, Any]) -> np.ndarray:
    """Give the sparsity of each candidate; NaN for one that sets none.

    Parameters
    ----------
    cv_results : mapping of str to array
        ``cv_results_`` of a search.

    Returns
    -------
    sparsities : ndarray of shape (n_candidates,)
        The values of the parameter whose name ends in ``sparsity``.

    Raises
    ------
    ValueError
        If there is no such parameter, or more than one.
    """
    keys = [key for key in _parameters(cv_results) if key.endswith("sparsity")]
    if len(keys) != 1:
        names = [key.removeprefix("param_") for key in keys or _parameters(cv_results)]
        found = ", ".join(map(repr, names)) or "none"
        raise ValueError(
            "The search has to vary one parameter whose name ends in 'sparsity'. "
            + (f"It varies several: {found}." if keys else f"Its parameters: {found}.")
        )
    sparsities = np.array(
        [np.nan if v is None or v is np.ma.masked else float(v) for v in cv_results[keys[0]]]
    )
    if np.isnan(sparsities).all():
        raise ValueError(f"No candidate of the search sets {keys[0].removeprefix('param_')!r}.")
    return sparsities


def last_rounds(cv_results: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the last round of each candidate of a successive halving; all rows of other searches.

    A score on few samples says nothing beside one on many.

    Parameters
    ----------
    cv_results : mapping of str to array
        ``cv_results_`` of a search.

    Returns
    -------
    cv_results : dict of str to list
        The rows that remain.
    """
    table = {key: list(column) for key, column in cv_results.items()}
    if "iter" not in table:
        return table
    parameters = _parameters(table)
    last: dict[tuple[Any, ...], int] = {}
    for row in np.argsort(table["iter"], kind="stable"):
        last[tuple(_identity(table[key][row]) for key in parameters)] = row
    return {key: [column[row] for row in sorted(last.values())] for key, column in table.items()}


def group_labels(
    cv_results: Mapping[str, Any],
    by: str | Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
) -> list[str]:
    """Say to which line each candidate belongs.

    Parameters
    ----------
    cv_results : mapping of str to array
        ``cv_results_`` of a search.
    by : str or sequence of str, default=None
        Parameters that tell lines apart, by name or by the end of the name. None are all that vary,
        but the sparsity.
    labels : sequence of str, default=None
        Names of the lines in place of their own, in the order in which the lines appear.

    Returns
    -------
    labels : list of str
        One for each candidate: the strategy, and the values of the other parameters. Equal where
        the candidates are on one line, different where they are not, such as strategies that look
        the same and have different teachers.

    Raises
    ------
    ValueError
        If the search has no such parameter, or `labels` are not those of its lines.
    """
    parameters = [key for key in _parameters(cv_results) if not key.endswith("sparsity")]
    if by is None:
        chosen = [key for key in parameters if len({_identity(v) for v in cv_results[key]}) > 1]
        chosen = chosen or [key for key in parameters if key.endswith("strategy")]
    else:
        chosen = [_parameter(name, parameters) for name in ([by] if isinstance(by, str) else by)]
    n_candidates = max(len(column) for column in cv_results.values())
    rows = [[cv_results[key][row] for key in chosen] for row in range(n_candidates)]
    short = [_in_short(column) for column in zip(*rows, strict=True)]
    lines: dict[tuple[Any, ...], str] = {}
    for row in rows:
        line = tuple(map(_identity, row))
        if line not in lines:
            texts = [names[_in_full(v)] for names, v in zip(short, row, strict=True)]
            lines[line] = _other_than(_label(chosen, row, texts), set(lines.values()))
    names = relabelled(list(lines.values()), labels)
    return [names[lines[tuple(map(_identity, row))]] for row in rows]


def relabelled(own: Sequence[str], labels: Sequence[str] | None) -> dict[str, str]:
    """Give lines the names that the user wants.

    Parameters
    ----------
    own : sequence of str
        The labels that the lines have, each once.
    labels : sequence of str or None
        What they should be, in the same order; None leaves them as they are.

    Returns
    -------
    names : dict of str to str
        By the line's own label.

    Raises
    ------
    ValueError
        If there are more or fewer than lines, or two are the same.
    """
    if labels is None:
        return dict(zip(own, own, strict=True))
    named = "labels must name each line, in their order"
    if isinstance(labels, str) or len(labels) != len(own):
        count = f"{labels!r}" if isinstance(labels, str) else f"{len(labels)} labels"
        raise ValueError(f"{named}: got {count} for {len(own)} lines, {', '.join(own)}.")
    twice = sorted({label for label in labels if list(labels).count(label) > 1})
    if twice:
        raise ValueError(f"{named}, and no two alike: {twice[0]!r} is there twice.")
    return dict(zip(own, labels, strict=True))


def short_labels(texts: Sequence[str]) -> list[str]:
    """Shorten long labels to what tells them apart.

    Of several long strategies, the arguments that all of them have in common are left out.

    Parameters
    ----------
    texts : sequence of str
        The labels, each once.

    Returns
    -------
    labels : list of str
        In the same order, no two alike.
    """
    texts = [" ".join(text.split()) for text in texts]
    parts = {text: _arguments(text) for text in texts if len(text) > _LONGEST_LABEL}
    common = set.intersection(*map(set, parts.values())) if len(parts) > 1 else set()
    own = [
        ", ".join(part for part in parts.get(text, []) if part not in common) or text
        for text in texts
    ]
    own = [text if own.count(o) > 1 else o for text, o in zip(texts, own, strict=True)]
    cut = [_cut(text) for text in own]
    labels: list[str] = []
    for text, label in zip(own, cut, strict=True):
        alike = [o for o, c in zip(own, cut, strict=True) if c == label]
        # Where the beginnings are the same, what is shown begins shortly before the difference.
        same = sum(1 for _ in takewhile(lambda c: len(set(c)) == 1, zip(*alike, strict=False)))
        first = max(same - _LONGEST_LABEL // 2, 0) if len(alike) > 1 else 0
        labels.append(_other_than(f"…{_cut(text[first:])}" if first else label, set(labels)))
    return labels


def _parameters(cv_results: Mapping[str, Any]) -> list[str]:
    return [key for key in cv_results if key.startswith("param_")]


def _parameter(name: str, parameters: list[str]) -> str:
    ends = [key for key in parameters if f"_{key}".endswith((f"param_{name}", f"__{name}"))]
    if len(ends) == 1:
        return ends[0]
    names = [key.removeprefix("param_") for key in parameters]
    tails = [key.rpartition("__")[2] for key in names]
    listed = ", ".join(map(repr, names)) or "none"
    if ends:
        raise ValueError(f"Several parameters are named {name!r}: {listed}.")
    raise ValueError(
        f"The search has no parameter {name!r}.{near_match(name, [*names, *tails])} Its parameters "
        f"besides the sparsity: {listed}."
    )


def _label(parameters: list[str], values: list[Any], texts: list[str]) -> str:
    parts = []
    for key, value, text in zip(parameters, values, texts, strict=True):
        name = key.removeprefix("param_").rpartition("__")[2]
        if value is not np.ma.masked:
            parts.append(text if name == "strategy" else f"{name}={text}")
    return ", ".join(parts) or "pruned"


def _identity(value: Any) -> Any:
    """Tell values apart: by their text, which estimators of different fits have in common."""
    return id(value) if hasattr(value, "get_params") else _in_full(value)


def _in_short(values: Iterable[Any]) -> dict[str, str]:
    texts = list(dict.fromkeys(map(_in_full, values)))
    return dict(zip(texts, short_labels(texts), strict=True))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else f"{text[:_LONGEST_LABEL].rstrip()}…"


def _arguments(text: str) -> list[str]:
    """Split the text of a strategy into its arguments; another text is one part."""
    call = re.fullmatch(r"Strategy\((.*)\)( \(\d+\))?", text)
    if call is None:
        return [text]
    parts, depth = [""], 0
    for character in call[1]:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    parts[-1] += call[2] or ""
    return [part.strip() for part in parts]


def _in_full(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:g}"
    return getattr(value, "__name__", None) or " ".join(str(value).split())


def _other_than(label: str, taken: set[str]) -> str:
    number, other = 2, label
    while other in taken:
        number, other = number + 1, f"{label} ({number})"
    return other
