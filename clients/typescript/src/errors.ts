/** Every error of the client; which class says who must act. */

import type { Operation, Problem } from "./models.js";

const PROBLEM_TYPE = "urn:raincheck:problem:";

/** Root of every error that this package throws by itself. An abort throws the signal's own reason. */
export class RaincheckError extends Error {
  override name = "RaincheckError";
}

/** The server refused a request. `code` is the stable name of the problem, such as `operation-not-found`. */
export class ProblemError extends RaincheckError {
  override name = "ProblemError";

  constructor(
    message: string,
    readonly status: number,
    readonly code: string | undefined,
    /** The problem document, where the answer was one. */
    readonly problem: Problem | undefined,
    /** The answer's body: parsed JSON, else text. */
    readonly body: unknown,
    /** Seconds after which the server wants to be asked again. */
    readonly retryAfter: number | undefined,
  ) {
    super(message);
  }
}

/** 401 or 403. */
export class UnauthorizedError extends ProblemError {
  override name = "UnauthorizedError";
}

/** 404: unknown, malformed, or another owner's. */
export class NotFoundError extends ProblemError {
  override name = "NotFoundError";
}

/** 410: deleted or expired. */
export class GoneError extends ProblemError {
  override name = "GoneError";
}

/** 422 of FastAPI's validation; `issues` says where. */
export class ValidationError extends ProblemError {
  override name = "ValidationError";

  get issues(): { loc: (string | number)[]; msg: string; type: string }[] {
    return (this.body as { detail: { loc: (string | number)[]; msg: string; type: string }[] }).detail;
  }
}

/** The operation failed; `code` is what the function raised on purpose, or `unhandled-error` and its like. */
export class OperationFailedError extends RaincheckError {
  override name = "OperationFailedError";

  constructor(readonly operation: Operation) {
    const { error } = operation;
    super(
      `${operation.id} failed: ${error?.title ?? "no reason was given"}${error?.detail ? `. ${error.detail}` : ""}`,
    );
  }

  get problem(): Problem | null {
    return this.operation.error;
  }

  get code(): string | undefined {
    return codeOf(this.operation.error ?? undefined);
  }
}

/** The operation was cancelled, so it has no result. */
export class OperationCancelledError extends RaincheckError {
  override name = "OperationCancelledError";

  constructor(readonly operation: Operation) {
    super(`${operation.id} was cancelled, so it has no result. Submit it again, or call retry().`);
  }
}

/** The server did not answer for longer than the client's `patience`; `cause` is the last failure. */
export class ConnectionLostError extends RaincheckError {
  override name = "ConnectionLostError";
}

/** The operation is not done within the time that `wait` or `result` was given. It goes on. */
export class WaitTimeoutError extends RaincheckError {
  override name = "WaitTimeoutError";
}

/** Return the stable code of a problem of Raincheck's. */
export function codeOf(problem: Problem | undefined): string | undefined {
  return problem?.type.startsWith(PROBLEM_TYPE) ? problem.type.slice(PROBLEM_TYPE.length) : undefined;
}

/** Make the error of an answer, whatever its body is: a problem, FastAPI's own, a proxy's page, nothing. */
export function errorOf(status: number, text: string, retryAfter: number | undefined): ProblemError {
  let body: unknown = text;
  try {
    body = JSON.parse(text);
  } catch {
    // An HTML page or a cut answer: the text itself is all there is.
  }
  const fields = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const problem = typeof fields["type"] === "string" ? (body as Problem) : undefined;
  const said = [fields["title"], fields["detail"]].filter((part) => typeof part === "string" && part !== "");
  const message = `HTTP ${status}${said.length > 0 ? `: ${said.join(". ")}` : ""}`;
  const issues = status === 422 && Array.isArray(fields["detail"]);
  const kind = issues
    ? ValidationError
    : status === 401 || status === 403
      ? UnauthorizedError
      : status === 404
        ? NotFoundError
        : status === 410
          ? GoneError
          : ProblemError;
  return new kind(message, status, codeOf(problem), problem, body, retryAfter);
}
