/** Following operations: event streams resumed by cursor over any cut, and what replaces them where they do not work. */

import { createParser } from "eventsource-parser";
import { ProblemError, RaincheckError } from "./errors.js";
import { answered, sleep, Trouble, type Http, type Transport } from "./http.js";
import type { DoneEvent, Operation, OperationEvent } from "./models.js";

export interface FollowOptions {
  /** The version after which to begin; 0 replays everything. Without it a snapshot comes first. */
  after?: number | string;
  signal?: AbortSignal | undefined;
  /** Called each time that a connection is open. */
  onConnect?: (transport: Transport) => void;
}

const RECONNECT = 2000;
const NO_STREAMS = 2;
const MOST_CUTS = 2;

/** The server, or something before it, gives no usable stream. */
class NoStream extends RaincheckError {}

/** Follow one operation until it is done, by the first transport that works. */
export async function* followOne<T>(
  http: Http,
  links: { self: string; events: string },
  { after, signal, onConnect }: FollowOptions,
): AsyncGenerator<OperationEvent<T>, void, undefined> {
  const reader = new StreamReader<T>(http, links.events, after, signal, onConnect);
  if (http.transports.includes("sse")) {
    try {
      for await (const event of reader.events()) {
        yield event;
        if (event.type === "done") return;
      }
      return;
    } catch (error) {
      if (!(error instanceof NoStream) || http.transports.length === 1) throw error;
    }
  }
  for await (const resource of pollRecords<T>(http, links.self, {
    after: reader.version,
    signal,
    onConnect,
  })) {
    if (resource.done) {
      yield* reader.rest(resource);
      return;
    }
    yield { ...told(resource, reader.run), type: "snapshot", resource };
  }
}

/** Follow many operations, or all of the caller's, over one connection. Only streams can do that. */
export async function* followMany(
  http: Http,
  ids: readonly string[] | undefined,
  { after, signal, onConnect }: FollowOptions,
): AsyncGenerator<OperationEvent, void, undefined> {
  const query = ids ? `?ids=${ids.map(encodeURIComponent).join(",")}` : "";
  const reader = new StreamReader(http, `${http.operations}/events${query}`, after, signal, onConnect);
  const open = new Set(ids);
  for await (const event of reader.events()) {
    yield event;
    if (event.type === "done" && ids && open.delete(event.operation) && open.size === 0) return;
  }
}

/**
 * Give the records of an operation that are newer than a version, until it is done.
 *
 * `untilDone`: nobody wants those in between. A held request then ends with the operation, not with each of its changes.
 */
export async function* pollRecords<T>(
  http: Http,
  self: string,
  {
    after,
    signal,
    onConnect,
    untilDone = false,
  }: {
    after?: number | undefined;
    signal?: AbortSignal | undefined;
    onConnect?: FollowOptions["onConnect"];
    untilDone?: boolean;
  },
): AsyncGenerator<Operation<T>, void, undefined> {
  const trouble = new Trouble(http.patience);
  let held = http.transports.includes("long-poll");
  let version = after ?? 0;
  let cuts = 0;
  let connected = false;
  for (;;) {
    const began = Date.now();
    let operation: Operation<T>;
    try {
      const wanted = untilDone ? "" : `&after=${version}`;
      const url = held ? `${self}?wait=${http.hold}${wanted}` : self;
      const timeout = held ? http.hold * 1000 + 10_000 : 15_000;
      operation = await http.once(
        "GET",
        url,
        { signal, timeout },
        (answer) => answer.json() as Promise<Operation<T>>,
      );
    } catch (error) {
      // What fails after a while was held and then cut, as some proxies do; plain requests pass them.
      if (Date.now() - began > 1000 && ++cuts >= MOST_CUTS && http.transports.includes("poll")) held = false;
      connected = false;
      await trouble.pause(error, signal);
      continue;
    }
    if (!connected) onConnect?.(held ? "long-poll" : "poll");
    connected = true;
    cuts = 0;
    trouble.over();
    const news = operation.version > version;
    version = Math.max(version, operation.version);
    if (news || operation.done) yield operation;
    if (operation.done) return;
    // A server that drains answers a held request at once; it must not be asked again at once.
    const early = untilDone || !news;
    if (!held || (early && Date.now() - began < 1000)) await sleep(operation.poll_after_ms ?? 1000, signal);
  }
}

class StreamReader<T> {
  version: number | undefined;
  run = 0;
  private cursor: string | undefined;
  private retry = RECONNECT;

  constructor(
    private readonly http: Http,
    private readonly url: string,
    after: number | string | undefined,
    private readonly signal: AbortSignal | undefined,
    private readonly onConnect: FollowOptions["onConnect"],
  ) {
    this.cursor = after?.toString();
    this.version = typeof after === "number" ? after : undefined;
  }

  /** Give all events after the cursor, over cuts and restarts; it ends where the server says that nothing follows. */
  async *events(): AsyncGenerator<OperationEvent<T>, void, undefined> {
    const trouble = new Trouble(this.http.patience);
    let useless = 0;
    for (;;) {
      const stream = new Stream(this.http, this.signal);
      try {
        const response = await stream.open(this.at(this.cursor), this.cursor === undefined);
        if (response.status === 204) return;
        if (!response.headers.get("content-type")?.startsWith("text/event-stream") || !response.body) {
          throw new NoStream(
            `${this.url} answered with ${response.headers.get("content-type")}, which is no stream.`,
          );
        }
        trouble.answered();
        this.onConnect?.("sse");
        for await (const { event, id, retry } of stream.frames<T>(response.body)) {
          trouble.over();
          useless = 0;
          if (retry !== undefined) this.retry = retry;
          if (event === undefined) continue;
          if (id !== undefined) this.cursor = id;
          if (event.version > (this.version ?? 0)) this.version = event.version;
          this.run = event.run ?? this.run;
          yield event;
        }
        await sleep(this.retry, this.signal);
      } catch (error) {
        this.signal?.throwIfAborted();
        if (error instanceof NoStream) throw error;
        const heldBack = stream.mute || (error instanceof ProblemError && error.status === 504);
        if (heldBack && ++useless >= NO_STREAMS) {
          throw new NoStream(`${this.url} opens and stays silent: something holds the stream back.`, {
            cause: error,
          });
        }
        await trouble.pause(error, this.signal, stream.heard ? this.retry : 0);
      } finally {
        stream.close();
      }
    }
  }

  /** Give what the log of a finished operation holds beyond the cursor; without streams only its end. */
  async *rest(resource: Operation<T>): AsyncGenerator<OperationEvent<T>, void, undefined> {
    try {
      const url = this.at(this.cursor ?? String(this.version ?? 0));
      const response = await this.http.send("GET", url, {
        headers: { accept: "text/event-stream" },
        signal: this.signal,
      });
      if (response.status !== 204 && response.headers.get("content-type")?.startsWith("text/event-stream")) {
        // A buffering proxy passes on a stream that ends: the log of what is finished does.
        const frames = parsed<T>(await response.text());
        if (frames.at(-1)?.type === "done") {
          yield* frames;
          return;
        }
      }
    } catch (error) {
      this.signal?.throwIfAborted();
      if (!(error instanceof RaincheckError)) throw error;
    }
    const done: DoneEvent<T> = { ...told(resource, this.run), type: "done", resource };
    yield done;
  }

  private at(cursor: string | undefined): string {
    if (cursor === undefined) return this.url;
    return `${this.url}${this.url.includes("?") ? "&" : "?"}after=${encodeURIComponent(cursor)}`;
  }
}

export interface Frame<T> {
  event?: OperationEvent<T>;
  id?: string | undefined;
  retry?: number;
}

/** One connection, given up when no byte comes for too long. */
class Stream {
  private readonly giveUp = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** Whether a byte came, and whether it was given up since none did. */
  heard = false;
  mute = false;

  constructor(
    private readonly http: Http,
    private readonly outer: AbortSignal | undefined,
  ) {}

  async open(url: string, first: boolean): Promise<Response> {
    // Without a cursor the snapshot comes at once, so silence is known sooner.
    this.listen(first ? Math.min(10_000, this.http.silence) : this.http.silence);
    this.outer?.addEventListener("abort", this.pass);
    if (this.outer?.aborted) this.pass();
    const { signal } = this.giveUp;
    return await this.http.once("GET", url, { headers: { accept: "text/event-stream" }, signal, timeout: 0 });
  }

  async *frames<T>(body: ReadableStream<Uint8Array>): AsyncGenerator<Frame<T>, void, undefined> {
    const found: Frame<T>[] = [];
    const parser = frameParser<T>(found);
    const decoder = new TextDecoder();
    const reader = body.getReader();
    for (;;) {
      const { done, value } = await answered(reader.read());
      if (done) return;
      this.heard = true;
      this.listen(this.http.silence);
      parser.feed(decoder.decode(value, { stream: true }));
      if (found.length === 0) yield {}; // a ping says that all is well
      yield* found.splice(0);
      this.listen(this.http.silence); // the consumer's own time does not count
    }
  }

  close(): void {
    clearTimeout(this.timer);
    this.outer?.removeEventListener("abort", this.pass);
    this.giveUp.abort();
  }

  private readonly pass = (): void => this.giveUp.abort(this.outer?.reason);

  private listen(milliseconds: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.mute = !this.heard;
      this.giveUp.abort(new TypeError(`no byte came for ${milliseconds} ms`));
    }, milliseconds);
  }
}

/** Collect the frames of a stream's text, which may be cut anywhere; a frame that nothing ended is none. */
export function frameParser<T>(found: Frame<T>[]): { feed(chunk: string): void } {
  return createParser({
    onEvent: ({ event, data, id }) =>
      found.push({ event: { type: event, ...JSON.parse(data) } as OperationEvent<T>, id }),
    onRetry: (retry) => found.push({ retry }),
  });
}

function parsed<T>(text: string): OperationEvent<T>[] {
  const found: Frame<T>[] = [];
  frameParser<T>(found).feed(text);
  return found.flatMap(({ event }) => (event ? [event] : []));
}

function told(resource: Operation, run: number) {
  return { operation: resource.id, version: resource.version, run, time: resource.updated_at };
}
