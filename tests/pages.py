"""Tables of the pages for buyers and operators, made from the code: ``python -m tests.pages`` writes them.

A page holds them between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from provenance import flat
from provenance.audit import cli, export, items
from provenance.audit.findings import KINDS
from service import connections, job_routes, manifests, problems, uploads
from service.settings import Settings
from service.verdicts import STATUS_OF

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("docs/audit.md", "docs/http.md")
_PLURALS = {"suitable_for": "USE", "effects": "EFFECT", "effect_strengths": "EFFECT", "evidence": "CUE"}
"""What stands for the names within a nested column."""
_REFUSING = (
    "provenance/audio.py",
    "provenance/containers.py",
    "provenance/scorer.py",
    "service/worker.py",
    "service/pool.py",
)
"""Files whose refusals of a file become an answer of the service."""
_ELSEWHERE = {"bad_samples", "directory", "not_binary", "not_found", "not_seekable"}
"""Codes of sources that the service never hands to the decoder, which gets an open file from it."""

_OWN_WORDS = problems._WHAT_TO_DO_ABOUT.keys()
"""Codes that say what to do in words of their own."""


def columns() -> str:
    """Return which columns of a manifest hold what, and the names they are found by."""
    rows = [(f"`{field}`", ", ".join(f"`{name}`" for name in names)) for field, names in items._COLUMNS.items()]
    return _table(("field", "found in the first of these columns"), rows)


def words() -> str:
    """Return which values of a claim mean what."""
    rows = [
        (f"`{field}`", f"`{meaning}`", ", ".join(f"`{word}`" for word, what in known.items() if what == meaning))
        for field, known in items._WORDS.items()
        for meaning in dict.fromkeys(known.values())
    ]
    return _table(("field", "is taken for", "where a row says"), rows)


def rows() -> str:
    """Return the columns of a flat table and what they hold."""
    return _table(("column", "what it holds"), _described(flat.WORDS))


def exported() -> str:
    """Return the columns that an export of all files has besides."""
    return _table(("column", "what it holds"), _described(export.WORDS))


def findings() -> str:
    """Return the kinds of finding with the share of a file's seconds that each costs."""
    return _table(
        ("kind", "what it says", "costs of the file's seconds"),
        [(f"`{kind}`", said, f"{share:g}") for kind, (share, said) in KINDS.items()],
    )


def exits() -> str:
    """Return the exit codes of an audit."""
    return _table(
        ("code", "when"),
        [
            ("0", "all was scored, and no condition of `--fail-on` holds"),
            (str(cli.EXIT_FINDING), "a condition of `--fail-on` holds; each that does is named on stderr"),
            (str(cli.EXIT_ERROR), "the source, an option or a manifest cannot be used, or, without "
             "`--allow-unreadable`, a file could not be read or ended its process (this goes before a finding)"),
            (str(cli.EXIT_STOPPED), "stopped; the same command goes on"),
        ],
    )  # fmt: skip


def settings() -> str:
    """Return the settings of the service with their defaults."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        value = "" if default is None or default == () or name == "workers" else f"`{default}`"
        rows.append((f"`STEM_{name.upper()}`", value, field.description or ""))
    return _table(("variable", "default", "what it is"), rows)


def limits() -> str:
    """Return the limits that are no settings."""
    return _table(
        ("what", "at most"),
        [
            ("address and headers of a request", f"{connections.HEAD_BYTES} bytes"),
            ("JSON of a job", f"{job_routes._JSON_BYTES} bytes"),
            ("a manifest on the server", f"{manifests.MAX_BYTES} bytes"),
            ("text fields of a form", str(uploads.MOST_FIELDS)),
            ("jobs that one caller follows at a time", str(job_routes.MOST_FOLLOWED)),
        ],
    )


def codes() -> str:
    """Return the problems by status: their codes, and what to do."""
    found: dict[int, set[str]] = {404: {"not_found"}, 405: {"method_not_allowed"}}
    for path in (ROOT / "service").glob("*.py"):
        for call in _calls(path, "Problem"):
            if isinstance(call.args[0], ast.Constant):
                found.setdefault(int(call.args[0].value), set()).update(_texts(call.args[1]))
    for name in _REFUSING:
        for kind, place in (("UnreadableAudio", 1), ("Refused", 0)):
            for call in _calls(ROOT / name, kind):
                for code in _texts(call.args[place]) - _ELSEWHERE:
                    found.setdefault(STATUS_OF.get(code, 422), set()).add(code)
    rows = []
    for status, of_status in sorted(found.items()):
        own = [f"`{code}`: {problems._WHAT_TO_DO_ABOUT[code]}" for code in sorted(of_status & _OWN_WORDS)]
        general = [problems._WHAT_TO_DO[status]] if of_status - _OWN_WORDS else []
        rows.append((str(status), ", ".join(f"`{code}`" for code in sorted(of_status)), " ".join(general + own)))
    return _table(("status", "`code`", "`todo`"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "columns": columns,
    "words": words,
    "rows": rows,
    "exported": exported,
    "findings": findings,
    "exits": exits,
    "settings": settings,
    "limits": limits,
    "codes": codes,
}


def place(text: str) -> str:
    """Return a page with its tables as the code gives them.

    Args:
        text: of the page.
    """
    for name, make in TABLES.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        whole = f"{begin}\n{make()}\n{end}"
        text = re.sub(re.escape(begin) + r".*?" + re.escape(end), lambda _, whole=whole: whole, text, flags=re.S)
    return text


def main() -> None:
    """Write all pages."""
    for page in PAGES:
        file = ROOT / page
        file.write_text(place(file.read_text(encoding="utf-8")), encoding="utf-8")


def _described(words: dict[str, str]) -> Iterator[tuple[str, ...]]:
    for name, said in words.items():
        yield f"`{name}.{_PLURALS[name]}`" if name in flat.NESTED else f"`{name}`", said


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    cells = [head, ("---",) * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _calls(path: Path, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name and node.args:
            yield node


def _texts(node: ast.expr) -> set[str]:
    """Return the texts that an expression may be: a constant, or one of the sides of a condition."""
    sides = (node.body, node.orelse) if isinstance(node, ast.IfExp) else (node,)
    return {str(side.value) for side in sides if isinstance(side, ast.Constant) and isinstance(side.value, str)}


if __name__ == "__main__":
    main()
