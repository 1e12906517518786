// The files that were chosen, and how they are sent: two at once, held back when asked to, stopped and sent again.
import { $ } from "./dom.js";

const LANES = 2; // files sent at once
const ENDED = ["done", "error", "stopped"];
const STALLED = 408; // the connection's fault, not the file's
export const items = []; // { file, name, state, progress, verdict, problem }
const heard = { change: () => {} };
let running = 0, keyless = false; // whether the service asked for a key: nothing is sent before there is one

export const onChange = (listener) => { heard.change = listener; };
export const isEnded = (item) => ENDED.includes(item.state);
export const canStop = () => items.some((item) => !isEnded(item));
export const canSendAgain = () => items.some(isLost);
const isLost = (item) => item.state === "stopped" || (item.problem && (item.problem.status === STALLED || !(item.problem.status >= 400 && item.problem.status < 500)));

export function add(files) {
  for (const [name, file] of files) items.push({ file, name, state: "waiting", progress: 0, verdict: null, problem: null });
  advance();
}
export function stop() {
  for (const item of items.filter((i) => !isEnded(i))) {
    item.state = "stopped"; // before the request says that it ended
    item.request?.abort();
    heard.change(item);
  }
}
export function sendAgain() {
  for (const item of items.filter(isLost)) Object.assign(item, { state: "waiting", problem: null, progress: 0 });
  advance();
}
export function keyGiven() {
  keyless = false;
  for (const item of items) if (item.problem?.status === 401) Object.assign(item, { state: "waiting", problem: null });
  advance();
}

function advance() {
  for (const item of items) {
    if (running >= LANES || keyless) break;
    if (item.state === "waiting") send(item);
  }
  heard.change(null);
}
function send(item) {
  running += 1;
  const form = new FormData();
  form.append("file", item.file, item.file.name);
  const request = new XMLHttpRequest();
  Object.assign(item, { state: "sending", progress: 0, request });
  request.open("POST", "v1/verdicts");
  if ($("key").value) request.setRequestHeader("Authorization", `Bearer ${$("key").value.trim()}`);
  request.upload.onprogress = (e) => {
    item.progress = e.total ? e.loaded / e.total : 0;
    if (e.loaded === e.total) item.state = "scoring";
    heard.change(item);
  };
  request.onloadend = () => {
    running -= 1;
    item.request = null;
    if (item.state !== "stopped") answered(item, request);
    heard.change(item);
    advance();
  };
  request.send(form);
  heard.change(item);
}
function answered(item, request) {
  let body = null;
  try { body = JSON.parse(request.responseText); } catch { /* said below */ }
  const wait = Number(request.getResponseHeader("Retry-After"));
  if ([429, 503].includes(request.status) && wait) {
    item.state = "held";
    setTimeout(() => { if (item.state === "held") { item.state = "waiting"; advance(); } }, wait * 1000);
  } else if (request.status === 200 && body?.schema_version) {
    Object.assign(item, { state: "done", verdict: body });
  } else {
    const detail = request.status ? `the service answered with status ${request.status}` : "the service cannot be reached, or the file not be read";
    const ours = typeof body?.detail === "string" && request.status !== 200; // else of something between here and the service
    Object.assign(item, { state: "error", problem: ours ? { ...body, status: request.status } : { status: request.status, detail } });
    if (request.status === 401) keyless = true;
  }
}
