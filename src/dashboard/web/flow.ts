// The flow: client, balancer, backends, and a dot for each request. What there is to animate is worked out from the counters, so
// that no dot is made up: above some dots a second one stands for several, and says so.

import { attribute, h, paint, say, svg, the } from "./dom";
import { store } from "./store";
import type { LbEvent } from "./types";
import { color, glyph, mood, short } from "./words";

/** Backends that fit into the picture. */
const MOST = 16;
/** Dots a second at most. */
const DOTS = 50;
const FLIGHT = 650;
const SCALES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

const still = matchMedia("(prefers-reduced-motion: reduce)");
const picture = the("flow-picture");
const lines = svg("svg", { "aria-hidden": "true", class: "lines" });
const canvas = h("canvas", { "aria-hidden": "true", "data-dots": "0" });
const labels = h("ul", { class: "ends" });
const client = h("span", { class: "node client" }, "clients");
const balancer = h("span", { class: "node balancer" }, "lbdev");
const waiting = h("span", { class: "waiting" });

interface End {
  line: SVGElement;
  item: HTMLLIElement;
  state: HTMLElement;
  rate: HTMLElement;
  stack: HTMLElement;
  y: number;
  color: string;
}

const ends = new Map<string, End>();
let width = 0;
let height = 0;
/** The room that the backends' names and numbers take. */
let widest = 0;
/** And the clients'. */
let begin = 0;
let before = new Map<string, number>();
let beforeAt = 0;
/** Requests that no dot was drawn for yet, by backend. */
const owed = new Map<string, number>();
let rate = 0;
let scale = 1;

/** A dot under way: when it begins, and where it goes. */
interface Dot {
  begins: number;
  end: End;
}
let dots: Dot[] = [];
let flown = 0;
let drawing = false;

export function build(): void {
  picture.append(lines, canvas, client, balancer, waiting, labels);
  new ResizeObserver(([entry]) => {
    width = entry?.contentRect.width ?? 0;
    height = entry?.contentRect.height ?? 0;
    lay();
  }).observe(picture);
}

const left = (): number => begin;
const middle = (): number => left() + (right() - left()) * 0.42;
const right = (): number => width - widest - 4;

/** Puts everything in its place. What is under way had another one. */
export function lay(): void {
  dots = [];
  for (const old of picture.querySelectorAll(".cross")) old.remove();
  picture.style.setProperty("--rows", String(Math.max(3, ends.size)));
  if (width === 0) return;
  begin = client.offsetWidth;
  widest = Math.max(0, ...[...ends.values()].map((end) => end.item.offsetWidth));
  attribute(lines, "viewBox", `0 0 ${width} ${height}`);
  attribute(lines, "width", String(width));
  attribute(lines, "height", String(height));
  canvas.width = width * devicePixelRatio;
  canvas.height = height * devicePixelRatio;
  const y = height / 2;
  client.style.top = `${y}px`;
  balancer.style.left = `${middle()}px`;
  balancer.style.top = `${y}px`;
  waiting.style.left = `${middle()}px`;
  waiting.style.top = `${y + balancer.offsetHeight}px`;
  const row = Math.min(height / Math.max(1, ends.size), 90);
  const first = y - (row * ends.size) / 2;
  lines.replaceChildren(svg("path", { d: `M${left()} ${y}H${middle()}`, class: "wire" }));
  let place = 0;
  for (const [id, end] of ends) {
    end.color = paint(color(store.place(id)));
    end.y = first + (place + 0.5) * row;
    end.item.style.top = `${end.y}px`;
    end.item.style.left = `${right()}px`;
    attribute(end.line, "d", `M${middle()} ${y}L${right()} ${end.y}`);
    lines.append(end.line);
    place += 1;
  }
}

export function render(): void {
  const all = (store.status?.backends ?? []).filter((one) => one.port !== null).slice(0, MOST);
  let changed = false;
  for (const one of all) {
    let end = ends.get(one.id);
    if (!end) {
      changed = true;
      const state = h("span", { class: "state" });
      const rate = h("span", { class: "rate" });
      const stack = h("span", { class: "stack", title: "requests in flight" });
      const item = h("li", {}, stack, state, rate);
      item.style.setProperty("--own", color(store.place(one.id)));
      const line = svg("path", { class: "wire" });
      end = { line, item, state, rate, stack, y: 0, color: "" };
      ends.set(one.id, end);
      labels.append(item);
    }
    say(end.state, `${glyph(one.state)} ${short(one.id)}`);
    attribute(end.state, "data-mood", mood(one.state));
    attribute(end.line, "data-off", one.eligible ? null : "true");
    const pulse = store.pulse.backends.find((other) => other.id === one.id);
    const flying = pulse?.in_flight ?? one.in_flight;
    say(end.stack, flying === 0 ? "" : `${"▪".repeat(Math.min(6, flying))} ${flying}`);
    const last = store.seconds.at(-1)?.backends.find((other) => other.id === one.id);
    say(end.rate, `${last?.requests ?? 0}/s`);
  }
  for (const [id, end] of ends) {
    if (all.some((one) => one.id === id)) continue;
    changed = true;
    end.item.remove();
    ends.delete(id);
  }
  if (changed) lay();
  const left = (store.status?.backends.filter((one) => one.port !== null).length ?? 0) - ends.size;
  const more = left > 0 ? ` · ${left} more in the table` : "";
  const held = store.pulse.waiting;
  say(waiting, held > 0 ? `${held} waiting` : "");
  const what = still.matches ? "a number for each backend" : scale === 1 ? "1 dot = 1 request" : `1 dot = ${scale} requests`;
  say(the("flow-scale"), what + more);
}

/** The counters have moved on: a dot for each request that was answered since, spread over the time until the next look. */
export function pulse(quiet: boolean): void {
  const now = new Map(store.pulse.backends.map((one) => [one.id, one.requests]));
  const at = performance.now();
  const span = Math.max(0.2, (at - beforeAt) / 1000);
  const known = before.size > 0;
  let sum = 0;
  for (const [id, count] of now) {
    const more = count - (before.get(id) ?? count);
    if (more <= 0) continue;
    sum += more;
    if (known && !quiet) owed.set(id, (owed.get(id) ?? 0) + more);
  }
  before = now;
  beforeAt = at;
  // About two seconds of memory, so that the scale does not flicker.
  const keep = Math.exp(-span / 2);
  rate = rate * keep + (sum / span) * (1 - keep);
  const least = SCALES.find((one) => Math.max(rate, sum / span) / one <= DOTS) ?? 10000;
  if (least > scale || rate / (SCALES[SCALES.indexOf(scale) - 1] ?? 1) < DOTS * 0.7) scale = least;
  if (quiet || still.matches || document.hidden) {
    owed.clear();
    return;
  }
  for (const [id, requests] of owed) {
    const count = Math.floor(requests / scale);
    owed.set(id, requests - count * scale);
    for (let dot = 0; dot < Math.min(count, DOTS); dot++) fly(id, (dot / count) * 200);
  }
}

function fly(id: string, delay: number): void {
  const end = ends.get(id);
  if (!end || width === 0) return;
  dots.push({ begins: performance.now() + delay, end });
  attribute(canvas, "data-dots", String((flown += 1)));
  if (drawing) return;
  drawing = true;
  draw();
}

/** Every dot where it is now: from the clients to the balancer, then to its backend. Not with each frame of the screen, which
 * would cost as much again. */
function draw(): void {
  const now = performance.now();
  dots = dots.filter((dot) => now - dot.begins < FLIGHT);
  drawing = dots.length > 0;
  if (drawing) setTimeout(draw, 33);
  const context = canvas.getContext("2d");
  if (!context) return;
  const y = height / 2;
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  context.clearRect(0, 0, width, height);
  const [from, turn, to] = [left(), middle(), right()];
  for (const { begins, end } of dots) {
    const part = (now - begins) / FLIGHT;
    if (part < 0) continue;
    const along = Math.min(1, Math.max(0, part * 2 - 1));
    const x = part < 0.5 ? from + (turn - from) * part * 2 : turn + (to - turn) * along;
    context.fillStyle = end.color;
    context.beginPath();
    context.arc(x, y + (end.y - y) * along, 4, 0, 7);
    context.fill();
  }
}

let arcs = 0;
/** A request that another backend answered, or nobody: ✗ where it failed, and an arc to where it went on. */
export function incident(event: LbEvent, quiet: boolean): void {
  const attempts = event.request?.attempts ?? [];
  const failed = attempts.at(-1)?.backend;
  const from = failed ? ends.get(failed) : undefined;
  if (quiet || document.hidden || width === 0 || arcs > 6) return;
  const lost = event.kind === "lost";
  const mark = h("b", { class: "cross" }, event.count > 1 ? `✗ ×${event.count}` : "✗");
  mark.style.left = `${from ? right() - 14 : middle()}px`;
  mark.style.top = `${from ? from.y : height / 2 - 30}px`;
  const added: Element[] = [mark];
  picture.append(mark);
  const to = event.backend ? ends.get(event.backend) : undefined;
  if (from && to && from !== to && !lost) {
    const bend = right() - 70;
    const arc = svg("path", { d: `M${right() - 8} ${from.y}Q${bend} ${(from.y + to.y) / 2} ${right() - 4} ${to.y}`, class: "arc" });
    lines.append(arc);
    added.push(arc);
  }
  arcs += 1;
  setTimeout(() => {
    arcs -= 1;
    for (const one of added) one.remove();
  }, 1800);
}

/** The picture is old: what was owed is not drawn later. */
export function forget(): void {
  before = new Map();
  owed.clear();
  dots = [];
}
