// AIFF to WAV, so that browsers that know only WAV can draw and play it. Uncompressed samples only.
export function toWav(buffer) {
  const view = new DataView(buffer);
  const word = (at) => String.fromCharCode(...new Uint8Array(buffer, at, 4));
  if (buffer.byteLength < 12 || word(0) !== "FORM" || !["AIFF", "AIFC"].includes(word(8))) return null;
  let format = null, sound = null;
  for (let at = 12; at + 8 <= buffer.byteLength; ) {
    const size = view.getUint32(at + 4), start = at + 8;
    if (word(at) === "COMM") {
      const exponent = (view.getUint16(start + 8) & 0x7fff) - 16383 - 31; // an 80-bit float; its top 32 bits suffice
      const coding = word(8) === "AIFC" ? word(start + 18) : "NONE";
      format = { channels: view.getUint16(start), bits: view.getUint16(start + 6), rate: Math.round(view.getUint32(start + 10) * 2 ** exponent), coding };
    } else if (word(at) === "SSND") sound = { start: start + 8 + view.getUint32(start), end: Math.min(start + size, buffer.byteLength) };
    at = start + size + (size % 2);
  }
  if (!format || !sound || !["NONE", "twos", "sowt"].includes(format.coding) || ![8, 16, 24, 32].includes(format.bits)) return null;
  const width = format.bits / 8, n = Math.floor((sound.end - sound.start) / width) * width;
  const out = new Uint8Array(44 + n), head = new DataView(out.buffer), samples = new Uint8Array(buffer, sound.start, n);
  const text = (at, t) => [...t].forEach((c, i) => { out[at + i] = c.charCodeAt(0); });
  text(0, "RIFF"); text(8, "WAVEfmt "); text(36, "data");
  head.setUint32(4, 36 + n, true); head.setUint32(16, 16, true); head.setUint16(20, 1, true); head.setUint16(22, format.channels, true);
  head.setUint32(24, format.rate, true); head.setUint32(28, format.rate * format.channels * width, true);
  head.setUint16(32, format.channels * width, true); head.setUint16(34, format.bits, true); head.setUint32(40, n, true);
  for (let i = 0; i < n; i += width) for (let b = 0; b < width; b++) out[44 + i + b] = samples[i + (format.coding === "sowt" ? b : width - 1 - b)];
  if (width === 1) for (let i = 44; i < out.length; i++) out[i] ^= 0x80; // WAV's bytes are unsigned
  return out.buffer;
}
