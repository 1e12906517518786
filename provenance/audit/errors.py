"""What an audit cannot do, in words a user can act on."""

from __future__ import annotations

from provenance.errors import ProvenanceError


class AuditError(ProvenanceError):
    """A source, an output folder or an engine that an audit cannot use: what was found and what is needed."""
