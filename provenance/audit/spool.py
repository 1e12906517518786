"""What a source holds at a call, kept in a file, and of each item thirty-two bytes to choose by."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from provenance.audit.errors import AuditError
from provenance.audit.items import Item


@dataclass(frozen=True)
class Listed:
    """The items of a source, in its order.

    Args:
        file: a line of JSON for each.
        keys: shape (n,), of each file as it is now.
        said: shape (n,), what stands for its claims.
        orders: shape (n,), its place in the random order.
        places: shape (n,), where its line begins.
    """

    file: Path
    keys: npt.NDArray[np.uint64]
    said: npt.NDArray[np.uint64]
    orders: npt.NDArray[np.uint64]
    places: npt.NDArray[np.int64]


def key(item: Item, dated: bool) -> bytes:
    """Return what stands for a file as it is, in plans that know when it was changed and in those of before.

    Args:
        item: the file.
        dated: whether the plan does.
    """
    return item.key if dated else item.old_key


def spool(file: Path, items: Iterable[Item], seed: int, dated: bool) -> Listed:
    """Write the items of a source to a file.

    Args:
        file: written anew.
        items: of the source.
        seed: of the random order.
        dated: as for :func:`key`.
    """
    keys, said, orders, places = bytearray(), bytearray(), bytearray(), bytearray()
    with file.open("wb") as out:
        for item in items:
            keys += key(item, dated)
            said += item.said
            orders += item.order(seed).to_bytes(8, "little")
            places += out.tell().to_bytes(8, "little")
            out.write(json.dumps(item.to_json()).encode() + b"\n")
    return Listed(
        file,
        np.frombuffer(keys, np.uint64),
        np.frombuffer(said, np.uint64),
        np.frombuffer(orders, np.uint64),
        np.frombuffer(places, np.int64),
    )


def choose(listed: Listed, shuffled: bool, sample: int | None, limit: int | None) -> npt.NDArray[np.int64]:
    """Return which items are scored, in which order; a file that is named again is none of them.

    Args:
        listed: the source.
        shuffled: whether in the random order.
        sample: so many of it, or None.
        limit: the first so many, or None.
    """
    first = np.sort(np.unique(listed.keys, return_index=True)[1])
    if sample is not None or shuffled:
        first = first[np.argsort(listed.orders[first], kind="stable")]
    return first[:sample][:limit]


def agree(listed: Listed) -> int:
    """Return how many items name a file that is named before.

    Args:
        listed: the source.

    Raises:
        AuditError: two things are claimed of a file. What else its rows say is no claim.
    """
    first: dict[int, Item] = {}
    values, counts = np.unique(listed.keys, return_counts=True)
    with listed.file.open("rb") as source:
        for i in np.flatnonzero(np.isin(listed.keys, values[counts > 1])):
            source.seek(int(listed.places[i]))
            item = Item.from_json(json.loads(source.readline()))
            before = first.setdefault(int(listed.keys[i]), item)
            for name, was in asdict(before.claims).items():
                says = getattr(item.claims, name)
                if says != was and name != "extra":
                    raise AuditError(
                        f"{item.path}: found it twice with claims that differ ({name}: {was or 'none'}, "
                        f"{says or 'none'}); needed: one row a file"
                    )
    return int((counts - 1).sum())
