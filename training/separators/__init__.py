"""Separators that make negatives: the real demucs package, and corrupted ideal masks."""
