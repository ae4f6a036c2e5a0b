"""Switches of torch and of the machine that change the numbers of a training."""

import os
import platform
import sys
from typing import Any

import numpy as np
import torch
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from skprune.training.fingerprint import Uncacheable
from skprune.training.packages import requirements

__all__ = ["surroundings"]

_LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "skorch")
# Variables that the libraries below torch read, at any time.
_VARIABLES = (
    *("ATEN_", "CUBLAS", "CUDA", "CUDNN", "DNNL_", "GOMP_", "KMP_", "LD_PRELOAD", "MIOPEN", "MKL"),
    *("NVIDIA_TF32", "OMP_", "ONEDNN", "OPENBLAS", "PYTORCH", "TORCH"),
)
_SILENT = ("TORCH_CPP_LOG", "TORCH_LOGS", "TORCH_SHOW", "CUDA_VISIBLE", "TORCH_HOME")


def surroundings() -> dict[str, Any]:
    """List what surrounds a training and changes its numbers.

    Returns
    -------
    values : dict of str to object
        Versions, the processor, switches, hooks on all modules, and what the global random
        generators draw next.

    Raises
    ------
    Uncacheable
        If a mode of torch is on that may change any operation.
    """
    modes = [*_get_current_function_mode_stack(), *_get_current_dispatch_mode_stack()]
    for mode in modes:
        if type(mode) is not DeviceContext:
            raise Uncacheable(f"a mode of torch is on ({type(mode).__name__})")
    return {
        "libraries": requirements(*_LIBRARIES),
        "python": (sys.version, sys.flags.optimize),
        "machine": (platform.machine(), platform.system(), _processor()),
        "variables": _variables(),
        "switches": _switches(),
        "hooks": _hooks_of_all(),
        "generators": _generators(),
    }


def _processor() -> tuple[Any, ...]:
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    names = [torch.cuda.get_device_name(device) for device in devices]
    return torch.backends.cpu.get_cpu_capability(), names


def _variables() -> list[tuple[str, str]]:
    return sorted(
        (name, value)
        for name, value in os.environ.items()
        if name.startswith(_VARIABLES)
        and not name.startswith(_SILENT)
        # how many threads there are is asked of torch itself
        and not name.endswith("NUM_THREADS")
    )


def _switches() -> dict[str, Any]:
    kinds = ("cpu", "cuda")
    backends = torch.backends
    mkldnn: Any = backends.mkldnn
    tiny = torch.tensor([5e-324], dtype=torch.float64)  # gone where such numbers are flushed
    return {
        "autocast": [(torch.is_autocast_enabled(k), torch.get_autocast_dtype(k)) for k in kinds],
        "autocast cache": torch.is_autocast_cache_enabled(),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "anomalies": torch.is_anomaly_enabled(),
        "default type": torch.get_default_dtype(),
        "default device": torch.get_default_device().type,
        "precision": torch.get_float32_matmul_precision(),
        "precisions": [
            getattr(part, "fp32_precision", None)
            for part in (backends, mkldnn, mkldnn.matmul, mkldnn.conv)
        ],
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        ),
        "denormal": bool((tiny * 1.0 == 0).item()),
        "threads": torch.get_num_threads(),
        "mkldnn": (torch._C._get_mkldnn_enabled(), torch._C._get_nnpack_enabled()),
        "cudnn": (
            torch._C._get_cudnn_enabled(),
            torch._C._get_cudnn_benchmark(),
            torch._C._get_cudnn_deterministic(),
            backends.cudnn.allow_tf32,
        ),
        "cuda": (
            backends.cuda.matmul.allow_tf32,
            str(backends.cuda.matmul.allow_fp16_reduced_precision_reduction),
            str(backends.cuda.matmul.allow_bf16_reduced_precision_reduction),
        ),
        "attention": (
            backends.cuda.flash_sdp_enabled(),
            backends.cuda.mem_efficient_sdp_enabled(),
            backends.cuda.math_sdp_enabled(),
        ),
        "einsum": (backends.opt_einsum.enabled, backends.opt_einsum.strategy),
        "quantized": backends.quantized.engine,
    }


def _hooks_of_all() -> dict[str, Any]:
    """List the hooks that act on all modules and on all optimizers."""
    return {
        name: list(value.values()) if isinstance(value, dict) else value
        for part in map(sys.modules.get, ("torch.nn.modules.module", "torch.optim.optimizer"))
        for name, value in sorted(vars(part).items())
        if name.startswith("_global_") and not callable(value)
    }


def _generators() -> list[Any]:
    """List the states of the generators that networks draw from.

    Python's own is not among them: the seed counts, and other threads draw from that generator, as
    those of a worker of dask do while it waits.
    """
    states = [torch.get_rng_state(), np.random.get_state()]  # noqa: NPY002
    if torch.cuda.is_initialized():
        states += torch.cuda.get_rng_state_all()
    return states
