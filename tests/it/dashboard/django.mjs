// A person kills a Django with a click, and everything else that the page is for.

import { assert, browser, button, cell, context, end, env, get, lbdev, page, ports, row, shows, state, until, wrongs } from "./stage.mjs";

const [first, second, third] = ports;
const one = await context();
const seen = await page(one);

// It loads within a second of having been asked for, and takes the token out of the address.
await shows(seen, first, "up");
const took = await seen.evaluate(() => performance.getEntriesByType("navigation")[0].loadEventEnd);
assert.ok(took < 1000, `loaded after ${took} ms`);
assert.equal(new URL(seen.url()).hash, "");
assert.equal(await seen.locator("#table tbody tr").count(), 4);
for (const port of ports) await shows(seen, port, "up");
assert.match(await seen.locator("#health").textContent(), /4 of 4 serving/);
assert.match(await seen.locator("#app-link").getAttribute("href"), /\.localhost:\d+\/$|localhost:\d+\/$/);

// Requests are counted, have dots in the flow, and a line each with a reason.
for (let n = 0; n < 8; n++) assert.equal((await get()).status, 200);
for (const port of ports) await until(`${port} has 2`, async () => (await cell(seen, port, "Requests")) === "2");
await until("eight dots", async () => (await seen.locator("#flow canvas").getAttribute("data-dots")) === "8");
assert.match(await seen.locator("#flow-scale").textContent(), /1 dot = 1 request/);
await until("eight lines", async () => (await seen.locator("#requests-body details").count()) === 8);
await seen.locator("#requests-body summary").first().click();
await until("a reason", async () => /it was its turn/.test(await seen.locator("#requests-body .story").first().textContent()));

// Kill.
await button(seen, first, "Kill").click();
await shows(seen, first, "stopped");
await until("the flow shows it", async () => (await seen.locator(`.ends li .state[data-mood="bad"]`).textContent()).includes(first));
assert.match(await seen.locator("#health").textContent(), /3 of 4 serving/);
await until("the timeline shows it", async () => (await seen.locator("#timeline rect.s-stopped").count()) > 0);
await until("it is an event", async () => (await seen.locator("#events-body").textContent()).includes("killed by you"));
await until("it is said", async () => (await seen.locator("#speech").textContent()).includes(`${first} stopped`));
for (let n = 0; n < 6; n++) assert.equal((await get()).status, 200);
await until("the others answered", async () => (await cell(seen, second, "Requests")) === "4");
assert.equal(await cell(seen, first, "Requests"), "2");
assert.equal(await button(seen, first, "Kill").getAttribute("aria-disabled"), "true");
assert.equal(await button(seen, first, "Start").getAttribute("title"), `lbdev start ${first}`);

// Restart brings it back.
await button(seen, first, "Restart").click();
await shows(seen, first, "up");
await until("all serve", async () => /4 of 4/.test(await seen.locator("#health").textContent()));

// A fault, put in and taken out.
await button(seen, second, "Slow").click();
const dialog = seen.locator("dialog");
await dialog.locator("input[name=latency]").fill("");
await dialog.locator("input[name=status]").fill("503");
await dialog.getByRole("button", { name: "Put it in" }).click();
await until("the fault is shown", async () => (await row(seen, second).textContent()).includes("fault: status=503"));
for (let n = 0; n < 4; n++) await get();
await until("it is counted", async () => (await cell(seen, second, "5xx")) !== "0");
await button(seen, second, "Fault").click();
await dialog.getByRole("button", { name: "No fault" }).click();
await until("it is gone", async () => !(await row(seen, second).textContent()).includes("fault:"));
// One that cannot be is refused, in words.
await button(seen, second, "Slow").click();
await dialog.locator("input[name=latency]").fill("soon");
await dialog.getByRole("button", { name: "Put it in" }).click();
await until("it is refused", async () => (await seen.locator("#toast").textContent()).includes("not a duration"));

// Drain, freeze and their contraries: words of the state, and buttons that undo.
await button(seen, third, "Drain").click();
await shows(seen, third, "draining");
await button(seen, third, "Undrain").click();
await shows(seen, third, "up");
await button(seen, third, "Freeze").click();
await shows(seen, third, "frozen");
await button(seen, third, "Thaw").click();
await shows(seen, third, "up");

// The algorithm.
await seen.locator("#algorithm").selectOption("least_conn");
await until("it holds", async () => (await lbdev("status")).stdout.includes("least conn"));

// The keyboard alone: two down, kill, start. Kill all asks first.
await seen.locator("body").click({ position: { x: 2, y: 300 } });
await seen.evaluate(() => document.activeElement.blur());
for (let n = 0; n < 4; n++) await seen.keyboard.press("k");
await seen.keyboard.press("j");
await seen.keyboard.press("j");
await until("it is selected", async () => (await row(seen, third).getAttribute("aria-current")) === "true");
await seen.keyboard.press("Shift+K");
await shows(seen, third, "stopped");
await seen.keyboard.press("Shift+S");
await shows(seen, third, "up");
await seen.keyboard.press("?");
await until("the keys are told", async () => (await dialog.textContent()).includes("freeze it"));
await seen.keyboard.press("Escape");
await until("the list is gone", async () => (await dialog.count()) === 0);
await seen.locator("#kill-all").focus();
await seen.keyboard.press("Enter");
await until("it asks", async () => (await dialog.textContent()).includes("Kill all 4"));
await seen.keyboard.press("Escape");
assert.equal(await state(seen, first), "● up");
// Tab alone reaches every button, and what has the focus is seen.
await seen.locator("#project").evaluate(() => document.activeElement.blur());
const reached = new Set();
for (let n = 0; n < 80; n++) {
  await seen.keyboard.press("Tab");
  reached.add(await seen.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.id));
  const unseen = await seen.evaluate(() => {
    const now = document.activeElement;
    return now !== document.body && getComputedStyle(now).outlineStyle === "none" && now.outerHTML.slice(0, 80);
  });
  assert.equal(unseen, false);
}
for (const port of ports) for (const word of ["Kill", "Start", "Restart", "Drain", "Freeze"]) assert.ok(reached.has(`${word} ${port}`), `${word} ${port}`);

// Pause: the picture stands, the servers go on.
await seen.locator("#pause").click();
const before = await cell(seen, first, "Requests");
for (let n = 0; n < 8; n++) await get();
await until("they were answered", async () => JSON.parse((await lbdev("status", "--json")).stdout).backends[0].requests > Number(before));
assert.equal(await cell(seen, first, "Requests"), before);
await seen.locator("#pause").click();
await until("it goes on", async () => Number(await cell(seen, first, "Requests")) > Number(before));

// A reload keeps what was there.
const count = await seen.locator("#requests-body details").count();
const events = await seen.locator("#events-body li").count();
await seen.reload();
await shows(seen, first, "up");
await until("requests are there again", async () => (await seen.locator("#requests-body details").count()) >= count);
await until("events are there again", async () => (await seen.locator("#events-body li").count()) >= events);
await until("and the past", async () => (await seen.locator("#timeline rect.s-stopped").count()) > 0);

// Two tabs, one stream.
const other = await page(one);
await shows(other, first, "up");
await button(other, second, "Kill").click();
await shows(seen, second, "stopped");
await shows(other, second, "stopped");
const locks = await other.evaluate(async () => {
  const { held, pending } = await navigator.locks.query();
  return [held.length, pending.length];
});
assert.deepEqual(locks, [1, 1], "one reads, one waits");
await until("it has the same requests", async () => (await other.locator("#requests-body details").count()) >= count);
// When the one that reads is closed, the other one reads.
await seen.close();
await button(other, second, "Start").click();
await shows(other, second, "up");

// lbdev stops, and comes back.
await lbdev("down");
await until("the page says so", async () => (await other.locator("#offline").textContent()).includes("lbdev up"));
assert.ok(await other.locator("#offline").isVisible());
await until("nothing can be done", async () => (await button(other, first, "Kill").getAttribute("aria-disabled")) === "true");
await lbdev("up", "-d", "--wait", "--ports", `${ports[0]}-${ports[3]}`, "--listen", new URL(env.APP).port, "--dashboard-listen", new URL(env.DASHBOARD).port);
await until("it comes back by itself", async () => !(await other.locator("#offline").isVisible()));
await shows(other, first, "up");
await until("from the beginning", async () => (await cell(other, first, "Requests")) === "0");

// While it was gone the browser could not connect, and says so.
const gone = wrongs.filter((one) => !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|status of 422|ERR_EMPTY_RESPONSE/.test(one));
wrongs.length = 0;
assert.deepEqual(gone, []);
await end();
void browser;
