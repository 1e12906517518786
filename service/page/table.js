// The table of all files, and what is downloaded of it. A row is made once and filled anew, so that a click is not lost.
import { $, chance, el, number, plain } from "./dom.js";
import { isEnded, items } from "./send.js";

const HEADS = [
  ["name", "File"], ["origin", "Origin"], ["p_separated", "p(separated)"], ["confidence", "Confidence"],
  ["sdr", "SDR ceiling, dB"], ["processing", "Processing"], ["duration", "Length, s"], ["state", "State"],
];
const STATES = { held: "waiting, as the service asks", done: "scored" };
const isJudged = (item) => item.verdict?.status === "ok";
const sort = { by: null, down: false };
const rows = new Map();

function cells(item) {
  const v = item.verdict;
  return {
    name: item.name, origin: v?.origin ?? "", p_separated: v?.p_separated ?? null, confidence: v?.confidence ?? null,
    sdr: v?.sdr_ceiling_db?.estimate ?? null, processing: v?.processing ?? "", duration: v?.audio.duration_s ?? null,
    state: item.problem ? item.problem.detail : v && v.status !== "ok" ? `not judged: ${plain(v.status)}` : STATES[item.state] ?? item.state,
  };
}
function ordered() {
  const found = items.map((item) => ({ item, cell: cells(item) }));
  if (!sort.by) return found;
  const value = (r) => r.cell[sort.by];
  return found.sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || x === "") return 1;
    if (y === null || y === "") return -1;
    return (typeof x === "number" ? x - y : x.localeCompare(y)) * (sort.down ? -1 : 1);
  });
}
function rowOf(item, choose) {
  if (!rows.has(item)) {
    const name = el("button", { type: "button", "data-id": `row-${rows.size}`, title: item.name, onclick: () => choose(item) },
      el("span", { class: "cut" }, item.name));
    rows.set(item, el("tr", {}, el("td", { class: "name" }, name), ...HEADS.slice(1).map(() => el("td"))));
  }
  return rows.get(item);
}

// Fills the row of one file.
export function fill(item) {
  const row = rows.get(item);
  if (!row) return;
  const [, origin, p, confidence, sdr, processing, duration, state] = row.cells, cell = cells(item);
  const put = (td, kind, content) => { td.className = kind; td.replaceChildren(content); };
  put(origin, cell.origin || "error", item.problem ? "no verdict" : cell.origin);
  put(p, "number", chance(cell.p_separated));
  put(confidence, "number", chance(cell.confidence));
  put(sdr, "number", number(cell.sdr, 1));
  put(processing, "", cell.processing);
  put(duration, "number", number(cell.duration, 1));
  put(state, "state", item.state === "sending" ? el("progress", { value: item.progress, max: 1, "aria-label": "sent" })
    : el("span", { class: "cut", title: cell.state }, cell.state));
}

// Sets heads and rows in order; `choose` is called with the file of a row that is clicked.
export function arrange(choose) {
  $("list").hidden = items.length < 2;
  if (items.length < 2) return;
  if (!$("heads").children.length) $("heads").append(...HEADS.map(([key]) => el("th", { scope: "col" }, el("button", {
    type: "button", "data-id": `head-${key}`,
    onclick: () => { sort.down = sort.by === key && !sort.down; sort.by = key; arrange(choose); },
  }))));
  HEADS.forEach(([key, text], i) => {
    const head = $("heads").children[i], by = sort.by === key;
    head.setAttribute("aria-sort", !by ? "none" : sort.down ? "descending" : "ascending");
    head.firstChild.textContent = text + (!by ? "" : sort.down ? " ▼" : " ▲");
  });
  const wanted = ordered().map(({ item }) => {
    const isNew = !rows.has(item), row = rowOf(item, choose);
    if (isNew) fill(item);
    return row;
  });
  const there = $("rows").children, focused = document.activeElement;
  if (wanted.some((row, i) => there[i] !== row)) {
    $("rows").replaceChildren(...wanted);
    if (focused?.dataset?.id) focused.focus();
  }
}
export function point(item) {
  $("rows").querySelector("[aria-current]")?.removeAttribute("aria-current");
  rows.get(item)?.setAttribute("aria-current", "true");
}

export function csv() {
  const quote = (x) => { // a cell that a spreadsheet would run as a formula is made text
    const text = x === null ? "" : typeof x === "number" ? String(x) : /^[=+\-@\t\r\n＝＋－＠]/.test(x) ? `'${x}` : String(x);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [HEADS.map(([key]) => key), ...ordered().map(({ cell }) => HEADS.map(([key]) => quote(cell[key])))];
  return lines.map((line) => line.join(",") + "\r\n").join("");
}
// A line for each file that is scored or cannot be: what is not sent yet has none.
export const jsonl = () => ordered().filter(({ item }) => item.verdict || item.problem).map(({ item }) => {
  const error = item.problem && { code: item.problem.code ?? "not_sent", message: item.problem.detail };
  return JSON.stringify({ path: item.name, ...(item.verdict ?? { status: "error", error }) }) + "\n";
}).join("");

// Says how far it is.
export function progress() {
  const n = items.length, read = items.filter((i) => i.verdict).length, scored = items.filter(isJudged).length, refused = read - scored, stopped = items.filter((i) => i.state === "stopped").length;
  const ended = items.filter(isEnded).length, none = ended - read - stopped;
  if (!n) return "";
  const left = [refused && `${refused} not judged`, none && `${none} without a verdict`, stopped && `${stopped} stopped`].filter(Boolean).join(", ");
  if (ended < n) return n === 1 ? "" : `Scored ${scored} of ${n}${left && `, ${left}`}…`;
  if (n === 1) return scored ? "Scored." : refused ? "Not judged." : "";
  return left ? `Scored ${scored} of ${n} files: ${left}.` : `Scored all ${n} files.`;
}
