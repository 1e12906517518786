// The spectrogram's picture.
const N = 1024, RANGE_DB = 90;
const STOPS = [ // of the map 'inferno' (S. van der Walt and N. Smith, CC0), as in the picture of 'explain'
  [0, 0, 4], [40, 11, 84], [101, 21, 110], [159, 42, 99], [212, 72, 66], [245, 125, 21], [250, 193, 39], [252, 255, 164],
];

export function paint(canvas, context, samples) {
  const { width: w, height: h } = canvas;
  const image = context.createImageData(w, h), re = new Float32Array(N), im = new Float32Array(N), levels = new Float32Array(w * h);
  let top = -200;
  for (let x = 0; x < w; x++) {
    const start = Math.round((x / w) * Math.max(0, samples.length - N));
    for (let i = 0; i < N; i++) { re[i] = (samples[start + i] || 0) * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / N)); im[i] = 0; }
    transform(re, im);
    for (let y = 0; y < h; y++) {
      const k = Math.min(N / 2 - 1, Math.floor(((h - 1 - y) / h) * (N / 2)));
      const level = 10 * Math.log10(re[k] ** 2 + im[k] ** 2 + 1e-12);
      levels[y * w + x] = level;
      top = Math.max(top, level);
    }
  }
  for (let i = 0; i < levels.length; i++) {
    const t = Math.min(1, Math.max(0, 1 + (levels[i] - top) / RANGE_DB)) * (STOPS.length - 1);
    const low = Math.min(STOPS.length - 2, Math.floor(t));
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = STOPS[low][c] + (STOPS[low + 1][c] - STOPS[low][c]) * (t - low);
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
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
