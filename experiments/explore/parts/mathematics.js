// Losses, gradients and a small network in double precision. Every difference is taken before it can cancel: the
// probabilities of the other classes are added up, never 1 - p.

/** Softmax of logits z, with rest[k] = 1 - p[k] to full precision. */
function softmax(z) {
  const top = Math.max(...z), e = z.map((v) => Math.exp(v - top)), total = e.reduce((a, b) => a + b, 0);
  const p = e.map((v) => v / total);
  const rest = p.map((_, k) => p.reduce((sum, other, j) => (j === k ? sum : sum + other), 0));
  return { p, rest };
}

/** The power score of the row: beta 0 is cross-entropy, beta 1 is SSR on probabilities. */
function loss(z, y, beta) {
  const { p, rest } = softmax(z);
  const nll = rest[y] < 0.5 ? -Math.log1p(-rest[y]) : Math.max(...z) - z[y] + Math.log(z.reduce((s, v) => s + Math.exp(v - Math.max(...z)), 0));
  if (beta === 0) return nll;
  if (beta === 1) return p.reduce((sum, v, k) => sum + (k === y ? rest[y] * rest[y] : v * v), 0);
  const others = p.reduce((sum, v, k) => (k === y ? sum : sum + Math.pow(v, 1 + beta)), 0);
  const own = Math.pow(p[y], beta);
  // own p + 1/beta - (1 + 1/beta) own, with 1 - own = -expm1(-beta nll)
  return others - Math.expm1(-beta * nll) / beta - own * rest[y];
}

/** Its gradient with respect to the logits. */
function gradient(z, y, beta) {
  const { p, rest } = softmax(z);
  const others = p.reduce((sum, v, k) => (k === y ? sum : sum + Math.pow(v, 1 + beta)), 0);
  const own = Math.pow(p[y], beta), most = p.reduce((best, v, k) => (k !== y && v > p[best] ? k : best), y === 0 ? 1 : 0);
  return p.map((v, k) => {
    if (k === y) return -(1 + beta) * (own * rest[y] * rest[y] + p[y] * others);
    if (beta === 0) return v;
    if (k !== most) return (1 + beta) * v * (Math.pow(v, beta) - others + own * rest[y]);
    // v^beta - others = v^beta (1 - v) - what the remaining classes add
    const remaining = p.reduce((sum, w, j) => (j === y || j === k ? sum : sum + Math.pow(w, 1 + beta)), 0);
    return (1 + beta) * v * (Math.pow(v, beta) * rest[k] - remaining + own * rest[y]);
  });
}

/** Where the point moves on the triangle when the logits follow the negative gradient: the softmax's derivative of it. */
function push(z, y, beta) {
  const { p } = softmax(z), g = gradient(z, y, beta), mean = p.reduce((sum, v, k) => sum + v * g[k], 0);
  return p.map((v, k) => -v * (g[k] - mean));
}

const norm = (v) => Math.hypot(...v);

/** Whether the textbook formula in float32 gives exactly 0 for the label or for the class that leads. */
function vanishes(z, y, beta) {
  const f = Math.fround, top = Math.max(...z), e = z.map((v) => f(Math.exp(f(v - top))));
  const total = e.reduce((a, b) => f(a + b), 0), p = e.map((v) => f(v / total));
  const off = p.map((v, k) => f(v - (k === y ? 1 : 0)));
  let g = off;
  if (beta > 0) {
    // as reverse mode multiplies it out: 2 p (off - sum p off)
    const mean = p.reduce((sum, v, k) => f(sum + f(v * off[k])), 0);
    g = p.map((v, k) => f(f(2 * v) * f(off[k] - mean)));
  }
  return g[y] === 0 || g[z.indexOf(top)] === 0;
}

/** Steps of gradient descent on the logits until the label has the target; positions kept ever more sparsely. */
function descend(z0, y, beta, rate, target, most) {
  let z = z0.slice(), next = 1;
  const path = [{ step: 0, z }];
  for (let step = 0; step < most; step++) {
    if (softmax(z).p[y] >= target) {
      if (path[path.length - 1].step !== step) path.push({ step, z });
      return { steps: step, path, arrived: true };
    }
    const g = gradient(z, y, beta);
    z = z.map((v, k) => v - rate * g[k]);
    if (step + 1 >= next) {
      path.push({ step: step + 1, z });
      next = Math.max(step + 2, Math.ceil((step + 1) * 1.03));
    }
  }
  return { steps: most, path, arrived: false };
}

/** A network 2 - hidden (tanh) - classes; weights are [out][in], biases [out]. Returns logits and hidden values of a point. */
function forward(net, x) {
  const h = net.w1.map((row, i) => Math.tanh(row[0] * x[0] + row[1] * x[1] + net.b1[i]));
  return { h, z: net.w2.map((row, k) => row.reduce((sum, w, i) => sum + w * h[i], net.b2[k])) };
}

/** Mean loss, its gradient, the accuracy, and the size of each row's gradient at the logits. */
function batch(net, points, labels, beta) {
  const zero = (shape) => shape.map((row) => (Array.isArray(row) ? row.map(() => 0) : 0));
  const g = { w1: zero(net.w1), b1: zero(net.b1), w2: zero(net.w2), b2: zero(net.b2) }, n = points.length, rows = [];
  let total = 0, right = 0;
  points.forEach((x, r) => {
    const { h, z } = forward(net, x), y = labels[r], dz = gradient(z, y, beta);
    total += loss(z, y, beta);
    right += z.every((v, k) => k === y || v < z[y]) ? 1 : 0;
    rows.push(norm(dz));
    const dh = h.map(() => 0);
    dz.forEach((d, k) => {
      g.b2[k] += d / n;
      net.w2[k].forEach((w, i) => {
        g.w2[k][i] += (d * h[i]) / n;
        dh[i] += w * d;
      });
    });
    dh.forEach((d, i) => {
      const slope = (d * (1 - h[i] * h[i])) / n;
      g.b1[i] += slope;
      g.w1[i][0] += slope * x[0];
      g.w1[i][1] += slope * x[1];
    });
  });
  return { loss: total / n, gradient: g, accuracy: right / n, rows };
}

/** One step of gradient descent. */
function stepped(net, g, rate) {
  const less = (a, b) => a.map((v, i) => (Array.isArray(v) ? less(v, b[i]) : v - rate * b[i]));
  return { w1: less(net.w1, g.w1), b1: less(net.b1, g.b1), w2: less(net.w2, g.w2), b2: less(net.b2, g.b2) };
}

const flat = (g) => [g.w1, g.b1, g.w2, g.b2].flat(2);

/** Worst relative error of every golden value; what is 0 has to be 0. */
function selfCheck(golden) {
  let worst = 0, count = 0;
  const compare = (ours, theirs) => {
    count += 1;
    worst = Math.max(worst, theirs === 0 ? Math.abs(ours) : Math.abs(ours - theirs) / Math.abs(theirs));
  };
  for (const row of golden.rows) {
    compare(loss(row.logits, row.label, row.beta), row.loss);
    gradient(row.logits, row.label, row.beta).forEach((v, k) => compare(v, row.gradient[k]));
  }
  for (const run of golden.descents) compare(descend(run.logits, run.label, run.beta, run.rate, run.target, 1e6).steps, run.steps);
  // A sigmoid unit: its weight and its bias take the same step.
  [(a) => a, (a) => a * a * (1 - a)].forEach((slope, i) => {
    let steps = 0;
    for (let z = golden.unit.lead; z > 0; steps++) z -= 2 * golden.unit.rate * slope(1 / (1 + Math.exp(-z)));
    compare(steps, golden.unit.steps[i]);
  });
  for (const race of golden.networks) {
    let net = race.start;
    for (let i = 0; i < race.steps; i++) net = stepped(net, batch(net, race.points, race.labels, race.beta).gradient, race.rate);
    const end = batch(net, race.points, race.labels, race.beta);
    compare(end.loss, race.loss);
    compare(norm(flat(end.gradient)), race.gradient_norm);
  }
  return { worst, count, passed: worst <= 1e-6 };
}
