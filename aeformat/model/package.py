"""One half of an autoencoder, checked and ready to compute with (spec/model.md).

Owns ModelPackage: the manifest, its tensors as read-only arrays, and the plan that backends execute.  Does not read files
(file_io.py) or run networks (backends).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeformat.container.fields import Place
from aeformat.container.passes import check_tables
from aeformat.container.prior import BadPrior, Prior
from aeformat.errors import ManifestInvalid, UsageError
from aeformat.model.bounds import Span, check_output, span_of
from aeformat.model.manifest import Endpoint, Manifest, model_id, tensors_of
from aeformat.model.passes import PassPlan, plan_passes
from aeformat.model.step import Step as Step
from aeformat.model.values import DTYPES, FLOAT_TYPES, Interval, TensorSpec

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class ModelPackage:
    """A model package that follows every rule of spec/model.md; M6-2 is checked apart (golden.py).

    tensors: read-only, in this machine's byte order.  name: for people; it is not part of the model id.  prior: of a decoder
    that has one, unless it has passes.  passes: of a prior that has them.
    """

    manifest: Manifest
    manifest_bytes: bytes
    model_id: bytes
    tensors: tuple[Array, ...]
    plan: tuple[Step, ...]
    prior: Prior | None
    passes: PassPlan | None
    name: str | None = None

    @classmethod
    def assemble(
        cls, manifest: Manifest, manifest_bytes: bytes, tensors: tuple[Array, ...], *, at: int, name: str | None
    ) -> ModelPackage:
        """Check a manifest against its tensors, which `read_tensor` has checked one by one.

        at: where the manifest begins in the file.  Raises ManifestInvalid.
        """
        place = Place(at)
        plan = _make_plan(place, manifest, tensors)
        _check_golden_numbers(place.inside("golden"), manifest, tensors)
        prior = _prior_of(place.inside("prior"), manifest, tensors)
        passes = _passes_of(place.inside("prior"), manifest, tensors)
        return cls(manifest, manifest_bytes, model_id(manifest_bytes), tensors, plan, prior, passes, name)

    @property
    def role(self) -> str:
        """ "encoder" or "decoder"."""
        return self.manifest.role

    @property
    def profile(self) -> str:
        """ "exact" or "float32"."""
        return self.manifest.profile

    @property
    def input(self) -> Endpoint:
        """Shape and type of the input."""
        return self.manifest.input

    @property
    def output(self) -> Endpoint:
        """Shape and type of the output."""
        return self.manifest.output

    @property
    def golden_input(self) -> Array:
        """The input rows of the golden set; with free sizes, those of the first size."""
        return self.golden[0][0]

    @property
    def golden_output(self) -> Array:
        """The output rows of the golden set, as computed when the package was made; with free sizes, of the first size."""
        return self.golden[0][1]

    @property
    def golden(self) -> list[tuple[Array, Array]]:
        """Input and output rows of the golden set: one pair, with free sizes one for each size."""
        return [(self.tensors[one.input], self.tensors[one.output]) for one in self.manifest.golden]

    @property
    def has_prior(self) -> bool:
        """Whether codec rans can code its latents."""
        return self.prior is not None or self.passes is not None

    @property
    def has_free_sizes(self) -> bool:
        """Whether rows may have any height and width."""
        return self.manifest.scale is not None

    @property
    def n_params(self) -> int:
        """Weights and biases; those that several layers share count once."""
        used = {
            n for layer in self.manifest.layers for key, n in tensors_of(layer).items() if key in ("weights", "bias")
        }
        return sum(self.tensors[number].size for number in used)

    @property
    def n_multiply_adds(self) -> int:
        """Multiplications for one row."""
        return self.manifest.n_multiply_adds

    @property
    def n_made(self) -> int:
        """Numbers that all layers together compute for one row."""
        return self.manifest.n_made


def check_fixed_sizes(package: ModelPackage, what: str) -> None:
    """Raises UsageError for a network of any height and width.  what: why that does not go."""
    if package.has_free_sizes:
        name = package.name or package.model_id.hex()[:12]
        raise UsageError(f"{package.role} {name} is for images of any height and width: {what}")


def check_length(spec: TensorSpec, number: int, n_bytes: int, at: int) -> None:
    """M1-4, checked before a tensor is decompressed.  Raises ManifestInvalid."""
    if n_bytes != spec.n_bytes:
        what = f"tensor {number}: {n_bytes} bytes, its shape and type take {spec.n_bytes}"
        raise ManifestInvalid("M1-4", at, what)


def read_tensor(spec: TensorSpec, number: int, data: bytes | memoryview, at: int) -> Array:
    """Tensor `number` from its raw payload, which begins at byte `at`: M1-4 to M1-6.  Raises ManifestInvalid."""
    check_length(spec, number, len(data), at)
    if hashlib.sha256(data).digest() != spec.sha256:
        raise ManifestInvalid("M1-5", at, f"tensor {number}: not the one that the manifest names")
    stored = np.frombuffer(data, DTYPES[spec.type]).reshape(spec.shape)
    tensor = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    if spec.type in FLOAT_TYPES and not np.isfinite(tensor).all():
        raise ManifestInvalid("M1-6", at, f"tensor {number}: holds NaN or infinity")
    tensor.flags.writeable = False
    return tensor


def _make_plan(place: Place, manifest: Manifest, tensors: tuple[Array, ...]) -> tuple[Step, ...]:
    """The steps, with the bounds of section 4, layer by layer."""
    spans = [Span(manifest.input.interval)]
    plan = []
    for number, layer in enumerate(manifest.layers):
        where = place.inside(f"layer {number} ({layer.kind})")
        made = manifest.values[number + 1]
        numbers = tensors_of(layer)
        arrays = {key: tensors[number] for key, number in numbers.items()}
        params = {key: value for key, value in layer.params.items() if key not in numbers}
        inputs = [spans[i] for i in layer.inputs]
        span = span_of(where, layer.kind, inputs, made, params, arrays, minor=manifest.minor)
        spans.append(span)
        input_shape = manifest.values[layer.inputs[0]].shape
        plan.append(Step(layer.kind, layer.inputs, params, arrays, input_shape, made, span.interval, span.bounds))
    check_output(place.inside("output"), spans[-1], manifest.output.interval, manifest.profile)
    return tuple(plan)


def _prior_of(place: Place, manifest: Manifest, tensors: tuple[Array, ...]) -> Prior | None:
    """M10-3 to M10-5."""
    interval = manifest.input.interval
    if manifest.prior is None or manifest.passes is not None or interval is None:
        return None
    arrays = {key: tensors[number] for key, number in manifest.prior.tensors.items()}
    try:
        return Prior(bits=manifest.prior.bits, lo=interval.lo, hi=interval.hi, **arrays)
    except BadPrior as error:
        raise place.invalid(error.rule, error.what) from None


def _passes_of(place: Place, manifest: Manifest, tensors: tuple[Array, ...]) -> PassPlan | None:
    """M10-4, then section 4 of the layers of passes, and M10-11."""
    interval = manifest.input.interval
    if manifest.prior is None or manifest.passes is None or interval is None:
        return None
    tables = tensors[manifest.prior.tensors["tables"]]
    try:
        check_tables(tables, manifest.prior.bits)
    except BadPrior as error:
        raise place.invalid(error.rule, error.what) from None
    return plan_passes(place.inside("passes"), manifest.passes, tensors, interval, len(tables))


def _check_golden_numbers(place: Place, manifest: Manifest, tensors: tuple[Array, ...]) -> None:
    """M6-1: the golden set lies in the ranges of the endpoints."""
    for name, end in (("input", manifest.input), ("output", manifest.output)):
        for number in (getattr(golden, name) for golden in manifest.golden):
            found = None if end.interval is None else Interval(int(tensors[number].min()), int(tensors[number].max()))
            if end.interval is not None and found is not None and not end.interval.holds(found):
                raise place.inside(name).invalid("M6-1", f"holds {found}, the range is {end.interval}")
