// The inspector: the last requests, each with its attempts and the reason for its backend.

import { h, say, the } from "./dom";
import { store } from "./store";
import type { Seen } from "./types";
import { clock, color, FAILURES, ms, short } from "./words";

const list = h("ol", { class: "scroll", tabindex: "0", "aria-labelledby": "requests-title" });
const box = (): HTMLInputElement => the<HTMLInputElement>("only-trouble");
let shown = 0;
let held = false;
let dirty = true;

export function build(): void {
  the("requests-body").append(list);
  // Who reads or points at one wants it to stay where it is.
  const hold = (now: boolean) => () => {
    held = now;
    if (!now) render();
  };
  list.addEventListener("pointerenter", hold(true));
  list.addEventListener("pointerleave", hold(false));
  list.addEventListener("focusin", hold(true));
  list.addEventListener("focusout", hold(false));
  box().addEventListener("change", () => {
    shown = 0;
    list.replaceChildren();
    render();
  });
}

export function forget(): void {
  shown = 0;
  dirty = true;
  list.replaceChildren();
}

const troubled = (one: Seen): boolean => one.attempts.length > 0 || one.backend === null || one.status >= 500;

export function render(): void {
  const fresh = store.requests.filter((one) => one.seq > shown && (!box().checked || troubled(one)));
  if (held) {
    note(fresh.length);
    return;
  }
  if (fresh.length > 0) {
    shown = fresh.at(-1)?.seq ?? shown;
    list.prepend(...fresh.reverse().map(row));
    while (list.children.length > 200) list.lastElementChild?.remove();
  }
  if (list.children.length === 0 && dirty) {
    dirty = false;
    list.append(h("li", { class: "quiet empty" }, "None yet: open the application, or run `curl` against it."));
  } else if (list.children.length > 1) {
    list.querySelector(".empty")?.remove();
  }
  note(0);
}

function note(waiting: number): void {
  const answered = store.pulse.backends.reduce((sum, one) => sum + one.requests, 0);
  const last = store.seconds.at(-1)?.backends.reduce((sum, one) => sum + one.requests, 0) ?? 0;
  const sample = last > 90 ? "a sample, with every one in trouble" : `the last ${Math.min(200, Math.max(store.requests.length, 0))}`;
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
