// What the buttons ask for. Each is the verb of the command line that its tooltip shows.

import { token } from "./token";

export class Refused extends Error {
  constructor(
    message: string,
    readonly hint: string | null,
  ) {
    super(message);
  }
}

async function send(method: string, path: string, body: unknown): Promise<void> {
  let answer: Response;
  try {
    answer = await fetch(path, {
      method,
      headers: { authorization: `Bearer ${token() ?? ""}`, "content-type": "application/json" },
      body: JSON.stringify(body),
      cache: "no-store",
    });
  } catch {
    throw new Refused("lbdev does not answer", null);
  }
  if (answer.ok) return;
  const said = await answer.json().catch(() => null);
  throw new Refused(said?.error?.message ?? `HTTP ${answer.status}`, said?.error?.hint ?? null);
}

export const act = (target: string, verb: string, body: unknown = {}): Promise<void> =>
  send("POST", `/v1/backends/${encodeURIComponent(target)}/${verb}`, body);

export const set = (settings: Record<string, unknown>): Promise<void> =>
  send("PATCH", "/v1/settings", settings);
