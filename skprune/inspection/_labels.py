"""What tells the lines of a picture apart: short names, no two alike."""

import re
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any

import numpy as np

from skprune.components import near_match
from skprune.model_selection.candidates import Candidates

__all__ = ["group_labels", "relabelled", "short_labels"]

_LONGEST_LABEL = 40


def group_labels(
    candidates: Candidates,
    by: str | Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
) -> list[str]:
    """Say to which line each candidate belongs.

    Parameters
    ----------
    candidates : Candidates
        The candidates of a search.
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
    parameters = [name for name in candidates.parameters if not name.endswith("sparsity")]
    values = {name: candidates.values(name) for name in parameters}
    if by is None:
        chosen = [name for name in parameters if len(set(map(_identity, values[name]))) > 1]
        chosen = chosen or [name for name in parameters if name.endswith("strategy")]
    else:
        chosen = [_parameter(name, parameters) for name in ([by] if isinstance(by, str) else by)]
    rows = [[values[name][place] for name in chosen] for place in range(len(candidates.rows))]
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


def _parameter(name: str, parameters: list[str]) -> str:
    ends = [known for known in parameters if known == name or known.endswith(f"__{name}")]
    if len(ends) == 1:
        return ends[0]
    tails = [known.rpartition("__")[2] for known in parameters]
    listed = ", ".join(map(repr, parameters)) or "none"
    if ends:
        raise ValueError(f"Several parameters are named {name!r}: {listed}.")
    raise ValueError(
        f"The search has no parameter {name!r}.{near_match(name, [*parameters, *tails])} Its "
        f"parameters besides the sparsity: {listed}."
    )


def _label(parameters: list[str], values: list[Any], texts: list[str]) -> str:
    parts = []
    for parameter, value, text in zip(parameters, values, texts, strict=True):
        name = parameter.rpartition("__")[2]
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
