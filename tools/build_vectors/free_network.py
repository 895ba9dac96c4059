"""Networks that take any height and width, in plain Python (spec/model.md, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from tools.build_vectors.framing import Draft
from tools.build_vectors.network import Network, Tensor
from tools.build_vectors.numbers import Number

NEW_MANIFEST = 4  # the flag bit
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Group:
    """Golden rows of one size, which go in.  image: what a decoder makes of each."""

    size: Size
    rows: Sequence[Sequence[Number]]
    image: Size | None = None


@dataclass(frozen=True, slots=True)
class FreeNetwork(Network):
    """scale: image pixels for each of the latent.  groups: in the place of `golden`.  shapes: of golden tensors, to lie with."""

    scale: Size = (1, 1)
    groups: Sequence[Group] = ()
    shapes: Sequence[tuple[Sequence[int], Sequence[int]]] | None = None

    @property
    def all_tensors(self) -> list[Tensor]:
        """Those of the layers, then golden input and output of each size."""
        if self.ends is not None:
            return [*self.tensors, *self.ends]
        ends = []
        for number, group in enumerate(self.groups):
            made = [self.run_at(group, row) for row in group.rows]
            size = made[0][0]
            shapes = [len(group.rows), *group.size, self.input["shape"][2]], [len(made), *size, self.output["shape"][2]]
            if self.shapes is not None:
                shapes = list(self.shapes[number][0]), list(self.shapes[number][1])
            numbers = [x for row in group.rows for x in row], [x for _, row in made for x in row]
            for shape, end, of in zip(shapes, (self.input, self.output), numbers, strict=True):
                ends.append(Tensor(shape, str(end["type"]), (list(of) + [0] * prod(shape))[: prod(shape)]))
        return [*self.tensors, *ends]

    @property
    def manifest_map(self) -> dict[str, Any]:
        """The manifest as a map; its golden set is a list."""
        fields = Network.manifest_map.fget(self)  # type: ignore[attr-defined]
        first = len(self.tensors)
        golden = [{"input": first + 2 * k, "output": first + 2 * k + 1} for k in range(len(self.groups))]
        return {**fields, "golden": self.manifest.get("golden", golden)}

    def file(self, **options: Any) -> Draft:
        """The container, which says that its manifest is new."""
        return announced(Network.file(self, **options))

    @property
    def work(self) -> int:
        """What a latent of 1 x 1 takes (M7-1)."""
        size = self.scale if self.role == "encoder" else (1, 1)
        unit = self.at(size)
        return int(Network.work.fget(unit.with_(golden=[[0] * prod(unit.input["shape"])])))  # type: ignore[attr-defined]

    def at(self, size: Size) -> Network:
        """The network for inputs of one size, which a decoder's output is not cut from."""
        sized = {**self.input, "shape": [*size, self.input["shape"][2]]}
        return Network(sized, self.output, self.layers, self.tensors, (), role=self.role, profile=self.profile)

    def run_at(self, group: Group, row: Sequence[Number]) -> tuple[Size, list[Number]]:
        """Height and width, and the numbers, of what the network makes of one row."""
        (height, width), channels = group.size, self.input["shape"][2]
        if self.role == "encoder":
            tall, wide = (-(-n // of) * of for n, of in zip(group.size, self.scale, strict=True))
            pixels = [row[i : i + channels] for i in range(0, len(row), channels)]
            around = [pixels[min(y, height - 1) * width + min(x, width - 1)] for y in range(tall) for x in range(wide)]
            made = self.at((tall, wide)).run([x for pixel in around for x in pixel])
            return (tall // self.scale[0], wide // self.scale[1]), made
        made = self.at(group.size).run(row)
        n_rows, n_columns = height * self.scale[0], width * self.scale[1]
        image = group.image or (n_rows, n_columns)
        depth = self.output["shape"][2]
        kept = [made[(y * n_columns) * depth : (y * n_columns + image[1]) * depth] for y in range(image[0])]
        return image, [x for line in kept for x in line]


def announced(draft: Draft) -> Draft:
    """The same file with flag bit 2."""
    return replace(draft, minor=1, flags=NEW_MANIFEST)
