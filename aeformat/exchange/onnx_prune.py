"""What of an ONNX network leads from the image through the bottleneck to the image, and nothing else.

Owns finding the bottleneck and the output, leaving out what draws at random, and what nothing needs.  Knows nothing of what
other operators mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from aeformat.errors import UsageError
from aeformat.exchange.onnx_file import Node, OnnxNet, value_names

_MOVES: Final = frozenset({"Identity", "Cast", "Neg", "Reshape", "Unsqueeze", "Squeeze", "Transpose", "Expand"})
_MOST_NAMED: Final = 60


@dataclass(frozen=True, slots=True)
class Pruned:
    """net: only the nodes that are needed.  bottleneck, output: names of values.  passed_over: names of what drew at random."""

    net: OnnxNet
    bottleneck: str
    output: str
    passed_over: tuple[str, ...]


def prune(net: OnnxNet, bottleneck: str) -> Pruned:
    """The network between image and image.  bottleneck: a value's name, or a node's.  Raises UsageError."""
    at = _named(net, bottleneck)
    drawn, same = _without_noise(net)
    at = same.get(at, at)
    nodes = [replace(node, inputs=tuple(same.get(name, name) for name in node.inputs)) for node in net.nodes]
    makers = {name: node for node in nodes for name in node.outputs if name}
    if at not in makers:
        raise UsageError(f"the bottleneck {bottleneck!r} is the input itself, or a constant")
    output = _output(makers, [same.get(name, name) for name in net.outputs], at, bottleneck)
    needed = _ancestors(makers, [at, output])
    kept = tuple(node for node in nodes if needed.intersection(node.outputs))
    constants = {name: array for name, array in net.constants.items() if name in needed}
    left_out = tuple(node.name or node.outputs[0] for node in drawn if not needed.intersection(node.outputs))
    return Pruned(replace(net, nodes=kept, constants=constants, outputs=(output,)), at, output, left_out)


def _named(net: OnnxNet, name: str) -> str:
    if name in net.constants or name == net.input:
        raise UsageError(f"the bottleneck {name!r} is the input itself, or a constant")
    names = list(dict.fromkeys([*net.outputs, *value_names(net)]))
    if name in names:
        return name
    made = [node.outputs[0] for node in net.nodes if node.name == name and len(node.outputs) == 1]
    if len(made) == 1:
        return made[0]
    more = "" if len(names) <= _MOST_NAMED else f" and {len(names) - _MOST_NAMED} more"
    raise UsageError(f"the network has no value {name!r}; it has {', '.join(names[:_MOST_NAMED])}{more}")


def _without_noise(net: OnnxNet) -> tuple[list[Node], dict[str, str]]:
    """Nodes that draw around 0, as if they drew 0; and what other values then are."""
    drawn: list[Node] = []
    zeros: set[str] = set()
    same: dict[str, str] = {}
    for node in net.nodes:
        inputs = [same.get(name, name) for name in node.inputs]
        is_zero = [name in zeros for name in inputs]
        if _draws_around_zero(node):
            drawn.append(node)
            zeros.update(node.outputs)
        elif _is_zero(node, is_zero):
            zeros.update(node.outputs)
        elif (node.op == "Add" and any(is_zero)) or (node.op == "Sub" and is_zero == [False, True]):
            same[node.outputs[0]] = inputs[is_zero.index(False)]
    return drawn, same


def _is_zero(node: Node, is_zero: list[bool]) -> bool:
    """Whether a node makes nothing but zeros of these inputs."""
    if node.op == "Mul":
        return any(is_zero)
    if node.op in ("Add", "Sub"):
        return all(is_zero)
    return node.op in _MOVES and is_zero[:1] == [True]


def _draws_around_zero(node: Node) -> bool:
    if node.op in ("RandomNormal", "RandomNormalLike"):
        return node.number("mean") == 0
    return node.op in ("RandomUniform", "RandomUniformLike") and node.number("low") == -node.number("high", 1.0)


def _ancestors(makers: dict[str, Node], names: Iterable[str]) -> set[str]:
    """The values and all that they depend on."""
    found: set[str] = set()
    open_ = list(names)
    while open_:
        name = open_.pop()
        if name and name not in found:
            found.add(name)
            open_ += makers[name].inputs if name in makers else ()
    return found


def _output(makers: dict[str, Node], outputs: list[str], at: str, bottleneck: str) -> str:
    """The one output behind the bottleneck."""
    behind = [name for name in dict.fromkeys(outputs) if name != at and at in _ancestors(makers, [name])]
    if len(behind) == 1:
        return behind[0]
    if not behind:
        raise UsageError(f"no output is made from the bottleneck {bottleneck!r}; the outputs are {', '.join(outputs)}")
    raise UsageError(
        f"{len(behind)} outputs are made from the bottleneck {bottleneck!r}: {', '.join(behind)}; export only the image"
    )
