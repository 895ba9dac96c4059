"""The limits of a transfer: sizes, counts and times that a server accepts and publishes (spec/transport.md, section 7)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from aeformat.container import limits as container
from aeformat.transport import draft

_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class TransferLimits:
    """The limits of one server.  Sizes are in bytes, times in seconds.  spec/transport.md lists the same defaults."""

    max_size: int = 16 << 30  # of one container
    chunk_bytes: int = 16 * _MIB  # of one chunk, raw
    model_bytes: int = 256 * _MIB  # of one model package, raw
    max_append_size: int = 1 << 30  # of one request
    sync_bytes: int = 32 * _MIB  # verified but not yet acknowledged
    uploads: int = 8  # open at a time, per tenant
    uploads_told: int = 1000  # finished or failed uploads whose result is kept, per tenant
    max_age: int = 86_400  # of an upload since its last request; its result is kept as long
    empty_age: int = 600  # of an upload that holds nothing, or that was refused when it was created (T4-21)
    tries_at_offset: int = 3  # times that one chunk may arrive damaged
    connections: int = 500  # at a time; fewer where the system allows fewer open files (T7-4)
    header_seconds: float = 10.0
    idle_seconds: float = 30.0
    rate_bytes: int = 1024  # a second, over rate_seconds
    rate_seconds: float = 60.0
    models_asked: int = 1000  # model ids in one models:missing
    rows_drawn: int = 256  # in one PNG or npy
    rans_steps: int = 1 << 16  # C6-8, of an upload, beside those that its bytes allow: a second of NumPy's time
    work_of_row: int = 1 << 33  # M7-1, multiply-adds and numbers made, for rows that this server decodes
    work_of_picture: int = 1 << 38  # the same for all rows of one PNG or npy
    decoding_at_a_time: int = 2  # requests that decode rows
    decoding_of_tenant: int = 1  # of these, of one tenant (T7-7)
    verify_bytes: int = 768 * _MIB  # that all verification may hold in memory at a time (T7-5)
    reserve_bytes: int = 64 * _MIB  # of the disk that uploads leave free (T7-6)

    @property
    def min_append_size(self) -> int:
        """The smallest request that is sure to complete a chunk, if it begins at an acknowledged offset (T4-8)."""
        return self.chunk_bytes + container.HEADER_BYTES + 4096

    @property
    def upload_limit(self) -> str:
        """The value of the header field Upload-Limit."""
        return self.upload_limit_of(self.max_age)

    def upload_limit_of(self, age: int) -> str:
        """The same for an upload that lives for `age` seconds after its last request."""
        return draft.limit_text(
            {
                "max-size": self.max_size,
                "max-append-size": self.max_append_size,
                "min-append-size": self.min_append_size,
                "max-age": age,
            }
        )

    def advertised(self) -> dict[str, float]:
        """All limits by name, as GET /v1/ publishes them."""
        return {**asdict(self), "min_append_size": self.min_append_size}


DEFAULT: Final = TransferLimits()
