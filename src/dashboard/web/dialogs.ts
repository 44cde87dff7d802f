// What asks a person something first: a fault, a kill of everybody, and the list of keys.

import { act } from "./api";
import { h } from "./dom";
import type { Backend } from "./types";
import { short } from "./words";

/** Resolves to what was pressed: the value of a button, or nothing where it was left. */
function ask(dialog: HTMLDialogElement): Promise<string> {
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => {
      done(dialog.returnValue);
      dialog.remove();
    });
  });
}

let numbers = 0;
function dialog(title: string, ...children: Node[]): HTMLDialogElement {
  const id = `dialog-${++numbers}`;
  return h(
    "dialog",
    { "aria-labelledby": id },
    h("form", { method: "dialog" }, h("h2", { id }, title), ...children),
  );
}

const button = (value: string, word: string, kind = ""): HTMLButtonElement =>
  h("button", { value, class: kind, ...(value ? {} : { formnovalidate: "" }) }, word);

const FIELDS: [string, string, string][] = [
  ["latency", "Wait before it is sent", "500ms"],
  ["jitter", "and up to so much more or less", "50ms"],
  ["status", "An answer with this status instead", "503"],
  ["bandwidth", "The answer so fast at most, a second", "64kb"],
  ["cut", "The connection ends after so much of the answer", "1kb"],
  ["slow_close", "The end of the answer so much later", "2s"],
  ["rate", "Only so many of them, by chance", "20%"],
  ["path", "Only for this path or below it", "/api"],
  ["header", "Only with this in their head", "X-User:alice"],
];

/** The fault of one backend: what is there now, and what is to be. */
export async function askForFault(one: Backend): Promise<void> {
  const now = new Map(
    (one.fault ?? "latency=500ms").split(" ").map((word) => {
      const [key = "", ...rest] = word.split("=");
      return [key, rest.join("=") || "true"] as const;
    }),
  );
  const inputs = FIELDS.map(([name, label, example]) => {
    const input = h("input", { name, placeholder: example, value: now.get(name) ?? "", autocomplete: "off" });
    return h("label", {}, h("span", {}, label), input);
  });
  const boxes = (
    [
      ["reset", "Its connection is reset"],
      ["hang", "Nothing comes, for as long as the fault lasts"],
    ] as const
  ).map(([name, label]) => {
    const input = h("input", { type: "checkbox", name });
    input.checked = now.has(name);
    return h("label", { class: "check" }, input, ` ${label}`);
  });
  const shown = dialog(
    `A fault for requests to ${short(one.id)}`,
    h("div", { class: "fields" }, ...inputs),
    ...boxes,
    h(
      "p",
      { class: "quiet" },
      "The balancer does it; the server knows nothing. It lasts until it is taken out, or lbdev ends.",
    ),
    h(
      "div",
      { class: "tools" },
      button("put", "Put it in", "primary"),
      button("off", "No fault"),
      button("", "Cancel"),
    ),
  );
  const pressed = await ask(shown);
  if (pressed === "off") return act(one.id, "fault", { off: true });
  if (pressed !== "put") return;
  const said: Record<string, unknown> = {};
  for (const input of shown.querySelectorAll("input")) {
    if (input.type === "checkbox") {
      if (input.checked) said[input.name] = true;
    } else if (input.value.trim()) {
      said[input.name] = input.value.trim();
    }
  }
  return act(one.id, "fault", said);
}

export async function mayKillAll(count: number): Promise<boolean> {
  const shown = dialog(
    `Kill all ${count} backends?`,
    h("p", {}, "Requests wait until one is started again, for as long as the queue's timeout."),
    h("div", { class: "tools" }, button("", "Cancel"), button("kill", "Kill all", "danger")),
  );
  return (await ask(shown)) === "kill";
}

const KEYS: [string, string][] = [
  ["j k", "select the next backend, the one before"],
  ["K", "kill it, as a crash would; it stays down until it is started"],
  ["S", "start it"],
  ["R", "restart it, when its requests have ended"],
  ["D", "drain it: no new requests; once more: undrain"],
  ["Z", "freeze it: its port accepts, and nobody answers; once more: thaw"],
  ["F", "put a fault into its requests"],
  ["Space", "pause the picture; the servers go on"],
  ["?", "this list"],
];

/** The list of keys; whether they work from now on. */
export async function showKeys(on: boolean): Promise<boolean> {
  const rows = KEYS.flatMap(([keys, text]) => [
    h("dt", {}, ...keys.split(" ").map((key) => h("kbd", {}, key))),
    h("dd", {}, text),
  ]);
  const box = h("input", { type: "checkbox" });
  box.checked = on;
  const shown = dialog(
    "Keys",
    h("dl", {}, ...rows),
    h("label", { class: "check" }, box, " keys work"),
    h("div", { class: "tools" }, button("", "Close", "primary")),
  );
  await ask(shown);
  return box.checked;
}
