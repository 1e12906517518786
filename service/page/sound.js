// What is heard: waveform, timeline, spectrogram with the evidence marked, and the player.
import { $, el, percent, plain } from "./dom.js";
import { toWav } from "./aiff.js";
import { paint } from "./spectrum.js";

const DRAW_LIMIT_BYTES = 150e6, DRAW_LIMIT_S = 1200, RATE_HZ = 44100;
const LEAST_PX = 6; // width of a bar of the timeline beside which there is room for a gap
const TOP_HZ = RATE_HZ / 2, WHOLE_HZ = 21000; // a band that ends above that has no end to be shown
const PLACES = { // Hz where a cue is measured
  peaks_above_20_khz: [20500, 22000], empty_high_bins: [10000, 20000], top_flicker: [16000, 20000], spectral_holes: [2000, 10000],
  notch: [8000, 14000], frequency_blur: [3000, 14000], comb: [2000, 22000],
};
const shown = { file: null, verdict: null, buffer: null, marked: new Set() };
const length = () => shown.verdict?.audio.duration_s || shown.buffer?.duration || $("player").duration || 0;

export const mark = {
  place(cue, all) {
    if (cue.value === null) return null;
    if (cue.unit === "Hz") return [cue.value, cue.value];
    if (cue.cue === "brick_wall") { const end = all.find((c) => c.cue === "bandwidth")?.value; return end ? [end, end] : null; }
    return PLACES[cue.cue] ?? null;
  },
  toggle(name) {
    const on = !shown.marked.has(name);
    on ? shown.marked.add(name) : shown.marked.delete(name);
    marks();
    return on;
  },
};

export function open(file) {
  Object.assign(shown, { file, verdict: null, buffer: null, marked: new Set() });
  const player = $("player");
  if (player.src) URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(file);
  $("limits").textContent = "";
  $("undrawn").textContent = "";
  for (const id of ["wave", "spectrum"]) $(id).getContext("2d").clearRect(0, 0, $(id).width, $(id).height);
  pictures(true);
  timeline();
  decode(file);
}

export function tell(verdict) {
  if (shown.verdict === verdict) return;
  shown.verdict = verdict;
  shown.marked = new Set(verdict?.evidence?.some((c) => c.cue === "bandwidth" && c.value !== null && c.value < WHOLE_HZ) ? ["bandwidth"] : []);
  timeline();
  marks();
  place();
}
export const isDrawn = () => Boolean(shown.buffer);
export const isMarked = (name) => shown.marked.has(name);

const pictures = (seen) => { for (const id of ["wave", "spectrum"]) $(id).closest("figure").hidden = !seen; };

async function decode(file) {
  const refuse = (why) => {
    if (file !== shown.file) return;
    $("undrawn").textContent = `${why} The verdict does not depend on that.`;
    pictures(false);
  };
  if (file.size > DRAW_LIMIT_BYTES) return refuse("Too large to draw here.");
  try {
    let data = await file.arrayBuffer();
    const wav = toWav(data);
    if (wav && file === shown.file) {
      data = wav;
      URL.revokeObjectURL($("player").src);
      $("player").src = URL.createObjectURL(new Blob([wav], { type: "audio/wav" }));
    }
    if ((await duration()) > DRAW_LIMIT_S) return refuse("Too long to draw here.");
    const decoded = await new OfflineAudioContext(1, 1, RATE_HZ).decodeAudioData(data);
    if (file !== shown.file) return;
    shown.buffer = decoded;
    dispatchEvent(new Event("drawn")); // before it is drawn: what is hidden has no size
    draw();
  } catch {
    refuse("This browser cannot draw or play this format.");
  }
}
const duration = () => new Promise((done) => {
  const player = $("player");
  if (player.duration) done(player.duration);
  for (const kind of ["loadedmetadata", "error"]) player.addEventListener(kind, () => done(player.duration || 0), { once: true });
  setTimeout(done, 3000, 0);
});

function fit(canvas) {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  return canvas.getContext("2d");
}
function mono(buffer) {
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, c) => buffer.getChannelData(c));
  return channels.length === 1 ? channels[0] : channels[0].map((x, i) => (x + channels[1][i]) / 2);
}
export function draw() {
  timeline();
  marks();
  if (!shown.buffer) return;
  const samples = mono(shown.buffer), g = fit($("wave")), { width: w, height: h } = $("wave");
  g.fillStyle = getComputedStyle($("wave")).color;
  let peak = 1e-9;
  for (const x of samples) peak = Math.max(peak, Math.abs(x));
  for (let x = 0; x < w; x++) {
    let low = 0, high = 0;
    const end = Math.min(samples.length, Math.ceil(((x + 1) * samples.length) / w));
    for (let i = Math.floor((x * samples.length) / w); i < end; i++) { low = Math.min(low, samples[i]); high = Math.max(high, samples[i]); }
    g.fillRect(x, h / 2 - (high / peak) * h * 0.48, 1, Math.max(1, ((high - low) / peak) * h * 0.48));
  }
  paint($("spectrum"), fit($("spectrum")), samples);
}

function timeline() {
  const v = shown.verdict, total = length() || 1, line = $("line");
  line.setAttribute("viewBox", `0 0 ${total} 1`);
  line.replaceChildren();
  $("lanes").setAttribute("aria-valuemax", total.toFixed(1));
  if (!v) return;
  const still = { "vector-effect": "non-scaling-stroke" };
  const gap = line.clientWidth > LEAST_PX * v.segments.length ? { stroke: "var(--panel)", ...still } : {}; // of many bars it would hide all
  let drawn = 0; // s; the last window overlaps the one before
  for (const s of v.segments) {
    const x = Math.max(drawn, s.start_s);
    drawn = s.end_s;
    const p = s.p_separated, kind = p === null ? "undecided" : p >= v.thresholds.separated ? "separated" : p <= v.thresholds.studio ? "studio" : "undecided";
    const tall = p === null ? 0.02 : Math.max(p, 0.02);
    line.append(el("rect", { x, y: 1 - tall, width: Math.max(0, s.end_s - x), height: tall, fill: `var(--${kind})`, "fill-opacity": 0.75, ...gap },
      el("title", {}, `${s.start_s.toFixed(1)} to ${s.end_s.toFixed(1)} s: ${p === null ? "silent, not scored" : percent(p)}`)));
  }
  for (const t of [v.thresholds.separated, v.thresholds.studio]) line.append(el("line", { x1: 0, x2: total, y1: 1 - t, y2: 1 - t, stroke: "var(--ink)", "stroke-dasharray": "4 4", ...still }));
  line.setAttribute("aria-label", `Probability of extraction in ${v.segments.length} windows`);
  $("limits").textContent = `Dashed: separated from ${percent(v.thresholds.separated)}, studio up to ${percent(v.thresholds.studio)}. Grey: between, or silent. One window alone tells little.`;
}

function marks() { // bands and edges of the marked cues, over the spectrogram
  const all = shown.verdict?.evidence ?? [];
  const y = (hz) => 100 - (100 * Math.min(hz, TOP_HZ)) / TOP_HZ;
  let atTop = 0; // labels that would lie over each other are set below each other
  $("marks").replaceChildren(...all.filter((c) => shown.marked.has(c.cue)).flatMap((c) => {
    const [low, high] = mark.place(c, all), label = low === high ? `${plain(c.cue)}, ${(low / 1000).toFixed(1)} kHz` : plain(c.cue);
    const line = (hz) => el("line", { x1: 0, x2: "100%", y1: `${y(hz)}%`, y2: `${y(hz)}%`, class: "edge" });
    const band = low === high ? [line(low)] : [el("rect", { x: 0, width: "100%", y: `${y(high)}%`, height: `${y(low) - y(high)}%`, class: "band" }), line(low), line(high)];
    return [...band, el("text", { x: 6, y: `${y(high)}%`, dy: y(high) < 12 ? 14 + 13 * atTop++ : -4 }, label)];
  }));
}

function windowAt(t) { // what the timeline shows there, for who hears the position instead of seeing it
  const all = shown.verdict?.segments ?? [], s = all.find((s) => t < s.end_s) ?? all.at(-1);
  return !s ? "" : s.p_separated === null ? ", silent, not scored" : `, probability of extraction ${percent(s.p_separated)}`;
}
function place() {
  const player = $("player"), total = length();
  $("head").hidden = !total;
  $("head").style.left = `${(100 * player.currentTime) / (total || 1)}%`;
  $("lanes").setAttribute("aria-valuenow", player.currentTime.toFixed(1));
  $("lanes").setAttribute("aria-valuetext", `${player.currentTime.toFixed(1)} of ${total.toFixed(1)} seconds${windowAt(player.currentTime)}`);
  if (!player.paused) requestAnimationFrame(place);
}
let next = null; // where to seek when the seek under way is done: one that overtakes another can hang Chromium's player
let asked = false; // a seek's event is still to come: `seeking` is false a moment before it, and a seek made then would be undone by it
const seek = (s) => {
  const player = $("player"), to = Math.min(length(), Math.max(0, s));
  if (asked || player.seeking) next = to;
  else {
    asked = player.readyState > 0; // before that there is no event
    player.currentTime = to;
  }
  place();
};
$("player").addEventListener("emptied", () => { next = null; asked = false; });
$("player").addEventListener("seeked", () => {
  const to = next;
  next = null;
  asked = false;
  if (to !== null) seek(to);
});

$("lanes").addEventListener("click", (e) => {
  const box = $("lanes").getBoundingClientRect();
  seek(((e.clientX - box.left) / box.width) * length());
  $("player").play().catch(() => {});
});
$("lanes").addEventListener("keydown", (e) => {
  const player = $("player"), step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 10, PageDown: -10 }[e.key];
  if (step) seek((next ?? player.currentTime) + step);
  else if (e.key === "Home") seek(0);
  else if (e.key === "End") seek(length());
  else if (e.key === " ") player.paused ? player.play().catch(() => {}) : player.pause();
  else return;
  e.preventDefault();
});
for (const kind of ["play", "seeked", "timeupdate", "loadedmetadata"]) $("player").addEventListener(kind, place);
let resized = null;
addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(draw, 200); }); // a long file takes a while
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
