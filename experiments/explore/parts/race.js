// The race: one network, one start, the same points; only the loss differs.

const HARDLY = 0.02; // of a row's gradient at the logits, of which the largest that cross-entropy gives is 1.41
const BEST = "best", EQUAL_RATE = "rate", EQUAL_STEP = "step";

class RaceView {
  constructor(state, data) {
    this.state = state;
    this.data = data;
    this.restart();
  }

  restart() {
    const { dataset, spread, noise, imbalance } = this.state, made = this.data.races[dataset], seen = [0, 0, 0];
    const keep = made.labels.map((label) => Math.round(50 * Math.pow(imbalance, -label / 2)) > seen[label]++);
    const moved = new Set(made.order.filter((i) => keep[i]).slice(0, Math.round(noise * keep.filter(Boolean).length)));
    const rows = made.labels.map((_, i) => i).filter((i) => keep[i]);
    this.points = rows.map((i) => made.points[i]);
    this.labels = rows.map((i) => (moved.has(i) ? (made.labels[i] + made.moved[i]) % 3 : made.labels[i]));
    this.test = { points: made.test_points, labels: made.test_labels };
    const width = Math.SQRT1_2, size = this.data.spreads[spread];
    const start = {
      w1: made.w1.map((row) => row.map((v) => v * width)), b1: made.w1.map(() => 0),
      w2: made.w2.map((row) => row.map((v) => v * size)), b2: made.w2.map(() => 0),
    };
    this.time = 0;
    this.racers = [0, 1].map((beta) => ({ beta, net: start, step: 0, now: batch(start, this.points, this.labels, beta), seen: [] }));
    const first = this.racers.map((one) => norm(flat(one.now.gradient)));
    const key = [dataset, size, noise, imbalance].join("|"), rate = this.state.raceRate;
    const rates = { [BEST]: this.data.rates[key], [EQUAL_RATE]: [rate, rate], [EQUAL_STEP]: [rate, (rate * first[0]) / (first[1] || 1)] };
    this.racers.forEach((one, i) => {
      one.rate = rates[this.state.mode][i];
      this.look(one);
    });
    this.first = first[1] / first[0];
    const ends = this.data.finals[key].map((v) => `${Math.round(100 * v)} %`);
    this.elsewhere = this.state.mode === BEST
      ? ` At these rates cross-entropy ends at ${ends[0]} and SSR at ${ends[1]}, means over ${this.data.tuning_seeds} other starts; guessing gives 33 %.`
      : "";
  }

  look(one) {
    let right = 0;
    this.test.points.forEach((x, i) => {
      const { z } = forward(one.net, x);
      right += z.every((v, k) => k === this.test.labels[i] || v < z[this.test.labels[i]]) ? 1 : 0;
    });
    one.seen.push([one.step, right / this.test.labels.length]);
  }

  get done() {
    return this.racers.every((one) => one.step >= this.data.steps);
  }

  /** Slow at first, where most happens. */
  advance(seconds) {
    this.time += seconds;
    this.runTo(Math.min(this.data.steps, Math.floor(this.data.steps * Math.pow(this.time / 9, 1.7))));
  }

  runTo(step) {
    for (const one of this.racers)
      while (one.step < step) {
        one.net = stepped(one.net, one.now.gradient, one.rate);
        one.step += 1;
        one.now = batch(one.net, this.points, this.labels, one.beta);
        if (one.step <= 20 || one.step % 4 === 0 || one.step === this.data.steps) this.look(one);
      }
  }

  draw() {
    if (still.matches) this.runTo(this.data.steps);
    this.racers.forEach((one, i) => this.drawRegions(one, ["left", "right"][i]));
    const last = this.data.steps, x = (s) => Math.log1p(s) / Math.log1p(last);
    chart(find("chart-race"), {
      x, y: (v) => v / 1.02, xlabel: "step (logarithmic)",
      xticks: [0, 1, 3, 10, 30, 100, 400].map((s) => [s, String(s)]), yticks: [0, 0.25, 0.5, 0.75, 1].map((v) => [v, `${100 * v} %`]),
      lines: this.racers.map((one, i) => ({ colour: colour(i ? "ssr" : "ce"), dash: i ? [7, 4] : [], values: one.seen })),
      points: this.racers.map((one, i) => ({ at: one.seen[one.seen.length - 1], shape: i, colour: colour(i ? "ssr" : "ce") })),
    });
    find("race-first").textContent =
      `Before the first step SSR's gradient is ${this.first.toPrecision(2)} times that of cross-entropy. ` +
      `Rates: ${this.racers.map((one) => Number(one.rate.toPrecision(3))).join(" and ")}.${this.elsewhere}`;
  }

  drawRegions(one, side) {
    const canvas = find("race-" + side), { pen, width, height } = fresh(canvas), reach = 2.7, cells = 48;
    const tint = [colour("class0"), colour("class1"), colour("class2")];
    const across = (v) => ((v + reach) / (2 * reach)) * width, up = (v) => height - ((v + reach) / (2 * reach)) * height;
    // Painted cell by cell on a small canvas that is then stretched: no seams, and one drawing call.
    const small = (this.small ??= document.createElement("canvas")), dots = small.getContext("2d");
    small.width = small.height = cells;
    for (let i = 0; i < cells; i++)
      for (let j = 0; j < cells; j++) {
        const { z } = forward(one.net, [((i + 0.5) / cells - 0.5) * 2 * reach, (0.5 - (j + 0.5) / cells) * 2 * reach]);
        dots.fillStyle = tint[z.indexOf(Math.max(...z))];
        dots.fillRect(i, j, 1, 1);
      }
    pen.globalAlpha = 0.3;
    pen.imageSmoothingEnabled = false;
    pen.drawImage(small, 0, 0, width, height);
    pen.globalAlpha = 1;
    let stuck = 0;
    this.points.forEach((point, r) => {
      const { z } = forward(one.net, point), wrong = z.indexOf(Math.max(...z)) !== this.labels[r];
      const lost = wrong && one.now.rows[r] < HARDLY;
      stuck += lost;
      marker(pen, across(point[0]), up(point[1]), this.labels[r], lost ? 4.6 : 3.4, lost ? colour("back") : tint[this.labels[r]], lost ? colour("ink") : colour("back"));
    });
    const accuracy = one.seen[one.seen.length - 1][1];
    find("race-count-" + side).textContent = `${Math.round(100 * accuracy)} %`;
    find("race-where-" + side).textContent = `right after ${one.step} steps; ${stuck} of ${this.points.length} rows are wrong and hardly pull`;
    canvas.setAttribute("aria-label", `${one.beta ? "SSR" : "cross-entropy"}: decision regions after ${one.step} steps, ${Math.round(100 * accuracy)} % of new points right, ${stuck} rows wrong with hardly any gradient.`);
  }
}
