"""What a failed import says: that an extra is not installed, or else what failed."""

from __future__ import annotations

MODULES: dict[str, tuple[str, ...]] = {
    "service": (
        "anyio", "av", "dbos", "fastapi", "httptools", "httpx", "limits", "platformdirs", "prometheus_client",
        "psycopg", "pyarrow", "pydantic", "pydantic_settings", "python_multipart", "pythonjsonlogger", "sqlalchemy",
        "starlette", "uvicorn", "uvloop",
    ),
    "audit": ("duckdb", "jinja2", "pyarrow"),
    "ray": ("ray",),
}  # fmt: skip
"""The packages, as they are imported, that an extra brings: its own, and those of FastAPI that the service imports."""


def describe(error: ImportError, what: str, *extras: str) -> str:
    """Return a line for a user whose command could not be imported.

    Args:
        error: of the import.
        what: could not be imported, such as ``the service``.
        extras: that it may need.

    >>> describe(ModuleNotFoundError("No module named 'ray'", name="ray"), "the audit", "audit", "ray")
    "the audit needs the extra 'ray' (ray is missing): pip install 'stem-provenance[ray]'"
    >>> describe(ImportError("libssl.so.3: cannot open shared object file", name="ray"), "the audit", "audit", "ray")
    'the audit cannot be loaded: libssl.so.3: cannot open shared object file'
    """
    if isinstance(error, ModuleNotFoundError):
        for extra in extras:
            if error.name in MODULES[extra]:
                return f"{what} needs the extra '{extra}' ({error.name} is missing): " \
                       f"pip install 'stem-provenance[{extra}]'"  # fmt: skip
    return f"{what} cannot be loaded: {error}"
