// State, controls and the clock. The state is in the address, so that a view can be sent to somebody.

const DATA = JSON.parse(find("data").textContent);
const DEFAULTS = {
  z: PRESETS.wrong.z, beta: 1, rate: 0.15, target: 0.5, arrows: "log", magnified: true,
  dataset: "spirals", spread: "saturated", noise: 0, imbalance: 1, mode: BEST, raceRate: 1,
};
const state = { ...DEFAULTS, ...read() };
let touched = location.hash.length > 1, playing = !still.matches, waiting = { triangle: 0, race: 0 }, stale = true;

/** The state in the address; what makes no sense there is left out. */
function read() {
  const found = {}, choices = {
    arrows: ["log", "linear"], dataset: Object.keys(DATA.races), spread: Object.keys(DATA.spreads), mode: [BEST, EQUAL_RATE, EQUAL_STEP],
    noise: DATA.noises, imbalance: DATA.imbalances, magnified: [true, false],
  };
  const ranges = { beta: [0, 1], rate: [1e-3, 1e3], target: [0.4, 0.999], raceRate: [1e-3, 1e3] };
  for (const [key, text] of new URLSearchParams(location.hash.slice(1))) {
    if (key === "z") {
      const z = text.split(",").map(Number);
      if (z.length === 3 && z.every((v) => Math.abs(v) <= 60)) found.z = z;
    } else if (key in ranges) {
      const value = Number(text);
      if (value >= ranges[key][0] && value <= ranges[key][1]) found[key] = value;
    } else if (key in choices) {
      const value = choices[key].find((one) => String(one) === text);
      if (value !== undefined) found[key] = value;
    }
  }
  return found;
}

function write() {
  const changed = Object.keys(DEFAULTS).filter((key) => String(state[key]) !== String(DEFAULTS[key]));
  const text = (value) => (Array.isArray(value) ? value.map((v) => Number(v.toFixed(3))).join(",") : String(value));
  history.replaceState(null, "", "#" + changed.map((key) => `${key}=${encodeURIComponent(text(state[key]))}`).join("&"));
}

const RACE_KEYS = ["dataset", "spread", "noise", "imbalance", "mode", "raceRate"];

/** Take a change by the reader: from here on the page no longer moves on by itself to the next example. */
function changed(part, byReader = true) {
  Object.assign(state, part);
  if (byReader) {
    touched = true;
    write();
  }
  (Object.keys(part).some((key) => RACE_KEYS.includes(key)) ? race : triangle).restart();
  show();
}

const triangle = new Triangle(state, changed), race = new RaceView(state, DATA);

/** Every control: which key it sets and how its text and the key's value become one another. */
const CONTROLS = [
  ["beta", (t) => Number(t), String, (v) => (v === 0 ? "cross-entropy" : v === 1 ? "SSR" : v.toFixed(2))],
  ["rate", (t) => Number((10 ** t).toPrecision(2)), (v) => String(Math.log10(v)), (v) => String(v)],
  ["target", (t) => Number(t), String, (v) => `${Number((100 * v).toFixed(1))} %`],
  ["arrows", String, String],
  ["magnified", (t) => t === "true", String],
  ["dataset", String, String],
  ["spread", (t) => Object.keys(DATA.spreads)[t], (v) => String(Object.keys(DATA.spreads).indexOf(v)), String],
  ["noise", (t) => DATA.noises[t], (v) => String(DATA.noises.indexOf(v)), (v) => `${100 * v} %`],
  ["imbalance", (t) => DATA.imbalances[t], (v) => String(DATA.imbalances.indexOf(v)), (v) => `${v} : 1`],
  ["mode", String, String],
  ["raceRate", (t) => Number((10 ** t).toPrecision(2)), (v) => String(Math.log10(v)), String],
];

/** Both views have buttons of the one clock. */
const clock = (name) => document.querySelectorAll(`.clock .${name}`);

function show() {
  for (const [key, , text, words] of CONTROLS) {
    const control = find(key), same = text(state[key]);
    if (control.value !== same) control.value = same;
    if (words) {
      find(key + "-value").textContent = words(state[key]);
      control.setAttribute("aria-valuetext", words(state[key]));
    }
  }
  find("raceRate").disabled = state.mode === BEST;
  for (const [name, preset] of Object.entries(PRESETS)) find("preset-" + name).setAttribute("aria-pressed", String(String(preset.z) === String(state.z)));
  for (const button of clock("play")) button.textContent = playing ? "Pause" : "Play";
  stale = true;
}

for (const [key, value] of CONTROLS) find(key).addEventListener("input", (event) => changed({ [key]: value(event.target.value) }));
for (const [name, preset] of Object.entries(PRESETS)) find("preset-" + name).addEventListener("click", () => changed(preset));
for (const button of clock("play"))
  button.addEventListener("click", () => {
    playing = !playing;
    show();
  });
for (const button of clock("again"))
  button.addEventListener("click", () => {
    triangle.restart();
    race.restart();
    playing = !still.matches;
    show();
  });
window.addEventListener("resize", () => (stale = true));
window.addEventListener("hashchange", () => {
  Object.assign(state, DEFAULTS, read());
  triangle.restart();
  race.restart();
  show();
});
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (stale = true));
still.addEventListener("change", () => {
  playing = !still.matches;
  show();
});

/** At the end of a view: rest, then the next example, or the same again once the reader has chosen one. */
function rest(view, seconds, name, next) {
  if (!view.done) return;
  waiting[name] += seconds;
  if (waiting[name] < 3) return;
  waiting[name] = 0;
  if (touched) view.restart();
  else changed(next(), false);
}

const turn = (list, value) => list[(list.findIndex((one) => String(one.z ?? one) === String(value.z ?? value)) + 1) % list.length];
let before = 0;
function frame(now) {
  const seconds = Math.min((now - before) / 1000, 0.1);
  before = now;
  if (playing) {
    triangle.advance(seconds);
    race.advance(seconds);
    rest(triangle, seconds, "triangle", () => turn(Object.values(PRESETS), state));
    rest(race, seconds, "race", () => ({ spread: turn(["saturated", "ordinary"], state.spread) }));
  }
  if (playing || stale) {
    stale = false;
    triangle.draw();
    race.draw();
  }
  requestAnimationFrame(frame);
}

const check = selfCheck(DATA.golden);
find("self-check").textContent = check.passed
  ? `Self-check passed: ${check.count} numbers agree with ce_jax (largest relative difference ${check.worst.toExponential(0)}).`
  : `Self-check FAILED: a number differs from ce_jax by ${check.worst.toExponential(1)}.`;
find("self-check").dataset.passed = String(check.passed);
show();
requestAnimationFrame(frame);
