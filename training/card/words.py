"""How figures are put into words."""

from __future__ import annotations


def number(value: float | None) -> str:
    """Return a figure to three digits, or that there is none."""
    return "not measurable" if value is None else f"{value:.3f}"


def percent(share: float | None) -> str:
    """Return a share in per cent to one digit; nothing where there is none."""
    return "" if share is None else f"{100 * share:.1f} %"


def span(interval: list[float] | None, *, shares: bool = False) -> str:
    """Return both ends of an interval, or that there is none.

    Args:
        interval: low and high end.
        shares: whether they are shares, which are told in per cent.
    """
    if interval is None:
        return "not computable"
    low, high = interval
    return f"{percent(low)} to {percent(high)}" if shares else f"{low:.3f} to {high:.3f}"
