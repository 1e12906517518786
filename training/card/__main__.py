"""Write a model's card and the README's block of figures: ``python -m training.card models/stem-v1 README.md``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training import card, publish
from training.options import told


def main(
    model: Annotated[Path, typer.Argument(help="A model folder.")],
    readme: Annotated[Path | None, typer.Argument(help="A file with the two markers.")] = None,
) -> None:
    """Write the card again, and the README's block of figures."""
    with told(ValueError, KeyError):
        described, evaluation = publish.read(model)
        rendered = card.render(described, evaluation)
        text = "" if readme is None else card.place(readme.read_text(encoding="utf-8"), card.block(evaluation))
        (model / "README.md").write_text(rendered, encoding="utf-8")
        if readme is not None:
            readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
