// Pictures of each kind, with traffic: nothing is cut, nothing jumps, and axe finds nothing.

import { readFile } from "node:fs/promises";
import { assert, browser, context, end, env, get, lbdev, page, ports, row, shows, until } from "./stage.mjs";

const axe = await readFile(new URL("../../axe-core/axe.min.js", import.meta.url), "utf8");
const size = { wide: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

let over = false;
const traffic = (async () => {
  while (!over) {
    await get().catch(() => {});
    await new Promise((done) => setTimeout(done, 20));
  }
})();

const one = await context({ viewport: size.wide, colorScheme: "light", bypassCSP: true });
const seen = await page(one);
await shows(seen, ports[0], "up");
await seen.evaluate(() => {
  window.moved = 0;
  window.movers = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      // Lists that grow at their top are meant to.
      const apart = entry.sources.filter((source) => !source.node?.closest?.(".scroll"));
      if (entry.hadRecentInput || apart.length === 0) continue;
      window.moved += entry.value;
      for (const source of apart) window.movers.push(`${source.node?.outerHTML?.slice(0, 90) ?? source.node?.nodeName}`);
    }
  }).observe({ type: "layout-shift", buffered: false });
});
await lbdev("kill", ports[1]);
await lbdev("fault", ports[2], "reset", "rate=20%");
await lbdev("drain", ports[3]);
await shows(seen, ports[1], "stopped");
await shows(seen, ports[3], "draining");
await until("some seconds have passed", async () => (await seen.locator("#timeline rect.s-stopped").count()) > 0 && /last 1\d\d|last 200/.test(await seen.locator("#requests-note").textContent()));
const moved = await seen.evaluate(() => window.moved);
console.log(`measured layout shift ${moved.toFixed(4)}`);
assert.ok(moved < 0.02, `it jumps: ${moved}: ${await seen.evaluate(() => [...new Set(window.movers)].slice(0, 12).join("\n"))}`);

/** Nothing sticks out of the window, and no text of the table's names, states and buttons is cut. */
async function whole(page, name) {
  const wide = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(wide[0] <= wide[1], `${name}: ${wide}`);
  const cut = await page.evaluate(() =>
    [...document.querySelectorAll("button, select, h1, h2, #table .state, #table th, .ends li, .node, #health")]
      .filter((one) => one.offsetParent && (one.scrollWidth > one.clientWidth + 1) && getComputedStyle(one).display !== "inline" && !one.closest("thead"))
      .map((one) => one.textContent),
  );
  assert.deepEqual(cut, [], name);
  const outside = await page.evaluate(() =>
    [...document.querySelectorAll("button, select, input, #table td, .ends li, .node")]
      .filter((one) => {
        const box = one.getBoundingClientRect();
        return one.offsetParent && box.width > 0 && (box.left < -1 || box.right > innerWidth + 1);
      })
      .map((one) => one.outerHTML.slice(0, 80)),
  );
  assert.deepEqual(outside, [], name);
}

async function accessible(page, name) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const told = found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => `${node.target} ${node.failureSummary}`).join(" | ")}`);
  assert.deepEqual(told, [], name);
}

for (const [name, viewport, scheme, projector] of [
  ["light", size.wide, "light", false],
  ["dark", size.wide, "dark", false],
  ["projector", size.wide, "light", true],
  ["phone", size.phone, "light", false],
  ["phone-dark", size.phone, "dark", false],
]) {
  await seen.setViewportSize(viewport);
  await seen.emulateMedia({ colorScheme: scheme });
  const pressed = (await seen.locator("#projector").getAttribute("aria-pressed")) === "true";
  if (pressed !== projector) await seen.locator("#projector").click();
  await until(`${name} is laid out`, async () => (await seen.locator("#timeline .u-over").count()) === 2);
  await seen.screenshot({ path: `${env.PICTURES}/${name}.png` });
  await seen.screenshot({ path: `${env.PICTURES}/${name}-whole.png`, fullPage: true });
  await whole(seen, name);
  await accessible(seen, name);
}
// What is opened, too.
await seen.setViewportSize(size.wide);
await row(seen, ports[0]).getByRole("button", { name: "Slow" }).click();
await accessible(seen, "the dialog of a fault");
await seen.screenshot({ path: `${env.PICTURES}/fault.png` });
await seen.keyboard.press("Escape");
await seen.locator("#timeline summary").click();
await until("the table is there", async () => (await seen.locator("#timeline details td").count()) > 8);
await seen.locator("#requests-body summary").first().click();
await accessible(seen, "what is opened");
await seen.close();

// Without motion: numbers, no dots.
const calm = await context({ reducedMotion: "reduce" });
const still = await page(calm);
await shows(still, ports[0], "up");
await until("numbers", async () => /[1-9]\d*\/s/.test(await still.locator(".ends").textContent()));
assert.equal(await still.locator("#flow canvas").getAttribute("data-dots"), "0");
assert.match(await still.locator("#flow-scale").textContent(), /a number for each backend/);
await calm.close();

// Without JavaScript: what to type instead.
const plain = await context({ javaScriptEnabled: false });
const text = await page(plain);
assert.match(await text.locator("body").innerText(), /lbdev top[\s\S]*lbdev kill 8000/);
await text.screenshot({ path: `${env.PICTURES}/without-script.png` });
await plain.close();

// Without the token, and with a wrong one: how to get it.
const locked = await context();
for (const address of [env.DASHBOARD.split("#")[0], `${env.DASHBOARD}x`]) {
  const shut = await page(locked, address);
  await until("it says how", async () => /lbdev open/.test(await shut.locator("#locked").innerText()));
  assert.ok(!(await shut.locator("#app").isVisible()));
  await shut.close();
}
await locked.close();

over = true;
await traffic;
const { wrongs } = await import("./stage.mjs");
// Of the wrong token.
const others = wrongs.filter((one) => !/status of 401/.test(one));
wrongs.length = 0;
assert.deepEqual(others, []);
await end();
void browser;
