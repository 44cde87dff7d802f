// How things are said and which colour they have.

import type { Backend } from "./types";

export const FAILURES: Record<string, string> = {
  refused: "refused the connection",
  connect_timeout: "did not accept the connection in time",
  connect_failed: "could not be reached",
  closed: "closed the connection before it answered",
  reset: "reset the connection before it answered",
  bad_response: "sent something that is not HTTP",
  head_timeout: "did not answer in time",
  cut_body: "ended in the middle of its answer",
  status: "answered with a status that counts as a failure",
};

const GLYPHS: Record<string, string> = {
  up: "●",
  starting: "◌",
  unhealthy: "▲",
  draining: "◐",
  stopping: "◒",
  stopped: "✗",
  frozen: "❄",
  backoff: "◌",
  failed: "✗",
};

export function glyph(state: string): string {
  return GLYPHS[state] ?? "?";
}

/** good, bad or between. */
export function mood(state: string): string {
  if (state === "up") return "good";
  return ["stopped", "failed", "unhealthy"].includes(state) ? "bad" : "between";
}

/** A state in words: one that checks are about to change is said as HAProxy's page says it. */
export function stateWords(one: Backend): string {
  if (one.done) return "done";
  const check = one.last_check;
  if (one.state === "up" && check && !check.ok) return "up, going down";
  if (one.state === "unhealthy" && check?.ok) return "down, going up";
  return one.state;
}

/** `web:8000` is 8000 where that says it all. */
export function short(id: string): string {
  const port = id.split(":")[1];
  return port ?? id;
}

/** Neither red nor green, which mean something. */
export const COLORS = 8;
export function color(place: number): string {
  return `var(--b${place % COLORS})`;
}

export function ms(value: number | null): string {
  if (value === null) return "-";
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  return value >= 10 ? `${Math.round(value)} ms` : `${value.toFixed(1)} ms`;
}

export function bytes(value: number): string {
  if (value === 0) return "-";
  const mb = value / 1e6;
  return mb >= 1000 ? `${(mb / 1000).toFixed(1)} GB` : `${Math.round(mb)} MB`;
}

export function since(seconds: number): string {
  const s = Math.floor(seconds);
  if (s <= 0) return "-";
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")}`;
}

export function clock(at: string | number): string {
  const time = new Date(at);
  return time.toLocaleTimeString("en-GB");
}
