// The page: send files, show verdicts. Everything shown comes from the service or is computed here from the file.
import { $, el, plain } from "./dom.js";
import { dropped } from "./pick.js";
import { add, canSendAgain, canStop, items, keyGiven, onChange, sendAgain, stop } from "./send.js";
import { draw, isDrawn, isMarked, open, tell } from "./sound.js";
import { arrange, csv, fill, jsonl, point, progress } from "./table.js";
import { advice, cards, caution, inWords, notes } from "./verdict.js";

const ARRANGE_MS = 150; // what ends in that time is put in order at once
const ALOUD_MS = 10000; // how far it is is read aloud no more often: of hundreds of files nothing else would be heard
const DOING = { held: "Waiting, as the service asks", stopped: "Stopped. Nothing was scored" };
let shown = null, due = null, said = "", heard = 0; // the file in sight, when the table is set, what was last said of all files

// Files
function take(files) {
  add(files);
  arranged();
  if (shown === null && items.length) show(items[0]);
}
function say(words, isNews = true) {
  $("status").textContent = words;
  if (!isNews && Date.now() - heard < ALOUD_MS) return;
  heard = Date.now();
  $("aloud").textContent = words;
}
function arranged() {
  clearTimeout(due);
  due = null;
  arrange(choose);
  if (progress() !== said) say(said = progress(), !canStop()); // else what was said besides stays
  const focused = document.activeElement;
  $("stop").hidden = !canStop();
  $("again").hidden = canStop() || !canSendAgain();
  if (focused?.hidden) (["stop", "again"].map($).find((button) => !button.hidden) ?? $("status")).focus(); // a hidden one loses it to nothing
}
onChange((item) => {
  if (item) fill(item);
  if (item && item === shown) detail();
  if (item?.problem?.status === 401 && !$("key-box").open) { $("key-box").open = true; $("key").focus(); }
  if (items.length < 2) arranged();
  else due ??= setTimeout(arranged, ARRANGE_MS);
});
function choose(item) {
  show(item);
  const { top } = $("detail").getBoundingClientRect();
  if (top < 0 || top > innerHeight / 2) $("detail").scrollIntoView();
}
function save(name, type, text) {
  const link = el("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// One verdict
function show(item) {
  shown = item;
  $("detail").hidden = false;
  open(item.file);
  detail();
  point(item);
}
function detail() {
  const { name, verdict: v, problem, state, progress: sent } = shown;
  const words = v ? inWords(v) : problem ? `No verdict: ${problem.detail}` : `${DOING[state] ?? plain(state)}…`;
  $("name").textContent = name;
  $("words").className = v ? v.origin : "error";
  if ($("words").textContent !== words) $("words").textContent = words; // it is read aloud
  $("caution").textContent = v ? caution(v) : "";
  $("sent").hidden = state !== "sending" && state !== "scoring";
  state === "sending" ? $("sent").setAttribute("value", sent) : $("sent").removeAttribute("value");
  $("notes").replaceChildren(...(v ? notes(v) : problem ? advice(problem).map((text) => el("li", {}, text)) : []));
  for (const part of document.querySelectorAll(".cards, #detail > section:not(#sound), #timeline")) part.hidden = !v;
  $("sound").hidden = Boolean(problem) && !isDrawn();
  $("json").textContent = v ? JSON.stringify(v, null, 2) : "";
  tell(v);
  if (!v) return;
  cards(v);
  for (const button of $("cues").querySelectorAll("button")) button.setAttribute("aria-pressed", String(isMarked(button.dataset.cue)));
}

// Wiring
$("files").addEventListener("change", (e) => { take([...e.target.files].map((file) => [file.name, file])); e.target.value = ""; });
for (const kind of ["dragover", "dragleave", "drop"]) addEventListener(kind, async (e) => {
  e.preventDefault();
  $("drop").classList.toggle("over", kind === "dragover");
  if (kind !== "drop") return;
  const files = await dropped(e.dataTransfer);
  files.length ? take(files) : say("There is no audio file in what was dropped.");
});
addEventListener("drawn", () => { if (shown) detail(); });
addEventListener("beforeunload", (e) => { if (canStop()) e.preventDefault(); });
$("key").addEventListener("change", keyGiven);
$("key-form").addEventListener("submit", (e) => { e.preventDefault(); $("key").blur(); });
$("stop").addEventListener("click", () => { stop(); arranged(); });
$("again").addEventListener("click", () => { sendAgain(); arranged(); if (shown) detail(); });
$("save-csv").addEventListener("click", () => save("verdicts.csv", "text/csv", csv()));
$("save-jsonl").addEventListener("click", () => save("verdicts.jsonl", "application/jsonl", jsonl()));
$("copy").addEventListener("click", async () => {
  try { await navigator.clipboard.writeText($("json").textContent); say("JSON copied."); } catch {
    getSelection().selectAllChildren($("json"));
    say("Copying is not allowed here; the JSON is selected, press Ctrl+C.");
  }
});
