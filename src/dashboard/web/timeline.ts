// The timeline: requests a second stacked by backend, latency, what failed, and a bar for the state of each backend, all over one
// stretch of time and with one cursor.

import uPlot from "uplot";

import { h, paint, say, svg, the } from "./dom";
import { store } from "./store";
import { clock, COLORS, glyph, ms, short } from "./words";

const BAR = 16;
const SYNC = "lbdev";

const readout = h("p", { class: "readout", "aria-hidden": "true" });
const rates = h("div", { class: "plot" });
const took = h("div", { class: "plot" });
const states = h("div", { class: "states" });
const bars = svg("svg", { "aria-hidden": "true" });
const names = h("ul", { class: "names" });
const cursor = h("i", { class: "cursor", "aria-hidden": "true" });
const table = h("tbody");
const details = h("details", {}, h("summary", {}, "The last 30 seconds as a table"));

let ids: string[] = [];
let top: uPlot | null = null;
let low: uPlot | null = null;
let times: number[] = [];
let width = 0;
let colors = "";

export function build(): void {
  const heads = ["Second", "Requests", "Failed attempts", "5xx", "Lost", "p50", "p99", "Not up"];
  const caption = h("caption", { class: "hidden" }, "Requests and latency of each second");
  details.append(
    h("table", {}, caption, h("thead", {}, h("tr", {}, ...heads.map((one) => h("th", { scope: "col" }, one)))), table),
  );
  details.addEventListener("toggle", () => fillTable());
  const figure = (caption: string, ...parts: Element[]): HTMLElement =>
    h("figure", {}, h("figcaption", {}, caption), ...parts);
  states.append(names, bars, cursor);
  the("timeline-body").append(
    readout,
    figure("Requests a second, by backend; red: failed attempts, 5xx and lost", rates),
    figure("Latency: p50 and p99 of each second", took),
    figure("States", states),
    details,
  );
  new ResizeObserver(([entry]) => {
    const now = Math.floor(entry?.contentRect.width ?? 0);
    if (now === width) return;
    width = now;
    make();
    render();
  }).observe(the("timeline-body"));
}

const css = (name: string): string => paint(`var(${name})`);
const faint = (color: string): string => color.replace(")", ", 0.4)").replace("rgb(", "rgba(");

function options(height: number, series: uPlot.Series[], unit: (value: number) => string): uPlot.Options {
  const text = css("--quiet");
  const size = parseFloat(getComputedStyle(document.documentElement).fontSize);
  const font = `${Math.round(size * 0.7)}px system-ui`;
  const grid = { stroke: css("--line"), width: 1 };
  const gutter = Math.round(size * 3.6);
  return {
    width,
    height,
    padding: [6, Math.round(size * 1.6), 0, 0],
    legend: { show: false },
    cursor: { sync: { key: SYNC }, drag: { x: false, y: false }, y: false, points: { show: false } },
    scales: { x: { time: true }, y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] } },
    series: [{}, ...series],
    axes: [
      { stroke: text, font, grid, ticks: grid, size: Math.round(size * 1.9), values: (_, splits) => splits.map((one) => clock(one * 1000).slice(0, 8)), space: size * 6 },
      { stroke: text, font, grid, ticks: grid, size: gutter, values: (_, splits) => splits.map(unit), space: size * 1.6 },
    ],
    hooks: { setCursor: [(plot) => point(plot.cursor.idx ?? null, plot)] },
  };
}

function make(): void {
  top?.destroy();
  low?.destroy();
  top = low = null;
  if (width < 50) return;
  const own = ids.map((id): uPlot.Series => {
    const line = css(`--b${store.place(id) % COLORS}`);
    return { label: short(id), stroke: line, fill: faint(line), width: 1, points: { show: false } };
  });
  // The topmost first: each covers those below it.
  const bad: uPlot.Series = { label: "bad", stroke: css("--bad"), width: 2, points: { show: false } };
  const size = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
  const count = (value: number): string => (value >= 10000 ? `${value / 1000}k` : String(value));
  top = new uPlot(options(Math.round(130 * size), [...own.reverse(), bad], count), [[]], rates);
  const line = (label: string, name: string, dash: number[]): uPlot.Series => ({
    label,
    stroke: css(name),
    width: 1.5,
    dash,
    spanGaps: false,
    points: { show: false },
  });
  low = new uPlot(options(Math.round(100 * size), [line("p50", "--b0", []), line("p99", "--b3", [4, 3])], (value) => ms(value)), [[]], took);
}

export function restyle(): void {
  colors = "";
  make();
  render();
}

export function render(): void {
  const span = Number((the("span") as HTMLSelectElement).value);
  const last = store.seconds.at(-1);
  if (!last || width < 50) return;
  const present = store.status?.backends.map((one) => one.id) ?? [];
  const known = present.join(" ");
  if (known !== colors) {
    colors = known;
    ids = present;
    make();
  }
  const begin = last.at - span + 1;
  const seconds = store.seconds.filter((one) => one.at >= begin);
  times = seconds.map((one) => one.at);
  const sums = seconds.map(() => 0);
  const layers: number[][] = [];
  for (const id of ids) {
    layers.push(
      seconds.map((second, place) => {
        const more = second.backends.find((one) => one.id === id)?.requests ?? 0;
        sums[place] = (sums[place] ?? 0) + more;
        return sums[place] ?? 0;
      }),
    );
  }
  const bad = seconds.map((second) => second.lost + second.backends.reduce((sum, one) => sum + one.failed + one.errors, 0));
  const x = { min: begin, max: last.at };
  top?.setData([times, ...layers.reverse(), bad], false);
  low?.setData([times, seconds.map((one) => one.p50_ms), seconds.map((one) => one.p99_ms)], false);
  for (const plot of [top, low]) {
    plot?.batch(() => {
      plot.setScale("x", x);
      const highest = Math.max(1, ...(plot === top ? [...sums, ...bad] : seconds.map((one) => one.p99_ms ?? 0)));
      plot.setScale("y", { min: 0, max: highest });
    });
  }
  drawStates(begin, span);
  if (details.open) fillTable();
  if (!top?.cursor.idx) point(null, top);
}

function drawStates(begin: number, span: number): void {
  const plot = top;
  if (!plot) return;
  const ratio = devicePixelRatio;
  const { left, width: wide } = { left: plot.bbox.left / ratio, width: plot.bbox.width / ratio };
  const size = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
  const row = BAR * size;
  const height = Math.round(row * ids.length);
  bars.setAttribute("width", String(width));
  bars.setAttribute("height", String(height));
  states.style.height = `${height}px`;
  const x = (at: number): number => left + ((at - begin) / Math.max(1, span - 1)) * wide;
  const shapes: Element[] = [];
  while (names.children.length < ids.length) names.append(h("li"));
  while (names.children.length > ids.length) names.lastElementChild?.remove();
  ids.forEach((id, place) => {
    const name = names.children[place];
    if (name) say(name, short(id));
    let from = -1;
    let state = "";
    const flush = (until: number): void => {
      if (state) {
        shapes.push(
          svg("rect", {
            x: x(from).toFixed(1),
            y: (place * row + 3).toFixed(1),
            width: Math.max(1.5, x(until) - x(from)).toFixed(1),
            height: (row - 5).toFixed(1),
            class: `s-${state}`,
          }),
        );
      }
    };
    for (const second of store.seconds) {
      if (second.at < begin) continue;
      const now = second.backends.find((one) => one.id === id)?.state ?? "";
      if (now !== state) {
        flush(second.at);
        from = second.at;
        state = now;
      }
    }
    flush(begin + span - 1);
    for (const event of store.events) {
      if (event.backend !== id || event.kind !== "state" || !event.to || event.from === event.to) continue;
      const at = Date.parse(event.at) / 1000;
      if (at < begin || !["stopped", "failed", "frozen", "draining", "unhealthy"].includes(event.to)) continue;
      const mark = svg("text", { x: x(at).toFixed(1), y: (place * row + row - 4).toFixed(1), class: "mark" });
      mark.textContent = glyph(event.to);
      shapes.push(mark);
    }
  });
  bars.replaceChildren(...shapes);
}

/** What the cursor points at, or how it is now. */
function point(index: number | null, plot: uPlot | null): void {
  const at = index === null ? times.at(-1) : times[index];
  const second = store.seconds.find((one) => one.at === at);
  const hover = index !== null && plot?.cursor.left !== undefined && plot.cursor.left >= 0;
  cursor.hidden = !hover;
  if (hover && plot) cursor.style.left = `${plot.bbox.left / devicePixelRatio + (plot.cursor.left ?? 0)}px`;
  if (!second) return;
  const sum = second.backends.reduce((sum, one) => sum + one.requests, 0);
  const each = second.backends.map((one) => `${short(one.id)} ${one.requests}`).join(", ");
  say(
    readout,
    `${clock(second.at * 1000)}  ${sum}/s (${each})  p50 ${ms(second.p50_ms)}  p99 ${ms(second.p99_ms)}  lost ${second.lost}`,
  );
}

function fillTable(): void {
  const rows = store.seconds.slice(-30).reverse().map((second) => {
    const sum = (read: (one: (typeof second.backends)[number]) => number): number =>
      second.backends.reduce((sum, one) => sum + read(one), 0);
    const down = second.backends.filter((one) => one.state !== "up").map((one) => `${short(one.id)} ${one.state}`);
    const cells = [
      clock(second.at * 1000),
      String(sum((one) => one.requests)),
      String(sum((one) => one.failed)),
      String(sum((one) => one.errors)),
      String(second.lost),
      ms(second.p50_ms),
      ms(second.p99_ms),
      down.join(", ") || "-",
    ];
    return h("tr", {}, ...cells.map((text) => h("td", {}, text)));
  });
  table.replaceChildren(...rows);
}
