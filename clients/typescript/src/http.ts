/** Requests: headers of the moment, one attempt or several, and what to do when the server is away. */

import { ConnectionLostError, errorOf, ProblemError, RaincheckError } from "./errors.js";

export interface ClientOptions {
  /** Where the application is, with its `root_path`; in browsers the page's own origin by default. */
  baseUrl?: string;
  /** The `prefix` of `Raincheck(prefix=…)`. */
  prefix?: string;
  /** Sent with each request; a function is called for each one, so that tokens can be renewed. */
  headers?: HeadersInit | (() => HeadersInit | Promise<HeadersInit>);
  credentials?: RequestCredentials;
  fetch?: typeof fetch;
  /** How long failures of the network or of a restarting server are retried, in milliseconds (60,000). */
  patience?: number;
  /** How long a long-poll is held, in seconds (25; the server clamps to 60). */
  hold?: number;
  /** After how many milliseconds without a byte a stream counts as broken (25,000; the server pings every 15 s). */
  silence?: number;
  /** Ways to follow an operation, in the order of preference (all three). */
  transports?: readonly Transport[];
}

export type Transport = "sse" | "long-poll" | "poll";

export interface Request {
  headers?: HeadersInit;
  body?: BodyInit | null;
  signal?: AbortSignal | undefined;
  /** Milliseconds until an attempt without an answer is given up; 0 for none. */
  timeout?: number;
}

const PASSING = new Set([408, 425, 429, 502, 503, 504, 507]);
const ATTEMPT = 30_000;
const LONGEST_PAUSE = 10_000;

export class Http {
  readonly base: URL;
  readonly operations: string;
  readonly patience: number;
  readonly hold: number;
  readonly silence: number;
  readonly transports: readonly Transport[];

  constructor(private readonly options: ClientOptions) {
    const page = (globalThis as { location?: { origin?: string; href?: string } }).location;
    const here = options.baseUrl ?? page?.origin;
    if (here === undefined)
      throw new RaincheckError("baseUrl is missing: outside of a page there is no origin to use.");
    this.base = new URL(here, page?.href);
    this.operations = this.url(`${options.prefix ?? ""}/operations`);
    this.patience = options.patience ?? 60_000;
    this.hold = options.hold ?? 25;
    this.silence = options.silence ?? 25_000;
    this.transports = options.transports ?? ["sse", "long-poll", "poll"];
    if (this.transports.length === 0) throw new RaincheckError("transports is empty; name at least one.");
  }

  /** Return the URL of a path below `baseUrl`. */
  url(path: string): string {
    return `${this.base.origin}${this.base.pathname.replace(/\/$/, "")}${path.startsWith("/") ? path : `/${path}`}`;
  }

  /** Return the URL of a link in an answer. Another origin is refused: credentials must not follow it. */
  link(link: string): string {
    const url = new URL(link, this.base);
    if (url.origin !== this.base.origin) {
      throw new RaincheckError(
        `The server links to ${url.origin}, and this client only talks to ${this.base.origin}. ` +
          "Check baseUrl, and the server's root_path and proxy headers.",
      );
    }
    return url.href;
  }

  /** Make one attempt and read its answer; every answer but a 2xx is thrown. */
  async once<T = Response>(
    method: string,
    url: string,
    request: Request = {},
    read: (response: Response) => Promise<T> = async (response) => response as T,
  ): Promise<T> {
    const { headers: own } = this.options;
    const headers = new Headers(typeof own === "function" ? await own() : own);
    new Headers(request.headers).forEach((value, name) => headers.set(name, value));
    if (!headers.has("accept")) headers.set("accept", "application/json");
    const call = this.options.fetch ?? fetch;
    const limit = new Limit(request.signal, request.timeout ?? ATTEMPT);
    try {
      const response = await answered(
        call(url, {
          method,
          headers,
          cache: "no-store", // a poll must not be answered by the browser
          ...(limit.signal && { signal: limit.signal }),
          ...(request.body != null && { body: request.body }),
          ...(this.options.credentials && { credentials: this.options.credentials }),
        }),
      );
      if (response.ok) return await answered(read(response));
      const text = await response.text().catch(() => "");
      throw errorOf(response.status, text, retryAfter(response.headers.get("retry-after")));
    } finally {
      limit.end();
    }
  }

  /** Make attempts until one is answered for good, honouring `Retry-After`. The request must be safe to repeat. */
  async send<T = Response>(
    method: string,
    url: string,
    request: Request = {},
    read?: (response: Response) => Promise<T>,
  ): Promise<T> {
    const trouble = new Trouble(this.patience);
    for (;;) {
      try {
        return await this.once(method, url, request, read);
      } catch (error) {
        await trouble.pause(error, request.signal);
      }
    }
  }

  /** As `send`, with the answer's JSON; an answer that is cut is asked for again. */
  json<T>(method: string, url: string, request: Request = {}): Promise<T> {
    return this.send(method, url, request, (response) => response.json() as Promise<T>);
  }
}

/**
 * A caller's signal with a time limit of ours.
 *
 * Not `AbortSignal.any` and `AbortSignal.timeout`: Node 20 may collect such signals as garbage before they fire, and
 * then a request hangs for ever.
 */
export class Limit {
  readonly signal: AbortSignal | undefined;
  /** Whether the time has run out. */
  late = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private unlink: (() => void) | undefined;

  /** Without a time the signal is the caller's own, which then also ends what is read later. */
  constructor(outer: AbortSignal | undefined, milliseconds: number | undefined) {
    this.signal = outer;
    if (!milliseconds) return;
    const controller = new AbortController();
    const pass = (): void => controller.abort(outer?.reason);
    if (outer?.aborted) pass();
    outer?.addEventListener("abort", pass);
    this.unlink = () => outer?.removeEventListener("abort", pass);
    this.timer = setTimeout(() => {
      this.late = true;
      controller.abort(new DOMException(`no answer within ${milliseconds} ms`, "TimeoutError"));
    }, milliseconds);
    this.signal = controller.signal;
  }

  end(): void {
    clearTimeout(this.timer);
    this.unlink?.();
  }
}

/** The network failed, or an answer was cut; `cause` is what it said. */
class Unanswered extends Error {}

/** Wait for what depends on the network, so that its failures are told from mistakes in the program. */
export async function answered<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (cause) {
    throw cause instanceof RaincheckError ? cause : new Unanswered(String(cause), { cause });
  }
}

/** Counts failures in a row, and says how long to pause before the next attempt. */
export class Trouble {
  private since: number | undefined;
  count = 0;

  constructor(private readonly patience: number) {}

  /** The server is there, but may not be of use yet. */
  answered(): void {
    this.since = undefined;
  }

  /** All is well. */
  over(): void {
    this.since = undefined;
    this.count = 0;
  }

  /** Wait before the next attempt; throw what no attempt will change, and everything once patience has run out. */
  async pause(error: unknown, signal: AbortSignal | undefined, atLeast = 0): Promise<void> {
    signal?.throwIfAborted();
    if (!passing(error)) throw error;
    this.since ??= Date.now();
    const asked = error instanceof ProblemError ? error.retryAfter : undefined;
    const backoff = Math.min(LONGEST_PAUSE, 250 * 2 ** this.count) * (0.5 + Math.random() / 2);
    this.count += 1;
    const pause = Math.max(atLeast, asked === undefined ? backoff : asked * 1000 + backoff / 10);
    if (Date.now() + pause - this.since > this.patience) {
      if (error instanceof ProblemError) throw error;
      const seconds = Math.round((Date.now() - this.since) / 1000);
      throw new ConnectionLostError(
        `The server did not answer for ${seconds} s (${this.count} attempts). The operation goes on; ask again later.`,
        { cause: error instanceof Unanswered ? error.cause : error },
      );
    }
    await sleep(pause, signal);
  }
}

/** Whether another attempt may help: the network failed, or the server says that it is away for a while. */
function passing(error: unknown): boolean {
  return error instanceof Unanswered || (error instanceof ProblemError && PASSING.has(error.status));
}

/** Wait; an abort ends it with the signal's reason. */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const ended = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", ended);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", ended, { once: true });
  });
}

/** Read `Retry-After` as seconds (RFC 9110 §10.2.3); what cannot be read is ignored. */
export function retryAfter(value: string | null, now = Date.now()): number | undefined {
  const text = value?.trim() ?? "";
  if (/^[0-9]{1,9}$/.test(text)) return Number(text);
  const moment = /^[A-Z][a-z]{2}, /.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(moment) ? undefined : Math.max(0, (moment - now) / 1000);
}

/** Write a dictionary of strings (RFC 9651), as `Operation-Metadata` takes it. */
export function metadataHeader(metadata: Record<string, string>): string {
  return Object.entries(metadata)
    .map(([key, value]) => {
      if (!/^[a-z*][a-z0-9_.*-]*$/.test(key) || !/^[ -~]*$/.test(value)) {
        throw new RaincheckError(
          `metadata ${JSON.stringify(key)} cannot be sent: keys are a-z, 0-9, "_-.*" and begin with a letter, ` +
            "values are printable ASCII.",
        );
      }
      return `${key}="${value.replace(/["\\]/g, "\\$&")}"`;
    })
    .join(", ");
}
