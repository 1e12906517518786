"""What an audit cannot do, in words a user can act on."""

from __future__ import annotations

from provenance.errors import ProvenanceError


class AuditError(ProvenanceError):
    """A source, an output folder or an engine that an audit cannot use: what was found and what is needed."""


class UnreadError(AuditError):
    """A file or object that is away, or that may not be read."""


class DamagedError(AuditError):
    """A container that is not what its ending says, ends early, or whose own claims cannot be read.

    Args:
        where: the container, or what lies in it.
        found: what was found.
        needed: what is needed instead.
    """

    def __init__(self, where: str, found: object, needed: str) -> None:
        self.found = str(found)
        self.needed = needed
        super().__init__(f"{where}: {found}; needed: {needed}")
