/** Webhook deliveries in words. */

import type { Attempt, Delivery } from "./api";
import { ago, clock } from "./clock.svelte";

export function outcome(attempt: Attempt): string {
  if (attempt.status_code === null) return attempt.failure ?? "no answer";
  return `HTTP ${attempt.status_code} in ${attempt.latency_ms} ms`;
}

/** When it is tried next; empty where it is not. */
export function next({ next_attempt_at: moment }: Delivery): string {
  if (moment === null) return "";
  if (Date.parse(moment) > clock.now) return `next attempt ${ago(moment, clock.now)}`;
  return "due now; it waits for its receiver's turn";
}
