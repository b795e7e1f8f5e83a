/** Which operations a list shows: what its address says, as the server takes it. */

import type { Action, Item, Pairs } from "./api";

export const statuses = ["queued", "running", "cancelling", "succeeded", "failed", "cancelled"];
const fitting: Record<Action, string[]> = { cancel: ["queued", "running"], retry: ["failed", "cancelled"] };

/** Whether an operation in this status can be cancelled, or tried again. */
export function fits(action: Action, { status }: Pick<Item, "status">): boolean {
  return fitting[action].includes(status);
}

/** `owner:ada`, `customer=42` for metadata; the rest of the address as it is. */
export function pairsOf(query: URLSearchParams): Pairs {
  const pairs: Pairs = [];
  for (const name of ["status", "kind", "created_after", "created_before"]) {
    const value = query.get(name);
    if (value) pairs.push([name, value]);
  }
  for (const word of (query.get("q") ?? "").split(/\s+/).filter(Boolean)) {
    const owner = /^owner:(.+)$/.exec(word);
    const tag = /^([^=]+)=(.*)$/.exec(word);
    if (owner) pairs.push(["owner", owner[1]!]);
    else if (tag) pairs.push([`tag.${tag[1]}`, tag[2]!]);
    else if (!query.get("kind")) pairs.push(["kind", word]);
  }
  return pairs;
}

/** The id that somebody has typed or pasted, if it is one. */
export function idIn(text: string): string | null {
  return /^op_[0-9A-HJKMNP-TV-Z]{32}$/i.test(text) ? `op_${text.slice(3).toUpperCase()}` : null;
}
