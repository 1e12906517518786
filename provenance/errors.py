"""Errors that name the file, what was found and what is needed."""

from __future__ import annotations


class ProvenanceError(Exception):
    """The base of every error this package raises on purpose."""


class UnreadableAudio(ProvenanceError):  # noqa: N818 - the name says what is wrong
    """Audio that cannot be read: which, what was found in it, and what is needed.

    Args:
        path: the source as the caller named it.
        code: a short machine-readable code such as ``empty_file`` or ``not_finite``.
        found: what was found.
        needed: what is needed instead.
    """

    def __init__(self, path: str, code: str, found: str, needed: str) -> None:
        self.path = path
        self.code = code
        self.found = found
        self.needed = needed
        super().__init__(f"{path}: {found}; needed: {needed}")

    def __reduce__(self) -> tuple[type[UnreadableAudio], tuple[str, str, str, str]]:
        """Let it cross from one process to another whole."""
        return type(self), (self.path, self.code, self.found, self.needed)


class ModelError(ProvenanceError):
    """A model folder that is incomplete, altered, or made for another front end."""
