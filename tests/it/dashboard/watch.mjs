// A page that is open under load: whether it stays responsive, and what it takes of the browser's processor.

import { assert, browser, context, page, ports, shows } from "./stage.mjs";

const one = await context();
const seen = await page(one);
await shows(seen, ports[0], "up");
await seen.evaluate(() => {
  window.longest = 0;
  window.tasks = 0;
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    window.longest = Math.max(window.longest, now - last - 50);
    last = now;
  }, 50);
});
const session = await one.newCDPSession(seen);
await session.send("Performance.enable");
const spent = async () => {
  const { metrics } = await session.send("Performance.getMetrics");
  const value = (name) => metrics.find((one) => one.name === name).value;
  return { busy: value("TaskDuration"), heap: value("JSHeapUsedSize"), nodes: value("Nodes"), at: Date.now() / 1000 };
};
const before = await spent();
console.log("watching");
process.on("SIGTERM", async () => {
  const after = await spent();
  const longest = await seen.evaluate(() => window.longest);
  const share = (after.busy - before.busy) / (after.at - before.at);
  const scale = await seen.locator("#flow-scale").textContent();
  console.log(`measured main thread ${(share * 100).toFixed(1)} %, longest pause ${Math.round(longest)} ms, ${scale}`);
  assert.ok(longest < Number(process.env.PATIENCE), `not responsive for ${longest} ms`);
  assert.match(scale, /1 dot = \d+ requests/);
  await browser.close();
  process.exit(0);
});
