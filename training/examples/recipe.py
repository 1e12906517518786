"""How many examples of each kind a clip gives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How many examples of each kind a clip gives.

    Args:
        n_windows: windows of the clip as it is, at most.
        n_augmented: windows through the common chain.
        n_surrogates: surrogate separations of a studio clip, each with its twin through the same chain.
        n_demucs: mixes of a studio clip separated by the demucs package.
        n_classical: mixes of a studio clip separated without training.
        n_easy: mixes in which a studio clip is 5 to 18 dB louder than the rest, separated by demucs or a network: what
            small separators do to an easy mix is as good in SDR as what large ones do to a hard one.
        n_networks: mixes of a studio clip separated by networks that were trained here, or by scripts.
        n_processed: hybrid and wet versions of a dry clip, each.
        n_grounded: windows of a studio clip over noise; of a dry one as many of each processing.
        n_take_windows: windows over which each of these two goes, at most: they are judged together, as a file is.
        n_submixes: sums of a dry clip with other performances of its kind.
        n_bundles: sums of a produced stem with stems of other kinds: instrumentals, beside what a separator leaves of
            them when it takes a voice out, and whole mixes. Without them what is dense passes for extracted.
        n_reworked: windows that went through one of :data:`training.rework.KINDS` afterwards: of an extraction as it
            is, of a studio clip and its surrogate alike.
        n_gated: windows after a noise reduction that opens and closes each bin of the spectrum by itself, of an
            extraction as it is, of a studio clip and its surrogate alike.
        degraded_share: share of the clips whose first windows are judged after each of
            :data:`training.degrade.DEGRADATIONS` too; nothing is learnt from these.
        p_effects: share of the examples of clips that are not dry which go through an effects chain, in both
            classes alike, so that distortion and space are no sign of either.
        demucs_repo: folder of local demucs weights, or empty for the pretrained ones, which are downloaded.
        demucs_models: names there.
        networks: folder of networks trained by ``training.separators.train``, or empty.
        network_names: names in it.
        scripts: folder of separators as Python files, as :mod:`training.separators.script` describes them, or empty.
        script_names: names in it.
        whole_names: names among those scripts or ``demucs_models`` that part whole mixes, each of them the same mix.
        whole_share: share of the produced stems around which such a mix is put together; of whole songs' twice that.
        remask_name: the one among them whose estimates out of further mixes are also masked over, as
            :mod:`training.separators.remask` does; empty for none.
        remask_share: as ``whole_share``, of dry stems too.
        drawn_names: names among those scripts, of which one, drawn, parts a further mix; one that parts two voices
            hears two of them.
        drawn_share: as ``whole_share``, of dry voices too where a script parts two of them.
        edited_share: share of the clips of which a window is also shown after one of :data:`training.rework.EDITS`, an
            extraction as it is, a studio clip and its surrogate alike.
        narrow_share: share of the clips of which a passage is also cut to a narrow band and coded, an extraction as it
            is, a studio clip and its surrogate alike: old samples and telephone recordings are no extractions.
        cleaned_share: share of the clips of which a window is shown after a smooth noise reduction too, likewise.
        further_parts: keys of :data:`PARTS`: the only rows that clips of the second manifest and those after it give;
            empty for all.
        seed: of everything drawn.
        keep_maps: store each example's map too, for the network over the spectrum (350 kB each).
        keep_onsets: store each example's map of onsets, for the network over those (45 kB each).
    """

    n_windows: int = 3
    n_augmented: int = 2
    n_surrogates: int = 4
    n_demucs: int = 1
    n_classical: int = 1
    n_networks: int = 1
    n_easy: int = 0
    n_processed: int = 2
    n_grounded: int = 0
    n_take_windows: int = 1
    n_submixes: int = 1
    n_bundles: int = 0
    n_reworked: int = 0
    n_gated: int = 0
    degraded_share: float = 0.0
    p_effects: float = 0.3
    demucs_repo: str = ""
    demucs_models: tuple[str, ...] = ()
    networks: str = ""
    network_names: tuple[str, ...] = ()
    scripts: str = ""
    script_names: tuple[str, ...] = ()
    whole_names: tuple[str, ...] = ()
    whole_share: float = 0.0
    remask_name: str = ""
    remask_share: float = 0.0
    drawn_names: tuple[str, ...] = ()
    drawn_share: float = 0.0
    edited_share: float = 0.0
    narrow_share: float = 0.0
    cleaned_share: float = 0.0
    further_parts: tuple[str, ...] = ()
    seed: int = 0
    keep_maps: bool = False
    keep_onsets: bool = False
