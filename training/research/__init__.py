"""The research kit: what separation leaves in audio, measured over a corpus."""
