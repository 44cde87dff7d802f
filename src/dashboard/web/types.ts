// What the API sends, as far as the page looks at it: `/v1/openapi.json` has all of it.

export interface Backend {
  id: string;
  service: string;
  kind: "managed" | "external";
  port: number | null;
  pid: number | null;
  state: string;
  desired: string;
  enabled: boolean;
  healthy: boolean;
  eligible: boolean;
  weight: number;
  backup: boolean;
  uptime_s: number;
  restarts: number;
  requests: number;
  errors: number;
  fault: string | null;
  failures: number;
  retried_elsewhere: number;
  in_flight: number;
  p50_ms: number | null;
  p99_ms: number | null;
  cpu_pct: number;
  rss_bytes: number;
  last_check: { ok: boolean; detail: string } | null;
  why: string | null;
  done: boolean;
}

export interface Status {
  project: string;
  dir: string;
  pid: number;
  state: string;
  uptime_s: number;
  balancer: {
    url: string;
    algorithm: string;
    requests: number;
    retries: number;
    failures: number;
    waiting: number;
  };
  backends: Backend[];
}

export interface Pulse {
  waiting: number;
  lost: number;
  backends: { id: string; requests: number; failures: number; in_flight: number }[];
}

export interface Timeline {
  first: number;
  p50_ms: (number | null)[];
  p99_ms: (number | null)[];
  lost: number[];
  backends: {
    id: string;
    requests: number[];
    errors: number[];
    failed: number[];
    states: string[];
  }[];
}

export interface Second {
  at: number;
  p50_ms: number | null;
  p99_ms: number | null;
  lost: number;
  backends: { id: string; requests: number; errors: number; failed: number; state: string }[];
}

export interface Attempt {
  backend: string;
  failure: string;
  after_ms: number;
}

export interface Seen {
  seq: number;
  at: string;
  method: string;
  target: string;
  status: number;
  took_ms: number;
  waited_ms: number;
  backend: string | null;
  why: string | null;
  fault: boolean;
  attempts: Attempt[];
}

export interface LbEvent {
  seq: number;
  at: string;
  kind: string;
  backend: string | null;
  text: string;
  count: number;
  from?: string;
  to?: string;
  by?: string;
  request?: { status: number; attempts: Attempt[] };
}

export interface Line {
  at: string;
  backend: string;
  err: boolean;
  text: string;
}

/** One message of the stream. */
export type Message =
  | { name: "status"; data: Status }
  | { name: "pulse"; data: Pulse }
  | { name: "timeline"; data: Timeline }
  | { name: "second"; data: Second }
  | { name: "requests"; data: { requests: Seen[] } }
  | { name: "logs"; data: { lines: Line[]; left_out: number } }
  | { name: "event"; data: LbEvent }
  | { name: "live"; data: unknown }
  | { name: "missed"; data: unknown }
  // Not of the stream, but about it: a snapshot follows; nobody answers; the token is not the one.
  | { name: "begin"; data: unknown }
  | { name: "gone"; data: unknown }
  | { name: "denied"; data: unknown };
