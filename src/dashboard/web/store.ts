// What the page knows, and who wants to hear that it has changed.

import type { LbEvent, Line, Message, Pulse, Second, Seen, Status } from "./types";

/** Seconds of the timeline. */
const SECONDS = 600;
const REQUESTS = 200;
const EVENTS = 200;
const LINES = 500;

class Store {
  status: Status | null = null;
  pulse: Pulse = { waiting: 0, lost: 0, backends: [] };
  seconds: Second[] = [];
  requests: Seen[] = [];
  events: LbEvent[] = [];
  lines: Line[] = [];
  leftOut = 0;
  /** How many requests the list was sent in all: those beyond it were left out by the sample. */
  listed = 0;
  /** The stream has told everything there was before. */
  live = false;
  gone = false;
  denied = false;
  /** The ids in the order in which they were first seen: a backend keeps its colour. */
  places = new Map<string, number>();
  private known = 0;
  private readonly hearers: ((message: Message) => void)[] = [];

  hear(hearer: (message: Message) => void): void {
    this.hearers.push(hearer);
  }

  place(id: string): number {
    let place = this.places.get(id);
    if (place === undefined) {
      place = this.places.size;
      this.places.set(id, place);
    }
    return place;
  }

  take(message: Message): void {
    switch (message.name) {
      case "begin":
        this.forget();
        break;
      case "gone":
        this.gone = true;
        this.live = false;
        break;
      case "denied":
        this.denied = true;
        break;
      case "live":
        this.live = true;
        this.gone = false;
        this.denied = false;
        break;
      case "status":
        this.status = message.data;
        for (const one of message.data.backends) this.place(one.id);
        break;
      case "pulse":
        this.pulse = message.data;
        break;
      case "timeline": {
        const all = message.data;
        this.seconds = all.lost.map((lost, index) => ({
          at: all.first + index,
          p50_ms: all.p50_ms[index] ?? null,
          p99_ms: all.p99_ms[index] ?? null,
          lost,
          backends: all.backends.map((one) => ({
            id: one.id,
            requests: one.requests[index] ?? 0,
            errors: one.errors[index] ?? 0,
            failed: one.failed[index] ?? 0,
            state: one.states[index] ?? "",
          })),
        }));
        break;
      }
      case "second": {
        const last = this.seconds.at(-1);
        if (last && message.data.at <= last.at) return;
        this.seconds.push(message.data);
        while (this.seconds.length > SECONDS) this.seconds.shift();
        break;
      }
      case "requests": {
        const seen = this.requests.at(-1)?.seq ?? 0;
        const fresh = message.data.requests.filter((one) => one.seq > seen);
        if (fresh.length === 0) return;
        this.listed += fresh.length;
        this.requests.push(...fresh);
        this.requests.splice(0, this.requests.length - REQUESTS);
        break;
      }
      case "logs": {
        // What was read while the first lines were on their way is in both.
        const fresh = message.data.lines.filter((one) => Date.parse(one.at) >= this.known);
        if (!this.live) this.known = Date.parse(fresh.at(-1)?.at ?? "") || 0;
        this.leftOut += message.data.left_out;
        this.lines.push(...fresh);
        this.lines.splice(0, Math.max(0, this.lines.length - LINES));
        break;
      }
      case "event": {
        if (message.data.seq <= (this.events.at(-1)?.seq ?? 0)) return;
        this.events.push(message.data);
        this.events.splice(0, Math.max(0, this.events.length - EVENTS));
        break;
      }
      case "missed":
        break;
    }
    for (const hearer of this.hearers) hearer(message);
  }

  private forget(): void {
    this.seconds = [];
    this.requests = [];
    this.events = [];
    this.lines = [];
    this.leftOut = 0;
    this.listed = 0;
    this.known = 0;
    this.live = false;
  }
}

export const store = new Store();
