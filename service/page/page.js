// The page: send files, show verdicts. Everything shown comes from the service or is computed here from the file.
const $ = (id) => document.getElementById(id);
const LANES = 2; // files sent at once
const DRAW_LIMIT_BYTES = 150e6;
const ORIGINS = { studio: "recorded to its own track", separated: "extracted from a mix", undecided: "undecided" };
const NOTES = {
  too_short: "It is shorter than one second, too short to judge.",
  silent: "There is only silence in it.",
  band_limited: "It holds less than the full range of hearing; traces above that are lost.",
  lossy: "It was stored with a lossy coding, which hides traces.",
  truncated: "The file ends before its header says.",
  low_confidence: "The signs are too weak for a firm answer.",
  outside_training: "It is unlike anything the model was trained on.",
  not_in_this_model: "Fields marked “not in this model” cannot be told by the loaded model.",
};
const HEADS = [
  ["name", "File"], ["origin", "Origin"], ["p_separated", "p(separated)"], ["confidence", "Confidence"],
  ["sdr", "SDR ceiling, dB"], ["processing", "Processing"], ["duration", "Length, s"], ["state", "State"],
];
const items = [];
const sort = { by: null, down: false };
let shown = null, running = 0, buffer = null;

function el(tag, attributes = {}, ...children) {
  const svg = ["rect", "line", "text", "polyline", "title", "g"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) k.startsWith("on") ? node.addEventListener(k.slice(2), v) : node.setAttribute(k, v);
  node.append(...children.map((c) => (c instanceof Node ? c : String(c))));
  return node;
}
const percent = (p) => `${(100 * p).toFixed(p > 0.995 || p < 0.005 ? 1 : 0)} %`;
const number = (x, digits = 2) => (x === null || x === undefined ? "" : x.toFixed(digits));
const plain = (word) => word.replaceAll("_", " ");

// Sending
function add(files) {
  for (const file of files) items.push({ file, state: "waiting", progress: 0, verdict: null, problem: null });
  if (shown === null && items.length) show(items[0]);
  advance();
}
function advance() {
  for (const item of items) {
    if (running >= LANES) break;
    if (item.state === "waiting") send(item);
  }
  const done = items.filter((i) => i.state === "done" || i.state === "error").length;
  $("status").textContent = !items.length ? "" : done < items.length ? `Scored ${done} of ${items.length}…` : items.length > 1 ? `Scored all ${done} files.` : items[0].verdict ? "Scored." : "";
  table();
}
function send(item) {
  running += 1;
  item.state = "sending";
  const form = new FormData();
  form.append("file", item.file, item.file.name);
  const request = new XMLHttpRequest();
  request.open("POST", "v1/verdicts");
  if ($("key").value) request.setRequestHeader("Authorization", `Bearer ${$("key").value.trim()}`);
  request.upload.onprogress = (e) => { item.progress = e.loaded / e.total; if (e.loaded === e.total) item.state = "scoring"; refresh(item); };
  request.onloadend = () => {
    running -= 1;
    let body = null;
    try { body = JSON.parse(request.responseText); } catch { /* said below */ }
    const wait = Number(request.getResponseHeader("Retry-After"));
    if ([429, 503].includes(request.status) && wait) {
      item.state = "held";
      setTimeout(() => { item.state = "waiting"; advance(); }, wait * 1000);
    } else if (request.status === 200 && body) {
      Object.assign(item, { state: "done", verdict: body });
    } else {
      Object.assign(item, { state: "error", problem: body || { detail: request.status ? `status ${request.status}` : "the service cannot be reached" } });
      if (request.status === 401) { $("key-box").open = true; $("key").focus(); }
    }
    refresh(item);
    advance();
  };
  request.send(form);
  refresh(item);
}
function refresh(item) { if (item === shown) detail(); table(); }

// The table
function cells(item) {
  const v = item.verdict;
  return {
    name: item.file.name, origin: v?.origin ?? "", p_separated: v?.p_separated ?? null, confidence: v?.confidence ?? null,
    sdr: v?.sdr_ceiling_db?.estimate ?? null, processing: v?.processing ?? "", duration: v?.audio.duration_s ?? null,
    state: item.problem ? item.problem.detail : item.state,
  };
}
function ordered() {
  const rows = items.map((item) => ({ item, cell: cells(item) }));
  if (!sort.by) return rows;
  const value = (r) => r.cell[sort.by];
  return rows.sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || x === "") return 1;
    if (y === null || y === "") return -1;
    return (typeof x === "number" ? x - y : x.localeCompare(y)) * (sort.down ? -1 : 1);
  });
}
function table() {
  $("list").hidden = items.length < 2;
  if (items.length < 2) return;
  const focused = document.activeElement?.dataset?.id;
  $("heads").replaceChildren(...HEADS.map(([key, text]) => el("th", { scope: "col", "aria-sort": sort.by !== key ? "none" : sort.down ? "descending" : "ascending" },
    el("button", { type: "button", "data-id": `head-${key}`, onclick: () => { sort.down = sort.by === key && !sort.down; sort.by = key; table(); } },
      text + (sort.by !== key ? "" : sort.down ? " ▼" : " ▲")))));
  $("rows").replaceChildren(...ordered().map(({ item, cell }) => el("tr", item === shown ? { "aria-current": "true" } : {},
    el("td", {}, el("button", { type: "button", "data-id": `row-${items.indexOf(item)}`, onclick: () => show(item) }, cell.name)),
    el("td", { class: cell.origin }, cell.origin),
    el("td", { class: "number" }, number(cell.p_separated)), el("td", { class: "number" }, number(cell.confidence)),
    el("td", { class: "number" }, number(cell.sdr, 1)), el("td", {}, cell.processing), el("td", { class: "number" }, number(cell.duration, 1)),
    el("td", {}, item.state === "sending" ? el("progress", { value: item.progress, max: 1, "aria-label": "sent" }) : cell.state))));
  if (focused) document.querySelector(`[data-id="${focused}"]`)?.focus();
}
function save(name, type, text) {
  const link = el("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
function csv() {
  const quote = (x) => { // a cell that a spreadsheet would run as a formula is made text
    const text = x === null ? "" : typeof x === "number" ? String(x) : /^[=+\-@\t\r]/.test(x) ? `'${x}` : String(x);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [HEADS.map(([key]) => key), ...ordered().map(({ cell }) => HEADS.map(([key]) => quote(cell[key])))].map((r) => r.join(",") + "\r\n").join("");
}
const jsonl = () => ordered().map(({ item }) => JSON.stringify({ path: item.file.name, ...(item.verdict ?? { status: "error", error: item.problem }) }) + "\n").join("");

// One verdict
function show(item) {
  shown = item;
  buffer = null;
  $("detail").hidden = false;
  const player = $("player");
  if (player.src) URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(item.file);
  detail();
  table();
  decode(item);
}
function detail() {
  const { file, verdict: v, problem, state, progress } = shown;
  $("name").textContent = file.name;
  $("words").className = v ? v.origin : "error";
  $("words").textContent = v ? inWords(v) : problem ? `No verdict: ${problem.detail}` : state === "sending" ? `Sending, ${percent(progress)}…` : `${plain(state)}…`;
  $("notes").replaceChildren(...(v ? v.reasons.map((r) => el("li", {}, NOTES[r] ?? plain(r))) : problem?.todo ? [el("li", {}, problem.todo)] : []));
  for (const part of document.querySelectorAll(".cards, #detail > section:not(#sound)")) part.hidden = !v;
  $("json").textContent = v ? JSON.stringify(v, null, 2) : "";
  if (v) {
    cards(v);
    $("uses").replaceChildren(...v.suitable_for.map((u) => el("tr", {}, el("td", {}, plain(u.use)), el("td", {}, plain(u.suitable)), el("td", {}, u.why))));
  }
  timeline();
}
function inWords(v) {
  if (v.status !== "ok") return `Not judged: ${(NOTES[v.status] ?? plain(v.status)).toLowerCase()}`;
  if (v.origin === "undecided") return `Undecided: ${percent(v.p_separated)} probability that it was extracted from a mix.`;
  const kind = v.processing === "undecided" ? "" : `, ${v.processing}`;
  return `${v.origin === "studio" ? "A studio stem" : "A separated stem"}: ${ORIGINS[v.origin]}${kind} (${percent(v.confidence)} sure).`;
}
function cards(v) {
  const missing = () => el("p", { class: "quiet" }, "Not in this model.");
  const fill = (id, ...nodes) => $(id).lastElementChild.replaceChildren(...nodes);
  const meters = (values) => Object.entries(values).map(([k, p]) => el("div", { class: "meter" }, el("span", {}, plain(k)), el("meter", { min: 0, max: 1, value: p, "aria-label": plain(k) }), el("span", {}, percent(p))));
  fill("processing", ...(v.p_processing ? meters(v.p_processing) : [missing()]));
  fill("effects", ...(v.effects ? meters(v.effects) : [missing()]));
  fill("evidence", v.evidence ? el("dl", {}, ...v.evidence.flatMap((c) => [el("dt", {}, `${plain(c.cue)}: ${c.value === null ? "not measured" : `${c.value} ${c.unit}`}`), el("dd", {}, c.suggests)])) : missing());
  const s = v.sdr_ceiling_db;
  if (!s) return fill("sdr", el("p", { class: "quiet" }, v.origin === "separated" ? "Not in this model." : v.origin === "studio" ? "Nothing caps a studio stem." : "Stated for separated stems only."));
  const at = (db) => `${Math.min(100, Math.max(0, ((db + 5) / 30) * 100))}%`; // scale from -5 to 25 dB
  const bar = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  bar.append(el("line", { x1: 0, x2: "100%", y1: 14, y2: 14, stroke: "var(--rule)", "stroke-width": 2 }),
    el("line", { x1: at(s.low), x2: at(s.high), y1: 14, y2: 14, stroke: "var(--separated)", "stroke-width": 8 }),
    el("line", { x1: at(s.estimate), x2: at(s.estimate), y1: 4, y2: 24, stroke: "var(--ink)", "stroke-width": 3 }),
    ...[-5, 5, 15, 25].map((t) => el("text", { x: at(t), y: 40, fill: "var(--quiet)", "font-size": 11, "text-anchor": t < 0 ? "start" : t > 20 ? "end" : "middle" }, `${t} dB`)));
  bar.setAttribute("aria-hidden", "true");
  fill("sdr", el("p", {}, `About ${s.estimate.toFixed(1)} dB, between ${s.low.toFixed(1)} and ${s.high.toFixed(1)} dB nine times in ten.`), bar);
}

// Sound: waveform, timeline, spectrogram, position
async function decode(item) {
  for (const id of ["wave", "spectrum"]) $(id).getContext("2d").clearRect(0, 0, $(id).width, $(id).height);
  if (item.file.size > DRAW_LIMIT_BYTES) return;
  try {
    const context = new OfflineAudioContext(1, 1, 44100);
    const decoded = await context.decodeAudioData(await item.file.arrayBuffer());
    if (item !== shown) return;
    buffer = decoded;
    draw();
  } catch {
    if (item === shown && !item.problem) $("limits").textContent = "The browser cannot draw or play this format; the verdict does not depend on that.";
  }
}
const length = () => shown?.verdict?.audio.duration_s || buffer?.duration || $("player").duration || 0;
function fit(canvas) {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  return canvas.getContext("2d");
}
const colour = (name) => { const probe = el("i"); probe.style.color = `var(--${name})`; document.body.append(probe); const c = getComputedStyle(probe).color; probe.remove(); return c; };
function mono() {
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, c) => buffer.getChannelData(c));
  return channels.length === 1 ? channels[0] : channels[0].map((x, i) => (x + channels[1][i]) / 2);
}
function draw() {
  timeline();
  if (!buffer) return;
  const samples = mono(), g = fit($("wave")), { width: w, height: h } = $("wave");
  g.fillStyle = colour("wave");
  let peak = 1e-9;
  for (const x of samples) peak = Math.max(peak, Math.abs(x));
  for (let x = 0; x < w; x++) {
    let low = 0, high = 0;
    const end = Math.min(samples.length, Math.ceil(((x + 1) * samples.length) / w));
    for (let i = Math.floor((x * samples.length) / w); i < end; i++) { low = Math.min(low, samples[i]); high = Math.max(high, samples[i]); }
    g.fillRect(x, h / 2 - (high / peak) * h * 0.48, 1, Math.max(1, ((high - low) / peak) * h * 0.48));
  }
  spectrogram(samples);
}
function spectrogram(samples) {
  const n = 1024, g = fit($("spectrum")), { width: w, height: h } = $("spectrum");
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const image = g.createImageData(w, h), re = new Float32Array(n), im = new Float32Array(n), levels = new Float32Array(w * h);
  let top = -200;
  for (let x = 0; x < w; x++) {
    const start = Math.round((x / w) * Math.max(0, samples.length - n));
    for (let i = 0; i < n; i++) { re[i] = (samples[start + i] || 0) * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / n)); im[i] = 0; }
    transform(re, im);
    for (let y = 0; y < h; y++) {
      const k = Math.min(n / 2 - 1, Math.floor(((h - 1 - y) / h) * (n / 2)));
      const level = 10 * Math.log10(re[k] ** 2 + im[k] ** 2 + 1e-12);
      levels[y * w + x] = level;
      top = Math.max(top, level);
    }
  }
  for (let i = 0; i < levels.length; i++) {
    const t = Math.min(1, Math.max(0, 1 + (levels[i] - top) / 100)); // 100 dB down to the ground colour
    const [a, b] = dark ? [[21, 23, 26], [255, 214, 150]] : [[251, 251, 250], [40, 20, 70]];
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = a[c] + (b[c] - a[c]) * t ** 1.3;
    image.data[4 * i + 3] = 255;
  }
  g.putImageData(image, 0, 0);
}
function transform(re, im) { // radix-2 Fourier transform in place
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) { [re[i], re[j]] = [re[j], re[i]]; [im[i], im[j]] = [im[j], im[i]]; }
  }
  for (let size = 2; size <= n; size *= 2) {
    const angle = (-2 * Math.PI) / size;
    for (let k = 0; k < size / 2; k++) {
      const c = Math.cos(angle * k), s = Math.sin(angle * k);
      for (let i = k; i < n; i += size) {
        const j = i + size / 2, x = re[j] * c - im[j] * s, y = re[j] * s + im[j] * c;
        re[j] = re[i] - x; im[j] = im[i] - y; re[i] += x; im[i] += y;
      }
    }
  }
}
function timeline() {
  const v = shown?.verdict, total = length() || 1, line = $("line"), marks = $("marks");
  line.setAttribute("viewBox", `0 0 ${total} 1`);
  line.replaceChildren();
  marks.replaceChildren();
  $("lanes").setAttribute("aria-valuemax", total.toFixed(1));
  if (!v) return;
  const still = { "vector-effect": "non-scaling-stroke" };
  for (const s of v.segments) {
    const p = s.p_separated, kind = p === null ? "undecided" : p >= v.thresholds.separated ? "separated" : p <= v.thresholds.studio ? "studio" : "undecided";
    line.append(el("rect", { x: s.start_s, y: p === null ? 0.98 : 1 - Math.max(p, 0.02), width: s.end_s - s.start_s, height: p === null ? 0.02 : Math.max(p, 0.02), fill: `var(--${kind})`, "fill-opacity": 0.75, stroke: "var(--panel)", ...still },
      el("title", {}, `${s.start_s.toFixed(1)} to ${s.end_s.toFixed(1)} s: ${p === null ? "silent, not scored" : percent(p)}`)));
  }
  for (const t of [v.thresholds.separated, v.thresholds.studio]) line.append(el("line", { x1: 0, x2: total, y1: 1 - t, y2: 1 - t, stroke: "var(--ink)", "stroke-dasharray": "4 4", ...still }));
  line.setAttribute("aria-label", `Probability of extraction in ${v.segments.length} windows`);
  $("limits").textContent = `Dashed: separated from ${percent(v.thresholds.separated)}, studio up to ${percent(v.thresholds.studio)}. Grey: between, or silent.`;
  for (const c of v.evidence ?? []) {
    if (c.unit !== "Hz" || c.value === null) continue; // a cue that is a frequency has a place in the spectrogram
    const y = `${100 - (c.value / 22050) * 100}%`;
    marks.append(el("line", { x1: 0, x2: "100%", y1: y, y2: y, stroke: "var(--separated)", "stroke-dasharray": "6 4", "stroke-width": 2 }), el("text", { x: 6, y, dy: -4, fill: "var(--separated)", "font-size": 12 }, plain(c.cue)));
  }
}
function place() {
  const player = $("player"), total = length();
  $("head").hidden = !total;
  $("head").style.left = `${(100 * player.currentTime) / (total || 1)}%`;
  $("lanes").setAttribute("aria-valuenow", player.currentTime.toFixed(1));
  if (!player.paused) requestAnimationFrame(place);
}
const seek = (s) => { $("player").currentTime = Math.min(length(), Math.max(0, s)); place(); };

// Wiring
$("files").addEventListener("change", (e) => { add(e.target.files); e.target.value = ""; });
for (const kind of ["dragover", "dragleave", "drop"]) addEventListener(kind, (e) => {
  e.preventDefault();
  $("drop").classList.toggle("over", kind === "dragover");
  if (kind === "drop") add(e.dataTransfer.files);
});
$("key").addEventListener("change", () => { for (const i of items) if (i.problem?.status === 401) Object.assign(i, { state: "waiting", problem: null }); advance(); });
$("key-form").addEventListener("submit", (e) => { e.preventDefault(); $("key").blur(); });
$("save-csv").addEventListener("click", () => save("verdicts.csv", "text/csv", csv()));
$("save-jsonl").addEventListener("click", () => save("verdicts.jsonl", "application/jsonl", jsonl()));
$("copy").addEventListener("click", async () => {
  try { await navigator.clipboard.writeText($("json").textContent); $("status").textContent = "JSON copied."; } catch {
    getSelection().selectAllChildren($("json"));
    $("status").textContent = "Copying is not allowed here; the JSON is selected, press Ctrl+C.";
  }
});
$("lanes").addEventListener("click", (e) => {
  const box = $("lanes").getBoundingClientRect();
  seek(((e.clientX - box.left) / box.width) * length());
  $("player").play().catch(() => {});
});
$("lanes").addEventListener("keydown", (e) => {
  const player = $("player"), step = { ArrowLeft: -1, ArrowRight: 1, PageUp: 10, PageDown: -10 }[e.key];
  if (step) seek(player.currentTime + step);
  else if (e.key === "Home") seek(0);
  else if (e.key === "End") seek(length());
  else if (e.key === " ") player.paused ? player.play().catch(() => {}) : player.pause();
  else return;
  e.preventDefault();
});
for (const kind of ["play", "seeked", "timeupdate", "loadedmetadata"]) $("player").addEventListener(kind, place);
addEventListener("resize", () => { if (shown) draw(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (shown) draw(); });
