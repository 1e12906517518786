"""The catalogue: one table of labelled clips out of data sets, folders of songs and manifests."""

from training.catalogue.clips import FEWEST_LETTERS, REQUIRED, CatalogueError, Clip, load, rooms, song_key

__all__ = ["FEWEST_LETTERS", "REQUIRED", "CatalogueError", "Clip", "load", "rooms", "song_key"]
