// Small helpers shared by the page's files.
export const $ = (id) => document.getElementById(id);
export function el(tag, attributes = {}, ...children) {
  const svg = ["rect", "line", "text", "polyline", "title", "g"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) k.startsWith("on") ? node.addEventListener(k.slice(2), v) : node.setAttribute(k, v);
  node.append(...children.map((c) => (c instanceof Node ? c : String(c))));
  return node;
}
export const percent = (p) => { // a probability; none is called certain
  if (p >= 0.9995) return "over 99.9 %";
  return p < 0.0005 ? "under 0.1 %" : `${(100 * p).toFixed(p >= 0.995 || p < 0.005 ? 1 : 0)} %`;
};
export const chance = (p) => p === null ? "" : p >= 0.9995 ? "over 0.999" : p < 0.0005 ? "under 0.001" : p.toFixed(3);
export const number = (x, digits = 2) => (x === null || x === undefined ? "" : x.toFixed(digits));
export const plain = (word) => word.replaceAll("_", " ").replace(/\bkhz\b/, "kHz");
