// What the scripts have in common: a browser, the page, and ways to wait for what it shows.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { chromium } from "playwright-core";

export { assert };
export const env = process.env;
export const ports = env.PORTS.split(",");
export const LIMIT = 15000;

export const browser = await chromium.launch({
  executablePath: env.CHROMIUM,
  handleSIGTERM: false,
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server"],
});

/** A context of its own; whatever its console says that is wrong is an error of the test. */
export async function context(options = {}) {
  const made = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  made.setDefaultTimeout(LIMIT);
  return made;
}

export const wrongs = [];
export async function page(context, address = env.DASHBOARD) {
  const made = await context.newPage();
  made.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) wrongs.push(`${message.type()}: ${message.text()}`);
  });
  made.on("pageerror", (error) => wrongs.push(`thrown: ${error.message}`));
  if (address) await made.goto(address);
  return made;
}

export const lbdev = (...words) => promisify(execFile)(env.LBDEV, words);

export async function get(address = env.APP) {
  const answer = await fetch(address);
  return { status: answer.status, text: await answer.text() };
}

/** Until it holds: what is waited for is what the page shows. */
export async function until(what, holds, limit = LIMIT) {
  const end = Date.now() + limit;
  let last;
  for (;;) {
    try {
      last = await holds();
      if (last) return last;
    } catch (error) {
      last = error.message;
    }
    if (Date.now() > end) throw new Error(`waited in vain until ${what}; last: ${last}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

export const row = (page, port) => page.locator(`tr[data-id$=":${port}"]`);
export const button = (page, port, word) => row(page, port).locator(`button[aria-label^="${word}"][aria-label$=" ${port}"]`);
export const state = (page, port) => row(page, port).locator(".state").textContent();
export const shows = (page, port, words) =>
  until(`${port} is ${words}`, async () => (await state(page, port)).includes(words));
export const cell = async (page, port, title) => (await row(page, port).locator(`td[data-title="${title}"]`).textContent()).trim();

export async function end() {
  await browser.close();
  assert.deepEqual(wrongs, []);
}

// A failed wait ends it, and the browser with it.
process.on("unhandledRejection", async (error) => {
  console.error(error);
  await browser.close().catch(() => {});
  process.exit(1);
});
