// The page: what comes is kept by the store, and shown a few times a second at most.

import { ACTIONS, attempt, perform } from "./actions";
import { act, set } from "./api";
import { mayKillAll, showKeys } from "./dialogs";
import { attribute, h, say, the } from "./dom";
import * as events from "./events";
import * as flow from "./flow";
import * as logs from "./logs";
import * as requests from "./requests";
import { store } from "./store";
import { again, start } from "./stream";
import * as table from "./table";
import * as timeline from "./timeline";
import { takeToken, token } from "./token";
import type { Message } from "./types";

const ALGORITHMS = ["round_robin", "least_conn", "random_two", "peak_ewma", "ip_hash", "hash"];
/** Numbers move so often at most, in ms; nobody reads faster. */
const LOOK = 400;

let paused = false;
let keysWork = localStorage.getItem("keys") !== "off";
const dirty = new Set<string>();
let due = 0;
let shown = 0;

function later(...what: string[]): void {
  for (const one of what) dirty.add(one);
  if (due || paused) return;
  due = setTimeout(() => {
    due = 0;
    requestAnimationFrame(show);
  }, Math.max(0, shown + LOOK - performance.now()));
}

function show(): void {
  if (paused) return;
  shown = performance.now();
  const all = [...dirty];
  dirty.clear();
  const has = (what: string): boolean => all.includes(what);
  if (has("status")) {
    header();
    table.render();
    flow.render();
  }
  if (has("timeline")) timeline.render();
  if (has("requests")) requests.render();
}

function hear(message: Message): void {
  switch (message.name) {
    case "begin":
      flow.forget();
      requests.forget();
      break;
    case "live":
      the("app").hidden = false;
      the("locked").hidden = true;
      the("offline").hidden = true;
      events.again();
      logs.again();
      later("status", "timeline", "requests");
      break;
    case "gone":
      offline();
      later("status");
      break;
    case "denied":
      locked("The token of this page is not the one that lbdev asks for, or not any more.");
      break;
    case "status":
      logs.names(message.data.backends.map((one) => one.id));
      later("status");
      break;
    case "pulse":
      flow.pulse(paused || !store.live);
      later("status");
      break;
    case "timeline":
    case "second":
      later("timeline", "status");
      break;
    case "requests":
      later("requests");
      break;
    case "logs":
      if (store.live && !paused) logs.add(message.data.lines, message.data.left_out);
      break;
    case "event":
      if (!store.live) break;
      if (!paused) events.add(message.data);
      if (["failover", "lost"].includes(message.data.kind)) flow.incident(message.data, paused);
      break;
    case "missed":
      break;
  }
}

function header(): void {
  const status = store.status;
  if (!status) return;
  document.title = `${status.project} · lbdev`;
  say(the("project"), status.project);
  const url = appUrl(status.balancer.url, status.project);
  const link = the<HTMLAnchorElement>("app-link");
  say(link, url);
  attribute(link, "href", url);
  const all = status.backends.length;
  const up = status.backends.filter((one) => one.done || (one.state === "up" && one.healthy && one.enabled)).length;
  say(the("health"), `${up === all ? "●" : up === 0 ? "✗" : "▲"} ${up} of ${all} serving`);
  attribute(the("health"), "data-mood", up === all ? "good" : up === 0 ? "bad" : "between");
  const select = the<HTMLSelectElement>("algorithm");
  if (document.activeElement !== select) select.value = status.balancer.algorithm;
  const answered = store.pulse.backends.reduce((sum, one) => sum + one.requests, 0);
  say(
    the("totals"),
    `${answered} answered · ${status.balancer.retries} retried · ${store.pulse.lost} lost · ${store.pulse.waiting} waiting`,
  );
}

/** `http://mysite.localhost:8080/`, as `lbdev up` prints it: cookies ignore ports, but not names. */
function appUrl(url: string, project: string): string {
  const fits = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(project);
  return fits ? `${url.replace("//localhost", `//${project.toLowerCase()}.localhost`)}/` : `${url}/`;
}

function offline(): void {
  const place = the("offline");
  if (!store.status) return locked("lbdev does not answer.");
  say(place, "lbdev has stopped: what is shown is how it was. Type `lbdev up` to start it; this page comes back by itself.");
  place.hidden = false;
}

function locked(why: string): void {
  say(the("locked-why"), why);
  the("locked").hidden = false;
  the("app").hidden = true;
}

function toggle(id: string, now: boolean, word?: string): void {
  attribute(the(id), "aria-pressed", String(now));
  if (word) say(the(id), word);
}

function pause(): void {
  paused = !paused;
  toggle("pause", paused, paused ? "Go on" : "Pause");
  attribute(document.documentElement, "data-paused", paused ? "true" : null);
  if (paused) return;
  events.again();
  logs.again();
  later("status", "timeline", "requests");
}

/** Colours or sizes are others: what is drawn by hand is drawn anew. */
function restyle(): void {
  flow.lay();
  timeline.restyle();
}

function themes(): void {
  const root = document.documentElement;
  const apply = (theme: string): void => {
    attribute(root, "data-theme", theme === "auto" ? null : theme);
    say(the("theme"), `Theme: ${theme}`);
    localStorage.setItem("theme", theme);
    restyle();
  };
  const known = ["auto", "light", "dark"];
  let now = localStorage.getItem("theme") ?? "auto";
  apply(now);
  the("theme").addEventListener("click", () => {
    now = known[(known.indexOf(now) + 1) % known.length] ?? "auto";
    apply(now);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
  const project = (on: boolean): void => {
    attribute(root, "data-projector", on ? "true" : null);
    toggle("projector", on);
    localStorage.setItem("projector", on ? "on" : "off");
    restyle();
  };
  project(localStorage.getItem("projector") === "on");
  the("projector").addEventListener("click", () => project(!root.hasAttribute("data-projector")));
}

function controls(): void {
  const algorithm = the<HTMLSelectElement>("algorithm");
  for (const name of ALGORITHMS) algorithm.append(h("option", { value: name }, name.replaceAll("_", " ")));
  algorithm.title = "lbdev set algorithm=…";
  algorithm.addEventListener("change", () => void attempt(() => set({ algorithm: algorithm.value })));
  the("pause").addEventListener("click", pause);
  the("help").addEventListener("click", () => void keys());
  the("kill-all").addEventListener("click", async () => {
    const count = store.status?.backends.length ?? 0;
    if (await mayKillAll(count)) await attempt(() => act("all", "kill"));
  });
  the("start-all").addEventListener("click", () => void attempt(() => act("all", "start")));
  the("span").addEventListener("change", () => timeline.render());
  document.addEventListener("keydown", press);
}

async function keys(): Promise<void> {
  keysWork = await showKeys(keysWork);
  localStorage.setItem("keys", keysWork ? "on" : "off");
}

function press(event: KeyboardEvent): void {
  const at = event.target as HTMLElement;
  if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
  if (at.matches("input, select, textarea")) return;
  if (event.key === "?") return void keys();
  if (!keysWork) return;
  const one = table.selection();
  const action = ACTIONS.find((action) => action.key === event.key);
  if (event.key === "j") table.step(1);
  else if (event.key === "k") table.step(-1);
  else if (event.key === " " && !at.matches("button, a, summary, [tabindex='0']")) pause();
  else if (action && one) void perform(action, one);
  else return;
  event.preventDefault();
}

takeToken();
table.build();
flow.build();
timeline.build();
requests.build();
logs.build();
controls();
themes();
store.hear(hear);
addEventListener("hashchange", () => {
  if (takeToken()) again();
});
if (token()) void start();
else {
  locked("This page needs the token of its project.");
  addEventListener("hashchange", () => void start(), { once: true });
}
