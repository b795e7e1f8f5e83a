import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ConnectionLostError,
  GoneError,
  NotFoundError,
  OperationCancelledError,
  OperationFailedError,
  ProblemError,
  RaincheckClient,
  RaincheckError,
  UnauthorizedError,
  ValidationError,
  WaitTimeoutError,
} from "../src/index.js";
import { collect, cut, ID, json, operation, problem, serving, stream, succeeded } from "./server.js";

test("a submit that meets a cut, a full queue and a restart is sent again with the same key", async (context) => {
  const { client, asked } = await serving(
    context,
    cut,
    problem(429, "queue-full", { "retry-after": "0" }),
    problem(503, "draining"),
    json(202, operation()),
  );
  const handle = await client().submit("/reports", { json: { pages: 3 } });
  assert.equal(handle.id, ID);
  assert.equal(asked.length, 4);
  const keys = new Set(asked.map(({ headers }) => headers["idempotency-key"]));
  assert.equal(keys.size, 1);
  assert.match([...keys][0] as string, /^[0-9a-f-]{36}$/);
  assert.deepEqual(new Set(asked.map(({ body }) => body)), new Set(['{"pages":3}']));
});

test("two submits have two keys, and the caller's own key is used as it is", async (context) => {
  const { client, asked } = await serving(context, json(202, operation()));
  await client().submit("/reports");
  await client().submit("/reports");
  await client().submit("/reports", { idempotencyKey: "mine" });
  const keys = asked.map(({ headers }) => headers["idempotency-key"]);
  assert.equal(new Set(keys).size, 3);
  assert.equal(keys[2], "mine");
});

test("a submit says all that the contract has a header for", async (context) => {
  const { client, asked } = await serving(context, json(202, operation()));
  await client({ headers: async () => ({ authorization: "Bearer 1" }) }).submit(
    "PUT /shelves/{shelf}/counts",
    {
      path: { shelf: "a b/c" },
      query: { colour: ["red", "blue"], least: 0, none: undefined },
      body: new URLSearchParams({ text: "x" }),
      headers: { "x-mine": "1" },
      timeout: "5m",
      metadata: { customer: "42" },
      notBefore: new Date("2030-01-31T12:00:00Z"),
      callbackUrl: "https://x.example/hook",
    },
  );
  const [{ method, path, query, headers, body }] = asked as [(typeof asked)[0]];
  assert.equal(method, "PUT");
  assert.equal(path, "/shelves/a%20b%2Fc/counts");
  assert.equal(query.toString(), "colour=red&colour=blue&least=0");
  assert.equal(body, "text=x");
  assert.equal(headers["content-type"], "application/x-www-form-urlencoded;charset=UTF-8");
  assert.equal(headers["authorization"], "Bearer 1");
  assert.equal(headers["x-mine"], "1");
  assert.equal(headers["prefer"], "respond-async");
  assert.equal(headers["operation-timeout"], "5m");
  assert.equal(headers["operation-metadata"], 'customer="42"');
  assert.equal(headers["operation-not-before"], "2030-01-31T12:00:00.000Z");
  assert.equal(headers["callback-url"], "https://x.example/hook");
});

test("what stands in a path is encoded, and keeps the slashes of a path in it", async (context) => {
  const { client, asked } = await serving(context, json(202, operation()));
  await client().submit("/files/{name:path}", { path: { name: "a b/c?d#e%2f/é" } });
  assert.equal(asked[0]?.path, "/files/a%20b/c%3Fd%23e%252f/%C3%A9");
  assert.equal(asked[0]?.query.toString(), "");
});

test("a path that lacks a value is refused before anything is sent", async (context) => {
  const { client, asked } = await serving(context, json(202, operation()));
  await assert.rejects(client().submit("/shelves/{shelf}", {}), /needs path\.shelf/);
  assert.equal(asked.length, 0);
});

test("Retry-After is waited for, and one that outlasts the patience is told to the caller", async (context) => {
  const { client, asked } = await serving(
    context,
    problem(429, "queue-full", { "retry-after": "1" }),
    json(202, operation()),
    problem(429, "queue-full", { "retry-after": "9" }),
  );
  const began = Date.now();
  await client().submit("/reports");
  assert.ok(Date.now() - began >= 1000);
  const error = await refusal(client({ patience: 5000 }).submit("/reports"), ProblemError);
  assert.equal(error.code, "queue-full");
  assert.equal(error.retryAfter, 9);
  assert.equal(asked.length, 3);
});

test("a route that is none of Raincheck's is called once", async (context) => {
  const { client, asked } = await serving(context, json(200, { fine: true }));
  await assert.rejects(client().submit("/plain"), /answered 200, not 202/);
  assert.equal(asked.length, 1);
});

test("each refusal has its class, and is not asked for again", async (context) => {
  const issue = { loc: ["body", "pages"], msg: "Field required", type: "missing" };
  const { client, asked } = await serving(
    context,
    json(401, { detail: "Not authenticated" }),
    json(403, { detail: "no" }),
    problem(404, "operation-not-found"),
    problem(410, "operation-deleted"),
    json(422, { detail: [issue] }),
    problem(422, "idempotency-key-reused"),
  );
  const call = (): Promise<unknown> => client().submit("/reports");
  await refusal(call(), UnauthorizedError);
  await refusal(call(), UnauthorizedError);
  assert.equal((await refusal(call(), NotFoundError)).code, "operation-not-found");
  assert.equal((await refusal(call(), GoneError)).code, "operation-deleted");
  assert.deepEqual((await refusal(call(), ValidationError)).issues, [issue]);
  const reused = await refusal(call(), ProblemError);
  assert.ok(!(reused instanceof ValidationError));
  assert.equal(reused.problem?.detail, "why");
  assert.equal(asked.length, 6);
});

test("a server that stays away ends in ConnectionLostError, which says for how long", async (context) => {
  const { client } = await serving(context, cut);
  const error = await refusal(client({ patience: 600 }).operation(ID).refresh(), ConnectionLostError);
  assert.match(error.message, /attempts/);
  assert.ok(error.cause instanceof TypeError);
});

test("a mistake in the program is no failure of the network", async (context) => {
  const { client, asked } = await serving(context, json(200, operation()));
  const broken = client({ headers: () => ({ "bad header": "x" }) });
  await assert.rejects(broken.operation(ID).refresh(), TypeError);
  assert.equal(asked.length, 0);
});

test("an abort ends a pause, with the caller's own reason", { timeout: 20_000 }, async (context) => {
  const { client } = await serving(context, problem(503, "draining", { "retry-after": "30" }));
  const reason = new Error("enough");
  const aborting = new AbortController();
  setTimeout(() => aborting.abort(reason), 50);
  await assert.rejects(
    client().operation(ID).refresh({ signal: aborting.signal }),
    (error) => error === reason,
  );
});

test("wait holds requests until the end, whatever it is, and not until each change", async (context) => {
  const failed = operation({
    status: "failed",
    done: true,
    version: 5,
    error: {
      type: "urn:raincheck:problem:out-of-ink",
      title: "Out of ink",
      status: 409,
      detail: "Buy some.",
    },
  });
  const { client, asked } = await serving(
    context,
    json(202, operation()),
    json(200, operation({ version: 3, status: "running", poll_after_ms: 10 })),
    json(200, failed),
  );
  const handle = await client().submit("/reports");
  assert.deepEqual(await handle.wait(), failed);
  // An operation that tells its progress ten times a second would end a request with `after` as often.
  assert.ok(asked.slice(1).every(({ query }) => !query.has("after")));
  assert.ok(asked.slice(1).every(({ query }) => query.get("wait") === "25"));
  const error = await refusal(handle.result(), OperationFailedError);
  assert.equal(error.code, "out-of-ink");
  assert.match(error.message, /Out of ink\. Buy some\./);
  assert.equal(asked.length, 3);
});

test("a wait that runs out says so and cancels nothing", async (context) => {
  const { client, asked } = await serving(context, json(200, operation()));
  await refusal(client().operation(ID).wait({ timeout: 100 }), WaitTimeoutError);
  assert.ok(asked.every(({ method }) => method === "GET"));
});

test("an aborted wait cancels the operation only where that was asked for", async (context) => {
  const { client, asked } = await serving(context, json(200, operation({ poll_after_ms: 1000 })));
  const aborted = (): AbortSignal => AbortSignal.timeout(60);
  await assert.rejects(client().operation(ID).result({ signal: aborted() }), { name: "TimeoutError" });
  assert.ok(asked.every(({ method }) => method === "GET"));
  await assert.rejects(client().operation(ID).result({ signal: aborted(), cancelOnAbort: true }), {
    name: "TimeoutError",
  });
  assert.equal(asked.at(-1)?.method, "POST");
  assert.equal(asked.at(-1)?.path, `/operations/${ID}/cancel`);
});

test("a result that is not inline is read from its own route, JSON by value and the rest as a Blob", async (context) => {
  const large = operation({ status: "succeeded", done: true, version: 2 });
  const { client, asked } = await serving(
    context,
    json(200, large),
    json(200, [1, 2]),
    json(200, large),
    (_, response) => void response.writeHead(200, { "content-type": "application/pdf" }).end("%PDF"),
    (_, response) => void response.writeHead(206, { "content-type": "application/pdf" }).end("PD"),
  );
  assert.deepEqual(await client().operation(ID).result(), [1, 2]);
  assert.equal(asked[1]?.path, `/operations/${ID}/result`);
  const handle = client().operation<Blob>(ID);
  const file = await handle.result();
  assert.equal(file.type, "application/pdf");
  assert.equal(await file.text(), "%PDF");
  const part = await handle.response({ headers: { range: "bytes=1-2" } });
  assert.equal(await part.text(), "PD");
  assert.equal(asked.at(-1)?.headers["range"], "bytes=1-2");
});

test("null is a result", async (context) => {
  const { client } = await serving(context, json(200, succeeded(2, null)));
  assert.equal(await client().operation(ID).result(), null);
});

test("a cancelled operation has no result", async (context) => {
  const { client } = await serving(
    context,
    json(200, operation({ status: "cancelled", done: true, version: 2 })),
  );
  await refusal(client().operation(ID).result(), OperationCancelledError);
});

test("links to another origin are refused, so no token follows them", async (context) => {
  const foreign = operation();
  foreign.links.cancel = "https://evil.example/cancel";
  const { client, asked } = await serving(context, json(202, foreign));
  const handle = await client().submit("/reports");
  await assert.rejects(handle.cancel(), RaincheckError);
  assert.equal(asked.length, 1);
});

test("retry gives a new handle and repeats itself with one key", async (context) => {
  const { client, asked } = await serving(
    context,
    cut,
    json(202, operation({ id: "op_2", rerun_of: ID })),
    (_, response) => void response.writeHead(204).end(),
  );
  const again = await client().operation(ID).retry();
  assert.equal(again.id, "op_2");
  assert.equal(asked[0]?.headers["idempotency-key"], asked[1]?.headers["idempotency-key"]);
  assert.equal(await again.delete(), undefined);
  assert.equal(asked.at(-1)?.method, "DELETE");
});

test("list fetches page after page, with the filters of each", async (context) => {
  const { client, asked } = await serving(
    context,
    json(200, { items: [operation({ id: "op_1" }), operation({ id: "op_2" })], next_page_token: "t" }),
    json(200, { items: [operation({ id: "op_3" })], next_page_token: null }),
  );
  const filters = { status: ["failed", "cancelled"], kind: "k", tags: { customer: "42" }, pageSize: 2 };
  const found = await collect(client({ prefix: "/api" }).list({ ...filters, createdAfter: new Date(0) }));
  assert.deepEqual(
    found.map(({ id }) => id),
    ["op_1", "op_2", "op_3"],
  );
  assert.ok(asked.every(({ path }) => path === "/api/operations"));
  assert.equal(
    asked[1]?.query.toString(),
    "status=failed%2Ccancelled&kind=k&tag.customer=42&created_after=1970-01-01T00%3A00%3A00.000Z&page_size=2&page_token=t",
  );
});

test("run submits, tells of each change, and gives the result", async (context) => {
  const { client } = await serving(
    context,
    json(202, operation()),
    stream(
      [
        ["status", 2, { status: "running", attempt: 1, next_attempt_at: null }],
        ["output", 3, { chunk: 1 }],
        ["progress", 4, { progress: { fraction: 0.5 } }],
        ["done", 5, { resource: succeeded(5, { pages: 3 }) }],
      ]
        .map(([type, version, data]) => {
          const whole = {
            type,
            operation: ID,
            version,
            run: 1,
            time: "2026-01-31T12:00:01.000Z",
            ...(data as object),
          };
          return `event: ${type}\nid: ${version}\ndata: ${JSON.stringify(whole)}\n\n`;
        })
        .join(""),
    ),
  );
  const told: unknown[] = [];
  const onUpdate = (now: { status: string; progress: { fraction: number | null } | null }): void => {
    told.push([now.status, now.progress?.fraction]);
  };
  assert.deepEqual(await client().run("/reports", { json: {}, onUpdate }), { pages: 3 });
  assert.deepEqual(told, [
    ["queued", undefined],
    ["running", undefined],
    ["running", 0.5],
    ["succeeded", undefined],
  ]);
});

test("without an origin the client says what is missing", () => {
  assert.throws(() => new RaincheckClient(), /baseUrl is missing/);
});

async function refusal<E extends Error>(
  call: Promise<unknown>,
  kind: new (...given: never[]) => E,
): Promise<E> {
  const error = await call.then(
    () => assert.fail("it was not refused"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof kind, String(error));
  return error;
}
