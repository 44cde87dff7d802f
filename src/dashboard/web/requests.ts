// The inspector: the last requests, each with its attempts and the reason for its backend.

import { h, say, the } from "./dom";
import { store } from "./store";
import type { Seen } from "./types";
import { clock, color, FAILURES, ms, short } from "./words";

const list = h("ol", { class: "scroll", tabindex: "0", "aria-labelledby": "requests-title" });
const box = (): HTMLInputElement => the<HTMLInputElement>("only-trouble");
/** So many are shown while nobody looks: the window holds no more. */
const FEW = 24;
/** How often the list moves, in ms. */
const LOOK = 1000;
let shown = 0;
let held = false;
let moved = 0;
let later = 0;

export function build(): void {
  the("requests-body").append(list);
  // Who reads or points at one wants it to stay where it is, and the others to be there.
  const hold = (now: boolean) => () => {
    if (held === now) return;
    held = now;
    moved = 0;
    if (now) fill(200);
    else render();
  };
  list.addEventListener("pointerenter", hold(true));
  list.addEventListener("pointerleave", hold(false));
  list.addEventListener("focusin", hold(true));
  list.addEventListener("focusout", hold(false));
  box().addEventListener("change", forget);
}

export function forget(): void {
  shown = moved = 0;
  list.replaceChildren();
  render();
}

const troubled = (one: Seen): boolean => one.attempts.length > 0 || one.backend === null || one.status >= 500;
const wanted = (one: Seen): boolean => !box().checked || troubled(one);

/** Below those that are there, so that nothing moves. */
function fill(most: number): void {
  const last = Number((list.lastElementChild as HTMLElement | null)?.dataset.seq ?? 0);
  const older = store.requests.filter((one) => one.seq < last && wanted(one)).reverse();
  list.append(...older.slice(0, most - list.children.length).map(row));
}

export function render(): void {
  const fresh = store.requests.filter((one) => one.seq > shown && wanted(one));
  if (held) return note(fresh.length);
  const early = moved + LOOK - performance.now();
  if (fresh.length > 0 && early > 0) {
    clearTimeout(later);
    later = setTimeout(render, early);
  } else if (fresh.length > 0) {
    moved = performance.now();
    shown = fresh.at(-1)?.seq ?? shown;
    list.querySelector(".empty")?.remove();
    list.prepend(...fresh.slice(-FEW).reverse().map(row));
    while (list.children.length > FEW) list.lastElementChild?.remove();
  }
  if (list.children.length === 0) {
    list.append(h("li", { class: "quiet empty" }, "None yet: open the application, or run `curl` against it."));
  }
  note(0);
}

function note(waiting: number): void {
  const answered = store.pulse.backends.reduce((sum, one) => sum + one.requests, 0);
  const last = store.seconds.at(-1)?.backends.reduce((sum, one) => sum + one.requests, 0) ?? 0;
  const sample = last > 50 ? "a sample, with every one in trouble" : `the last ${Math.min(200, Math.max(store.requests.length, 0))}`;
  say(the("requests-note"), `${sample} of ${answered}${waiting > 0 ? ` · held, ${waiting} new` : ""}`);
}

function row(one: Seen): HTMLLIElement {
  const who = h("span", { class: "who" }, one.backend ? short(one.backend) : "lbdev");
  if (one.backend) who.style.setProperty("--own", color(store.place(one.backend)));
  const status = h("span", { class: one.status >= 500 ? "status bad" : "status" }, String(one.status));
  const mark = one.attempts.length > 0 ? ` ↷${one.attempts.length}` : "";
  const summary = h(
    "summary",
    {},
    h("span", { class: "time" }, clock(one.at)),
    status,
    who,
    h("span", { class: "took" }, ms(one.took_ms)),
    h("span", { class: "target" }, `${one.method} ${one.target}`),
    h("span", { class: "mark" }, mark),
  );
  const details = h("details", {}, summary);
  // Most are never opened.
  details.addEventListener("toggle", () => details.childElementCount < 2 && details.append(story(one)), { once: true });
  return h("li", { "data-seq": String(one.seq) }, details);
}

function story(one: Seen): HTMLElement {
  const steps = one.attempts.map((attempt) =>
    h("li", {}, `${short(attempt.backend)} ${FAILURES[attempt.failure] ?? attempt.failure} after ${ms(attempt.after_ms)}`),
  );
  if (one.waited_ms > 0) steps.push(h("li", {}, `waited ${ms(one.waited_ms)} for a backend`));
  const last = one.backend
    ? `${short(one.backend)} answered ${one.status}${one.why ? `: ${one.why}` : ""}`
    : `lbdev answered ${one.status}`;
  steps.push(h("li", {}, last));
  if (one.fault) steps.push(h("li", {}, "a fault that somebody put in had a part in it"));
  return h("ol", { class: "story" }, ...steps);
}
