"""Errors of the service that are no answer to a request, and those that are nobody's fault but the machine's."""

from __future__ import annotations

import errno

_EXHAUSTED = frozenset({
    errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS
})  # fmt: skip


class StartError(Exception):
    """The service cannot start as it is set up: what was found, and what is needed."""


class DeletedError(Exception):
    """A job was deleted while it was read."""


def lacking(error: BaseException | None) -> str:
    """Return what the machine lacked (descriptors, memory, disk) where that made an error, or ''.

    Args:
        error: any; what it was raised from counts too.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _EXHAUSTED:
            return str(error.strerror)
        error = error.__cause__
    return ""
