// What the backends write, as text.

import { h, say, the } from "./dom";
import { store } from "./store";
import type { Line } from "./types";
import { clock, color, short } from "./words";

const MOST = 300;
const body = the("logs-body");
const of = the<HTMLSelectElement>("logs-of");
const search = the<HTMLInputElement>("logs-search");
const pause = the<HTMLButtonElement>("logs-pause");
let held = false;

export function build(): void {
  of.addEventListener("change", again);
  search.addEventListener("input", again);
  pause.addEventListener("click", () => {
    held = !held;
    pause.setAttribute("aria-pressed", String(held));
    if (!held) again();
  });
}

const wanted = (one: Line): boolean => {
  const text = search.value.toLowerCase();
  return (!of.value || one.backend === of.value) && (!text || one.text.toLowerCase().includes(text));
};

function line(one: Line): HTMLElement {
  const who = h("span", { class: "who" }, short(one.backend));
  who.style.setProperty("--own", color(store.place(one.backend)));
  return h("div", { class: one.err ? "line err" : "line" }, h("span", { class: "time" }, clock(one.at)), who, h("span", { class: "text" }, one.text));
}

/** Everything that fits what is asked for. */
export function again(): void {
  if (held) return;
  body.replaceChildren(...store.lines.filter(wanted).slice(-MOST).map(line));
  end();
}

function end(): void {
  body.scrollTop = body.scrollHeight;
}

/** New lines. Who has scrolled up stays there. */
export function add(lines: Line[], leftOut: number): void {
  if (held) return;
  const follows = body.scrollHeight - body.scrollTop - body.clientHeight < 40;
  body.append(...lines.filter(wanted).map(line));
  if (leftOut > 0) body.append(h("div", { class: "line quiet" }, `… ${leftOut} more lines: \`lbdev logs\``));
  while (body.children.length > MOST) body.firstElementChild?.remove();
  if (follows) end();
}

/** Which backends there are. */
export function names(ids: string[]): void {
  const known = [...of.options].slice(1).map((one) => one.value);
  if (known.join(" ") === ids.join(" ")) return;
  const chosen = of.value;
  for (const option of [...of.options].slice(1)) option.remove();
  for (const id of ids) {
    const option = h("option", { value: id });
    say(option, short(id));
    of.append(option);
  }
  of.value = ids.includes(chosen) ? chosen : "";
}
