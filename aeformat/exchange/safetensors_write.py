"""The tensors of packages as one safetensors file, with the layers as text beside them.

Owns the names: ROLE.LAYER.KIND.KEY, such as "decoder.2.dense.weights".  Types stay as they are: int8 weights and tables are
integers there, too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from aeformat.errors import UsageError
from aeformat.model.layers import TENSOR_KEYS
from aeformat.model.package import ModelPackage


def safetensors_bytes(packages: Sequence[ModelPackage]) -> bytes:
    """One file of one package, or of several.  Raises UsageError where the package `safetensors` is not installed."""
    try:
        from safetensors.numpy import save
    except ImportError as error:
        raise UsageError('writing safetensors needs its package: pip install "aeformat[export]"') from error
    tensors, about = {}, {"format": "aeformat"}
    for package in packages:
        role = package.role
        for number, step in enumerate(package.plan):
            for key, array in step.arrays.items():
                tensors[f"{role}.{number}.{step.kind}.{key}"] = np.ascontiguousarray(array)
        layers = [
            {key: value for key, value in layer.to_map().items() if key not in TENSOR_KEYS}
            for layer in package.manifest.layers
        ]
        ends = {"input": package.input.to_map(), "output": package.output.to_map()}
        about[f"{role}.model"], about[f"{role}.profile"] = package.model_id.hex(), package.profile
        about[f"{role}.network"] = json.dumps({**ends, "layers": layers})
    data: bytes = save(tensors, about)
    return data
