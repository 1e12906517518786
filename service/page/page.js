// The page: send files, show verdicts. Everything shown comes from the service or is computed here from the file.
import { $, el, number, percent, plain } from "./dom.js";
import { draw, isMarked, open, tell } from "./sound.js";
import { cards, inWords, notes } from "./verdict.js";

const LANES = 2; // files sent at once
const HEADS = [
  ["name", "File"], ["origin", "Origin"], ["p_separated", "p(separated)"], ["confidence", "Confidence"],
  ["sdr", "SDR ceiling, dB"], ["processing", "Processing"], ["duration", "Length, s"], ["state", "State"],
];
const items = [];
const sort = { by: null, down: false };
let shown = null, running = 0;

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
    el("td", { class: "state" }, item.state === "sending" ? el("progress", { value: item.progress, max: 1, "aria-label": "sent" }) : cell.state))));
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
  $("detail").hidden = false;
  open(item.file);
  detail();
  table();
}
function detail() {
  const { file, verdict: v, problem, state, progress } = shown;
  $("name").textContent = file.name;
  $("words").className = v ? v.origin : "error";
  $("words").textContent = v ? inWords(v) : problem ? `No verdict: ${problem.detail}` : state === "sending" ? `Sending, ${percent(progress)}…` : `${plain(state)}…`;
  $("sent").hidden = state !== "sending" && state !== "scoring";
  state === "sending" ? $("sent").setAttribute("value", progress) : $("sent").removeAttribute("value");
  $("notes").replaceChildren(...(v ? notes(v) : problem?.todo ? [el("li", {}, problem.todo)] : []));
  for (const part of document.querySelectorAll(".cards, #detail > section:not(#sound)")) part.hidden = !v;
  $("json").textContent = v ? JSON.stringify(v, null, 2) : "";
  tell(v);
  if (!v) return;
  cards(v);
  for (const button of $("cues").querySelectorAll("button")) button.setAttribute("aria-pressed", String(isMarked(button.dataset.cue)));
}

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
