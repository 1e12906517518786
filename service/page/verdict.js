// One verdict in words, cards, a table of evidence, and JSON.
import { $, el, number, percent, plain } from "./dom.js";
import { mark } from "./sound.js";

const ORIGINS = { studio: "recorded to its own track", separated: "extracted from a mix", undecided: "undecided" };
const NOTES = {
  too_short: "It is shorter than one second, too short to judge.",
  silent: "There is only silence in it.",
  band_limited: "It holds less than the full range of hearing; traces above that are lost.",
  lossy: "It was stored with a lossy coding, which hides traces.",
  truncated: "The file ends before its header says.",
  clipped: "It is clipped, which hides traces.",
  low_confidence: "The signs are too weak for a firm answer.",
  noise_gated: "Bins of its spectrum seem to have been closed one by one, as by a noise reduction: that leaves what a separator leaves.",
  parts_disagree: "Some of it looks extracted and some of it recorded: see the timeline.",
  outside_training: "It is unlike anything the model was trained on.",
  not_in_this_model: "What is marked “not in this model” cannot be told by the loaded model.",
};
const REFUSED = { ...NOTES, band_limited: "It is sampled below 16 kHz, too low to judge." };
const CAUTION = {
  separated: "A verdict is evidence about a signal, never proof about a person: noise reduction, gating, pitch shift and low bit rates leave traces like these in true stems.",
  studio: "The model heard no trace of an extraction. A separator that it does not know may leave none that it hears, and a whole mix reads like this, too.",
  undecided: "Undecided is no clean bill and no finding: true stems and extractions both end here.",
};
const SVG = "http://www.w3.org/2000/svg";

export function inWords(v) {
  if (v.status !== "ok") return `Not judged. ${REFUSED[v.status] ?? plain(v.status)}`;
  if (v.origin === "undecided") return `Undecided: ${percent(v.p_separated)} probability that it was extracted from a mix.`;
  const kind = v.processing && v.processing !== "undecided" ? `; processing: ${v.processing}` : ""; // of another probability
  return `${v.origin === "studio" ? "A studio stem" : "A separated stem"}: ${ORIGINS[v.origin]} (${percent(v.confidence)} probability)${kind}.`;
}

// What the words do not say: what a reader may do with them.
export const caution = (v) => v.status !== "ok" ? "" : `${CAUTION[v.origin]} Probabilities are for a set half of which is extracted.`;

// What to do about a problem, where its words do not say it.
export const advice = (problem) => [
  problem.status === 401 && "Enter a key above; the files are then sent.",
  problem.status === 408 && "See whether the connection holds, then press “Send again”.",
  !problem.status && "See whether the file is still there and the service runs, then press “Send again”.",
  problem.status >= 500 && `Press “Send again”; if it stays, tell who runs the service${problem.request_id ? ` the request ${problem.request_id}` : ""}.`,
].filter(Boolean);

export const notes = (v) => v.reasons.filter((r) => r !== v.status).map((r) => el("li", {}, NOTES[r] ?? plain(r)));

export function cards(v) {
  const missing = () => el("p", { class: "quiet" }, v.status === "ok" ? "Not in this model." : "Not judged.");
  const fill = (id, ...nodes) => $(id).lastElementChild.replaceChildren(...nodes);
  const meters = (values, strengths) => Object.entries(values).sort((a, b) => b[1] - a[1]).map(([k, p]) =>
    el("div", { class: "meter" }, el("span", {}, plain(k)), el("meter", { min: 0, max: 1, value: p, "aria-label": plain(k) }), el("span", {}, percent(p) + strength(strengths?.[k]))));
  const strength = (s) => s === null || s === undefined ? "" : `, strength ${number(s, 1)} of 1`;
  const stated = !v.processing ? "" : v.origin === "separated" ? "Undecided, as it always is of a separated stem." : v.processing === "undecided" ? `Undecided: none reaches ${percent(v.thresholds.processing)}.` : `${plain(v.processing)}.`;
  fill("processing", ...(v.p_processing ? [el("p", { class: "quiet" }, stated), ...meters(v.p_processing)] : [missing()]));
  fill("effects", ...(v.effects ? meters(v.effects, v.effect_strengths) : [missing()]));
  const facts = [["Kind of separator", v.family], ["Layers", v.layers], ["Length", `${number(v.audio.duration_s, 1)} s`],
    ["Read as", `${v.audio.codec}, ${v.audio.sample_rate_hz} Hz, ${v.audio.n_channels === 1 ? "mono" : "stereo"}`],
    ["Windows", `${v.audio.n_windows} scored, ${v.audio.n_silent} silent`], ["Model", v.model]];
  fill("facts", el("dl", {}, ...facts.filter(([, x]) => x !== null && x !== undefined).flatMap(([k, x]) => [el("dt", {}, k), el("dd", {}, plain(String(x)))])));
  fill("sdr", ...ceiling(v));
  evidence(v);
  $("uses").replaceChildren(...v.suitable_for.map((u) => el("tr", {}, el("td", {}, plain(u.use)), el("td", { class: `fit-${u.suitable}` }, plain(u.suitable)), el("td", {}, u.why))));
}

function ceiling(v) {
  const s = v.sdr_ceiling_db;
  const why = { separated: "Not in this model.", studio: "Nothing caps a studio stem.", undecided: "Stated for separated stems only." };
  if (!s) return [el("p", { class: "quiet" }, v.status === "ok" ? why[v.origin] : "Not judged.")];
  const at = (db) => `${Math.min(100, Math.max(0, ((db + 10) / 40) * 100))}%`; // a scale from -10 to 30 dB
  const bar = document.createElementNS(SVG, "svg");
  bar.append(el("line", { x1: 0, x2: "100%", y1: 14, y2: 14, stroke: "var(--rule)", "stroke-width": 2 }),
    el("line", { x1: at(s.low), x2: at(s.high), y1: 14, y2: 14, stroke: "var(--separated)", "stroke-width": 8 }),
    el("line", { x1: at(s.estimate), x2: at(s.estimate), y1: 4, y2: 24, stroke: "var(--ink)", "stroke-width": 3 }),
    ...[-10, 0, 10, 20, 30].map((t) => el("text", { x: at(t), y: 40, fill: "var(--quiet)", "font-size": 11, "text-anchor": t < 0 ? "start" : t > 20 ? "end" : "middle" }, `${t} dB`)));
  bar.setAttribute("aria-hidden", "true");
  return [el("p", {}, `About ${s.estimate.toFixed(1)} dB, between ${s.low.toFixed(1)} and ${s.high.toFixed(1)} dB nine times in ten.`), bar];
}

function evidence(v) {
  $("no-evidence").hidden = Boolean(v.evidence);
  $("evidence-table").hidden = !v.evidence;
  const measured = (v.evidence ?? []).filter((c) => c.value !== null).length;
  $("chance").textContent = measured < 10 ? "" : `Of ${measured} signs, about ${Math.round(measured / 10)} or more lie outside in any stem.`;
  $("cues").replaceChildren(...(v.evidence ?? []).map((c) => {
    const place = mark.place(c, v.evidence);
    const name = place ? el("button", { type: "button", "aria-pressed": "false", "data-cue": c.cue, title: "Mark it in the spectrogram", onclick: (e) => { const on = mark.toggle(c.cue); e.currentTarget.setAttribute("aria-pressed", String(on)); } }, plain(c.cue)) : plain(c.cue);
    return el("tr", {}, el("th", { scope: "row" }, name),
      el("td", { class: "number" }, c.value === null ? "not measured" : `${short(c.value)} ${c.unit}`), el("td", {}, ranges(c)), el("td", { class: "suggests" }, c.suggests));
  }));
}
const short = (x) => String(Math.abs(x) >= 100 ? Math.round(x) : Number(x.toPrecision(3)));

function ranges(c) { // where the value lies beside 9 of 10 true stems and 9 of 10 separated ones of the corpus
  const known = [c.studio_range, c.separated_range].filter(Boolean);
  if (!known.length || c.value === null) return "";
  const all = [...known.flat(), c.value], low = Math.min(...all), span = Math.max(...all) - low || 1;
  const at = (x) => 2 + (96 * (x - low)) / span;
  const bar = document.createElementNS(SVG, "svg");
  bar.setAttribute("class", "range");
  bar.setAttribute("viewBox", "0 0 100 20");
  bar.setAttribute("preserveAspectRatio", "none");
  bar.setAttribute("role", "img");
  const words = [["studio stems", c.studio_range], ["separated ones", c.separated_range]].filter(([, r]) => r).map(([k, r]) => `${k} ${short(r[0])} to ${short(r[1])}`).join(", ");
  bar.setAttribute("aria-label", words);
  bar.append(el("title", {}, words));
  for (const [r, y, kind] of [[c.studio_range, 3, "studio"], [c.separated_range, 12, "separated"]]) if (r) bar.append(el("rect", { x: at(r[0]), y, width: Math.max(1, at(r[1]) - at(r[0])), height: 5, fill: `var(--${kind})` }));
  bar.append(el("line", { x1: at(c.value), x2: at(c.value), y1: 0, y2: 20, stroke: "var(--ink)", "stroke-width": 2, "vector-effect": "non-scaling-stroke" }));
  return bar;
}
