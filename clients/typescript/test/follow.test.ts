import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectionLostError, type Transport } from "../src/index.js";
import { collect, cut, frame, ID, json, operation, problem, serving, stream, succeeded } from "./server.js";

const output = (version: number, chunk: unknown, run = 1): string => frame("output", version, { chunk, run });
const done = (version: number, result: unknown = null): string =>
  frame("done", version, { resource: succeeded(version, result) });
const versions = (events: { version: number }[]): number[] => events.map(({ version }) => version);

test("a stream goes on after its cursor over clean ends, cuts, refusals and silence", async (context) => {
  const { client, asked } = await serving(
    context,
    stream(`retry: 10\n${output(1, "a")}${output(2, "b")}`),
    stream(output(3, "c"), "cut"),
    problem(503, "draining"),
    cut,
    stream(`${output(4, "d")}event: output\nid: 9\ndata: {"typ`),
    stream(`: ping\n\n${output(5, "e")}`, "open"),
    stream(done(6)),
  );
  const events = await collect(client({ silence: 200 }).operation(ID).events({ after: 0 }));
  assert.deepEqual(versions(events), [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(
    asked.map(({ query }) => query.get("after")),
    ["0", "2", "3", "3", "3", "4", "5"],
  );
});

test("a stream at its end gives nothing", async (context) => {
  const { client } = await serving(context, (_, response) => void response.writeHead(204).end());
  assert.deepEqual(await collect(client().operation(ID).events({ after: 6 })), []);
});

test("what is refused for good ends the stream", async (context) => {
  const { client, asked } = await serving(
    context,
    stream(`retry: 10\n${output(1, 1)}`),
    problem(410, "operation-deleted"),
  );
  await assert.rejects(collect(client().operation(ID).events()), { code: "operation-deleted" });
  assert.equal(asked.length, 2);
});

test("a server that stays away ends the stream once the patience has run out", async (context) => {
  const { client } = await serving(context, stream(`retry: 10\n${output(1, 1)}`), cut);
  await assert.rejects(collect(client({ patience: 500 }).operation(ID).events()), ConnectionLostError);
});

test("a stream that only pings and is cut again and again is in order, however long that goes on", async (context) => {
  const pings = Array.from({ length: 8 }, () => stream(": ping\n\n", "cut"));
  const first = stream(`retry: 80\n${output(1, 1)}`);
  const { client } = await serving(context, first, ...pings, stream(done(2)));
  assert.deepEqual(versions(await collect(client({ patience: 400 }).operation(ID).events())), [1, 2]);
});

test("whoever leaves the loop closes the connection", async (context) => {
  let closed = false;
  const { client } = await serving(context, (request, response) => {
    response.on("close", () => (closed = true));
    void stream(output(1, 1), "open")(request, response);
  });
  for await (const event of client().operation(ID).events()) {
    assert.equal(event.version, 1);
    break;
  }
  for (let look = 0; !closed && look < 200; look += 1)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(closed);
});

test("an abort ends a stream with the caller's own reason", async (context) => {
  const { client } = await serving(context, stream(output(1, 1), "open"));
  const aborting = new AbortController();
  const reading = collect(
    client()
      .operation(ID)
      .events({ signal: aborting.signal, onConnect: () => aborting.abort("x") }),
  );
  await assert.rejects(reading, (reason) => reason === "x");
});

test("where streams are held back, held requests follow, and the whole log at the end", async (context) => {
  const log = [output(2, "a"), output(3, "b"), done(4, 7)].join("");
  const { client, asked } = await serving(
    context,
    stream("", "open"),
    stream("", "open"),
    json(200, operation({ version: 2, status: "running" })),
    json(200, operation({ version: 3, status: "running" })),
    json(200, succeeded(4, 7)),
    stream(log),
  );
  const ways: Transport[] = [];
  const found = await collect(
    client({ silence: 100 })
      .operation(ID)
      .events({ after: 1, onConnect: (way) => ways.push(way) }),
  );
  assert.deepEqual(
    found.map(({ type, version }) => [type, version]),
    [
      ["snapshot", 2],
      ["snapshot", 3],
      ["output", 2],
      ["output", 3],
      ["done", 4],
    ],
  );
  assert.deepEqual(ways, ["sse", "sse", "long-poll"]);
  assert.equal(asked.at(-1)?.query.get("after"), "1");
});

test("an answer that is no stream falls back at once; without any log the end itself is told", async (context) => {
  const page = json(200, { login: "please" });
  const { client } = await serving(context, page, json(200, succeeded(4, 7)), page);
  const found = await collect(client().operation(ID).events());
  assert.deepEqual(
    found.map(({ type, version }) => [type, version]),
    [["done", 4]],
  );
});

test("where held requests are cut, plain ones follow at the server's own pace", async (context) => {
  const held = (_: unknown, response: { destroy(): void }): void =>
    void setTimeout(() => response.destroy(), 1100);
  const { client, asked } = await serving(
    context,
    held,
    held,
    json(200, operation({ version: 2, status: "running", poll_after_ms: 150 })),
    json(200, succeeded(3, 1)),
  );
  const began = Date.now();
  assert.equal(await client().operation(ID).result(), 1);
  assert.ok(Date.now() - began >= 2350);
  assert.deepEqual(
    asked.map(({ query }) => query.has("wait")),
    [true, true, false, false],
  );
});

test("a server that answers held requests at once is not asked without a pause", async (context) => {
  const { client, asked } = await serving(context, json(200, operation({ poll_after_ms: 100 })));
  await assert.rejects(client().operation(ID).wait({ timeout: 450 }));
  assert.ok(asked.length <= 6, `${asked.length}`);
});

test("output gives the chunks, and says when a newer run supersedes them", async (context) => {
  const { client, asked } = await serving(
    context,
    stream([output(3, "a"), output(4, "b"), output(6, "a", 2), output(7, "b", 2), done(8)].join("")),
  );
  let text = "";
  const handle = client().operation(ID);
  for await (const chunk of handle.output<string>({ onRestart: () => (text = "") })) text += chunk;
  assert.equal(text, "ab");
  assert.equal(asked[0]?.query.get("after"), "0");
  assert.equal(handle.status, "succeeded");
});

test("many operations share one stream, which ends with the last of them", async (context) => {
  const of = (id: string, text: string): string => text.replaceAll(ID, id).replace(/id: (.*)/, "id: mark.$1");
  const { client, asked } = await serving(
    context,
    stream(`retry: 10\n${of("op_1", output(2, 1))}${of("op_2", done(3))}`),
    stream(of("op_1", done(4))),
  );
  const found = await collect(client().events(["op_1", "op_2"]));
  assert.deepEqual(
    found.map(({ operation: id, type }) => [id, type]),
    [
      ["op_1", "output"],
      ["op_2", "done"],
      ["op_1", "done"],
    ],
  );
  assert.equal(asked[0]?.query.get("ids"), "op_1,op_2");
  assert.equal(asked[1]?.query.get("after"), "mark.3");
});
