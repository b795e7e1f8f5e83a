/** Ways of following one operation, for tests against real servers; neutral of Node and browsers. */

import { RaincheckClient, type ClientOptions, type OperationEvent, type Transport } from "../src/index.js";

/** `name` rides on each request, so that a proxy between can tell the readers apart. */
export function clientOf(baseUrl: string, name: string, transports?: Transport[]): RaincheckClient {
  const named: typeof fetch = (input, init) => {
    const url = new URL(String(input));
    url.searchParams.set("reader", name);
    return fetch(url, init);
  };
  const options: ClientOptions = { baseUrl, fetch: named, patience: 90_000 };
  return new RaincheckClient(transports ? { ...options, transports } : options);
}

/** The whole log, as [version, type, event]. */
export async function log(
  baseUrl: string,
  id: string,
  name: string,
): Promise<[string, string, OperationEvent][]> {
  const found: [string, string, OperationEvent][] = [];
  for await (const event of clientOf(baseUrl, name).operation(id).events({ after: 0 })) {
    found.push([String(event.version), event.type, event]);
  }
  return found;
}

/** The chunks that count at the end, and how often they began anew. */
export async function told(
  baseUrl: string,
  id: string,
  name: string,
): Promise<{ chunks: unknown[]; restarts: number }> {
  let chunks: unknown[] = [];
  let restarts = 0;
  const onRestart = (): void => {
    chunks = [];
    restarts += 1;
  };
  for await (const chunk of clientOf(baseUrl, name).operation(id).output({ onRestart })) chunks.push(chunk);
  return { chunks, restarts };
}

/** The result, and the statuses that were told on the way. */
export async function result(
  baseUrl: string,
  id: string,
  name: string,
  transports: Transport[],
): Promise<{ result: unknown; statuses: string[] }> {
  const statuses: string[] = [];
  const onUpdate = ({ status }: { status: string }): void => {
    if (statuses.at(-1) !== status) statuses.push(status);
  };
  const found = await clientOf(baseUrl, name, transports).operation(id).result({ onUpdate });
  return { result: found, statuses };
}
