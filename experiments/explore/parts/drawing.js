// What both views draw with: a canvas in CSS pixels, colours of the theme, numbers as words, small charts.

const find = (id) => document.getElementById(id);
const number = (n) => Math.round(n).toLocaleString("en-US");
const still = window.matchMedia("(prefers-reduced-motion: reduce)");

/** A colour of the theme that is on now. */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

/** Clear a canvas, fit it to its box and the screen's pixels; return its context with its size in CSS pixels. */
function fresh(canvas) {
  const width = canvas.clientWidth, height = canvas.clientHeight, dense = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * dense);
  canvas.height = Math.round(height * dense);
  const pen = canvas.getContext("2d");
  pen.scale(dense, dense);
  pen.font = "12px system-ui, sans-serif";
  return { pen, width, height };
}

/** A percentage that does not hide how far it is from 0 or 100. */
function share(p, rest) {
  if (p < 1e-3) return "1 in " + number(1 / p);
  if (rest < 1e-3) return "all but 1 in " + number(1 / rest);
  return (100 * p).toPrecision(3).replace(/\.0+$/, "") + " %";
}

/** A small chart: axes with ticks, lines, points. x and y map a value to 0..1 of the frame. */
function chart(canvas, { x, y, xticks, yticks, xlabel, bands = [], lines = [], points = [] }) {
  const { pen, width, height } = fresh(canvas);
  const left = 46, right = 10, top = 8, bottom = 38;
  const across = (v) => left + x(v) * (width - left - right), up = (v) => height - bottom - y(v) * (height - top - bottom);
  pen.lineWidth = 1;
  for (const band of bands) {
    pen.fillStyle = colour("lost");
    pen.fillRect(across(band[0]), top, across(band[1]) - across(band[0]), height - top - bottom);
  }
  pen.strokeStyle = colour("line");
  pen.fillStyle = colour("soft");
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const [value, label] of yticks) {
    pen.beginPath();
    pen.moveTo(left, up(value));
    pen.lineTo(width - right, up(value));
    pen.stroke();
    pen.fillText(label, left - 5, up(value));
  }
  pen.textBaseline = "top";
  let free = -Infinity;
  for (const [value, label] of xticks) {
    const half = pen.measureText(label).width / 2, place = Math.min(Math.max(across(value), left + half - 12), width - half - 2);
    if (place - half < free) continue; // no room beside the tick before
    free = place + half + 6;
    pen.textAlign = "center";
    pen.fillText(label, place, height - bottom + 6);
  }
  pen.fillText(xlabel, (left + width - right) / 2, height - 15);
  pen.save();
  pen.beginPath();
  pen.rect(left, top - 4, width - left - right + 4, height - top - bottom + 8);
  pen.clip();
  for (const line of lines) {
    pen.strokeStyle = line.colour;
    pen.lineWidth = line.width || 2.2;
    pen.setLineDash(line.dash || []);
    pen.beginPath();
    line.values.forEach(([a, b], i) => (i ? pen.lineTo(across(a), up(b)) : pen.moveTo(across(a), up(b))));
    pen.stroke();
  }
  pen.setLineDash([]);
  for (const point of points) marker(pen, across(point.at[0]), up(point.at[1]), point.shape, 5.5, point.colour, colour("back"));
  pen.restore();
}

/** A circle (0), square (1) or triangle (2); classes and losses differ by shape as well as by colour. */
function marker(pen, x, y, shape, size, fill, edge) {
  pen.beginPath();
  if (shape === 0) pen.arc(x, y, size, 0, 2 * Math.PI);
  else if (shape === 1) pen.rect(x - 0.9 * size, y - 0.9 * size, 1.8 * size, 1.8 * size);
  else {
    pen.moveTo(x, y - 1.15 * size);
    pen.lineTo(x + 1.1 * size, y + 0.85 * size);
    pen.lineTo(x - 1.1 * size, y + 0.85 * size);
    pen.closePath();
  }
  pen.fillStyle = fill;
  pen.fill();
  pen.lineWidth = 1.2;
  pen.strokeStyle = edge;
  pen.stroke();
}
