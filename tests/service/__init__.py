"""Tests, golden files and the benchmark."""
