import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { Window } from "happy-dom";
import { act, createElement, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import type { OperationHandle } from "../src/index.js";
import { useOperation, type OperationState } from "../src/react.js";
import { frame, ID, json, operation, problem, serving, stream, succeeded, type Answer } from "./server.js";

const page = new Window();
Object.assign(globalThis, { window: page, document: page.document, IS_REACT_ACT_ENVIRONMENT: true });

interface Mounted {
  states: OperationState<unknown, string>[];
  until: (
    fits: (state: OperationState<unknown, string>) => boolean,
  ) => Promise<OperationState<unknown, string>>;
  unmount: () => Promise<void>;
}

async function mounted(
  context: TestContext,
  handle: OperationHandle | null,
  outputLimit?: number,
): Promise<Mounted> {
  const states: OperationState<unknown, string>[] = [];
  const Shown = (): null => {
    states.push(useOperation<unknown, string>(handle, outputLimit === undefined ? {} : { outputLimit }));
    return null;
  };
  const root = createRoot(page.document.createElement("div") as unknown as HTMLElement);
  const unmount = (): Promise<void> => act(async () => root.unmount());
  context.after(unmount);
  await act(async () => root.render(createElement(StrictMode, null, createElement(Shown))));
  const until: Mounted["until"] = async (fits) => {
    for (let look = 0; look < 500; look += 1) {
      const state = states.at(-1)!;
      if (fits(state)) return state;
      await act(() => new Promise((resolve) => setTimeout(resolve, 10)));
    }
    assert.fail(`it never came to that: ${JSON.stringify(states.at(-1))}`);
  };
  return { states, until, unmount };
}

/** The record, and a stream for whoever follows; StrictMode mounts twice. */
const both =
  (events: Answer): Answer =>
  (request, response) =>
    request.path.endsWith("/events") ? events(request, response) : json(200, operation())(request, response);

const log = [
  frame("status", 2, { status: "running", attempt: 1, next_attempt_at: null }),
  frame("output", 3, { chunk: "old" }),
  frame("output", 5, { chunk: "new", run: 2 }),
  frame("output", 6, { chunk: "er", run: 2 }),
  frame("progress", 7, { progress: { fraction: 0.5 } }),
];
const all = log.join("") + frame("done", 8, { resource: succeeded(8, 1) });

test("a component shows record, progress, the newest run's output and the end", async (context) => {
  const { client } = await serving(context, both(stream(all)));
  const { until } = await mounted(context, client().operation(ID));
  const state = await until(({ following }) => !following);
  assert.deepEqual(state.output, ["new", "er"]);
  assert.equal(state.operation?.status, "succeeded");
  assert.equal(state.operation?.result, 1);
  assert.equal(state.error, undefined);
});

test("a component that goes away closes its stream, and one that comes back goes on from the cursor", async (context) => {
  let closed = 0;
  const { client, asked } = await serving(
    context,
    both((request, response) => {
      response.on("close", () => (closed += 1));
      void stream(log.join(""), "open")(request, response);
    }),
  );
  const { until, unmount } = await mounted(context, client().operation(ID));
  const state = await until(({ operation: now }) => now?.progress?.fraction === 0.5);
  assert.equal(state.following, true);
  await unmount();
  const streams = asked.filter(({ path }) => path.endsWith("/events")).length;
  for (let look = 0; closed < streams && look < 200; look += 1)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(closed, streams);
});

test("output is kept to the limit, and not at all where none is wanted", async (context) => {
  const { client } = await serving(context, both(stream(all)));
  for (const [limit, kept] of [
    [1, ["er"]],
    [0, []],
  ] as const) {
    const { until, unmount } = await mounted(context, client().operation(ID), limit);
    assert.deepEqual((await until(({ following }) => !following)).output, kept);
    await unmount();
  }
});

test("an operation that does not exist is an error of the state, not of the page", async (context) => {
  const { client } = await serving(context, problem(404, "operation-not-found"));
  const { until } = await mounted(context, client().operation(ID));
  const { error, following } = await until((state) => state.error !== undefined);
  assert.equal((error as { code: string }).code, "operation-not-found");
  assert.equal(following, false);
});

test("null follows nothing", async (context) => {
  const { states } = await mounted(context, null);
  assert.deepEqual(states.at(-1), { operation: undefined, output: [], error: undefined, following: false });
});
