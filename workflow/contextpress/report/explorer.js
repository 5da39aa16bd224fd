"use strict";
// Everything on the screen that comes from the study goes through textContent: text stays text.

const at = (id) => document.getElementById(id);
const canvas = at("scatter");
const MARGIN = { left: 58, right: 14, top: 12, bottom: 44 }; // pixels around the plot
const NEAR = 14; // pixels from the pointer to a point that it means
const NONE = "No passage fits these choices.";
const TYPES = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, float32: Float32Array };

let study; // words and arrays of the block
let view; // what the choices say, and where it puts every passage
let colours, paper;
let shown = []; // places of the passages that fit the choices, from least to most surprising
let chosen = -1; // place of the passage that is told about
let hovered = -1;
let frame; // what the axes run over, and the size of the canvas in pixels
let points; // the plot without marks, drawn once per choice

async function load() {
  const text = atob(at("block").textContent);
  const packed = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const raw = await new Response(stream).arrayBuffer();
  const length = new DataView(raw).getUint32(0, true);
  study = JSON.parse(new TextDecoder().decode(new Uint8Array(raw, 4, length)));
  for (const [name, { type, shape, offset }] of Object.entries(study.arrays)) {
    const count = shape.reduce((product, size) => product * size, 1);
    study.arrays[name] = { shape, values: new TYPES[type](raw, 4 + length + offset, count) };
  }
}

/** One row of an array: row("made", compressor, passage) is that of one reconstruction. */
function row(name, ...places) {
  const { shape, values } = study.arrays[name];
  const index = places.reduce((sum, place, axis) => sum * shape[axis] + place, 0);
  const width = shape.slice(places.length).reduce((product, size) => product * size, 1);
  return values.subarray(index * width, (index + 1) * width);
}

const score = (compressor, passage, measure) => {
  const { low, high } = study.measures[measure];
  return low + (row("scores", compressor, passage, measure)[0] / 65535) * (high - low);
};

// -- what is chosen

const pairOf = (one) => JSON.stringify([one.encoder, one.decoder]);
const settingOf = (one) => JSON.stringify([one.readout, one.ratio, one.seed, one.decoder_training]);
const number = (id) => Number(at(id).value);
const find = (pair, setting) => study.compressors.findIndex((one) => pairOf(one) === pair && settingOf(one) === setting);
const count = (value) => value.toLocaleString("en");
const written = (value, { low, high } = view.measure) => value.toFixed(high - low > 20 ? 1 : 3);

function settingName(one) {
  const training = one.decoder_training === "frozen" ? "" : `, decoder ${one.decoder_training}`;
  return `${one.readout.replaceAll("_", " ")}, ratio ${one.ratio}, seed ${one.seed}${training}`;
}

function options(id, values) {
  at(id).replaceChildren(...[...values].map(([value, name]) => new Option(name, value)));
}

function offer() {
  options("pair", new Map(study.compressors.map((one) => [pairOf(one), `${one.encoder} → ${one.decoder}`])));
  options("setting", new Map(study.compressors.map((one) => [settingOf(one), settingName(one)])));
  options("domain", [[-1, "all"], ...study.domains.entries()]);
  options("measure", [...study.measures.entries()].map(([place, { label }]) => [place, label]));
  at("measure").value = study.measures.findIndex(({ name }) => name === study.measure);
  const names = Array.from({ length: study.buckets }, (_, place) => [place, `${place + 1} of ${study.buckets}`]);
  names[0][1] += ", least";
  names[study.buckets - 1][1] += ", most";
  options("bucket", [[-1, "all"], ...names]);
  at("strong").textContent = study.strong;
  at("own").hidden = new Set(study.reads).size === 1;
  const all = study.passages.length === study.of;
  at("about").textContent = `${all ? "All" : `${count(study.passages.length)} of`} ${count(study.of)} undisturbed ` +
    `held-out passages, ${study.compressors.length} compressors.` +
    (all ? "" : " A sample, by hashes of their names, so that this file stays small.");
}

function choose() {
  const compressor = find(at("pair").value, at("setting").value), measure = number("measure");
  const one = study.compressors[compressor], model = one[`${at("side").value}_model`];
  const up = Float32Array.from(study.passages, (_, place) => score(compressor, place, measure));
  view = { compressor, measure: study.measures[measure], across: row("nll", model), up };
  const domain = number("domain"), bucket = number("bucket");
  const domains = study.arrays.domain.values, buckets = row("bucket", model);
  shown = [...study.passages.keys()].filter(
    (place) => (domain < 0 || domains[place] === domain) && (bucket < 0 || buckets[place] === bucket));
  shown.sort((first, second) => view.across[first] - view.across[second] || first - second);
  const mean = shown.reduce((sum, place) => sum + up[place], 0) / shown.length;
  at("status").textContent = shown.length
    ? `${count(shown.length)} passages, mean of ${view.measure.label}: ${written(mean)}.` +
      (one.memory_used ? "" : " This compressor does not clearly use its memory; the claims leave it out.")
    : NONE;
  canvas.setAttribute("aria-valuemax", shown.length);
  hovered = -1;
  at("hint").hidden = true;
  draw();
  tell(shown.includes(chosen) ? chosen : shown[Math.floor(shown.length / 2)] ?? -1);
}

// -- the plot

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const x = (passage) => frame.x(view.across[passage]), y = (passage) => frame.y(view.up[passage]);

/** Ends of an axis that leave some room at both sides, and round numbers between them. */
function axis(values) {
  const least = values.reduce((one, other) => Math.min(one, other), Infinity);
  const most = values.reduce((one, other) => Math.max(one, other), -Infinity);
  const room = (most - least || 1) * 0.04;
  const low = least - room, high = most + room;
  const rough = (high - low) / 6, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
  const ticks = [];
  for (let place = Math.ceil(low / step); place * step <= high; place++) ticks.push(place * step);
  return { low, high, ticks, digits: Math.max(0, -Math.floor(Math.log10(step))) };
}

function draw() {
  const width = canvas.clientWidth, height = canvas.clientHeight, scale = devicePixelRatio;
  points = Object.assign(document.createElement("canvas"), { width: width * scale, height: height * scale });
  Object.assign(canvas, { width: points.width, height: points.height });
  const pen = points.getContext("2d");
  pen.scale(scale, scale);
  // The axes stay as they are when domain and bucket change, so that what is left can be compared.
  const across = axis(view.across), up = axis(view.up);
  const right = width - MARGIN.right, floor = height - MARGIN.bottom;
  frame = {
    scale,
    x: (value) => MARGIN.left + ((value - across.low) / (across.high - across.low)) * (right - MARGIN.left),
    y: (value) => floor - ((value - up.low) / (up.high - up.low)) * (floor - MARGIN.top),
  };
  pen.font = "12px system-ui, sans-serif";
  pen.strokeStyle = css("--line");
  pen.fillStyle = css("--ink");
  pen.lineWidth = 1;
  pen.strokeRect(MARGIN.left, MARGIN.top, right - MARGIN.left, floor - MARGIN.top);
  pen.textAlign = "center";
  for (const tick of across.ticks) pen.fillText(tick.toFixed(across.digits), frame.x(tick), floor + 16);
  pen.fillText(`Surprise of the ${at("side").value} (nats per token)`, (MARGIN.left + right) / 2, height - 8);
  pen.textAlign = "right";
  for (const tick of up.ticks) pen.fillText(tick.toFixed(up.digits), MARGIN.left - 6, frame.y(tick) + 4);
  pen.save();
  pen.translate(14, (MARGIN.top + floor) / 2);
  pen.rotate(-Math.PI / 2);
  pen.textAlign = "center";
  pen.fillText(view.measure.label, 0, 0);
  pen.restore();
  pen.textAlign = "center";
  if (!shown.length) pen.fillText(NONE, (MARGIN.left + right) / 2, (MARGIN.top + floor) / 2);
  const size = shown.length > 2000 ? 2.5 : 4;
  for (const place of shown) symbol(pen, study.arrays.domain.values[place], x(place), y(place), size);
  mark();
}

/** One point: colour and form by domain, so that either is enough. */
function symbol(pen, domain, left, top, size) {
  pen.fillStyle = colours[domain % colours.length];
  pen.strokeStyle = paper; // an edge, so that points on each other stay apart
  pen.lineWidth = 0.6;
  pen.globalAlpha = 0.8;
  pen.beginPath();
  const form = FORMS[domain % FORMS.length];
  if (form) form.forEach(([right, down], place) => pen[place ? "lineTo" : "moveTo"](left + right * size, top + down * size));
  else pen.arc(left, top, size, 0, 2 * Math.PI);
  pen.closePath();
  pen.fill();
  pen.stroke();
  pen.globalAlpha = 1;
}

const FORMS = [
  null, // a disc
  [[-1, -1], [1, -1], [1, 1], [-1, 1]],
  [[0, -1.2], [1.2, 1], [-1.2, 1]],
  [[0, -1.4], [1.4, 0], [0, 1.4], [-1.4, 0]],
  [[0, 1.2], [1.2, -1], [-1.2, -1]],
  [[-0.4, -1.3], [0.4, -1.3], [0.4, 1.3], [-0.4, 1.3]],
  [[-1.3, -0.4], [1.3, -0.4], [1.3, 0.4], [-1.3, 0.4]],
];

function mark() {
  const pen = canvas.getContext("2d");
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(points, 0, 0);
  pen.scale(frame.scale, frame.scale);
  pen.strokeStyle = css("--ink");
  for (const [place, size] of [[hovered, 7], [chosen, 9]]) {
    if (place < 0) continue;
    pen.lineWidth = place === chosen ? 2.5 : 1.5;
    pen.beginPath();
    pen.arc(x(place), y(place), size, 0, 2 * Math.PI);
    pen.stroke();
  }
}

function legend() {
  paper = css("--paper");
  colours = css("--points").split(",").map((colour) => colour.trim());
  at("legend").replaceChildren(...study.domains.map((name, domain) => {
    const sample = Object.assign(document.createElement("canvas"), { width: 16, height: 16, ariaHidden: "true" });
    symbol(sample.getContext("2d"), domain, 8, 8, 5);
    return element("li", sample, name);
  }));
}

/** The shown passage nearest to a place on the canvas, or -1. */
function nearest(left, top) {
  let best = -1, least = NEAR ** 2;
  for (const place of shown) {
    const distance = (x(place) - left) ** 2 + (y(place) - top) ** 2;
    if (distance < least) [best, least] = [place, distance];
  }
  return best;
}

function hover(event) {
  const found = nearest(event.offsetX, event.offsetY), hint = at("hint");
  if (found !== hovered) {
    hovered = found;
    mark();
  }
  hint.hidden = found < 0;
  if (found < 0) return;
  hint.textContent = `${told(found)}\n${study.texts[found].replace(/\s+/g, " ").slice(0, 120)}`;
  hint.style.left = `${Math.max(0, Math.min(x(found) + 12, canvas.clientWidth - hint.offsetWidth))}px`;
  hint.style.top = `${y(found) + 14}px`;
}

const told = (place) =>
  `${study.passages[place]}: surprise ${view.across[place].toFixed(2)}, ${view.measure.label} ${written(view.up[place])}`;

const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity };

function walk(event) {
  if (!(event.key in STEPS) || event.ctrlKey || event.altKey || event.metaKey || !shown.length) return;
  event.preventDefault();
  const place = shown.indexOf(chosen) + STEPS[event.key];
  tell(shown[Math.max(0, Math.min(shown.length - 1, place))]);
}

// -- one passage

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children); // strings become text
  return made;
}

/** The tokens of a passage as a model reads it. */
function read(model, place) {
  const tokens = row("tokens", study.reads[model], place), end = tokens.indexOf(0);
  return end < 0 ? tokens : tokens.subarray(0, end);
}

const visible = (token) => study.pieces[token - 1].replaceAll("\n", "⏎\n").replaceAll("\t", "→\t");

function tell(place) {
  chosen = place;
  mark();
  at("passage").hidden = place < 0;
  if (place < 0) return canvas.setAttribute("aria-valuetext", "no passage");
  const rank = shown.indexOf(place) + 1, which = view.compressor, one = study.compressors[which];
  canvas.setAttribute("aria-valuenow", rank);
  canvas.setAttribute("aria-valuetext", `${rank} of ${shown.length}, ${told(place)}`);
  at("name").textContent = study.passages[place];
  at("origin").textContent = `${study.domains[study.arrays.domain.values[place]]}, from ${study.sources[place]}`;
  at("made-title").textContent = `Reconstruction by ${one.encoder} → ${one.decoder}, ${settingName(one)}`;
  const tokens = read(one.decoder_model, place), other = row("made", which, place);
  const made = tokens.map((token, index) => other[index] || token);
  const [kept, again] = common(tokens, made);
  at("true").replaceChildren(...runs(tokens, kept, "del"));
  at("made").replaceChildren(...runs(made, again, "ins"));
  for (const side of ["encoder", "decoder"]) surprise(side, one[`${side}_model`], place);
  at("scores").replaceChildren(...study.measures.map((measure, index) =>
    element("tr", header(measure.label), element("td", written(score(which, place, index), measure)))));
  matrix(place, which);
}

/** Tokens as text; those that are not `kept` inside an element that says so. */
function runs(tokens, kept, different) {
  return Array.from(tokens, (token, place) => element(kept[place] ? "span" : different, visible(token)));
}

function surprise(side, model, place) {
  const tokens = read(model, place), nll = row("token_nll", model, place), mean = row("nll", model, place)[0];
  const bits = (mean * tokens.length) / Math.LN2 / new TextEncoder().encode(study.texts[place]).length;
  at(`${side}-title`).textContent = `Surprise of the ${side} ${study.models[model]}: ${mean.toFixed(2)} nats per token, ` +
    `${bits.toFixed(2)} bits per byte`;
  at(side).replaceChildren(...Array.from(tokens, (token, index) => {
    const nats = nll[index] * study.nats_step;
    const made = element("span", visible(token), element("small", nats.toFixed(1)));
    made.style.backgroundColor = `rgba(${css("--warm")}, ${Math.min(1, nats / study.strong)})`;
    return made;
  }));
}

/** Which tokens of each of two lists belong to their longest common sequence. */
function common(one, other) {
  const width = other.length + 1, best = new Uint32Array((one.length + 1) * width);
  for (let i = one.length - 1; i >= 0; i--) {
    for (let j = other.length - 1; j >= 0; j--) {
      best[i * width + j] = one[i] === other[j]
        ? 1 + best[(i + 1) * width + j + 1]
        : Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
    }
  }
  const kept = [new Array(one.length).fill(false), new Array(other.length).fill(false)];
  for (let i = 0, j = 0; i < one.length && j < other.length;) {
    if (one[i] === other[j]) kept[0][i++] = kept[1][j++] = true;
    else if (best[(i + 1) * width + j] >= best[i * width + j + 1]) i++;
    else j++;
  }
  return kept;
}

const header = (text) => Object.assign(element("th", text), { scope: "row" });

/** The chosen measure of this passage for every encoder and decoder, under the same setting. */
function matrix(place, which) {
  const setting = settingOf(study.compressors[which]);
  const names = (side) => [...new Set(study.compressors.map((one) => one[side]))];
  at("pairs-title").textContent = `${view.measure.label} of this passage, by pair`;
  at("decoders").replaceChildren(element("tr", element("th", "encoder ↓ decoder →"), ...names("decoder").map(
    (name) => Object.assign(element("th", name), { scope: "col" }))));
  at("pairs").replaceChildren(...names("encoder").map((encoder) => element("tr", header(encoder),
    ...names("decoder").map((decoder) => {
      const other = find(JSON.stringify([encoder, decoder]), setting);
      const cell = element("td", other < 0 ? "–" : written(score(other, place, number("measure"))));
      if (other === which) cell.className = "here";
      return cell;
    }))));
}

// -- start

async function start() {
  if (!("DecompressionStream" in window)) {
    at("status").textContent = "This browser is too old for this page: it cannot unpack what is in it.";
    return;
  }
  await load();
  offer();
  legend();
  at("choices").addEventListener("change", choose);
  at("choices").addEventListener("submit", (event) => event.preventDefault());
  canvas.addEventListener("pointermove", hover);
  canvas.addEventListener("pointerleave", () => {
    hovered = -1;
    at("hint").hidden = true;
    mark();
  });
  canvas.addEventListener("click", (event) => {
    const found = nearest(event.offsetX, event.offsetY);
    if (found >= 0) tell(found);
  });
  canvas.addEventListener("keydown", walk);
  choose();
  new ResizeObserver(() => draw()).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    legend();
    draw();
    tell(chosen);
  });
}

start();
