"""What a check of a store, or its clean-up, found and did; the same for a folder and a bucket."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Final

# Kind of a finding -> what it means.  Those of DAMAGE are promises that the store does not keep, or did not.
DAMAGE: Final = {
    "damaged-blob": "its bytes do not have the SHA-256 in its name, or cannot be read",
    "missing-blob": "a record promises a blob that is not there, or has another length",
    "wrong-model": "a record names a package of another model",
    "broken-record": "a record is not what a server wrote",
    "broken-upload": "a small file of an upload is not what a server wrote",
}
LEFT_OVER: Final = {
    "orphan-blob": "no record names it: a crash left it, or the upload is about to name it",
    "stray-file": "no server put it here",
    "temporary-file": "a crash left it",
    "old-upload": "an upload that nobody has gone on with",
    "set-aside": "a server or a check has put it aside",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.  kind: key of DAMAGE or LEFT_OVER.  where: its name in the store.

    what: the details.  done: what was done about it, "" for nothing.
    """

    kind: str
    where: str
    what: str
    done: str = ""

    @property
    def is_damage(self) -> bool:
        """Whether a promise was not kept."""
        return self.kind in DAMAGE


@dataclass(slots=True)
class Report:
    """All findings, and what was looked at.  notes: what was not looked at, and why."""

    n_blobs: int = 0
    n_bytes: int = 0
    n_records: int = 0
    n_uploads: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, kind: str, where: str, what: str, done: str = "") -> None:
        """Add a finding."""
        self.findings.append(Finding(kind, where, what, done))

    @property
    def is_good(self) -> bool:
        """Whether every promise is kept; things left over do not count."""
        return not any(finding.is_damage for finding in self.findings)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "format": "aeformat-store-report-1",
            "good": self.is_good,
            "blobs": self.n_blobs,
            "bytes": self.n_bytes,
            "records": self.n_records,
            "uploads": self.n_uploads,
            "findings": [asdict(finding) for finding in self.findings],
            "notes": self.notes,
        }
