// The table: the rows of `lbdev status`, with buttons. It is the source of truth; the pictures are beside it.

import { ACTIONS, perform } from "./actions";
import { attribute, h, say, the } from "./dom";
import { store } from "./store";
import type { Backend } from "./types";
import { bytes, color, glyph, mood, ms, short, since, stateWords } from "./words";

const COLUMNS = [
  ["Backend", ""],
  ["State", ""],
  ["Requests", "that it answered"],
  ["Share", "of what its service answered"],
  ["Now", "requests in flight"],
  ["Failed", "attempts that came to nothing"],
  ["5xx", "answers with a status from 500 on"],
  ["p50", "the median of the last minute"],
  ["p99", "one in a hundred of the last minute took longer"],
  ["CPU", "of one core"],
  ["Memory", ""],
  ["Up for", ""],
] as const;

class Row {
  readonly element: HTMLTableRowElement;
  private readonly cells: HTMLTableCellElement[];
  private readonly state = h("span", { class: "state" });
  private readonly why = h("span", { class: "why" });
  private readonly name = h("span");
  private readonly buttons: HTMLButtonElement[];
  private one: Backend;

  constructor(one: Backend) {
    this.one = one;
    const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = color(store.place(one.id));
    const head = h("th", { scope: "row" }, swatch, this.name);
    this.cells = COLUMNS.slice(1).map(([title]) => h("td", { "data-title": title }));
    this.cells[0]?.append(this.state, this.why);
    this.buttons = ACTIONS.map((action) => {
      const button = h("button", { type: "button", class: action.danger ? "danger" : "" });
      button.addEventListener("click", () => void perform(action, this.one));
      return button;
    });
    const actions = h("td", { class: "actions" }, ...this.buttons);
    this.element = h("tr", { "data-id": one.id }, head, ...this.cells, actions);
    this.element.addEventListener("click", () => select(this.one.id));
    this.element.addEventListener("focusin", () => select(this.one.id));
    this.show(one, 0);
  }

  show(one: Backend, share: number): void {
    this.one = one;
    say(this.name, short(one.id));
    attribute(this.name, "title", one.id);
    say(this.state, `${glyph(one.state)} ${stateWords(one)}`);
    attribute(this.state, "data-mood", mood(one.state));
    const notes = [one.fault ? `fault: ${one.fault}` : "", one.why ?? ""];
    if (one.weight !== 1) notes.unshift(`weight ${one.weight}`);
    const all = notes.filter(Boolean).join(" · ");
    say(this.why, all);
    attribute(this.why, "title", all);
    const texts = [
      String(one.requests),
      share > 0 ? `${(share * 100).toFixed(1)}%` : "-",
      String(one.in_flight),
      String(one.failures),
      String(one.errors),
      ms(one.p50_ms),
      ms(one.p99_ms),
      one.pid === null ? "-" : `${Math.round(one.cpu_pct)}%`,
      bytes(one.rss_bytes),
      since(one.uptime_s),
    ];
    texts.forEach((text, place) => {
      const cell = this.cells[place + 1];
      if (cell) say(cell, text);
    });
    ACTIONS.forEach((action, place) => {
      const button = this.buttons[place];
      if (!button) return;
      const hindrance = action.hindrance(one);
      say(button, action.word(one));
      attribute(button, "title", hindrance ?? action.typed(one));
      attribute(button, "aria-label", `${action.word(one)} ${short(one.id)}`);
      // It keeps the focus: who has just pressed it is still there.
      attribute(button, "aria-disabled", hindrance || store.gone ? "true" : null);
    });
  }
}

const rows = new Map<string, Row>();
let selected: string | null = null;
const body = h("tbody");

export function build(): void {
  const heads = COLUMNS.map(([title, text]) => h("th", { scope: "col", ...(text ? { title: text } : {}) }, title));
  const head = h("tr", {}, ...heads, h("th", { scope: "col" }, "Actions"));
  const caption = h("caption", { class: "hidden" }, "Every backend, what it does, and what can be done to it");
  the("table").append(h("table", {}, caption, h("thead", {}, head), body));
}

export function select(id: string): void {
  if (selected === id) return;
  selected = id;
  for (const [known, row] of rows) attribute(row.element, "aria-current", known === id ? "true" : null);
}

/** The one that keys are about. */
export function selection(): Backend | null {
  const all = store.status?.backends ?? [];
  return all.find((one) => one.id === selected) ?? all[0] ?? null;
}

export function step(by: number): void {
  const all = store.status?.backends ?? [];
  const place = all.findIndex((one) => one.id === selected);
  const next = all[Math.max(0, Math.min(all.length - 1, place + by))];
  if (!next) return;
  select(next.id);
  rows.get(next.id)?.element.scrollIntoView({ block: "nearest" });
}

export function render(): void {
  const status = store.status;
  if (!status) return;
  const pulses = new Map(store.pulse.backends.map((one) => [one.id, one]));
  const all = status.backends.map((one) => {
    const pulse = pulses.get(one.id);
    // Both count from the same start: the larger is the later.
    if (!pulse || pulse.requests < one.requests) return one;
    return { ...one, ...pulse };
  });
  const sums = new Map<string, number>();
  for (const one of all) sums.set(one.service, (sums.get(one.service) ?? 0) + one.requests);
  for (const one of all) {
    let row = rows.get(one.id);
    if (!row) {
      row = new Row(one);
      rows.set(one.id, row);
      body.append(row.element);
    }
    row.show(one, one.requests / (sums.get(one.service) || 1));
  }
  for (const [id, row] of rows) {
    if (all.some((one) => one.id === id)) continue;
    row.element.remove();
    rows.delete(id);
  }
  if (!selected && all[0]) select(all[0].id);
}
