"""Pairs of files: the same performance or not, aligned by how much, and which is the dry one.

>>> from provenance import pairs
>>> pairs.compare("dry.wav", "wet.wav").dry  # doctest: +SKIP
'first'
"""

from provenance.pairs.align import Alignment, align
from provenance.pairs.compare import Pair, Side, compare

__all__ = ["Alignment", "Pair", "Side", "align", "compare"]
