// What happened, and what is said of it to who cannot see it.

import { h, the } from "./dom";
import { store } from "./store";
import type { LbEvent } from "./types";
import { clock, glyph, short } from "./words";

const MOST = 100;
/** Between two announcements. */
const BREATH = 3000;

const list = the("events-body");
let announced = 0;
let waiting: string[] = [];
let timer = 0;

function row(event: LbEvent): HTMLLIElement {
  const name = event.backend && event.kind === "state" ? `${short(event.backend)} ` : "";
  const mark = event.to ? `${glyph(event.to)} ` : event.kind === "lost" ? "✗ " : event.kind === "failover" ? "↷ " : "";
  return h(
    "li",
    { class: `event kind-${event.kind}` },
    h("span", { class: "time" }, clock(event.at)),
    h("span", {}, `${mark}${name}${event.text}`),
  );
}

export function again(): void {
  list.replaceChildren(...store.events.slice(-MOST).reverse().map(row));
}

export function add(event: LbEvent): void {
  list.prepend(row(event));
  while (list.children.length > MOST) list.lastElementChild?.remove();
  if (event.kind === "state" && event.from !== event.to && event.backend) {
    announce(`${short(event.backend)} ${event.to ?? ""}`);
  }
}

/** At most one announcement in a while, with what came meanwhile. */
function announce(text: string): void {
  waiting.push(text);
  const wait = Math.max(0, announced + BREATH - Date.now());
  clearTimeout(timer);
  timer = setTimeout(() => {
    announced = Date.now();
    the("speech").textContent = waiting.slice(-6).join(", ");
    waiting = [];
  }, wait);
}
