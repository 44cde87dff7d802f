// Lines of a server that would be markup, or move a terminal's cursor, if anybody let them.

import { assert, browser, context, env, get, page, ports, shows, until } from "./stage.mjs";

const one = await context();
const seen = await page(one);
await shows(seen, ports[0], "up");
await get(`${env.APP}<b>x</b>?q=<script>window.got=3</script>`);
const logs = seen.locator("#logs-body");
await until("the lines are there", async () => (await logs.textContent()).includes("<script>window.got = 1</script><img src=x"));
assert.match(await logs.textContent(), /red {2}after/);
assert.ok(!(await logs.textContent()).includes("\u001b"));
assert.equal(await seen.locator("#app script, #app img").count(), 0);
await until("the request is there", async () => (await seen.locator("#requests-body").textContent()).includes("window.got=3"));
// Search finds it as text, by backend and by word.
await seen.locator("#logs-search").fill("ONERROR");
await until("one line each", async () => (await logs.locator(".line").count()) === 4);
await seen.locator("#logs-of").selectOption(`web:${ports[1]}`);
await until("one line", async () => (await logs.locator(".line").count()) === 1);
assert.equal(await seen.evaluate(() => window.got), undefined);
await browser.close();
