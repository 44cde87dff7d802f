// One stream for a browser, however many tabs: HTTP/1.1 allows six connections to a host, and a seventh tab would hang. The tab
// that holds the lock reads, and tells the others. When it goes, the next one reads.

import { store } from "./store";
import { token } from "./token";
import type { Message } from "./types";

const ADDRESS = "/v1/events?with=status,timeline,events,requests,logs,pulse";
const LOCK = "lbdev-stream";
/** A stream that is silent for so long is dead: something comes every second. */
const SILENCE = 8000;
const AGAIN = 1000;

let channel: BroadcastChannel | null = null;
let leads = false;
let abort: AbortController | null = null;
/** What the reading tab said while this one was still fetching what there was before. */
let early: Message[] | null = null;

function tell(message: Message): void {
  store.take(message);
  channel?.postMessage(message);
}

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Reads one stream to its end. */
async function read(each: (message: Message) => boolean): Promise<"end" | "denied"> {
  abort = new AbortController();
  const { signal } = abort;
  let silent = setTimeout(() => abort?.abort(), SILENCE);
  try {
    const answer = await fetch(ADDRESS, {
      headers: { authorization: `Bearer ${token() ?? ""}`, accept: "text/event-stream" },
      cache: "no-store",
      signal,
    });
    if (answer.status === 401 || answer.status === 403) return "denied";
    if (!answer.ok || !answer.body) return "end";
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return "end";
      clearTimeout(silent);
      silent = setTimeout(() => abort?.abort(), SILENCE);
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const message = parse(block);
        if (message && !each(message)) {
          await reader.cancel();
          return "end";
        }
      }
    }
  } catch {
    return "end";
  } finally {
    clearTimeout(silent);
  }
}

function parse(block: string): Message | null {
  let name = "";
  let data = "";
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    else if (line.startsWith("data: ")) data += line.slice(6);
  }
  return name ? ({ name, data: JSON.parse(data) } as Message) : null;
}

/** Reads for this tab and the others, for as long as the page is open. */
async function lead(): Promise<void> {
  leads = true;
  early = null;
  for (;;) {
    let begun = false;
    const end = await read((message) => {
      if (!begun) {
        begun = true;
        tell({ name: "begin", data: null });
      }
      tell(message);
      return true;
    });
    tell({ name: end === "denied" ? "denied" : "gone", data: null });
    await pause(AGAIN);
    while (!token()) await pause(AGAIN);
  }
}

/** Fetches what there was before, then goes by what the reading tab says. */
async function follow(): Promise<void> {
  early = [];
  const first: Message[] = [];
  const end = await read((message) => {
    first.push(message);
    return message.name !== "live";
  });
  if (leads) return;
  if (end === "denied" || first.length === 0) {
    store.take({ name: end === "denied" ? "denied" : "gone", data: null });
  } else {
    store.take({ name: "begin", data: null });
    for (const message of first) store.take(message);
  }
  const later = early ?? [];
  early = null;
  for (const message of later) store.take(message);
}

export async function start(): Promise<void> {
  // Only where a page is a secure context: under another name than the loopback's each tab reads for itself.
  if (!navigator.locks) return lead();
  channel = new BroadcastChannel(LOCK);
  channel.onmessage = ({ data }: MessageEvent<Message>) => {
    if (leads) return;
    if (early) early.push(data);
    // One tab's token tells nothing about another's.
    else if (data.name !== "denied") store.take(data);
  };
  await navigator.locks.request(LOCK, { ifAvailable: true }, (lock) => (lock ? lead() : null));
  void follow();
  await navigator.locks.request(LOCK, lead);
}

/** With another token: from the beginning. */
export function again(): void {
  if (leads) abort?.abort();
  else void follow();
}
