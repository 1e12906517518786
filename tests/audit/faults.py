"""A scorer for fault tests: it decodes for real, and dies, hangs or waits where a file's name says so."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from typing import Any

import numpy as np

from provenance import audio
from provenance.suitability import judge
from provenance.verdict import SCHEMA_VERSION, AudioRead, Segment, Thresholds, Verdict


class FaultScorer:
    """Calls a file separated where its left channel peaks above -14 dBFS."""

    def score(self, source: Any, coverage: str, max_s: float | None, tap: Any) -> Verdict:
        """Decode and judge by level; obey the orders in the name."""
        name = os.path.basename(audio.name_of(source))
        if "poison" in name:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "hang" in name:
            time.sleep(3600)
        if "slow" in name:
            time.sleep(float(os.environ.get("FAULT_SLOW_S", "0.05")))
        parts = []
        with audio.open_audio(source) as (info, blocks):
            for block in blocks:
                tap(block, info.counts)
                parts.append(block)
        samples = np.concatenate(parts)
        p = 0.99 if float(np.abs(samples[:, 0]).max()) > 0.2 else 0.01
        origin = "separated" if p > 0.5 else "studio"
        length = len(samples) / audio.SAMPLE_RATE_HZ
        return Verdict(
            schema_version=SCHEMA_VERSION,
            status="ok",
            origin=origin,
            p_separated=p,
            confidence=0.99,
            family=None,
            sdr_ceiling_db=None,
            processing="dry",
            p_processing={"dry": 0.9, "hybrid": 0.05, "wet": 0.05},
            effects=None,
            effect_strengths=None,
            layers=None,
            segments=(Segment(0.0, length, p),),
            evidence=None,
            suitable_for=judge(origin, "dry", None),
            reasons=(),
            audio=AudioRead(length, info.sample_rate_hz, info.n_channels, info.codec, 1, 0),
            model="faults@0",
            thresholds=Thresholds(**{field.name: 0.5 for field in dataclasses.fields(Thresholds)}),
        )


def load(model: str | None) -> FaultScorer:
    """Return the scorer; its model is none."""
    return FaultScorer()
