"""Small networks, one for each thing that a network can be (spec/model.md)."""

from __future__ import annotations

from tools.build_vectors.network import Network, Tensor

RAMP = [min(15 * i, 255) for i in range(18)]  # an even number of entries, the last ones equal

# Two u8 latents -> one row of two pixels.
TWO_PIXELS = Network(
    input={"shape": [2], "type": "u8"},
    output={"shape": [1, 2, 1], "type": "u8"},
    layers=[
        {"kind": "dense", "weights": 0, "bias": 1},
        {"kind": "lookup", "multiplier": 2, "shift": 8, "table": 3},
        {"kind": "reshape", "shape": [1, 2, 1]},
    ],
    tensors=[
        Tensor([2, 2], "i8", [127, -127, 3, 64]),
        Tensor([2], "i32", [-20_000, 500]),
        Tensor([2], "i32", [15, 40]),
        Tensor([18], "u8", RAMP),
    ],
    golden=[[0, 0], [255, 255], [128, 7]],
)

# Eight u8 latents -> 4 x 4 pixels; numbers that even the simplest compression makes smaller.
WIDE = Network(
    input={"shape": [8], "type": "u8"},
    output={"shape": [4, 4, 1], "type": "u8"},
    layers=[
        {"kind": "dense", "weights": 0, "bias": 1},
        {"kind": "lookup", "multiplier": 2, "shift": 12, "table": 3},
        {"kind": "reshape", "shape": [4, 4, 1]},
    ],
    tensors=[
        Tensor([8, 16], "i8", [0] * 50 + [127] * 30 + list(range(-9, 9)) + [-5] * 30),
        Tensor([16], "i32", [i * 31 for i in range(16)]),
        Tensor([16], "i32", [400 + i for i in range(16)]),
        Tensor([256], "u8", list(range(256))),
    ],
    golden=[[0] * 8, [255] * 8, [1, 2, 3, 4, 5, 6, 7, 8]],
)

# 2 x 2 signed latents in a range -> 5 x 4 pixels of 2 channels, by a convolution and a transposed one.
CONVOLUTIONS = Network(
    input={"shape": [2, 2, 1], "type": "i8", "range": [-100, 100]},
    output={"shape": [5, 4, 2], "type": "u8", "range": [0, 251]},
    layers=[
        {"kind": "conv2d", "weights": 0, "bias": 1, "strides": [1, 1], "padding": [1, 1, 0, 1]},
        {"kind": "lookup", "multiplier": 2, "shift": 0, "table": 3},
        {"kind": "conv2d_transpose", "weights": 4, "bias": 5, "strides": [2, 1], "crop": [1, 1, 0, 0]},
        {"kind": "lookup", "multiplier": 6, "shift": 11, "table": 7},
    ],
    tensors=[
        Tensor([2, 2, 1, 3], "i8", [1, -2, 3, 4, 5, -6, 7, 8, 9, -10, 11, 12]),
        Tensor([3], "i32", [0, 100, -100]),
        Tensor([1], "i32", [1]),
        Tensor([512], "i8", [(i - 256) // 4 for i in range(512)]),
        Tensor([3, 3, 2, 3], "i8", [(i * 29 + 5) % 255 - 127 for i in range(54)]),
        Tensor([2], "i32", [1_000, -1_000]),
        Tensor([2], "i32", [77, 130]),
        Tensor([252], "u8", list(range(252))),
    ],
    golden=[[0, 0, 0, 0], [100, -100, 50, -50], [1, 2, 3, 4]],
)

# 2 x 2 pixels -> two signed latents: the encoder that belongs to TWO_PIXELS' kind of decoder.
ENCODER = Network(
    role="encoder",
    decoder=bytes(range(64, 96)),
    input={"shape": [2, 2, 1], "type": "u8"},
    output={"shape": [2], "type": "i8"},
    layers=[
        {"kind": "flatten"},
        {"kind": "dense", "weights": 0, "bias": 1},
        {"kind": "lookup", "multiplier": 2, "shift": 9, "table": 3},
    ],
    tensors=[
        Tensor([4, 2], "i8", [10, -20, 30, 40, -50, 60, 70, -80]),
        Tensor([2], "i32", [-5_000, 6_000]),
        Tensor([1], "i32", [2]),
        Tensor([256], "i8", list(range(-128, 128))),
    ],
    golden=[[0, 0, 0, 0], [255, 255, 255, 255], [10, 200, 30, 40]],
)

# Three float latents -> two pixels.
FLOAT_DECODER = Network(
    profile="float32",
    input={"shape": [3], "type": "f32"},
    output={"shape": [1, 1, 2], "type": "u8"},
    layers=[
        {"kind": "dense", "weights": 0, "bias": 1},
        {"kind": "sigmoid"},
        {"kind": "to_u8"},
        {"kind": "reshape", "shape": [1, 1, 2]},
    ],
    tensors=[Tensor([3, 2], "f32", [0.5, -1.25, 2.0, 0.75, -0.375, 1.5]), Tensor([2], "f32", [0.125, -0.5])],
    golden=[[0.0, 0.0, 0.0], [1.0, -2.0, 0.5]],
)

# One float latent -> 20 pixels, with the largest golden set: 1,280 pixels.
MANY_PIXELS = FLOAT_DECODER.with_(
    input={"shape": [1], "type": "f32"},
    output={"shape": [4, 5, 1], "type": "u8"},
    layers=[{"kind": "dense", "weights": 0, "bias": 1}, {"kind": "to_u8"}, {"kind": "reshape", "shape": [4, 5, 1]}],
    tensors=[Tensor([1, 20], "f32", [(i + 1) / 32 for i in range(20)]), Tensor([20], "f32", [0.25] * 20)],
    golden=[[i / 64] for i in range(64)],
)

_EVERY = ("relu", "tanh", "elu", "gelu", "silu", "softplus", "sigmoid")

# Pixels -> float latents, through every activation, with half precision weights.
FLOAT_ENCODER = Network(
    role="encoder",
    profile="float32",
    decoder=FLOAT_DECODER.model_id,
    input={"shape": [3, 3, 1], "type": "u8"},
    output={"shape": [3], "type": "f32"},
    layers=[
        {"kind": "scale", "num": 1, "den": 255},
        {"kind": "conv2d", "weights": 0, "bias": 1, "strides": [2, 1], "padding": [1, 0, 0, 0]},
        {"kind": "leaky_relu", "num": 1, "den": 5},
        {"kind": "flatten"},
        {"kind": "dense", "weights": 2, "bias": 3},
        *({"kind": kind} for kind in _EVERY),
        {"kind": "dense", "weights": 4, "bias": 5},
    ],
    tensors=[
        Tensor([2, 2, 1, 2], "f16", [0.5, -0.25, 0.125, 1.0, -0.75, 0.5, 0.25, -1.0]),
        Tensor([2], "f16", [0.0, 0.25]),
        Tensor([8, 3], "f32", [((i * 7) % 11 - 5) / 8 for i in range(24)]),
        Tensor([3], "f32", [0.5, -0.5, 0.25]),
        Tensor([3, 3], "f16", [4.0, 0.0, -2.0, 1.0, 3.0, 0.5, -1.0, 2.0, 8.0]),
        Tensor([3], "f32", [-1.0, 0.0, 1.0]),
    ],
    golden=[[0] * 9, [255] * 9, [0, 30, 60, 90, 120, 150, 180, 210, 240]],
)
