"""Errors of the service that are no answer to a request."""

from __future__ import annotations


class StartError(Exception):
    """The service cannot start as it is set up: what was found, and what is needed."""
