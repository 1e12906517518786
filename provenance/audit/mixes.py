"""Which files of an audit are whole mixes: by the stem that is claimed, or by the file's name where none is.

A mix has the phase of what it sums and holds its performance, so beside its stems it is neither a separator's output
nor a take sold twice. A song may be called *Master* or *Mix*: what names a stem as well is that stem.
"""

from __future__ import annotations

_WHOLE = r"(^|[^a-z])((full)?mix(ture|down|ed)?|master)([^a-z]|$)"
_STEM = (
    r"(^|[^a-z])(vocals?|vox|voices?|drums?|bass|guitars?|piano|keys|keyboards?|synths?|strings|brass|percussion|kick"
    r"|snare)([^a-z]|$)"
)


def is_mix(table: str = "") -> str:
    """Return the condition in SQL that a row is of a whole mix.

    Args:
        table: name of a table with ``stem`` and ``path``, or '' where only one has them.
    """
    at = f"{table}." if table else ""
    called = f"lower(coalesce(nullif(trim({at}stem), ''), parse_filename({at}path, true)))"
    return f"(regexp_matches({called}, '{_WHOLE}') and not regexp_matches({called}, '{_STEM}'))"
