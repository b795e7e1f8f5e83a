/** A server in the test's own process, whose answers a test writes one after another. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { RaincheckClient, type ClientOptions, type Operation } from "../src/index.js";

export type Answer = (request: Asked, response: ServerResponse) => void | Promise<void>;

export interface Asked {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage["headers"];
  body: string;
}

/** Each request takes the next answer; the last one goes on. */
export async function serving(
  context: TestContext,
  ...answers: Answer[]
): Promise<{ client: (options?: ClientOptions) => RaincheckClient; asked: Asked[]; url: string }> {
  const asked: Asked[] = [];
  const server = createServer((message, response) => {
    const chunks: Buffer[] = [];
    message.on("data", (chunk: Buffer) => chunks.push(chunk));
    message.on("end", () => {
      const url = new URL(message.url ?? "/", "http://test");
      const request = {
        method: message.method ?? "",
        path: url.pathname,
        query: url.searchParams,
        headers: message.headers,
        body: Buffer.concat(chunks).toString(),
      };
      const answer = answers[Math.min(asked.length, answers.length - 1)]!;
      asked.push(request);
      void answer(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { client: (options) => new RaincheckClient({ baseUrl: url, ...options }), asked, url };
}

export const ID = "op_06H0JHQ7PTG7NQSN366ED6PBE9V07KZY";

export function operation(changes: Partial<Operation> = {}): Operation {
  const here = `/operations/${ID}`;
  return {
    id: ID,
    kind: "build_report",
    status: "queued",
    done: false,
    version: 1,
    attempt: 0,
    max_attempts: 1,
    next_attempt_at: null,
    progress: null,
    queue_position: null,
    poll_after_ms: 5,
    created_at: "2026-01-31T12:00:00.000Z",
    started_at: null,
    updated_at: "2026-01-31T12:00:00.000Z",
    finished_at: null,
    cancel_requested_at: null,
    deadline_at: null,
    expires_at: null,
    scheduled_for: null,
    metadata: {},
    rerun_of: null,
    error: null,
    links: {
      self: here,
      result: `${here}/result`,
      events: `${here}/events`,
      websocket: "/operations/ws",
      cancel: `${here}/cancel`,
      retry: `${here}/retry`,
    },
    result: null,
    result_inline: false,
    ...changes,
  };
}

export const succeeded = (version: number, result: unknown): Operation =>
  operation({ status: "succeeded", done: true, version, result, result_inline: true, poll_after_ms: null });

export const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  (_, response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
  };

export const problem = (status: number, code: string, headers: Record<string, string> = {}): Answer =>
  json(status, { type: `urn:raincheck:problem:${code}`, title: code, status, detail: "why" }, headers);

/** Destroy the connection without an answer. */
export const cut: Answer = (_, response) => {
  response.destroy();
};

export function frame(type: string, version: number, data: object): string {
  const whole = { type, operation: ID, version, run: 1, time: "2026-01-31T12:00:01.000Z", ...data };
  return `event: ${type}\nid: ${version}\ndata: ${JSON.stringify(whole)}\n\n`;
}

/** Send frames, then end, be cut, or stay open. */
export const stream =
  (frames: string, end: "end" | "cut" | "open" = "end"): Answer =>
  (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
    response.flushHeaders();
    if (frames) response.write(frames);
    if (end === "end") response.end();
    if (end === "cut") setTimeout(() => response.destroy(), 20);
  };

export async function collect<T>(from: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const each of from) found.push(each);
  return found;
}
