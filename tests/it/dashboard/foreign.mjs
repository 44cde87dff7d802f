// A page of another origin tries everything that a browser lets it.

import { createServer } from "node:http";
import { assert, browser, context, env, page, ports, shows } from "./stage.mjs";

const door = new URL(env.DASHBOARD);
const token = door.hash.slice(1);
const home = `http://${door.host}`;
const server = createServer((_, answer) => {
  answer.setHeader("content-type", "text/html");
  answer.end("<!doctype html><title>foreign</title><body>");
});
await new Promise((done) => server.listen(Number(env.SPARE), "127.0.0.1", done));

// The dashboard is open in the same browser, as it would be.
const one = await context();
const own = await page(one);
await shows(own, ports[0], "up");

for (const origin of [`http://127.0.0.1:${env.SPARE}/`, `http://localhost:${env.SPARE}/`]) {
  const foreign = await page(one, origin);
  const tried = await foreign.evaluate(
    async ({ home, token, port }) => {
      const told = {};
      const attempt = async (name, what) => {
        try {
          told[name] = await what();
        } catch (error) {
          told[name] = `failed: ${error.name}`;
        }
      };
      const seconds = (n) => new Promise((done) => setTimeout(() => done("silence"), n * 1000));
      for (const bearer of [null, token]) {
        const headers = bearer ? { authorization: `Bearer ${bearer}` } : {};
        const name = bearer ? "with the token" : "without";
        await attempt(`read ${name}`, async () => (await fetch(`${home}/v1/status`, { headers })).text());
        await attempt(`stream ${name}`, async () => (await fetch(`${home}/v1/events`, { headers: { ...headers, accept: "text/event-stream" } })).text());
        await attempt(`kill ${name}`, async () =>
          (await fetch(`${home}/v1/backends/all/kill`, { method: "POST", headers: { ...headers, "content-type": "application/json" }, body: "{}" })).text(),
        );
      }
      await attempt("opaque", async () => {
        const answer = await fetch(`${home}/v1/backends/${port}/kill`, { method: "POST", mode: "no-cors", body: "{}" });
        return answer.type === "opaque" ? "failed: opaque" : await answer.text();
      });
      await attempt("event source", () =>
        Promise.race([
          new Promise((done) => {
            const source = new EventSource(`${home}/v1/events`);
            source.onmessage = (event) => done(event.data);
            source.addEventListener("event", (event) => done(event.data));
            source.onerror = () => done("failed: error");
          }),
          seconds(3),
        ]),
      );
      await attempt("web socket", () =>
        Promise.race([
          new Promise((done) => {
            const socket = new WebSocket(`${home.replace("http", "ws")}/v1/events`);
            socket.onopen = () => done("open");
            socket.onmessage = (event) => done(event.data);
            socket.onerror = () => done("failed: error");
          }),
          seconds(3),
        ]),
      );
      await attempt("script", () =>
        Promise.race([
          new Promise((done) => {
            const script = document.createElement("script");
            script.src = `${home}/v1/status`;
            script.onload = () => done("loaded");
            script.onerror = () => done("failed: error");
            document.body.append(script);
          }),
          seconds(3),
        ]),
      );
      await attempt("frame", async () => {
        const frame = document.createElement("iframe");
        frame.src = `${home}/`;
        document.body.append(frame);
        await new Promise((done) => {
          frame.onload = done;
        });
        try {
          return frame.contentDocument?.body.innerText || "failed: not ours";
        } catch {
          return "failed: not ours";
        }
      });
      // A form in a frame of its own: what comes back is not to be read, but it must do nothing.
      const target = document.createElement("iframe");
      target.name = "out";
      const form = document.createElement("form");
      form.action = `${home}/v1/backends/all/kill`;
      form.method = "post";
      form.target = "out";
      form.enctype = "text/plain";
      const input = document.createElement("input");
      input.name = '{"signal":"KILL","x":"';
      input.value = '"}';
      form.append(input);
      document.body.append(target, form);
      const answered = new Promise((done) => {
        target.onload = done;
      });
      form.submit();
      await Promise.race([answered, seconds(3)]);
      return told;
    },
    { home, token, port: ports[0] },
  );
  for (const [name, told] of Object.entries(tried)) assert.match(String(told), /^failed: |^silence$/, `${origin} ${name}: ${told}`);
  await foreign.close();
}
for (const port of ports) await shows(own, port, "up");
assert.equal((await one.cookies()).length, 0);
server.close();
await browser.close();
