"""The table of rules."""

from collections.abc import Callable
from typing import Any, TypeAlias

import torch

__all__ = ["Rule", "rule", "rule_for"]

# Given the channels and the call: the dimensions of the output, or those of each of several.
Rule: TypeAlias = Callable[[Any, Any], Any]

_RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Add what operations of these names do to channels."""

    def add(function: Rule) -> Rule:
        _RULES.update(dict.fromkeys(names, function))
        return function

    return add


def rule_for(name: str, operation: Any) -> Rule | None:
    """Give the rule of an operation, of its form out of place, or that of all pointwise ones."""
    if name in _RULES:
        return _RULES[name]
    if name.rstrip("_") in _RULES:
        return _RULES[name.rstrip("_")]
    if torch.Tag.pointwise in operation.tags:
        return _RULES["add"]
    return None
