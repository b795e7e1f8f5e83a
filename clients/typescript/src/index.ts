/** A client of Raincheck's operations, for browsers and Node 20+. */

export { RaincheckClient, type ListFilters, type RunOptions, type SubmitOptions } from "./client.js";
export {
  ConnectionLostError,
  GoneError,
  NotFoundError,
  OperationCancelledError,
  OperationFailedError,
  ProblemError,
  RaincheckError,
  UnauthorizedError,
  ValidationError,
  WaitTimeoutError,
} from "./errors.js";
export type { FollowOptions } from "./follow.js";
export { OperationHandle, type OutputOptions, type WaitOptions } from "./handle.js";
export type { ClientOptions, Transport } from "./http.js";
export * from "./models.js";
export type { AnyPaths, InputOf, PlainRoute, ResultOf, SubmitRoute } from "./typed.js";
