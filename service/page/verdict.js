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
  parts_disagree: "Some of it looks extracted and some of it recorded: see the timeline.",
  outside_training: "It is unlike anything the model was trained on.",
  not_in_this_model: "What is marked “not in this model” cannot be told by the loaded model.",
};
const SVG = "http://www.w3.org/2000/svg";

export function inWords(v) {
  if (v.status !== "ok") return `Not judged. ${NOTES[v.status] ?? plain(v.status)}`;
  if (v.origin === "undecided") return `Undecided: ${percent(v.p_separated)} probability that it was extracted from a mix.`;
  const kind = v.processing === "undecided" ? "" : `, ${v.processing}`;
  return `${v.origin === "studio" ? "A studio stem" : "A separated stem"}: ${ORIGINS[v.origin]}${kind} (${percent(v.confidence)} sure).`;
}

export const notes = (v) => v.reasons.filter((r) => r !== v.status).map((r) => el("li", {}, NOTES[r] ?? plain(r)));

export function cards(v) {
  const missing = () => el("p", { class: "quiet" }, "Not in this model.");
  const fill = (id, ...nodes) => $(id).lastElementChild.replaceChildren(...nodes);
  const meters = (values, strengths) => Object.entries(values).sort((a, b) => b[1] - a[1]).map(([k, p]) =>
    el("div", { class: "meter" }, el("span", {}, plain(k)), el("meter", { min: 0, max: 1, value: p, "aria-label": plain(k) }), el("span", {}, percent(p) + strength(strengths?.[k]))));
  const strength = (s) => s === null || s === undefined ? "" : `, strength ${number(s, 1)} of 1`;
  fill("processing", ...(v.p_processing ? meters(v.p_processing) : [missing()]));
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
  if (!s) return [el("p", { class: "quiet" }, why[v.origin])];
  const at = (db) => `${Math.min(100, Math.max(0, ((db + 5) / 30) * 100))}%`; // a scale from -5 to 25 dB
  const bar = document.createElementNS(SVG, "svg");
  bar.append(el("line", { x1: 0, x2: "100%", y1: 14, y2: 14, stroke: "var(--rule)", "stroke-width": 2 }),
    el("line", { x1: at(s.low), x2: at(s.high), y1: 14, y2: 14, stroke: "var(--separated)", "stroke-width": 8 }),
    el("line", { x1: at(s.estimate), x2: at(s.estimate), y1: 4, y2: 24, stroke: "var(--ink)", "stroke-width": 3 }),
    ...[-5, 5, 15, 25].map((t) => el("text", { x: at(t), y: 40, fill: "var(--quiet)", "font-size": 11, "text-anchor": t < 0 ? "start" : t > 20 ? "end" : "middle" }, `${t} dB`)));
  bar.setAttribute("aria-hidden", "true");
  return [el("p", {}, `About ${s.estimate.toFixed(1)} dB, between ${s.low.toFixed(1)} and ${s.high.toFixed(1)} dB nine times in ten.`), bar];
}

function evidence(v) {
  $("no-evidence").hidden = Boolean(v.evidence);
  $("evidence-table").hidden = !v.evidence;
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
