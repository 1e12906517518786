"""Sums of true stems: several performances of one kind, instrumentals, whole mixes; what is dense is not extracted."""

from __future__ import annotations

import json

import numpy as np

from training import augment, effects
from training.examples.mixing import SEPARABLE, crop, levelled, mate, passage_of, read_rooms, stereo
from training.examples.rows import CHAINED, N_WINDOW, STUDIO, Context, Wave, add, extracted, is_silent
from training.examples.separated import LEAST_NETWORK_GAIN_DB, has_separated, scripts_of
from training.separators import script, surrogate


def submixes(c: Context) -> None:
    """Several performances of one kind, bundled as vendors bundle lead, harmonies and ad-libs."""
    clip, rng = c.clip, c.rng
    if clip.origin != "studio" or clip.oracle or clip.set_name != "dry":
        return
    kin = [o for o in c.pool if o.set_name == "dry" and o.stem == clip.stem and o.name != clip.name]
    if not kin:
        return
    for number in range(c.recipe.n_submixes):
        total = _placed(stereo(crop(c.samples, rng, full=True)), rng)
        for k in rng.integers(0, len(kin), int(rng.integers(1, 4))):
            wave = mate(kin[int(k)].path)
            if wave is not None:
                total = total + _placed(stereo(crop(wave, rng, full=True)), rng)
        known: dict[str, object] = {"processing": "dry", "effects": "", "layers": "submix"}
        if rng.random() < 0.6:
            made = effects.produce(total, str(rng.choice(["hybrid", "wet"])), rng, read_rooms(c.rooms))
            total, known = made.wave, {**known, "processing": made.processing, "effects": json.dumps(made.effects)}
        total = total * np.float32(0.5 / (np.abs(total).max() + 1e-9))
        chain = augment.draw(rng) if rng.random() < 0.5 else None
        add(c, total, "submix", number, "", rng.random() < 0.3, chain, known)


def _placed(wave: Wave, rng: np.random.Generator) -> Wave:
    """Four seconds of a performance at a random level and place in the stereo image."""
    wave = np.resize(wave, (N_WINDOW, 2)) / (np.sqrt(np.mean(wave**2)) + 1e-6)
    pan = rng.uniform(0.25, 0.75)
    return np.asarray(wave * np.array([1 - pan, pan]) * 10 ** (rng.uniform(-9, 0) / 20), np.float32)


def bundles(c: Context) -> None:
    """Instrumentals, true and with the voice taken out, and whole mixes."""
    clip, rng = c.clip, c.rng
    if clip.origin != "studio" or clip.oracle or clip.set_name == "dry" or clip.stem not in SEPARABLE:
        return
    known: dict[str, object] = {"processing": "unknown", "effects": "", "layers": "submix"}
    for number in range(c.recipe.n_bundles):
        band, voice = _bundle(c)
        pair = f"{clip.name}#bundle{number}"
        if rng.random() < 0.3 and voice is not None:
            band, voice, pair = band + voice, None, ""
        if is_silent(band):
            continue
        mono = c.samples.shape[1] == 1 and rng.random() < 0.5
        chain = augment.draw(rng) if rng.random() < CHAINED["bundle"] else None
        if voice is not None:
            estimate, about = _without_voice(c, band, voice)
            add(c, estimate, "bundle", number, pair, mono, chain, {**known, **about})
        add(c, band, "bundle", number, pair, mono, chain, {**known, **STUDIO})


def _bundle(c: Context) -> tuple[Wave, Wave | None]:
    """The instruments of a song, or of several beside each other, and the voice where there is one; (n, 2) each."""
    clip, rng = c.clip, c.rng
    stems = {clip.stem: stereo(crop(c.samples, rng, full=True))}
    n = len(stems[clip.stem])
    mates = [m for m in c.pool if m.set_name == "pairs" and m.song == clip.song]
    of_song = clip.set_name == "pairs" and rng.random() < 0.7
    if not of_song:
        stems[clip.stem] = levelled(stems[clip.stem])
    for stem in SEPARABLE:
        kin = [m for m in (mates if of_song else c.pool) if m.stem == stem and m.set_name != "dry"]
        if stem == clip.stem or not kin or (not of_song and rng.random() < 0.2):
            continue
        wave = passage_of(kin[int(rng.integers(0, len(kin)))], n, rng, of_song)
        if wave is not None:
            stems[stem] = wave
    voice = stems.pop("vocals", None)
    return np.asarray(sum(stems.values(), np.zeros((n, 2), np.float32)), np.float32), voice


def _without_voice(c: Context, band: Wave, voice: Wave) -> tuple[Wave, dict[str, object]]:
    """What a script leaves of the instruments when it takes the voice out, or a surrogate, and what is known of it."""
    mix = band + voice
    able = [loaded for loaded in scripts_of(c).values() if script.ACCOMPANIMENT in loaded.stems]
    if able and c.rng.random() < 0.5:
        found = able[int(c.rng.integers(0, len(able)))]
        estimate = script.run(found, mix)[script.ACCOMPANIMENT]
        sdr = surrogate.sdr_db(band, estimate)
        if has_separated(band, mix, estimate, sdr, LEAST_NETWORK_GAIN_DB):
            return estimate, {**extracted(found.family.name, sdr), "separator_kind": found.family.kind}
    estimate, sdr = surrogate.separate(band, voice, c.rng)
    return estimate, extracted("surrogate", sdr)
