/** What the page asks the server: operations through the public client, and its own routes beside them. */

import { RaincheckClient, type OperationSummary } from "raincheck-client";

export const base = document.baseURI.replace(/[^/]*$/, "").replace(/\/$/, "");
/** Marks requests as the page's own: no other site can send it. */
const headers = { "x-raincheck-dashboard": "1" };

export const client = new RaincheckClient({ baseUrl: base, prefix: "/api", headers, patience: 120_000 });

export interface Session {
  name: string;
  operator: boolean;
  title: string;
  /** Whether the application sends any. */
  webhooks: boolean;
  kinds: {
    name: string;
    executor: string;
    queue: string;
    attempts: number;
    timeout_seconds: number | null;
  }[];
}

export interface Ended {
  succeeded: number;
  failed: number;
  cancelled: number;
  p50: number | null;
  p95: number | null;
}

export interface Overview {
  now: string;
  since: string;
  bucket_seconds: number;
  queued: number;
  scheduled: number;
  running: number;
  cancelling: number;
  oldest_due: string | null;
  finished: Ended;
  series: {
    time: number[];
    succeeded: number[];
    failed: number[];
    cancelled: number[];
    p50: (number | null)[];
    p95: (number | null)[];
  };
  kinds: ({ kind: string; queued: number; running: number } & Ended)[];
  cut: boolean;
}

/** An operation as the page's lists show it. */
export interface Item extends OperationSummary {
  owner: string;
  worker: string | null;
  queue: string;
  run: number;
}

export interface Worker {
  name: string;
  dead: boolean;
  renewed_at: string | null;
  lease_until: string | null;
  operations: Item[];
}

export interface Details {
  owner: string;
  worker: string | null;
  run: number;
  losses: number;
  max_losses: number;
  lease_until: string | null;
  queue: string;
  priority: number;
  executor: string | null;
  idempotency_key: string | null;
  output_events: number;
  input: StoredInput;
  traceback: string | null;
  result: { status_code: number; media_type: string | null; size: number; file: boolean } | null;
}

/** A webhook on its way to one URL. */
export interface Delivery {
  id: string;
  operation: string;
  type: string;
  source: string;
  url: string;
  status: "pending" | "sending" | "paused" | "delivered" | "failed";
  created_at: string;
  next_attempt_at: string | null;
  finished_at: string | null;
  /** The newest attempts, oldest first. */
  attempts: (Attempt & { time: string })[];
}

export interface Attempt {
  status_code: number | null;
  failure: string | null;
  latency_ms: number | null;
  detail: string;
  excerpt: string;
}

/** A URL that webhooks go to: one of the application's own, or one of a caller that failed last. */
export interface Endpoint {
  url: string;
  configured: boolean;
  events: string[];
  failing_since: string | null;
  last_failed_at: string | null;
  disabled_at: string | null;
  reason: string;
  newest: Delivery | null;
}

export interface StoredInput {
  path?: Record<string, unknown>;
  query?: [string, string][];
  headers?: [string, string][];
  type?: string;
  body?: string;
  base64?: string;
  blob?: string;
  form?: [string, unknown][];
  cut?: boolean;
}

export type Action = "cancel" | "retry";
export type Pairs = [string, string][];

export class Refused extends Error {}

async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  const answer = await fetch(`${base}/api${path}`, { ...init, headers: { ...headers, ...init.headers } });
  if (answer.ok) return (await answer.json()) as T;
  const said = (await answer.json().catch(() => ({}))) as { detail?: unknown };
  throw new Refused(typeof said.detail === "string" ? said.detail : `The server answered ${answer.status}.`);
}

function posted(body: unknown): RequestInit {
  return { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } };
}

export const api = {
  session: () => ask<Session>("/session"),
  overview: (minutes: number, signal: AbortSignal) =>
    ask<Overview>(`/overview?minutes=${minutes}`, { signal }),
  workers: (signal: AbortSignal) => ask<{ items: Worker[] }>("/workers", { signal }),
  operations: (pairs: Pairs, signal: AbortSignal) =>
    ask<{ items: Item[]; next_page_token: string | null }>(`/operations?${new URLSearchParams(pairs)}`, {
      signal,
    }),
  details: (id: string, signal: AbortSignal) =>
    ask<Details>(`/operations/${encodeURIComponent(id)}/details`, { signal }),
  deliveries: (id: string, signal: AbortSignal) =>
    ask<{ items: Delivery[] }>(`/operations/${encodeURIComponent(id)}/deliveries`, { signal }),
  redeliver: ({ id, operation }: Delivery) =>
    ask<unknown>(`/operations/${operation}/deliveries/${id}/redeliver`, { method: "POST" }),
  webhooks: (signal: AbortSignal) =>
    ask<{ items: Endpoint[]; callbacks: string[] | null }>("/webhooks", { signal }),
  deliveryLog: (pairs: Pairs, signal: AbortSignal) =>
    ask<{ items: Delivery[]; before: string | null }>(`/webhooks/deliveries?${new URLSearchParams(pairs)}`, {
      signal,
    }),
  enable: (url: string) => ask<unknown>("/webhooks/enable", posted({ url })),
  tryOut: (url: string) => ask<Attempt & { succeeded: boolean }>("/webhooks/test", posted({ url })),
  submitted: (id: string) => ask<unknown>(`/operations/${id}/submitted`, { method: "POST" }),
  openapi: () => ask<{ root_path: string; document: OpenApi }>("/openapi"),
  count: (action: Action, pairs: Pairs) =>
    ask<{ count: number; capped: boolean; until: string | null }>(
      `/count/${action}?${new URLSearchParams(pairs)}`,
    ),
  bulk: (wish: {
    action: Action;
    batch: string;
    filters?: Pairs;
    ids?: string[];
    until?: string | null;
    after_id?: string | null;
  }) => ask<{ done: string[]; refused: Record<string, string>; next: string | null }>("/bulk", posted(wish)),
};

/** The parts of an application's document that the form of a run reads. */
export interface OpenApi {
  paths: Record<string, Record<string, OpenApiRoute>>;
  components?: { schemas?: Record<string, Schema> };
}

export interface OpenApiRoute {
  operationId?: string;
  summary?: string;
  description?: string;
  parameters?: { name: string; in: string; required?: boolean; description?: string; schema: Schema }[];
  requestBody?: { required?: boolean; content: Record<string, { schema: Schema }> };
  responses: Record<string, { headers?: Record<string, unknown> }>;
}

export interface Schema {
  $ref?: string;
  type?: string;
  title?: string;
  description?: string;
  format?: string;
  contentMediaType?: string;
  default?: unknown;
  enum?: unknown[];
  anyOf?: Schema[];
  allOf?: Schema[];
  properties?: Record<string, Schema>;
  items?: Schema;
  prefixItems?: Schema[];
  required?: string[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  minLength?: number;
  maxLength?: number;
}
