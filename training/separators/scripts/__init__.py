"""Separators in Python files that come with the project; :mod:`training.separators.script` says what they are."""
