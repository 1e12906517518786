"""Judge without writing a model: ``python -m training.evaluate MANIFEST... --out FOLDER``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training import card, config, evaluate, fit, folds, report
from training.options import N_WORKERS, DemucsRepo, Flags, Manifests, Networks, Scripts, Unjudged, Work, Workers, told
from training.separators.errors import SeparatorError


def main(
    manifest: Manifests,
    out: Annotated[Path, typer.Option(help="Folder for evaluation.json, tables and plots.")],
    flags: Flags = [],  # noqa: B006
    demucs_repo: DemucsRepo = "",
    networks: Networks = "",
    scripts: Scripts = "",
    config_file: Annotated[Path, typer.Option("--config", help="TOML file.")] = evaluate.CONFIG_FILE,
    unjudged: Unjudged = [],  # noqa: B006
    work: Work = Path("work"),
    workers: Workers = N_WORKERS,
) -> None:
    """Run the whole protocol: what was fitted before is taken from the work folder."""
    with told(SeparatorError, ValueError):
        settings = config.load(config_file, demucs_repo, networks, scripts)
        for line in config.left_out(config_file, settings):
            typer.echo(line, err=True)
        clips = fit.load_checked(manifest, flags, settings)
        table, _ = fit.gather(clips, manifest, settings, work, workers, unjudged)
    for failure in table.failures:
        typer.echo(f"left out: {failure}", err=True)
    folds.fit_missing(table, settings, work / "heads", workers)
    found = fit.judge(table, clips, settings, work, workers)
    report.write(out, found.figures, table.meta, found.held, settings)
    typer.echo(f"written to {out}; {card.summary(found.figures)}", err=True)


if __name__ == "__main__":
    typer.run(main)
