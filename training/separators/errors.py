"""What goes wrong with separators."""


class SeparatorError(Exception):
    """A separator that cannot run: says what is missing and what to do."""


class DiskFull(SeparatorError):  # noqa: N818 - the name says what is wrong
    """Results that cannot be written: going on would lose each one."""
