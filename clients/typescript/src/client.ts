/** The client: submit, run, follow, list. */

import { RaincheckError } from "./errors.js";
import { followMany, type FollowOptions } from "./follow.js";
import { OperationHandle, type WaitOptions } from "./handle.js";
import { Http, metadataHeader, type ClientOptions } from "./http.js";
import type { Operation, OperationEvent, OperationPage, OperationSummary } from "./models.js";
import type { AnyPaths, InputOf, PlainRoute, Query, ResultOf, SubmitRoute } from "./typed.js";

export interface SubmitOptions {
  headers?: HeadersInit;
  signal?: AbortSignal | undefined;
  /** By default a new one for each call, so that the client's own retries never submit twice. */
  idempotencyKey?: string;
  /** `Operation-Timeout` for the whole operation: seconds, or a text such as `5m`. */
  timeout?: number | string;
  /** Strings that stay with the operation. */
  metadata?: Record<string, string>;
  /** Run it this many seconds later. */
  delay?: number;
  /** Run it at this time or later. */
  notBefore?: Date | string;
  /** A webhook for this operation, where the application allows callbacks. */
  callbackUrl?: string;
}

export type RunOptions<T = unknown> = Omit<WaitOptions<T>, "timeout">;

export interface ListFilters {
  status?: string | readonly string[];
  kind?: string;
  /** Only operations with this metadata. */
  tags?: Record<string, string>;
  createdAfter?: Date | string;
  createdBefore?: Date | string;
  pageSize?: number;
  signal?: AbortSignal | undefined;
}

type Submission<Paths, R> = InputOf<Paths, R> & SubmitOptions;

/**
 * Talks to one application.
 *
 * `new RaincheckClient<paths>(…)` types paths, inputs and results by openapi-typescript's `paths`.
 */
export class RaincheckClient<Paths = AnyPaths> {
  private readonly http: Http;

  constructor(options: ClientOptions = {}) {
    this.http = new Http(options);
  }

  /** Submit to an application's route: a path for POST, else `PUT /path`. It is durable when this resolves. */
  submit<R extends PlainRoute<Paths>>(route: R): Promise<OperationHandle<ResultOf<Paths, R>>>;
  submit<R extends SubmitRoute<Paths>>(
    route: R,
    options: Submission<Paths, R>,
  ): Promise<OperationHandle<ResultOf<Paths, R>>>;
  async submit(route: string, given: Untyped = {}): Promise<OperationHandle> {
    const [, method = "POST", path = route] = /^([A-Z]+) (.*)$/.exec(route) ?? [];
    const url = this.http.url(filled(path, given.path)) + queryText(given.query);
    const init = { ...submitRequest(given), signal: given.signal, timeout: 0 };
    const operation = await this.http.send(method, url, init, async (response) => {
      if (response.status === 202) return (await response.json()) as Operation;
      // Thrown as it is: another attempt would do again what the route does.
      throw new RaincheckError(
        `${method} ${path} answered ${response.status}, not 202: it is no operation's route.`,
      );
    });
    return new OperationHandle(this.http, operation.id, operation);
  }

  /** Submit, wait and return the result; `onUpdate` gets the operation as it changes. */
  run<R extends PlainRoute<Paths>>(route: R): Promise<ResultOf<Paths, R>>;
  run<R extends SubmitRoute<Paths>>(
    route: R,
    options: Submission<Paths, R> & RunOptions<ResultOf<Paths, R>>,
  ): Promise<ResultOf<Paths, R>>;
  async run(route: string, given: Untyped & RunOptions = {}): Promise<unknown> {
    const submit = this.submit as (route: string, given: Untyped) => Promise<OperationHandle>;
    const handle = await submit.call(this, route, given);
    // `timeout` is the operation's own here, and ends the wait with it.
    const { timeout, ...options } = given;
    return await handle.result(options);
  }

  /** Return a handle of an operation by its id, such as one that was kept over a reload of the page. */
  operation<T = unknown>(id: string): OperationHandle<T> {
    return new OperationHandle<T>(this.http, id);
  }

  /**
   * Follow up to 100 operations over one connection (browsers allow six), until all are done.
   *
   * Without ids: `status` and `done` of all that the caller owns, live and without replay; refetch at `onConnect`.
   */
  events(
    ids?: readonly string[],
    options: FollowOptions = {},
  ): AsyncGenerator<OperationEvent, void, undefined> {
    return followMany(this.http, ids, options);
  }

  /** Give the caller's operations, newest first; pages are fetched as they are needed. */
  async *list(filters: ListFilters = {}): AsyncGenerator<OperationSummary, void, undefined> {
    let token: string | null | undefined;
    do {
      const page: OperationPage = await this.page({ ...filters, ...(token && { pageToken: token }) });
      yield* page.items;
      token = page.next_page_token;
    } while (token);
  }

  /** Return one page of the caller's operations. */
  async page(filters: ListFilters & { pageToken?: string } = {}): Promise<OperationPage> {
    const { status, kind, tags, createdAfter, createdBefore, pageSize, pageToken, signal } = filters;
    const query = queryText({
      status: typeof status === "string" ? status : status?.join(","),
      kind,
      ...Object.fromEntries(Object.entries(tags ?? {}).map(([name, value]) => [`tag.${name}`, value])),
      created_after: moment(createdAfter),
      created_before: moment(createdBefore),
      page_size: pageSize,
      page_token: pageToken,
    });
    return await this.http.json<OperationPage>("GET", this.http.operations + query, { signal });
  }
}

interface Untyped extends SubmitOptions {
  path?: Record<string, string | number>;
  query?: Query;
  json?: unknown;
  body?: BodyInit;
}

function submitRequest(given: Untyped): { headers: Headers; body?: BodyInit } {
  const headers = new Headers(given.headers);
  const set = (name: string, value: string | number | undefined): void => {
    if (value !== undefined) headers.set(name, String(value));
  };
  set("prefer", "respond-async");
  set("idempotency-key", given.idempotencyKey ?? crypto.randomUUID());
  set("operation-timeout", given.timeout);
  set("operation-delay", given.delay);
  set("operation-not-before", moment(given.notBefore));
  set("callback-url", given.callbackUrl);
  if (given.metadata && Object.keys(given.metadata).length > 0)
    set("operation-metadata", metadataHeader(given.metadata));
  if (given.json === undefined) return given.body === undefined ? { headers } : { headers, body: given.body };
  set("content-type", "application/json");
  return { headers, body: JSON.stringify(given.json) };
}

function filled(path: string, values: Record<string, string | number> = {}): string {
  return path.replace(/\{([^}:]+)(?::[^}]*)?\}/g, (whole, name: string) => {
    const value = values[name];
    if (value === undefined) throw new RaincheckError(`${path} needs path.${name}`);
    const parts = whole.endsWith(":path}") ? String(value).split("/") : [value];
    return parts.map(encodeURIComponent).join("/");
  });
}

function queryText(query: Query | undefined): string {
  const pairs = Object.entries(query ?? {}).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value])
      .filter((each) => each !== undefined && each !== null)
      .map((each) => [name, String(each)]),
  );
  return pairs.length > 0 ? `?${new URLSearchParams(pairs)}` : "";
}

function moment(value: Date | string | undefined): string | undefined {
  return value instanceof Date ? value.toISOString() : value;
}
