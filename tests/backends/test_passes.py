"""aeformat.backends.numpy_passes: the package, the builder of vectors and the second decoder come to one code."""

from __future__ import annotations

import io

import numpy as np
import pytest

import aeformat
from aeformat.backends.numpy_passes import prior_of
from aeformat.cli.common import prior_text
from aeformat.container import rans_passes
from aeformat.container.decoder_prior import read_decoder_prior
from aeformat.container.header import LatentsHeader
from aeformat.container.ragged import RaggedRows
from aeformat.container.sizes import RowForm, RowSizes
from aeformat.container.stream import LatentStream
from aeformat.container.writer import LatentsWriter
from aeformat.errors import HeaderInvalid
from aeformat.model.file_io import package_bytes, read_package
from aeformat.model.match import prior_of as prior_without_network
from aeformat.model.memory import n_channels
from aeformat.model.passes import FULL, n_decoded
from aeformat.pipeline.convert import convert
from tools.build_vectors.passes import BYTES, PASSES, ROWS, Coder
from tools.second.decoder import read_container

SIZES = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 5), (8, 3), (3, 3), (3, 3)]


def _package(network):
    return read_package(network.file().build().data)


def _rows(network, seed):
    lo, hi = network.input.get("range", [0, 255])
    n = network.input["shape"][2]
    draw = np.random.default_rng(seed)
    kind = np.dtype(network.input["type"].replace("u8", "uint8").replace("i8", "int8"))
    return [draw.integers(lo, hi, (h, w, n), endpoint=True).astype(kind) for h, w in SIZES]


@pytest.mark.parametrize("network", [PASSES, BYTES], ids=["passes", "bytes"])
@pytest.mark.parametrize("n_lanes", [1, 4, 16])
def test_the_code_is_the_one_that_plain_python_makes(network, n_lanes):
    """Byte for byte, for any latents; and it comes back."""
    package, rows = _package(network), _rows(network, 7)
    prior = prior_of(package).prior
    form = RowForm(package.input.shape, (0, 0, 1))
    sizes = RowSizes.of(form, [(h, w, h, w) for h, w in SIZES])
    flat = np.concatenate([row.reshape(-1) for row in rows])

    code = rans_passes.encode_passes(flat, sizes, prior, n_lanes=n_lanes)

    plain = [(*row.shape[:2], [int(x) for x in row.reshape(-1)]) for row in rows]
    assert code == Coder(network).code(plain, n_lanes.bit_length() - 1)
    assert bytes(rans_passes.decode_passes(code, prior, sizes)) == flat.tobytes()


def _file(codec="rans", filter="none"):
    package = _package(PASSES)
    header = LatentsHeader(
        package.model_id, package.input.shape, package.output.shape, "i8", codec=codec, filter=filter
    )
    rows = _rows(PASSES, 1)
    sink = io.BytesIO()
    prior = prior_of(package) if codec == "rans" else None
    with LatentsWriter(sink, header, prior=prior, decoder=package_bytes(package)) as writer:
        writer.write(RaggedRows.of(header.form, rows, SIZES))
    return sink.getvalue(), rows


def test_the_second_decoder_reads_what_the_package_writes():
    """Rows that are all over the range: a code full of escapes is written if it is smaller, else the rows as they are."""
    data, rows = _file()
    assert [list(row) for row in read_container(data)["rows"]] == [row.reshape(-1).tolist() for row in rows]


def test_converting_there_and_back_changes_no_latent(tmp_path):
    """zstd -> rans -> zstd."""
    there, back = io.BytesIO(), io.BytesIO()
    data, rows = _file("zstd")
    convert(LatentStream(io.BytesIO(data)), there, encoding=None, codec="rans")
    convert(LatentStream(io.BytesIO(there.getvalue())), back, encoding=None, codec="zstd")
    assert back.getvalue() == data

    path = tmp_path / "a.aef"
    path.write_bytes(there.getvalue())
    assert aeformat.validate(path).problems == [] and not aeformat.validate(path).is_content_open
    with aeformat.open(path) as latents:
        latents.give_prior(prior_of(_package(PASSES)))
        assert all(np.array_equal(got, row) for got, row in zip(latents.rows(0, len(rows)), rows, strict=True))


def test_a_reader_without_networks_knows_that_there_are_passes():
    """And no more of them: they are for whoever runs networks."""
    package = _package(PASSES)
    for found in (read_decoder_prior(package_bytes(package)), prior_without_network(package)):
        assert found.has_passes and found.prior is None
    assert prior_of(package).prior is not None and package.has_prior
    assert prior_text(package.manifest) == f"8 passes of {len(package.passes.steps)} layers, 3 tables of 8 bits"


def test_passes_do_not_go_with_another_decoder():
    """C3-14 all the same."""
    package = _package(PASSES)
    header = LatentsHeader(package.model_id, (0, 0, 4), (0, 0, 1), "i8", codec="rans")
    with pytest.raises(HeaderInvalid) as caught:
        prior_of(package).of(header)
    assert caught.value.rule == "C3-14"


def test_what_a_row_costs_is_counted_on_its_grids():
    """By the plain loops of the second decoder's count: multiply-adds and 8 for each element."""
    package = _package(PASSES)
    graph = package.passes.graph
    assert graph.grids[:10] == (FULL,) * 10
    for h, w in SIZES:
        sums = n_elements = 0
        places = {
            FULL: h * w,
            0: -(-h // 2) * -(-w // 2),
            1: h // 2 * (w // 2),
            2: -(-h // 2) * (w // 2),
            3: h // 2 * -(-w // 2),
        }
        for number, (layer, step) in enumerate(zip(graph.spec.layers, package.passes.steps, strict=True)):
            n = places[graph.grids[10 + number]] * step.made.shape[2]
            n_elements += n
            each = {"conv2d": lambda s: s.arrays["weights"].size // s.made.shape[2], "affine": lambda s: 1,
                    "add": lambda s: len(s.inputs)}.get(layer.kind, lambda s: 0)  # fmt: skip
            sums += n * (8 + each(step))
        assert package.passes.graph.cost(h, w) == (len(graph.spec.layers), sums, n_elements)


def test_known_values_are_there_after_their_passes():
    """Value 5 g + k after pass 4 g + k - 1; nothing is known from the start."""
    spec = _package(PASSES).passes.graph.spec
    assert [n_decoded(value, spec, ()) for value in range(10)] == [0, 1, 2, 3, 4, 0, 5, 6, 7, 8]


def test_many_rows_at_once_in_threads():
    """The network of a prior has no state between rows: two on their way do not disturb each other."""
    network = prior_of(_package(PASSES)).prior.network
    first, second = network.row(3, 3), network.row(3, 3)
    a = first.expect()
    first.put(np.full((2, 2, 1), 3))
    b = second.expect()
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert len(ROWS) == 7


def test_the_channels_of_passes_are_part_of_the_work_of_a_package():
    """C13-1, before their bounds are proved: joining values makes channels out of nothing."""
    manifest = _package(PASSES).manifest
    own = len(manifest.layers)  # of one channel each
    layers = manifest.passes.spec.layers
    of_passes = zip(layers, manifest.passes.values[-len(layers) :], strict=True)
    assert n_channels(manifest) == own + sum(
        value.shape[2] for layer, value in of_passes if layer.kind in ("conv2d", "affine", "add", "lookup")
    )
