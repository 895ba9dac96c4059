"""A network that is being put together: layers of the registry, branches included, with their tensors.

Owns the numbering of values and the names they have where they come from, and cutting a network in halves.  Every layer is
checked by the registry's own rules as it is added.  Knows nothing of any foreign format, or of training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeformat.container.fields import Place
from aeformat.container.prior import Prior
from aeformat.errors import LimitExceeded, ManifestInvalid, UsageError
from aeformat.model.builder import PackageBuilder, Rows
from aeformat.model.layers import TENSOR_KEYS, Layer, infer, read_layer
from aeformat.model.manifest import Endpoint
from aeformat.model.package import ModelPackage, Step
from aeformat.model.values import DTYPES, FLOAT32, Number, TensorSpec, Value

Array = NDArray[Any]

PriorMaker = Callable[[PackageBuilder], None]
"""What gives the builder of a decoder a prior with passes."""

_TYPES = {np.dtype(dtype).newbyteorder("="): name for name, dtype in DTYPES.items()}


@contextmanager
def as_refusal(what: str) -> Iterator[None]:
    """A network that breaks the rules of packages is its user's to change: UsageError, with what it is and the rule."""
    try:
        yield
    except (ManifestInvalid, LimitExceeded) as error:
        raise UsageError(f"{what} has no form as packages: {error.what} (rule {error.rule})") from error


class Graph:
    """Layers in order, as steps without intervals.  Value 0 is the input, step k makes value k + 1; names: one a value.

    start: the input; of a network with free sizes, as it is for a latent of 1 x 1.
    """

    def __init__(self, start: Value, profile: str = FLOAT32) -> None:
        self.profile = profile
        self.steps: list[Step] = []
        self.values = [start]
        self.names = ["the input"]

    def add(self, kind: str, *inputs: int, name: str = "", **params: Number | Array) -> int:
        """Add a layer; the number of its value.  inputs: by default the value made last.  Arrays are its tensors.

        Raises ManifestInvalid, LimitExceeded: what the registry does not allow.
        """
        taken = inputs or (len(self.steps),)
        arrays = {key: value for key, value in params.items() if isinstance(value, np.ndarray)}
        plain = {key: value for key, value in params.items() if not isinstance(value, np.ndarray)}
        numbers = {key: TENSOR_KEYS.index(key) for key in arrays}
        layer = Layer(kind, taken, plain | numbers)
        place = Place(0, kind)
        read_layer(place, len(self.steps), layer.to_map(), len(TENSOR_KEYS))
        specs = {key: TensorSpec(array.shape, _TYPES[array.dtype], b"") for key, array in arrays.items()}
        made = infer(place, self.profile, layer, tuple(self.values[i] for i in taken), specs)
        return self._append(Step(kind, taken, plain, arrays, self.values[taken[0]].shape, made, None, None), name)

    def add_unknown(self, shape: Sequence[int], name: str) -> int:
        """Stand in for a layer that has no form here, so that those behind it can be looked at."""
        return self._append(Step("unknown", (0,), {}, {}, (), Value(tuple(shape), "f32"), None, None), name)

    def copy_step(self, step: Step, inputs: Sequence[int], name: str, arrays: Mapping[str, Array] | None = None) -> int:
        """Add a step of another graph, with other inputs."""
        return self.add(step.kind, *inputs, name=name, **step.params, **(step.arrays if arrays is None else arrays))

    def replace(self, value: int, arrays: Mapping[str, Array], name: str) -> None:
        """Give the step that makes a value other tensors of the same shapes."""
        step = self.steps[value - 1]
        self.steps[value - 1] = Step(
            step.kind, step.inputs, step.params, arrays, step.input_shape, step.made, None, None
        )
        self.names[value] = name

    def _append(self, step: Step, name: str) -> int:
        self.steps.append(step)
        self.values.append(step.made)
        self.names.append(name or step.kind)
        return len(self.steps)

    @property
    def last(self) -> int:
        """The value made last: the output."""
        return len(self.steps)

    def shape(self, value: int) -> tuple[int, ...]:
        """Of one row."""
        return self.values[value].shape

    def n_takers(self) -> Counter[int]:
        """How often each value is taken; the output once more, by who runs the network."""
        return Counter([*(i for step in self.steps for i in step.inputs), self.last])

    def ancestors(self, value: int) -> set[int]:
        """The value and all that it depends on."""
        found, open_ = set(), [value]
        while open_:
            here = open_.pop()
            if here not in found:
                found.add(here)
                open_ += self.steps[here - 1].inputs if here else ()
        return found

    def build(
        self,
        role: str,
        ends: tuple[Endpoint, Endpoint],
        golden: Rows,
        golden_output: Rows | Callable[[ModelPackage], Rows],
        *,
        name: str | None,
        decoder: bytes | None = None,
        prior: Prior | PriorMaker | None = None,
    ) -> ModelPackage:
        """The package.  decoder: an encoder's decoder, by model id.  prior: a decoder's, or what gives it one.

        Raises ManifestInvalid, LimitExceeded.
        """
        builder = PackageBuilder(role=role, profile=self.profile, input=ends[0], output=ends[1], decoder=decoder)
        if isinstance(prior, Prior):
            builder.prior(prior)
        elif prior is not None:
            prior(builder)
        for step in self.steps:
            tensors = {key: builder.tensor(array) for key, array in step.arrays.items()}
            builder.layer(step.kind, step.inputs, **step.params, **tensors)
        return builder.build(golden_input=golden, golden_output=golden_output, name=name)


def cut(graph: Graph, at: int) -> tuple[Graph, Graph]:
    """The two halves of a graph: up to value `at`, and from it on.  What leads nowhere is left out.

    Raises UsageError where something else than that value goes from the first half to the second.
    """
    before, needed = graph.ancestors(at), graph.ancestors(graph.last)
    after = sorted(needed - before)
    crossing = sorted({(i, k) for k in after for i in graph.steps[k - 1].inputs if i in before and i != at})
    if crossing:
        pairs = ", ".join(f"from {graph.names[i]!r} to {graph.names[k]!r}" for i, k in crossing)
        raise UsageError(
            f"a skip connection goes around the bottleneck {graph.names[at]!r}: {pairs}; cut where all goes through one layer"
        )
    return _part(graph, graph.values[0], sorted(before - {0}), 0), _part(graph, graph.values[at], after, at)


def _part(graph: Graph, start: Value, numbers: Sequence[int], first: int) -> Graph:
    part, new = Graph(start), {first: 0}
    for number in numbers:
        step = graph.steps[number - 1]
        new[number] = part.copy_step(step, [new[i] for i in step.inputs], graph.names[number])
    return part
