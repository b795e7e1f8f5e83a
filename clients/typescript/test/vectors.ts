/** Runs the wire vectors that all clients share; neutral of Node and browsers. Gives what went wrong, line by line. */

import { ProblemError, errorOf } from "../src/errors.js";
import { frameParser, type Frame } from "../src/follow.js";
import { metadataHeader, retryAfter } from "../src/http.js";
import { RaincheckClient, advance, type Operation, type OperationEvent } from "../src/index.js";

export interface Vectors {
  operations: { name: string; body: Operation }[];
  future_operations: { name: string; body: Operation }[];
  events: { name: string; body: OperationEvent }[];
  streams: StreamVector[];
  hostile_streams: StreamVector[];
  problems: { name: string; status: number; code: string; body: unknown }[];
  hostile_problems: {
    name: string;
    status: number;
    headers: Record<string, string>;
    body: string;
    code: string | null;
    retry_after?: number;
  }[];
  headers: {
    now: string;
    retry_after: { value: string; seconds: number | null }[];
    metadata: { value: Record<string, string>; header?: string | null; refused?: boolean }[];
    links: { base_url: string; link: string; url?: string; refused?: boolean }[];
  };
}

interface StreamVector {
  name: string;
  text: string;
  cuts: number[];
  frames: { event: string; id: string | null; data: Record<string, unknown> }[];
  retry: number | null;
}

export async function checkVectors(vectors: Vectors): Promise<{ checked: number; wrong: string[] }> {
  const wrong: string[] = [];
  let checked = 0;
  const expect = (name: string, found: unknown, expected: unknown): void => {
    checked += 1;
    const [left, right] = [canonical(found), canonical(expected)];
    if (left !== right) wrong.push(`${name}: ${left.slice(0, 300)} is not ${right.slice(0, 300)}`);
  };
  for (const vector of [...vectors.streams, ...vectors.hostile_streams]) checkStream(vector, expect);
  for (const vector of vectors.problems) {
    const found = errorOf(vector.status, JSON.stringify(vector.body), undefined);
    expect(vector.name, [found.status, found.code], [vector.status, vector.code]);
  }
  for (const vector of vectors.hostile_problems) {
    const error = await refused(vector.status, vector.headers, vector.body);
    expect(vector.name, error.status, vector.status);
    expect(vector.name, error.code ?? null, vector.code);
    expect(vector.name, error.retryAfter ?? null, vector.retry_after ?? null);
  }
  for (const { name, body } of [...vectors.operations, ...vectors.future_operations]) {
    expect(name, await reads(body), body);
  }
  let operation: Operation | undefined;
  for (const { body } of vectors.events) operation = advance(operation, body);
  const done = vectors.events.find(({ body }) => body.type === "done")?.body;
  expect("events", operation, done?.type === "done" ? done.resource : "done");
  checkHeaders(vectors.headers, expect);
  return { checked, wrong };
}

type Expect = (name: string, found: unknown, expected: unknown) => void;

function checkStream(vector: StreamVector, expect: Expect): void {
  const bytes = new TextEncoder().encode(vector.text);
  const single = Array.from(bytes, (_, index) => index);
  for (const cuts of [vector.cuts, single]) {
    const found: Frame<unknown>[] = [];
    const parser = frameParser(found);
    const decoder = new TextDecoder();
    let from = 0;
    for (const cut of [...cuts, bytes.length]) {
      parser.feed(decoder.decode(bytes.slice(from, cut), { stream: true }));
      from = cut;
    }
    let id = "";
    let retry: number | null = null;
    const frames: unknown[] = [];
    for (const frame of found) {
      retry = frame.retry ?? retry;
      if (!frame.event) continue;
      id = frame.id ?? id;
      frames.push([frame.event.type, id, { ...frame.event, type: undefined }]);
    }
    const expected = vector.frames.map(({ event, id, data }) => [event, id, { ...data, type: undefined }]);
    expect(vector.name, frames, expected);
    expect(vector.name, retry, vector.retry);
  }
}

function checkHeaders({ now, retry_after, metadata, links }: Vectors["headers"], expect: Expect): void {
  for (const { value, seconds } of retry_after) {
    expect(`Retry-After: ${value}`, retryAfter(value, Date.parse(now)) ?? null, seconds);
  }
  for (const { value, header, refused } of metadata) {
    const found = attempt(() => metadataHeader(value) || null);
    expect(`metadata ${JSON.stringify(value)}`, found, refused ? "refused" : header);
  }
  for (const { base_url, link, url, refused } of links) {
    const client = new RaincheckClient({ baseUrl: base_url });
    const http = (client as unknown as { http: { link(link: string): string } }).http;
    expect(
      `link ${link} of ${base_url}`,
      attempt(() => http.link(link)),
      refused ? "refused" : url,
    );
  }
}

function attempt(call: () => string | null): string | null {
  try {
    return call();
  } catch {
    return "refused";
  }
}

async function refused(status: number, headers: Record<string, string>, body: string): Promise<ProblemError> {
  const answer = async (): Promise<Response> => new Response(body, { status, headers });
  const client = new RaincheckClient({ baseUrl: "https://x.example", fetch: answer, patience: 0 });
  try {
    await client.operation("op_1").refresh();
  } catch (error) {
    if (error instanceof ProblemError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

async function reads(body: Operation): Promise<Operation> {
  const client = new RaincheckClient({
    baseUrl: "https://x.example",
    fetch: async () => Response.json(body),
  });
  return await client.operation(body.id).refresh();
}

function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_, part: unknown) =>
      typeof part === "object" && part !== null && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
        : part,
    ) ?? "undefined"
  );
}
