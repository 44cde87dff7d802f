// What can be done to a backend: one list for buttons, keys and tooltips.

import { act, Refused } from "./api";
import { askForFault } from "./dialogs";
import { the } from "./dom";
import type { Backend } from "./types";
import { short } from "./words";

export interface Action {
  /** The word on its button. */
  word: (one: Backend) => string;
  key: string;
  /** Why it cannot be done now, or nothing. */
  hindrance: (one: Backend) => string | null;
  /** The same on the command line. */
  typed: (one: Backend) => string;
  run: (one: Backend) => Promise<void>;
  danger?: boolean;
}

const external = (one: Backend): string | null =>
  one.kind === "external" ? "lbdev did not start it" : null;
const runs = (one: Backend): boolean => one.pid !== null;
const drained = (one: Backend): boolean => !one.enabled;
const frozen = (one: Backend): boolean => one.state === "frozen";

export const ACTIONS: Action[] = [
  {
    word: () => "Kill",
    key: "K",
    hindrance: (one) => external(one) ?? (runs(one) ? null : "it is not running"),
    typed: (one) => `lbdev kill ${short(one.id)}`,
    run: (one) => act(one.id, "kill"),
    danger: true,
  },
  {
    word: () => "Start",
    key: "S",
    hindrance: (one) => external(one) ?? (runs(one) ? "it runs already" : null),
    typed: (one) => `lbdev start ${short(one.id)}`,
    run: (one) => act(one.id, "start"),
  },
  {
    word: () => "Restart",
    key: "R",
    hindrance: external,
    typed: (one) => `lbdev restart ${short(one.id)}`,
    run: (one) => act(one.id, "restart"),
  },
  {
    word: (one) => (drained(one) ? "Undrain" : "Drain"),
    key: "D",
    hindrance: () => null,
    typed: (one) => `lbdev ${drained(one) ? "undrain" : "drain"} ${short(one.id)}`,
    run: (one) => act(one.id, drained(one) ? "undrain" : "drain"),
  },
  {
    word: (one) => (frozen(one) ? "Thaw" : "Freeze"),
    key: "Z",
    hindrance: (one) => external(one) ?? (runs(one) ? null : "it is not running"),
    typed: (one) => `lbdev ${frozen(one) ? "thaw" : "freeze"} ${short(one.id)}`,
    run: (one) => act(one.id, frozen(one) ? "thaw" : "freeze"),
  },
  {
    word: (one) => (one.fault ? "Fault…" : "Slow…"),
    key: "F",
    hindrance: (one) => (one.port === null ? "it gets no requests" : null),
    typed: (one) => `lbdev fault ${short(one.id)} ${one.fault ?? "latency=500ms"}`,
    run: askForFault,
  },
];

/** Does it, and says where it was refused. */
export async function perform(action: Action, one: Backend): Promise<void> {
  const hindrance = action.hindrance(one);
  if (hindrance) return toast(`${short(one.id)}: ${hindrance}`);
  await attempt(() => action.run(one));
}

export async function attempt(what: () => Promise<void>): Promise<void> {
  try {
    await what();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    toast(error.hint ? `${error.message}. ${error.hint}` : error.message);
  }
}

let fading = 0;
export function toast(text: string): void {
  const place = the("toast");
  place.textContent = text;
  place.hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => {
    place.hidden = true;
  }, 8000);
}
