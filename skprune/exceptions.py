"""The errors and warnings that only skprune raises."""

__all__ = [
    "DivergedError",
    "DivergedWarning",
    "IncompleteWarning",
    "InterruptedWarning",
    "InvalidFileError",
    "NotDeployableError",
    "UncachedWarning",
    "UnreachableSparsityError",
    "UnsavableError",
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


class UnsavableError(ValueError):
    """Something cannot be written without code of its own; the message says what, and where."""


class InvalidFileError(ValueError):
    """A file is not what ``save`` writes, or asks for what its reader does not trust."""


class IncompleteWarning(UserWarning):
    """A loaded estimator predicts as the saved one, and lacks what it needs for a training."""
