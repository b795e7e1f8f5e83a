/** What a server sends. Unknown fields and statuses of later releases pass through; only `done` decides. */

/** A status of this release, or one of a later release. */
export type OperationStatus =
  "queued" | "running" | "cancelling" | "succeeded" | "failed" | "cancelled" | (string & {});

export interface Progress {
  fraction: number | null;
  current: number | null;
  total: number | null;
  unit: string | null;
  message: string | null;
  stage: string | null;
  /** Estimate of the time left, in seconds. */
  eta_seconds: number | null;
}

/** A problem document (RFC 9457). */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail?: string | null;
  operation_id?: string | null;
  [extension: string]: unknown;
}

/** Paths as the server reaches itself; they may be foreign behind a proxy, so the client checks them. */
export interface OperationLinks {
  self: string;
  result: string;
  events: string;
  websocket: string;
  cancel: string;
  retry: string;
  [later: string]: string;
}

/** An operation as lists show it. Times are RFC 3339 in UTC. */
export interface OperationSummary {
  id: string;
  kind: string;
  status: OperationStatus;
  /** True in a terminal status. Test this one, and new statuses will not break you. */
  done: boolean;
  /** Rises by one with each persisted change. */
  version: number;
  attempt: number;
  max_attempts: number;
  next_attempt_at: string | null;
  progress: Progress | null;
  queue_position: number | null;
  poll_after_ms: number | null;
  created_at: string;
  started_at: string | null;
  updated_at: string;
  finished_at: string | null;
  cancel_requested_at: string | null;
  deadline_at: string | null;
  expires_at: string | null;
  scheduled_for: string | null;
  metadata: Record<string, string>;
  rerun_of: string | null;
  error: Problem | null;
  links: OperationLinks;
}

export interface Operation<T = unknown> extends OperationSummary {
  /** Null unless the operation succeeded and its result is small JSON. */
  result: T | null;
  /** False: the result is absent, a file, or large; `handle.result()` reads it all the same. */
  result_inline: boolean;
}

export interface OperationPage {
  items: OperationSummary[];
  next_page_token: string | null;
}

interface EventOf<Type extends string> {
  type: Type;
  /** The id of the operation. */
  operation: string;
  version: number;
  /** Output of an older run is superseded by the newer run's. */
  run: number;
  time: string;
}

export type SnapshotEvent<T = unknown> = EventOf<"snapshot"> & { resource: Operation<T> };
export type StatusEvent = EventOf<"status"> & {
  status: OperationStatus;
  attempt: number;
  next_attempt_at: string | null;
};
export type ProgressEvent = EventOf<"progress"> & { progress: Progress };
export type OutputEvent<Chunk = unknown> = EventOf<"output"> & { chunk: Chunk };
export type LogEvent = EventOf<"log"> & { level: string; message: string };
export type DoneEvent<T = unknown> = EventOf<"done"> & { resource: Operation<T> };
export type ResetEvent = EventOf<"reset"> & { requested: number; oldest: number };

/** One event of a stream, told apart by `type`. */
export type OperationEvent<T = unknown, Chunk = unknown> =
  SnapshotEvent<T> | StatusEvent | ProgressEvent | OutputEvent<Chunk> | LogEvent | DoneEvent<T> | ResetEvent;

/** Return the operation as an event leaves it; events that it has already seen change nothing. */
export function advance<T>(
  operation: Operation<T> | undefined,
  event: OperationEvent<T>,
): Operation<T> | undefined {
  if (event.type === "snapshot" || event.type === "done") {
    return operation && operation.version > event.version ? operation : event.resource;
  }
  if (!operation || event.version <= operation.version) return operation;
  const next = { ...operation, version: event.version, updated_at: event.time };
  switch (event.type) {
    case "status":
      next.status = event.status;
      next.attempt = event.attempt;
      next.next_attempt_at = event.next_attempt_at;
      next.queue_position = null;
      if (event.status === "running") next.started_at ??= event.time;
      if (event.status === "cancelling") next.cancel_requested_at ??= event.time;
      break;
    case "progress":
      next.progress = event.progress;
  }
  return next;
}
