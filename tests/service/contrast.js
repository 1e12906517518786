// Returns the visible texts whose contrast with their ground is below WCAG's 4.5, and controls whose edge's is below 3.
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const pixel = (css) => {
    canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const linear = (x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  const light = (css) => pixel(css).reduce((sum, x, i) => sum + linear(x / 255) * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const css = getComputedStyle(at).backgroundColor;
      if (css !== "rgba(0, 0, 0, 0)") return css;
    }
    return "white";
  };
  const contrast = (one, other) => {
    const [high, low] = [light(one), light(other)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const weak = [];
  for (const node of document.querySelectorAll("button, input, #drop")) {
    const css = getComputedStyle(node), edge = css.borderTopColor;
    if (!node.checkVisibility({ opacityProperty: true }) || css.borderTopWidth === "0px") continue;
    const ratio = contrast(edge, ground(node.parentElement));
    if (ratio < 3) weak.push(`edge of ${node.tagName} ${node.textContent.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  for (const node of document.querySelectorAll("body *")) {
    const text = [...node.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join("");
    if (!text || !node.checkVisibility() || node.closest("svg")) continue;
    const ratio = contrast(getComputedStyle(node).color, ground(node));
    if (ratio < 4.5) weak.push(`${node.tagName} ${text.slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return weak;
};
