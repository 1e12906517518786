"""Is one setting better than another, or were its folds lucky? ``python -m training.research.repeat MANIFEST...``.

The unseen protocol deals repositories and families into folds once. Dealt anew, the same detector's figures move by
more than most changes to it are worth; so settings are compared on several deals, each beside the first on the same
deal. It is the boosted trees of the origin, without the network, or (``--head sdr``) the head of SDR.

Rows are made once: what a stem was mixed with came from its fold of the first deal, and may lie in another one later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
import typer
from threadpoolctl import threadpool_limits

from provenance import frontend
from training import card, catalogue, config, dataset, evaluate, fit, heads, labels, report, splits
from training.config import Config
from training.examples import SEPARABLE
from training.options import DemucsRepo, Flags, Manifests, Networks, Scripts, Unjudged, Work, Workers, told
from training.separators.errors import SeparatorError
from training.splits import unit_of

FALSE_ALARM = 0.01


def deal(meta: pd.DataFrame, clips: Sequence[catalogue.Clip], n_folds: int, seed: int) -> pd.DataFrame:
    """Return the rows with the folds of another deal.

    Args:
        meta: described rows.
        clips: the catalogue they came from.
        n_folds: of the protocol.
        seed: of the deal.
    """
    unit_fold, family_fold = splits.folds(clips, n_folds, seed, shuffled=True)
    fold = {clip.name: unit_fold[unit_of(clip)] for clip in clips}
    return meta.assign(
        fold=meta["clip"].map(fold).astype(int),
        family_fold=meta["family"].map(lambda name: family_fold.get(name, -1)).astype(int),
    )


def measure(table: dataset.Table, meta: pd.DataFrame, settings: Config) -> dict[str, Any]:
    """Fit the origin's trees without each fold, judge the fold, and return the figures.

    Args:
        table: described rows.
        meta: the same with the folds of a deal.
        settings: of the trees and the protocol.

    Returns:
        ``n_studio`` and ``n_separated`` files; ``auc``, and ``auc_STEM`` of each kind of stem; ``caught_1``,
        ``caught_2`` and ``caught_5`` at that per cent of false alarms; ``accused``: the share of true stems above what
        1 % of the other folds' lie above.
    """
    judged = evaluate.judged_rows(meta, settings.n_folds)
    features = table.features[:, : frontend.N_TEXTURE]
    logit = np.full(len(meta), np.nan)
    for number in range(settings.n_folds):
        learn = np.flatnonzero(evaluate.training_rows(meta, number))
        here = np.flatnonzero(judged & (meta["fold"] == number).to_numpy())
        trees = heads.fit_origin(
            features[learn], meta.iloc[learn].reset_index(drop=True), settings.origin, settings.seed
        )
        logit[here] = np.mean([tree.decision_function(features[here]) for tree in trees], axis=0)
    scored = evaluate.files(meta, {"logit": logit}, judged)
    out: dict[str, Any] = {"n_studio": int((~scored["separated"]).sum()), "n_separated": int(scored["separated"].sum())}
    out["auc"] = evaluate.auc(scored)
    for stem in SEPARABLE:
        out[f"auc_{stem}"] = evaluate.auc(scored[scored["stem"] == stem])
    out |= {f"caught_{100 * float(rate):g}": share for rate, share in report.caught_at(scored).items()}
    out["accused"] = round(_accused(scored), 4)
    return out


def measure_sdr(table: dataset.Table, meta: pd.DataFrame, settings: Config) -> dict[str, Any]:
    """Fit the head of SDR without each fold, judge the fold, and return the figures.

    Args:
        table, meta, settings: as for :func:`measure`.

    Returns:
        Of families that were held out and of those that were not, over songs that were: ``n_unseen``, ``n_known``
        files; ``unseen``, ``known`` mean absolute error in dB, and ``unseen_constant``, ``known_constant`` that of the
        other folds' median; ``unseen_covered``, ``known_covered`` the share within intervals that the unseen ones of
        other folds fixed. Whole figures, as :func:`training.report.sdr` has them, are ``sdr`` and ``sdr_seen_family``;
        ``settings`` are the head's.
    """
    has = np.flatnonzero(np.isfinite(labels.sdr(meta)))
    meta = meta.iloc[has].reset_index(drop=True)
    features = table.features[has, : frontend.N_TEXTURE]
    sdr = np.full(len(meta), np.nan)
    for number in range(settings.n_folds):
        learn = np.flatnonzero(evaluate.training_rows(meta, number))
        here = np.flatnonzero((meta["fold"] == number).to_numpy())
        head = heads.fit_sdr(features[learn], meta.iloc[learn].reset_index(drop=True), settings.sdr, settings.seed)
        if head is not None and len(here):
            sdr[here] = head.predict(features[here])
    held: heads.Outputs = {"sdr_db": sdr, "logit": np.zeros(len(meta))}
    unseen = evaluate.files(meta, held, evaluate.judged_rows(meta, settings.n_folds))
    out: dict[str, Any] = {
        "settings": asdict(settings.sdr),
        "sdr": report.sdr(unseen),
        "sdr_seen_family": report.sdr(report.seen_family(meta, held, settings), unseen),
    }
    for name, found in (("unseen", out["sdr"]), ("known", out["sdr_seen_family"])):
        out |= {
            f"n_{name}": found["n"],
            name: found.get("mae_db"),
            f"{name}_constant": found.get("mae_of_other_folds_median_db"),
            f"{name}_covered": found.get("coverage_on_other_folds"),
        }
    return out


def _accused(scored: pd.DataFrame) -> float:
    above = []
    for number in scored["fold"].unique():
        true = scored[~scored["separated"]]
        others, here = true[true["fold"] != number]["logit"], true[true["fold"] == number]["logit"]
        if len(others):
            above.append(here > np.quantile(others, 1 - FALSE_ALARM))
    return float(np.concatenate(above).mean()) if above else float("nan")


def digest_of(settings: Config, meta: pd.DataFrame) -> str:
    """Return what tells whether a result is still of this configuration and these rows, whatever its file is called.

    Args:
        settings: of the trees, the protocol and the recipe.
        meta: described rows.
    """
    rows = pd.util.hash_pandas_object(meta[["clip", "kind", "window", "origin", "family"]], index=False)
    return hashlib.sha256(config.to_json(settings).encode() + rows.to_numpy().tobytes()).hexdigest()[:12]


class Head(StrEnum):
    """What is fitted anew on every deal."""

    ORIGIN = "origin"
    SDR = "sdr"


_MEASURES = {Head.ORIGIN: measure, Head.SDR: measure_sdr}
_JUDGED_BY = {Head.ORIGIN: ("auc", 1), Head.SDR: ("unseen", -1)}
_PAGE = """# SDR over several deals of the folds

Made by `python -m training.research.repeat MANIFEST... --head sdr --page docs/sdr-over-deals.md` on {n} deals. The
card of a model judges the SDR ceiling on one deal of songs and separator families into folds; how well it is told for
families that were held out depends on which these are. Here the head is fitted anew on every deal, by `{config}.toml`:
mean absolute errors in dB, beside those of always saying the other folds' median, and the share of files within
intervals that the unseen families of other folds fixed at 90 %. Rows are made once, by the first deal, so that in the
others a stem that is held out may lie in the mix of an example that was learnt from: what is held out is the stem as it
is judged, not every second of its song.

| deal | unseen families: files | error | of the median | within | known families: files | error | of it | within |
|---:|---:|---:|---:|---:|---:|---:|---:|---:|
{lines}

By what is estimated, over all deals: what is estimated high is told worse, and its interval is wider.

{by_estimate}
"""
_SHOWN = {
    Head.ORIGIN: ("auc", "auc_vocals", "auc_drums", "caught_1", "caught_2", "accused"),
    Head.SDR: ("unseen", "unseen_constant", "unseen_covered", "known", "known_constant", "known_covered"),
}


def compare(found: pd.DataFrame, head: Head = Head.ORIGIN) -> pd.DataFrame:
    """Return each setting's mean and spread over the deals, and how often and by how much it beat the first.

    Args:
        found: rows of :func:`measure` or :func:`measure_sdr` with columns ``config`` and ``deal``; every setting on
            the same deals.
        head: which of the two.
    """
    judged_by, sign = _JUDGED_BY[head]
    names = list(dict.fromkeys(found["config"]))
    first = found[found["config"] == names[0]].set_index("deal")
    rows = []
    for name in names:
        own = found[found["config"] == name].set_index("deal")
        gain = sign * (own[judged_by].astype(float) - first[judged_by].astype(float)).to_numpy()
        row = {"config": name, "deals": len(own)}
        for column in _SHOWN[head]:
            values = own[column].astype(float)
            row[column] = f"{values.mean():.3f} ± {values.std(ddof=0):.3f}"
        row["gain"] = f"{gain.mean():+.4f}"
        row["better in"] = f"{int((gain > 0).sum())} of {len(gain)}"
        rows.append(row)
    return pd.DataFrame(rows)


def page(found: pd.DataFrame) -> str:
    """Return a setting's figures of SDR on every deal, and their means, as a page in Markdown.

    Args:
        found: rows of :func:`measure_sdr` with columns ``config``, of one setting, and ``deal``.
    """
    mean = found[["n_unseen", "n_known", *_SHOWN[Head.SDR]]].astype(float).mean()
    lines = [_line(str(row["deal"]), row) for _, row in found.sort_values("deal").iterrows()]
    means = [report.mean_sdr(list(found[name])) for name in ("sdr", "sdr_seen_family")]
    return _PAGE.format(
        n=len(found),
        config=found["config"].iloc[0],
        lines="\n".join([*lines, _line("mean", mean)]),
        by_estimate="\n".join(card.sdr_bands(*means)),
    )


def _line(name: str, row: pd.Series) -> str:
    cells = [name]
    for part in ("unseen", "known"):
        cells.append(f"{row[f'n_{part}']:.0f}")
        cells += [f"{row[f'{part}{column}']:.2f}" for column in ("", "_constant")]
        cells.append(f"{100 * row[f'{part}_covered']:.1f} %")
    return f"| {' | '.join(cells)} |"


def _one(table: dataset.Table, meta: pd.DataFrame, settings: Config, head: Head) -> dict[str, Any]:
    torch.set_num_threads(1)
    with threadpool_limits(1):
        return _MEASURES[head](table, meta, settings)


def main(
    manifest: Manifests,
    out: Annotated[
        Path, typer.Option(help="File of results, JSON Lines: what is in it of the same settings and rows stays.")
    ],
    flags: Flags = [],  # noqa: B006
    demucs_repo: DemucsRepo = "",
    networks: Networks = "",
    scripts: Scripts = "",
    config_file: Annotated[
        list[Path], typer.Option("--config", help="TOML files to compare; rows are made by the first one's recipe.")
    ] = [evaluate.CONFIG_FILE],  # noqa: B006
    head: Annotated[Head, typer.Option(help="What is fitted anew.")] = Head.ORIGIN,
    deals: Annotated[int, typer.Option(help="How often folds are dealt.", min=2)] = 5,
    unjudged: Unjudged = [],  # noqa: B006
    page_file: Annotated[
        Path | None, typer.Option("--page", help="Markdown file for the figures of SDR by the first configuration.")
    ] = None,
    work: Work = Path("work"),
    workers: Workers = 2,
) -> None:
    """Compare settings of a head on several deals of the folds."""
    if page_file is not None and head != Head.SDR:
        raise typer.BadParameter("found --page with another head; needed: --head sdr", param_hint="--page")
    with told(SeparatorError, ValueError):
        for file in filter(None, (out, page_file)):
            file.parent.mkdir(parents=True, exist_ok=True)
        settings = {file.stem: config.load(file, demucs_repo, networks, scripts) for file in config_file}
        clips, _ = catalogue.load(manifest, flags)
        table, _ = fit.gather(clips, manifest, next(iter(settings.values())), work, workers, unjudged)
    table.maps = table.onsets = None
    done = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()] if out.exists() else []
    made_by = {name: digest_of(each, table.meta) for name, each in settings.items()}
    done = [row for row in done if row.get("made_by") == made_by.get(row["config"]) and row.get("head") == head]
    known = {(row["config"], row["deal"]) for row in done}
    jobs = [(name, seed) for seed in range(deals) for name in settings if (name, seed) not in known]
    with ProcessPoolExecutor(min(workers, len(jobs) or 1)) as pool:
        futures = {
            job: pool.submit(
                _one, table, deal(table.meta, clips, settings[job[0]].n_folds, job[1]), settings[job[0]], head
            )
            for job in jobs
        }
        for (name, seed), future in futures.items():
            row = {"config": name, "deal": seed, "made_by": made_by[name], "head": head} | future.result()
            done.append(row)
            with out.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(row) + "\n")
            typer.echo(f"{name}, deal {seed}: {_JUDGED_BY[head][0]} {row[_JUDGED_BY[head][0]]}", err=True)
    wanted = [row for row in done if row["config"] in settings and row["deal"] < deals]
    if page_file is not None:
        first = [row for row in wanted if row["config"] == next(iter(settings))]
        page_file.write_text(page(pd.DataFrame(first)), encoding="utf-8")
    typer.echo(compare(pd.DataFrame(wanted), head).to_string(index=False))


if __name__ == "__main__":
    typer.run(main)
