"""Labels of channels, and which of them stand for the same."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["HEAD", "HEAD_DIMENSION", "MIXED", "SCALING", "Array", "Labels"]

Array = NDArray[np.int64]

# What the network does with a channel, as far as it tells its kind.
HEAD, HEAD_DIMENSION, MIXED, SCALING = 1, 2, 4, 8
_MOST_PARTS = 4


class Labels:
    """Labels that are united step by step: a union-find over whole arrays.

    A label stands for channels that can only go together. It may have been fixed, for a reason:
    then they stay. Or it may consist of parts, since its dimension was split into two, such as into
    heads and their dimensions: the channel then stays if all its parts do.

    Channels of a dimension are given as a matrix with a row for each; a channel stays if all labels
    in its row do.
    """

    def __init__(self) -> None:
        self.n_labels = 0
        self.reasons: list[str] = [""]
        self._above = np.zeros(1024, dtype=np.int64)
        self._reason = np.zeros(1024, dtype=np.int32)  # 0 for a label that is free
        self._role = np.zeros(1024, dtype=np.int8)
        self._parts = np.full((1024, _MOST_PARTS), -1, dtype=np.int64)

    def fresh(self, n: int) -> Array:
        """Make labels for the channels of a dimension, as a column."""
        start, self.n_labels = self.n_labels, self.n_labels + n
        while self.n_labels > len(self._above):
            self._above = np.concatenate([self._above, np.zeros_like(self._above)])
            self._reason = np.concatenate([self._reason, np.zeros_like(self._reason)])
            self._role = np.concatenate([self._role, np.zeros_like(self._role)])
            self._parts = np.concatenate([self._parts, np.full_like(self._parts, -1)])
        new = np.arange(start, self.n_labels)
        self._above[new] = new
        return new[:, None]

    def find(self, labels: Array) -> Array:
        """Give the label that stands for each: the same for those that were united."""
        found = self._above[labels]
        while True:
            above = self._above[found]
            if (above == found).all():
                break
            found = above
        self._above[labels] = found
        return found

    def is_fixed(self, labels: Array) -> NDArray[np.bool_]:
        """Say which labels stay."""
        return self._reason[self.find(labels)] > 0

    def reason(self, labels: Array) -> str:
        """Say why the first of some labels that is fixed stays."""
        reasons = self._reason[self.find(labels.ravel())]
        return self.reasons[int(reasons[reasons > 0][0])] if (reasons > 0).any() else ""

    def has_role(self, labels: Array, role: int) -> NDArray[np.bool_]:
        """Say which labels the network uses in this way."""
        return self._role[self.find(labels)] & role > 0

    def set_role(self, labels: Array, role: int) -> None:
        """Note what the network uses labels for."""
        self._role[self.find(labels)] |= role

    def fix(self, labels: Array, reason: str) -> None:
        """Say that labels and all their parts stay.

        Parameters
        ----------
        labels : ndarray of int
            Which.
        reason : str
            What is done to them, in words that complete "since ...".
        """
        if reason not in self.reasons:
            self.reasons.append(reason)
        number = self.reasons.index(reason)
        left = np.unique(self.find(labels))
        while left.size:
            new = left[self._reason[left] == 0]
            self._reason[new] = number
            parts = self._parts[new].ravel()
            left = np.unique(self.find(parts[parts >= 0]))

    def unite(self, one: Array, other: Array) -> None:
        """Make labels at equal places stand for the same."""
        one, other = one.ravel(), other.ravel()
        while True:
            one, other = self.find(one), self.find(other)
            differ = one != other
            if not differ.any():
                return
            one, other = one[differ], other[differ]
            higher, first = np.unique(np.maximum(one, other), return_index=True)
            self._above[higher] = np.minimum(one, other)[first]
            self._inherit(higher, self.find(higher))

    def _inherit(self, united: Array, top: Array) -> None:
        """Pass on what is known of labels to those that stand for them now."""
        fixed = self._reason[united] > 0
        np.maximum.at(self._reason, top[fixed], self._reason[united[fixed]])
        np.bitwise_or.at(self._role, top, self._role[united])
        split = self._parts[united, 0] >= 0
        if split.any():
            self._set_parts(top[split], self._parts[united[split]])
        late = np.unique(top[(self._parts[top, 0] >= 0) & (self._reason[top] > 0)])
        for label in late:
            parts = self._parts[label]
            self.fix(parts[parts >= 0], self.reasons[self._reason[label]])

    def _set_parts(self, labels: Array, parts: Array) -> None:
        """Say what labels consist of; what they consisted of already is united with it."""
        whole, first = np.unique(labels, return_index=True)
        new = self._parts[whole, 0] < 0
        self._parts[whole[new]] = parts[first[new]]
        known = self._parts[labels]
        same_count = ((known >= 0) == (parts >= 0)).all(1)
        both = (parts >= 0) & same_count[:, None]
        self.unite(known[both], parts[both])
        for rows in (known[~same_count], parts[~same_count]):
            self.fix(rows[rows >= 0], "their dimension is split in two different ways")

    # Channels with several labels.

    def atoms(self, channels: Array) -> Array:
        """Give the labels without parts that each channel has, in columns that all differ.

        The column that changes slowest from channel to channel comes first.
        """
        channels = self.find(channels)
        while (self._parts[channels, 0] >= 0).any():
            columns = []
            for column in channels.T:
                parts = self._parts[column]
                parts[parts < 0] = -1
                whole = parts[:, 0] < 0
                parts[whole, 0] = column[whole]
                width = max(1, int((parts >= 0).sum(1).max()))
                parts = parts[:, :width]
                # A channel with fewer parts than others is given its last one again.
                for i in range(1, width):
                    parts[:, i] = np.where(parts[:, i] < 0, parts[:, i - 1], parts[:, i])
                columns += list(parts.T)
            channels = self.find(np.stack(columns, 1))
        order: dict[bytes, tuple[int, Array]] = {}
        for column in channels.T:
            changes = np.flatnonzero(column != column[0])
            order.setdefault(column.tobytes(), (int(changes[0]) if len(changes) else 0, column))
        ordered = sorted(order.values(), key=lambda entry: -entry[0])
        return np.stack([column for _, column in ordered], 1)

    def meet(self, one: Array, other: Array) -> None:
        """Say that the channels of two dimensions are the same: one stays if the other does."""
        if one.shape[1] == other.shape[1] == 1 and not self._any_parts(one, other):
            self.unite(one, other)
            return
        left, right = self.atoms(one), self.atoms(other)
        shared = {column.tobytes() for column in left.T} & {column.tobytes() for column in right.T}
        ours = [column for column in left.T if column.tobytes() not in shared]
        theirs = [column for column in right.T if column.tobytes() not in shared]
        if len(ours) == len(theirs):
            for a, b in zip(ours, theirs, strict=True):
                self.unite(a, b)
        elif not ours or not theirs:
            # The others stay whenever those that are shared do.
            for column in ours or theirs:
                self.fix(column, "only some of the channels that they meet could go with them")
        elif len(ours) == 1:
            self._split(ours[0], np.stack(theirs, 1))
        elif len(theirs) == 1:
            self._split(theirs[0], np.stack(ours, 1))
        else:
            for column in ours + theirs:
                self.fix(column, "their dimension is split in two different ways")

    def _any_parts(self, *channels: Array) -> bool:
        return any(bool((self._parts[self.find(c), 0] >= 0).any()) for c in channels)

    def _split(self, column: Array, parts: Array) -> None:
        """Say that labels consist of parts."""
        if parts.shape[1] > _MOST_PARTS or np.isin(column, parts).any():
            self.fix(column, "they are mixed with themselves in another order")
            self.fix(parts, "they are mixed with themselves in another order")
            return
        padded = np.full((len(column), _MOST_PARTS), -1, dtype=np.int64)
        padded[:, : parts.shape[1]] = parts
        self._set_parts(column, padded)
        self._inherit(column, self.find(column))

    def factors(self, channels: Array, shape: tuple[int, ...]) -> list[Array | None]:
        """Split a dimension into several: give the channels of each, None where it has none."""
        columns: list[list[Array]] = [[] for _ in shape]
        for column in self.atoms(channels).T:
            table = column.reshape(shape)
            along = [
                axis for axis in range(len(shape)) if (table != table.take([0], axis)).any()
            ] or [0]
            if len(along) == 1:
                index = [0] * len(shape)
                index[along[0]] = slice(None)  # type: ignore[call-overload]
                columns[along[0]].append(table[tuple(index)])
                continue
            parts = []
            for axis in along:
                fresh = self.fresh(shape[axis])[:, 0]
                columns[axis].append(fresh)
                places = np.arange(shape[axis]).reshape(
                    [-1 if i == axis else 1 for i in range(len(shape))]
                )
                parts.append(fresh[np.broadcast_to(places, shape)].ravel())
            self.meet(column[:, None], np.stack(parts, 1))
        return [np.stack(own, 1) if own else None for own in columns]
