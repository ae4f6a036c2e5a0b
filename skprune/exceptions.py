"""The errors and warnings that only skprune raises."""

__all__ = [
    "DivergedError",
    "DivergedWarning",
    "InterruptedWarning",
    "NotDeployableError",
    "UncachedWarning",
    "UnreachableSparsityError",
    "UntraceableError",
]


class UnreachableSparsityError(ValueError):
    """A target cannot be met: a layer would be emptied, or what has to stay costs more."""


class UntraceableError(ValueError):
    """The units of a network cannot be removed, since its graph cannot be followed."""


class NotDeployableError(ValueError):
    """A network cannot be carried over to a runtime, or computes something else there."""


class DivergedError(ValueError):
    """Training produced a loss or a weight that is not finite."""


class DivergedWarning(UserWarning):
    """A training loss ended more than a thousand times as large as it began."""


class UncachedWarning(UserWarning):
    """A dense network could not be kept for other fits."""


class InterruptedWarning(UserWarning):
    """A fit was ended by Ctrl-C."""
