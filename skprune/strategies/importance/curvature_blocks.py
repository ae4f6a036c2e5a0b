"""A block-diagonal matrix of curvature, and quantities of its inverse."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import frexp, ldexp
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["CurvatureBlocks", "CurvatureSum", "Vectors"]


# How many numbers are worked on at a time, at the least a block's: they stay in the cache.
_PIECE = 2**20


class Vectors(Protocol):
    """Vectors of which only a piece is written out at a time."""

    largest: float

    def __len__(self) -> int:
        """Count the vectors."""

    def at(self, index: Tensor, unit: float) -> Tensor:
        """Write out entries, divided by a unit, in a tensor of shape (n_entries, n_vectors)."""


class CurvatureSum:
    """Adds up outer products of vectors, as far as they lie in blocks on the diagonal.

    Parameters
    ----------
    index : Tensor of int of shape (n_weights,)
        The entries of the vectors that count, in rising order.
    block_size : int
        Size of a block.
    """

    def __init__(self, index: Tensor, block_size: int) -> None:
        self._index, self._size = index, block_size
        self._n_blocks = -(-len(index) // block_size)
        self._vectors: list[Tensor] = []
        self._matrices: Tensor | None = None
        self._total = 0.0
        self._unit = 0.0

    def add(self, vectors: Vectors, total: float) -> None:
        """Add outer products.

        Parameters
        ----------
        vectors : Vectors
            The vectors.
        total : float
            How much they weigh together.
        """
        self._total += total
        self._rescale(_power_of_two(vectors.largest))
        n_held = sum(some.shape[2] for some in self._vectors)
        # Matrices take less than the vectors that they are made of, once these are many.
        if self._matrices is None and n_held + len(vectors) <= self._size:
            self._vectors.append(self._blocks(vectors, 0, self._n_blocks))
            return
        step = max(1, _PIECE // (self._size * len(vectors)))
        for first in range(0, self._n_blocks, step):
            some = self._blocks(vectors, first, first + step)
            if self._matrices is None:
                self._matrices = some.new_zeros(self._n_blocks, self._size, self._size)
                for held in self._vectors:
                    self._matrices.baddbmm_(held, held.mT)
                self._vectors = []
            self._matrices[first : first + step].baddbmm_(some, some.mT)

    def _blocks(self, vectors: Vectors, first: int, last: int) -> Tensor:
        index = self._index[first * self._size : last * self._size]
        values = vectors.at(index, self._unit or 1.0)
        if missing := -len(index) % self._size:
            values = pad(values, (0, 0, 0, missing))
        return values.unflatten(0, (-1, self._size))

    def _rescale(self, unit: float) -> None:
        """Raise the unit of the sums, so that squares of tiny or huge numbers can be stored."""
        if unit > self._unit:
            ratio, self._unit = self._unit / unit, unit
            for some in self._vectors:
                some.mul_(ratio)
            if self._matrices is not None:
                self._matrices.mul_(ratio).mul_(ratio)

    def damped(self, damping: float, layer_at: Callable[[int], str]) -> "CurvatureBlocks":
        """Make the blocks of the mean.

        Parameters
        ----------
        damping : float
            What is added to the diagonal, as a fraction of its mean.
        layer_at : callable
            Names the layer of a weight, for messages.

        Returns
        -------
        blocks : CurvatureBlocks
            The blocks.
        """
        n_weights = len(self._index)
        made: type[CurvatureBlocks]
        if self._matrices is not None:
            made, blocks = _Matrices, self._matrices
            trace = float(blocks.diagonal(dim1=1, dim2=2).sum(dtype=torch.float64))
        else:
            made, blocks = _OuterProducts, torch.cat(self._vectors, 2).mT
            self._vectors = []
            trace = float(torch.linalg.vector_norm(blocks, dtype=torch.float64)) ** 2
        if not trace:
            # Where all gradients are zero, as in a network that is cut off, weights rank by size.
            return made(blocks, n_weights, damping, 1.0, layer_at)
        scale = self._unit**2 / self._total
        return made(blocks, n_weights, damping * trace / n_weights, scale, layer_at)


def _power_of_two(number: float) -> float:
    """Round to a power of two that single precision can represent, so that quotients are exact."""
    _, exponent = frexp(number)
    return ldexp(1.0, min(max(exponent, -126), 126)) if number else 0.0


class CurvatureBlocks(ABC):
    """Blocks of a damped matrix of curvature.

    Parameters
    ----------
    blocks : Tensor
        What they are made of, block by block.
    n_weights : int
        Number of rows and columns in all; the last block may be larger than what is left for it.
    added : float
        What is added to the diagonal.
    scale : float
        What the damped blocks are multiplied with to give the matrix.
    layer_at : callable
        Names the layer of a weight, for messages.
    """

    def __init__(
        self,
        blocks: Tensor,
        n_weights: int,
        added: float,
        scale: float,
        layer_at: Callable[[int], str],
    ) -> None:
        self._blocks, self._n_weights, self._added = blocks, n_weights, added
        self._scale, self._size = scale, blocks.shape[-1]
        self._layer_at = layer_at

    def inverse_diagonal(self) -> Tensor:
        """Compute the diagonal of the inverse.

        Returns
        -------
        diagonal : Tensor of shape (n_weights,), in double precision
            All its entries are positive.

        Raises
        ------
        ValueError
            If a block has no inverse in double precision; the message names the layer.
        """
        ones = torch.ones(self._n_weights, dtype=torch.bool, device=self._blocks.device)
        diagonal = self._inverse_diagonal(_cut(ones, self._size))
        self._check(torch.isfinite(diagonal).all(1) & (diagonal > 0).all(1))
        return diagonal.flatten()[: self._n_weights] / self._scale

    def response(self, gone: Tensor, free: Tensor) -> Tensor:
        """Compute the changes of weights that compensate best for the removal of others.

        Parameters
        ----------
        gone : Tensor of shape (n_weights,)
            The weights that go; zero for all others.
        free : Tensor of bool of shape (n_weights,)
            Which weights move.

        Returns
        -------
        response : Tensor of shape (n_weights,)
            What is added to each weight; zero for those that do not move.
        """
        response = self._response(_cut(gone.double(), self._size), _cut(free, self._size))
        self._check(torch.isfinite(response).all(1))
        return response.flatten()[: self._n_weights]

    @abstractmethod
    def _inverse_diagonal(self, within: Tensor) -> Tensor: ...

    @abstractmethod
    def _response(self, gone: Tensor, free: Tensor) -> Tensor: ...

    def _check(self, fine: Tensor) -> None:
        if not fine.all():
            layer = self._layer_at(int((~fine).nonzero()[0]) * self._size)
            raise ValueError(
                f"The inverse of the curvature is not finite in layer {layer!r}: too few rows, or "
                "gradients that vanish or overflow, leave it singular. Raise damping."
            )


class _Matrices(CurvatureBlocks):
    """Blocks as they are, of shape (n_blocks, block_size, block_size)."""

    def _inverse_diagonal(self, within: Tensor) -> Tensor:
        parts = []
        for matrices, inside in self._parts(within):
            factors = self._factors(matrices, inside)
            one = torch.eye(self._size).to(factors)
            inverses = torch.linalg.solve_triangular(factors, one.expand_as(factors), upper=False)
            parts.append(inverses.square().sum(1))
        return torch.cat(parts)

    def _response(self, gone: Tensor, free: Tensor) -> Tensor:
        parts = []
        for matrices, some, moving in self._parts(gone, free):
            pull = torch.where(moving, (matrices.double() @ some[..., None])[..., 0], 0.0)
            factors = self._factors(matrices, moving)
            parts.append(torch.cholesky_solve(pull[..., None], factors)[..., 0])
        return torch.cat(parts)

    def _factors(self, matrices: Tensor, inside: Tensor) -> Tensor:
        """Factorize the damped blocks, with a one on the diagonal for what is not inside."""
        damped = matrices.double() if matrices.dtype != torch.float64 else matrices.clone()
        if not inside.all():
            damped.masked_fill_(~(inside[:, :, None] & inside[:, None, :]), 0.0)
        added = torch.full(inside.shape, self._added, dtype=torch.float64, device=damped.device)
        damped.diagonal(dim1=1, dim2=2).add_(added.masked_fill_(~inside, 1.0))
        return _cholesky(damped)

    def _parts(self, *others: Tensor):
        n_blocks = max(1, _PIECE // self._size**2)
        return zip(*(tensor.split(n_blocks) for tensor in (self._blocks, *others)), strict=True)


class _OuterProducts(CurvatureBlocks):
    """Blocks as the vectors that they are sums of, of shape (n_blocks, n_vectors, block_size).

    There are fewer vectors than a block has rows, and the identity of Woodbury needs a matrix of
    that size alone.
    """

    def _inverse_diagonal(self, within: Tensor) -> Tensor:
        factors = self._factors(within)
        parts = []
        for vectors in self._columns(self._blocks):
            roots = torch.linalg.solve_triangular(factors, vectors.double(), upper=False)
            parts.append((1 - roots.square().sum(1)) / self._added)
        return torch.cat(parts, 1)

    def _response(self, gone: Tensor, free: Tensor) -> Tensor:
        pull = torch.zeros(*self._blocks.shape[:2], 1, dtype=torch.float64, device=gone.device)
        for vectors, some in zip(self._columns(self._blocks), self._columns(gone), strict=True):
            pull += vectors.double() @ some[..., None]
        pull = torch.cholesky_solve(pull, self._factors(free))
        parts = [
            torch.where(moving, (vectors.double().mT @ pull)[..., 0], 0.0)
            for vectors, moving in zip(
                self._columns(self._blocks), self._columns(free), strict=True
            )
        ]
        return torch.cat(parts, 1)

    def _factors(self, inside: Tensor) -> Tensor:
        n_vectors = self._blocks.shape[1]
        products = torch.eye(n_vectors, dtype=torch.float64, device=inside.device) * self._added
        products = products.repeat(len(inside), 1, 1)
        for vectors, kept in zip(self._columns(self._blocks), self._columns(inside), strict=True):
            some = torch.where(kept[:, None], vectors.double(), 0.0)
            products.baddbmm_(some, some.mT)
        return _cholesky(products)

    def _columns(self, tensor: Tensor) -> tuple[Tensor, ...]:
        return tensor.split(max(1, _PIECE // self._blocks[:, :, 0].numel()), dim=-1)


def _cholesky(matrices: Tensor) -> Tensor:
    """Factorize matrices; not a number where one is not positive definite."""
    factors, info = torch.linalg.cholesky_ex(matrices)
    return factors.masked_fill_(info[:, None, None] > 0, torch.nan) if info.any() else factors


def _cut(values: Tensor, size: int) -> Tensor:
    """Cut the last dimension into blocks, which come first."""
    blocks = pad(values, (0, -values.shape[-1] % size)).unflatten(-1, (-1, size))
    return blocks.movedim(-2, 0)
