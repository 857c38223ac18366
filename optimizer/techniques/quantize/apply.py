"""Int8 quantization of linear layers and embeddings.

Per output channel i (Jacob et al. 2018, arXiv 1712.05877, symmetric):

    scale_i = max_j |W_ij| / 127.5
    Q_ij = clamp(round(W_ij / scale_i), -128, 127)
    |W_ij - scale_i Q_ij| <= scale_i / 2

Dynamic: each activation tensor is quantized as it comes and products are integer. Weight-only: Q is turned back into
floats for a float product.
"""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn

from optimizer.techniques.base import Progress, Setting
from optimizer.techniques.quantize.libraries import Int8WeightOnlyConfig, dynamic_int8, quantize_
from optimizer.techniques.quantize.packed import pack, unpack
from optimizer.techniques.quantize.rows import int8_embeddings
from optimizer.training.checkpoint import fresh_copy
from optimizer.training.data import Workload


def apply(model: nn.Module, workload: Workload, parameters: Mapping[str, Setting], *, progress: Progress) -> nn.Module:
    quantized = fresh_copy(model).eval()
    progress(0.1, "quantizing linear layers")
    if parameters["scheme"] == "dynamic":
        quantized = dynamic_int8(quantized)
    else:
        quantize_(quantized, Int8WeightOnlyConfig())
    if parameters["embeddings"]:
        progress(0.7, "quantizing embedding tables")
        quantized = int8_embeddings(quantized)
    progress(1.0, "quantized")
    return quantized


def save(model: nn.Module, path: Path) -> None:
    save_file(pack(model), str(path))


def load(path: Path, workload: Workload, parameters: Mapping[str, Setting]) -> nn.Module:
    return unpack(load_file(str(path)), workload.skeleton()).eval()
