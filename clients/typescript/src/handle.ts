/** One operation, followed from anywhere: its record, events, output and result. */

import { OperationCancelledError, OperationFailedError, ProblemError, WaitTimeoutError } from "./errors.js";
import { followOne, pollRecords, type FollowOptions } from "./follow.js";
import { Limit, type Http } from "./http.js";
import { advance, type Operation, type OperationEvent } from "./models.js";

export interface WaitOptions<T = unknown> {
  signal?: AbortSignal | undefined;
  /** Milliseconds after which WaitTimeoutError is thrown; the operation goes on. */
  timeout?: number;
  /** Called with the operation as it is now, each time that something of it has changed. */
  onUpdate?: (operation: Operation<T>) => void;
  /** Cancel the operation when `signal` aborts the wait; without it an abort only ends the wait. */
  cancelOnAbort?: boolean;
}

export interface OutputOptions<Chunk = unknown> {
  signal?: AbortSignal | undefined;
  /** The version after which to begin; by default from the first chunk on. */
  after?: number;
  /** Called when a newer run begins to tell: what came before is superseded. */
  onRestart?: (run: number) => void;
  /** Called with each chunk's event, for its version and time. */
  onEvent?: (event: OperationEvent<unknown, Chunk>) => void;
}

/** A handle costs nothing to make; each call asks the server. `latest` is the newest record that it has seen. */
export class OperationHandle<T = unknown> {
  latest: Operation<T> | undefined;

  constructor(
    private readonly http: Http,
    readonly id: string,
    operation?: Operation<T>,
  ) {
    this.latest = operation;
  }

  /** The status as last seen; undefined before the first look. */
  get status(): Operation<T>["status"] | undefined {
    return this.latest?.status;
  }

  /** Read the operation. */
  async refresh(options: { signal?: AbortSignal | undefined } = {}): Promise<Operation<T>> {
    return this.saw(await this.http.json<Operation<T>>("GET", this.at(), options));
  }

  /** Wait until the operation is done, however it ended, and return it. */
  async wait(options: WaitOptions<T> = {}): Promise<Operation<T>> {
    if (this.latest?.done) return this.latest;
    const { signal, timeout, onUpdate, cancelOnAbort } = options;
    const limit = new Limit(signal, timeout);
    try {
      // Who only waits for the end needs no stream: one held request costs less, and output may be large.
      return onUpdate ? await this.updated(limit.signal, onUpdate) : await this.polled(limit.signal);
    } catch (error) {
      if (signal?.aborted) {
        if (cancelOnAbort) await this.cancelUnlessFinished();
        throw signal.reason;
      }
      if (!limit.late) throw error;
      throw new WaitTimeoutError(
        `${this.id} is not done after ${timeout} ms. It goes on; wait again, or cancel it.`,
      );
    } finally {
      limit.end();
    }
  }

  /**
   * Wait for the result: a JSON value, or a Blob for any other media type.
   *
   * Throws OperationFailedError, OperationCancelledError.
   */
  async result<R = T>(options: WaitOptions<T> = {}): Promise<R> {
    const operation = await this.succeeded(options);
    if (operation.result_inline) return operation.result as unknown as R;
    const read = async (response: Response): Promise<R> => {
      const type = response.headers.get("content-type")?.split(";", 1)[0]?.trim() ?? "";
      if (response.status === 204) return null as R;
      return (/[/+]json$/.test(type) ? response.json() : response.blob()) as Promise<R>;
    };
    return await this.http.send(
      "GET",
      this.link("result"),
      { ...request(options), headers: { accept: "*/*" } },
      read,
    );
  }

  /** Wait for the result, and return the answer itself, to stream a file. */
  async response(options: WaitOptions<T> & { headers?: HeadersInit } = {}): Promise<Response> {
    await this.succeeded(options);
    const headers = new Headers(options.headers);
    if (!headers.has("accept")) headers.set("accept", "*/*");
    return await this.http.send("GET", this.link("result"), { ...request(options), headers });
  }

  /**
   * Follow the operation until it is done: each event once, in order, over cuts, restarts and another server.
   *
   * Where streams do not pass, snapshots come instead; the whole log follows once the operation is done.
   */
  async *events(options: FollowOptions = {}): AsyncGenerator<OperationEvent<T>, void, undefined> {
    const links = { self: this.at(), events: this.link("events") };
    for await (const event of followOne<T>(this.http, links, options)) {
      this.latest = advance(this.latest, event);
      yield event;
    }
  }

  /** Give what the function emits, from the beginning; a newer run's output supersedes an older one's. */
  async *output<Chunk = unknown>(options: OutputOptions<Chunk> = {}): AsyncGenerator<Chunk, void, undefined> {
    const { after = 0, signal, onRestart, onEvent } = options;
    let run: number | undefined;
    for await (const event of this.events({ after, signal })) {
      if (event.type !== "output") continue;
      if (run !== undefined && event.run > run) onRestart?.(event.run);
      run = event.run;
      onEvent?.(event as OperationEvent<unknown, Chunk>);
      yield event.chunk as Chunk;
    }
  }

  /** Cancel what is queued, ask what runs to stop. Throws ProblemError `operation-finished`. */
  async cancel(options: { signal?: AbortSignal | undefined } = {}): Promise<Operation<T>> {
    return this.saw(await this.http.json<Operation<T>>("POST", this.link("cancel"), options));
  }

  /** Submit the request of a failed or cancelled operation again; the new operation has `rerun_of`. */
  async retry(
    options: { signal?: AbortSignal | undefined; idempotencyKey?: string } = {},
  ): Promise<OperationHandle<T>> {
    const key = options.idempotencyKey ?? crypto.randomUUID();
    const operation = await this.http.json<Operation<T>>("POST", this.link("retry"), {
      signal: options.signal,
      headers: { "idempotency-key": key },
    });
    return new OperationHandle(this.http, operation.id, operation);
  }

  /** Delete a finished operation. */
  async delete(options: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    await this.http.send("DELETE", this.at(), options);
  }

  private async succeeded(options: WaitOptions<T>): Promise<Operation<T>> {
    const operation = await this.wait(options);
    if (operation.status === "succeeded") return operation;
    throw operation.status === "cancelled"
      ? new OperationCancelledError(operation)
      : new OperationFailedError(operation);
  }

  private async cancelUnlessFinished(): Promise<void> {
    try {
      await this.cancel();
    } catch (error) {
      if (!(error instanceof ProblemError && error.code === "operation-finished")) throw error;
    }
  }

  private async updated(
    signal: AbortSignal | undefined,
    onUpdate: (operation: Operation<T>) => void,
  ): Promise<Operation<T>> {
    let told = this.latest;
    if (told) onUpdate(told);
    const after = told && { after: told.version };
    for await (const event of this.events({ signal, ...after })) {
      const { latest } = this;
      if (latest && latest !== told && event.type !== "output" && event.type !== "log") onUpdate(latest);
      told = latest;
    }
    return this.latest?.done ? this.latest : await this.refresh({ signal });
  }

  private async polled(signal: AbortSignal | undefined): Promise<Operation<T>> {
    for await (const record of pollRecords<T>(this.http, this.at(), {
      after: this.latest?.version,
      signal,
      untilDone: true,
    })) {
      this.saw(record);
      if (record.done) return record;
    }
    throw new Error("unreachable: records end with one that is done");
  }

  private saw(operation: Operation<T>): Operation<T> {
    if (!this.latest || operation.version >= this.latest.version) this.latest = operation;
    return operation;
  }

  private at(): string {
    return this.latest
      ? this.http.link(this.latest.links.self)
      : `${this.http.operations}/${encodeURIComponent(this.id)}`;
  }

  private link(name: "result" | "events" | "cancel" | "retry"): string {
    return this.latest ? this.http.link(this.latest.links[name]) : `${this.at()}/${name}`;
  }
}

/** A result may be large: only the caller's own signal ends its transfer. */
function request({ signal }: { signal?: AbortSignal | undefined }): {
  signal: AbortSignal | undefined;
  timeout: number;
} {
  return { signal, timeout: 0 };
}
