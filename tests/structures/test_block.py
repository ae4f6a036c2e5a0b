"""Blocks against loops over the matrices."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from skprune import PrunedClassifier, Strategy
from skprune.network.network import Network
from skprune.structures import Block, Elements
from tests.helpers import fit_untrained, forward, run_loop
from tests.networks import NETWORKS


def elements_of(module: nn.Module, shape: tuple[int, int]) -> Elements:
    return Block(shape).elements(Network(module, torch.zeros(1), forward), ())


def matrices_of(layer: nn.Module) -> list[list[list[tuple[int, ...]]]]:
    """Places of the weights of each matrix: rows of outputs, columns of inputs."""
    shape = layer.weight.shape
    if not isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        return [[[(o, i) for i in range(shape[1])] for o in range(shape[0])]]
    kernel = [(y, x) for y in range(shape[2]) for x in range(shape[3])]
    if isinstance(layer, nn.Conv2d):
        return [[[(o, i, *k) for i in range(shape[1])] for o in range(shape[0])] for k in kernel]
    n_inputs = shape[0] // layer.groups
    return [
        [[(g * n_inputs + i, o, *k) for i in range(n_inputs)] for o in range(shape[1])]
        for g in range(layer.groups)
        for k in kernel
    ]


def blocks_of(layer: nn.Module, n_rows: int, n_columns: int) -> list[list[tuple[int, ...]]]:
    """Places of the weights of each block, in their order."""
    return [
        [place for row in matrix[top : top + n_rows] for place in row[left : left + n_columns]]
        for matrix in matrices_of(layer)
        for top in range(0, len(matrix), n_rows)
        for left in range(0, len(matrix[0]), n_columns)
    ]


LAYERS = {
    "linear": lambda: nn.Linear(8, 6),
    "convolution": lambda: nn.Conv2d(5, 6, 3),
    "convolution in groups": lambda: nn.Conv2d(8, 6, 2, groups=2),
    "depthwise": lambda: nn.Conv2d(6, 6, 3, groups=6),
    "transposed": lambda: nn.ConvTranspose2d(6, 5, 2),
    "transposed in groups": lambda: nn.ConvTranspose2d(8, 6, 2, groups=2),
    "embedding": lambda: nn.Embedding(9, 5),
}
SHAPES = [(4, 4), (2, 3), (1, 4), (6, 1), (1, 1), (100, 100)]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_totals_and_values_are_those_of_each_block(layer: str, shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    module = LAYERS[layer]()
    elements, blocks = elements_of(module, shape), blocks_of(module, *shape)
    assert elements.sizes == {"weight": len(blocks)}
    assert sum(len(block) for block in blocks) == module.weight.numel()
    scores = torch.rand(module.weight.shape)
    total = elements.sum_by_element({"weight": scores})["weight"]
    values = torch.rand(len(blocks))
    spread = elements.expand_to_weights({"weight": values})["weight"]
    for number, block in enumerate(blocks):
        expected = sum(float(scores[place]) for place in block)
        assert float(total[number]) == pytest.approx(expected, rel=1e-6)
        assert all(spread[place] == values[number] for place in block)


def test_blocks_of_a_matrix_by_hand() -> None:
    module = nn.Linear(5, 3)
    with torch.no_grad():
        module.weight.copy_(torch.arange(15).view(3, 5))
    elements = elements_of(module, (2, 3))
    weight: Tensor = module.weight.detach()
    assert elements.sum_by_element({"weight": weight})["weight"].tolist() == [
        0 + 1 + 2 + 5 + 6 + 7,
        3 + 4 + 8 + 9,
        10 + 11 + 12,
        13 + 14,
    ]
    elements.keep({"weight": torch.tensor([True, False, False, True])})
    assert module.weight.tolist() == [
        [0, 1, 2, 0, 0],
        [5, 6, 7, 0, 0],
        [0, 0, 0, 13, 14],
    ]
    assert elements.sparsity == 0.5


def test_the_smallest_blocks_of_each_layer_go() -> None:
    module = NETWORKS["conv_batch_norm"].build()
    layers = ["conv1", "conv2", "linear1", "linear2"]
    norms = {}
    for name in layers:
        layer = module.get_submodule(name)
        weight = layer.weight.detach()
        norms[name] = [
            sum(float(weight[place]) ** 2 for place in block) ** 0.5
            for block in blocks_of(layer, 2, 2)
        ]
    strategy = Strategy(allocation="uniform")
    run = run_loop(module, NETWORKS["conv_batch_norm"], strategy, Block((2, 2)), 0.5, epochs=0)
    for name in layers:
        order = sorted(range(len(norms[name])), key=lambda i: -norms[name][i])
        kept = run.kept[-1][name].nonzero().flatten().tolist()
        assert kept == sorted(order[: len(kept)])
        weight = module.get_submodule(name).weight.detach()
        for number, block in enumerate(blocks_of(module.get_submodule(name), 2, 2)):
            assert any(bool(weight[place]) for place in block) == (number in kept)


def test_a_fitted_network_keeps_whole_blocks() -> None:
    X, y = load_digits(return_X_y=True)
    pruned = PrunedClassifier(structure=Block((5, 8)), sparsity=0.7, random_state=0)
    pruned.fit(X[:300] / 16, y[:300])
    sizes = {"hidden0.weight": (100, 64), "output.weight": (10, 100)}
    n_blocks = n_kept = 0
    for name, (n_outputs, n_inputs) in sizes.items():
        mask = pruned.masks_[name]
        assert mask.shape == (n_outputs, n_inputs)
        for top in range(0, n_outputs, 5):
            for left in range(0, n_inputs, 8):
                block = mask[top : top + 5, left : left + 8]
                assert block.all() or not block.any()
                n_blocks += 1
                n_kept += bool(block.all())
    assert pruned.sparsity_ == 1 - n_kept / n_blocks == pytest.approx(0.7, abs=0.5 / n_blocks)
    n_weights = sum(int(mask.sum()) for mask in pruned.masks_.values())
    assert pruned.report_.total_after.weights == n_weights
    assert pruned.module_.hidden0.weight.shape == (100, 64)
    assert pruned.score(X[300:600] / 16, y[300:600]) > 0.8


def test_a_protected_layer_has_no_blocks() -> None:
    module = NETWORKS["mlp"].build()
    estimator = fit_untrained(
        "PrunedClassifier",
        module,
        NETWORKS["mlp"],
        structure="block",
        protect=["hidden0"],
        sparsity=0.5,
    )
    assert estimator.masks_["hidden0.weight"].all()
    assert estimator.sparsity_ == 0.5  # of 4 blocks and 2


@pytest.mark.parametrize("shape", [(4,), (4, 4, 4), (0, 4), (4, -1), (2.5, 4), ("4", "4"), "44"])
def test_the_shape_is_checked(shape: object) -> None:
    with pytest.raises(ValueError, match="The 'shape' parameter of Block must be"):
        fit_untrained(
            "PrunedClassifier",
            NETWORKS["mlp"].build(),
            NETWORKS["mlp"],
            structure=Block(shape),
            sparsity=0.2,
        )
