"""A block-diagonal matrix of curvature, and what its inverse says."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["CurvatureBlocks", "CurvatureSum"]


class CurvatureSum:
    """Adds up outer products of vectors, as far as they lie in blocks on the diagonal.

    Parameters
    ----------
    n_weights : int
        Length of the vectors.
    block_size : int
        Size of a block.
    chunk_size : int
        How many numbers of each weight are worked on at a time, in double precision.
    """

    def __init__(self, n_weights: int, block_size: int, chunk_size: int) -> None:
        self._n_weights, self._size, self._chunk_size = n_weights, block_size, chunk_size
        self._vectors: list[Tensor] = []
        self._matrices: Tensor | None = None
        self._total = 0.0

    def add(self, vectors: Tensor, total: float) -> None:
        """Add outer products.

        Parameters
        ----------
        vectors : Tensor of shape (n_vectors, n_weights)
            The vectors.
        total : float
            How much they weigh together.
        """
        self._vectors.append(_cut(vectors, self._size))
        self._total += total
        # Matrices take less than the vectors that they are made of, once these are many.
        if sum(some.shape[1] for some in self._vectors) > self._size:
            self._add_up()

    def _add_up(self) -> None:
        for some in self._vectors:
            if self._matrices is None:
                self._matrices = some.new_zeros(len(some), self._size, self._size)
            self._matrices.baddbmm_(some.mT, some)
        self._vectors = []

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
        made: type[CurvatureBlocks]
        if self._matrices is not None:
            self._add_up()
            made, blocks = _Matrices, self._matrices.div_(self._total)
            trace = float(blocks.diagonal(dim1=1, dim2=2).sum(dtype=torch.float64))
        else:
            made, blocks = _OuterProducts, torch.cat(self._vectors, 1).div_(self._total**0.5)
            self._vectors = []
            trace = float(blocks.norm()) ** 2
        # Where all gradients vanish, as in a network that is cut off, weights rank by their size.
        mean = trace / self._n_weights if trace else 1.0
        return made(blocks, self._n_weights, damping * mean, layer_at, self._chunk_size)


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
    layer_at : callable
        Names the layer of a weight, for messages.
    chunk_size : int
        How many numbers of each weight are worked on at a time, in double precision.
    """

    def __init__(
        self,
        blocks: Tensor,
        n_weights: int,
        added: float,
        layer_at: Callable[[int], str],
        chunk_size: int,
    ) -> None:
        self._blocks, self._n_weights, self._added = blocks, n_weights, added
        self._size = blocks.shape[-1]
        self._layer_at = layer_at
        self._numbers = chunk_size * n_weights

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
        return diagonal.flatten()[: self._n_weights]

    def response(self, gone: Tensor, free: Tensor) -> Tensor:
        """Compute how weights move to make up for others, so that the quadratic form is least.

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
        both = inside[:, :, None] & inside[:, None, :]
        diagonal = torch.where(inside, self._added, 1.0).to(matrices.device, torch.float64)
        damped = torch.where(both, matrices.double(), 0.0) + torch.diag_embed(diagonal)
        factors, info = torch.linalg.cholesky_ex(damped)
        return factors.masked_fill(info[:, None, None] > 0, torch.nan)

    def _parts(self, *others: Tensor):
        n_blocks = max(1, self._numbers // self._size**2)
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
        factors, info = torch.linalg.cholesky_ex(products)
        return factors.masked_fill(info[:, None, None] > 0, torch.nan)

    def _columns(self, tensor: Tensor) -> tuple[Tensor, ...]:
        return tensor.split(max(1, self._numbers // self._blocks[:, :, 0].numel()), dim=-1)


def _cut(values: Tensor, size: int) -> Tensor:
    """Cut the last dimension into blocks, which come first."""
    blocks = pad(values, (0, -values.shape[-1] % size)).unflatten(-1, (-1, size))
    return blocks.movedim(-2, 0)
