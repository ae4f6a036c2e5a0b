"""How long it takes to find the units of a network of BERT-base's size, and to remove half of them.

    python benchmarks/trace.py [--n-layers 12] [--tokens 16]

Prints seconds, and the peak of the memory as a multiple of what the weights take. The network has
the shape of BERT-base (110 million parameters) with random weights, from a configuration of
``transformers``; nothing is downloaded.
"""

import argparse
import gc
import resource
import time
from collections import Counter
from typing import Any

import torch
from torch import nn

from skprune.network.network import Network
from skprune.network.verification import removable_units


def bert(n_layers: int) -> nn.Module:
    """Make the network."""
    from transformers import BertConfig, BertForSequenceClassification

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BertForSequenceClassification(BertConfig(num_hidden_layers=n_layers)).eval()


def peak() -> float:
    """Say how many bytes the process had at the most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def scores(module: nn.Module, inputs: Any) -> torch.Tensor:
    """Compute what the network puts out."""
    return module(**inputs).logits


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-layers", type=int, default=12)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--rows", type=int, default=2)
    options = parser.parse_args()
    module = bert(options.n_layers)
    inputs = {"input_ids": torch.randint(30000, (options.rows, options.tokens))}
    size = sum(p.numel() * p.element_size() for p in module.parameters())
    network = Network(module, inputs, scores)
    scores(module, inputs)
    gc.collect()
    before = peak()
    print(f"{size / 4e6:.0f} million parameters, {size / 1e6:.0f} MB")
    start = time.perf_counter()
    coupling = network.trace()
    print(f"units found in {time.perf_counter() - start:.1f} s")
    kinds: Counter[str] = Counter()
    for name, units in coupling.groups.items():
        kinds[coupling.kinds[name]] += len(units)
    print("  " + ", ".join(f"{count} of kind {kind!r}" for kind, count in kinds.items()))
    start = time.perf_counter()
    coupling = removable_units(network)
    print(f"tried on copies in {time.perf_counter() - start:.1f} s")
    kinds = Counter()
    for name, units in coupling.groups.items():
        kinds[coupling.kinds[name]] += len(units)
    print("  " + ", ".join(f"{count} of kind {kind!r}" for kind, count in kinds.items()))
    gone = torch.cat([units[::2] for units in coupling.groups.values()])
    start = time.perf_counter()
    network.remove_units(coupling, gone)
    print(f"half of each group removed in {time.perf_counter() - start:.1f} s")
    left = sum(p.numel() for p in network.module.parameters())
    shape = tuple(scores(module, inputs).shape)
    print(f"{left / 1e6:.0f} million parameters are left; outputs of shape {shape}")
    print(f"peak of the memory: {1 + (peak() - before) / size:.1f} times the weights")


if __name__ == "__main__":
    main()
