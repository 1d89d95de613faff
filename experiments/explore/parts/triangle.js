// The triangle: every point is a softmax over three classes, the label at the top.

const LABEL = 0;
const PRESETS = {
  wrong: { z: [0, 10, 0], target: 0.5 },
  undecided: { z: [0, 0, 0], target: 0.9 },
  well: { z: [0, 5, 4.9], target: 0.5 },
  right: { z: [3, 0, 0], target: 0.99 },
};
const MAGNIFY = 5; // corners are magnified by drawing softmax(z / 5)
const MOST_STEPS = 2_000_000;

const betaOf = (side, state) => (side === "left" ? 0 : state.beta);
const nameOf = (beta) => (beta === 0 ? "cross-entropy" : beta === 1 ? "SSR" : `bridge at ${beta.toFixed(2)}`);

class Triangle {
  constructor(state, changed) {
    this.state = state;
    this.changed = changed;
    this.sides = ["left", "right"];
    this.time = 0;
    this.shades = {};
    for (const side of this.sides) this.listen(find("triangle-" + side));
    this.restart();
  }

  /** Compute both descents anew and begin at their start. */
  restart() {
    const { z, rate, target } = this.state;
    this.time = 0;
    this.runs = this.sides.map((side) => descend(z, LABEL, betaOf(side, this.state), rate, target, MOST_STEPS));
    this.end = Math.max(...this.runs.map((run) => run.steps));
  }

  get done() {
    return this.step >= this.end;
  }

  /** The step that is shown: it grows ever faster, so that 40 and 15,000 steps both can be watched. */
  get step() {
    return still.matches ? this.end : Math.min(this.end, Math.floor(8 * Math.expm1(0.9 * this.time)));
  }

  advance(seconds) {
    this.time += seconds;
  }

  /** Where a softmax lies in the box of its canvas. */
  place(z, box) {
    const { p } = softmax(z.map((v) => v / (this.state.magnified ? MAGNIFY : 1)));
    const corner = [[0.5, 0.06], [0.04, 0.94], [0.96, 0.94]];
    return [0, 1].map((axis) => p.reduce((sum, v, k) => sum + v * corner[k][axis], 0) * (axis ? box.height : box.width));
  }

  /** The logits of a place in the box; outside the triangle those of the nearest place inside. */
  logits(x, y, box) {
    const v = (0.94 - y / box.height) / 0.88, right = (x / box.width - 0.04 - 0.46 * v) / 0.92;
    let p = [v, 1 - v - right, right].map((share) => Math.max(share, this.state.magnified ? 0.02 : 1e-4));
    const total = p.reduce((a, b) => a + b, 0);
    const z = p.map((share) => Math.log(share / total) * (this.state.magnified ? MAGNIFY : 1));
    return z.map((share) => share - z[LABEL]);
  }

  listen(canvas) {
    const move = (event) => {
      const box = canvas.getBoundingClientRect();
      this.changed({ z: this.logits(event.clientX - box.left, event.clientY - box.top, box) });
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      move(event);
    });
    canvas.addEventListener("pointermove", (event) => event.buttons && move(event));
    canvas.addEventListener("keydown", (event) => {
      const moves = { ArrowUp: [1, 0, 0], ArrowDown: [-1, 0, 0], ArrowLeft: [0, 0.5, -0.5], ArrowRight: [0, -0.5, 0.5] };
      if (!(event.key in moves)) return;
      event.preventDefault();
      const z = this.state.z.map((v, k) => v + moves[event.key][k]);
      this.changed({ z: z.map((v) => Math.max(-40, Math.min(40, v - z[LABEL]))) });
    });
  }

  draw() {
    this.sides.forEach((side, i) => this.drawSide(side, this.runs[i]));
    this.drawCharts();
  }

  drawSide(side, run) {
    const canvas = find("triangle-" + side), beta = betaOf(side, this.state), { pen, width, height } = fresh(canvas);
    const box = { width, height }, ink = colour(side === "left" ? "ce" : "ssr"), step = Math.min(this.step, run.steps);
    const corners = [0, 1, 2].map((k) => this.place([0, 1, 2].map((j) => (j === k ? 1000 : 0)), box));
    pen.beginPath();
    corners.forEach(([x, y], k) => (k ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.closePath();
    pen.fillStyle = colour("panel");
    pen.fill();
    pen.save();
    pen.clip();
    this.shade(pen, side, beta, box);
    pen.restore();
    pen.strokeStyle = colour("soft");
    pen.lineWidth = 1;
    pen.stroke();
    this.arrows(pen, beta, box);
    const passed = run.path.filter((at) => at.step <= step), here = passed[passed.length - 1];
    pen.strokeStyle = ink;
    pen.lineWidth = 3;
    pen.beginPath();
    passed.forEach((at, i) => (i ? pen.lineTo(...this.place(at.z, box)) : pen.moveTo(...this.place(at.z, box))));
    pen.stroke();
    marker(pen, ...this.place(this.state.z, box), side === "left" ? 0 : 1, 6, colour("back"), ink);
    marker(pen, ...this.place(here.z, box), side === "left" ? 0 : 1, 7.5, ink, colour("back"));
    this.tell(side, run, step, here);
  }

  tell(side, run, step, here) {
    const { p, rest } = softmax(here.z), there = run.arrived && step >= run.steps;
    find("count-" + side).textContent = (run.arrived || step < run.steps ? "" : "more than ") + number(step);
    find("where-" + side).textContent = there ? "steps: there" : "steps, right class at " + share(p[LABEL], rest[LABEL]);
    const name = nameOf(betaOf(side, this.state));
    find("name-" + side).textContent = name;
    find("triangle-" + side).setAttribute(
      "aria-label",
      `${name}: from a probability of ${share(softmax(this.state.z).p[LABEL], softmax(this.state.z).rest[LABEL])} of the right class, ` +
        `${run.arrived ? "" : "more than "}${number(run.steps)} steps to ${Math.round(100 * this.state.target)} %. Arrow keys move the start.`,
    );
  }

  /** Places where the textbook formula, in single precision, gives exactly 0. */
  shade(pen, side, beta, box) {
    const fine = 3, key = [beta > 0, this.state.magnified, box.width, box.height].join();
    if (this.shades[side]?.key !== key) {
      const cells = [];
      for (let x = 0; x < box.width; x += fine)
        for (let y = 0; y < box.height; y += fine) if (vanishes(this.logits(x, y, box), LABEL, beta)) cells.push([x, y]);
      this.shades[side] = { key, cells };
    }
    pen.fillStyle = colour("lost");
    for (const [x, y] of this.shades[side].cells) pen.fillRect(x, y, fine, fine);
  }

  /** Direction: where the point moves. Length: the size of the gradient with respect to the logits. */
  arrows(pen, beta, box) {
    const across = Math.max(7, Math.min(13, Math.floor(box.width / 26))), longest = (0.8 * box.width) / across;
    pen.strokeStyle = pen.fillStyle = colour("arrow");
    pen.lineWidth = 1.3;
    for (let i = 0; i < across; i++)
      for (let j = 0; i + j < across; j++) {
        const p = [i, j, across - 1 - i - j].map((n) => (n + 1 / 3) / across), temperature = this.state.magnified ? MAGNIFY : 1;
        const z = p.map((v) => Math.log(v) * temperature), size = norm(gradient(z, LABEL, beta)) / Math.SQRT2;
        const long = longest * (this.state.arrows === "linear" ? Math.min(size, 1) : Math.max(0, 1 + Math.log10(size) / 8));
        const dp = push(z, LABEL, beta).map((v, k) => v / (softmax(z).p[k] || 1)); // as a move of log p
        const to = z.map((v, k) => v + (1e-3 * dp[k]) / (norm(dp) || 1));
        const [x, y] = this.place(z, box), [a, b] = this.place(to, box), scale = 1 / (Math.hypot(a - x, b - y) || 1);
        if (long < 1.2) {
          pen.fillRect(x - 0.8, y - 0.8, 1.6, 1.6);
          continue;
        }
        const dx = (a - x) * scale, dy = (b - y) * scale, head = Math.min(4.5, 0.45 * long);
        const tip = [x + (dx * long) / 2, y + (dy * long) / 2];
        pen.beginPath();
        pen.moveTo(x - (dx * long) / 2, y - (dy * long) / 2);
        pen.lineTo(...tip);
        pen.moveTo(tip[0] - head * (dx + 0.6 * dy), tip[1] - head * (dy - 0.6 * dx));
        pen.lineTo(...tip);
        pen.lineTo(tip[0] - head * (dx - 0.6 * dy), tip[1] - head * (dy + 0.6 * dx));
        pen.stroke();
      }
  }

  /** Loss and gradient against p, the other classes shared as at the start, and where both points are now. */
  drawCharts() {
    const reach = 22, leads = Array.from({ length: 177 }, (_, i) => (i / 176 - 0.5) * 2 * reach);
    const others = this.state.z.slice(1), top = Math.max(...others), share = others.map((v) => v - top);
    const lift = Math.log(share.reduce((sum, v) => sum + Math.exp(v), 0)); // so that the axis is the logit of p
    const along = (m) => [m + lift, ...share];
    const x = (m) => (m + reach) / (2 * reach), xlabel = "probability of the right class";
    const xticks = [[-18.42, "10⁻⁸"], [-9.21, "10⁻⁴"], [-2.2, "10 %"], [2.2, "90 %"], [9.21, "1−10⁻⁴"], [18.42, "1−10⁻⁸"]];
    const now = this.sides.map((side, i) => {
      const passed = this.runs[i].path.filter((at) => at.step <= this.step), z = passed[passed.length - 1].z;
      const { p, rest } = softmax(z), beta = betaOf(side, this.state);
      return { beta, shape: i, colour: colour(i ? "ssr" : "ce"), m: Math.log(p[LABEL] / rest[LABEL]), z };
    });
    const lines = (f) => now.map((one) => ({ colour: one.colour, dash: one.shape ? [7, 4] : [], values: leads.map((m) => [m, f(along(m), one.beta)]) }));
    const points = (f) => now.map((one) => ({ at: [Math.max(-reach, Math.min(reach, one.m)), f(one.z, one.beta)], shape: one.shape, colour: one.colour }));
    const value = (z, beta) => loss(z, LABEL, beta);
    chart(find("chart-loss"), {
      x, y: (v) => v / 23, xticks, yticks: [0, 2, 5, 10, 15, 20].map((v) => [v, String(v)]), xlabel, lines: lines(value), points: points(value),
    });
    const size = (z, beta) => Math.max(norm(gradient(z, LABEL, beta)), 1e-12);
    const lost = leads.filter((m) => vanishes(along(m), LABEL, this.state.beta)), step = leads[1] - leads[0];
    const bands = [lost.filter((m) => m < 0), lost.filter((m) => m > 0)].filter((one) => one.length)
      .map((one) => [Math.min(...one) - step / 2, Math.max(...one) + step / 2]);
    chart(find("chart-gradient"), {
      x, y: (v) => (Math.log10(v) + 12) / 12.5, xticks, xlabel, bands, lines: lines(size), points: points(size),
      yticks: [[1, "1"], [1e-3, "10⁻³"], [1e-6, "10⁻⁶"], [1e-9, "10⁻⁹"], [1e-12, "10⁻¹²"]],
    });
  }
}
