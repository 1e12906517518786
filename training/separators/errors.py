"""What goes wrong with separators."""


class SeparatorError(Exception):
    """A separator that cannot run: says what is missing and what to do."""
