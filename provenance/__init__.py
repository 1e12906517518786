"""Tell what an audio stem is."""
