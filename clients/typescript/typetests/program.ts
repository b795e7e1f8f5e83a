// What a user of the package writes with the types of an application. Checked with --strict against a schema that
// openapi-typescript makes of tests/openapi/application.py; never run.
import { RaincheckClient, type OperationEvent, type OperationHandle } from "raincheck-client";
import { useOperation } from "raincheck-client/react";
import { verifyWebhook } from "raincheck-client/webhook";
import type { components, paths } from "./schema.js";

type Report = components["schemas"]["Report"];
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};

const client = new RaincheckClient<paths>({
  baseUrl: "https://x.example",
  headers: { authorization: "Bearer 1" },
});

export async function typed(): Promise<void> {
  const handle = await client.submit("/reports", {
    json: { title: "Rain", pages: 3 },
    metadata: { customer: "42" },
  });
  same<typeof handle, OperationHandle<Report>>(true);
  const report = await handle.result({ signal: AbortSignal.timeout(1000) });
  same<typeof report, Report>(true);
  const ran = await client.run("/reports", {
    json: { title: "Rain", pages: 3 },
    onUpdate: (now) => same<typeof now.result, Report | null>(true),
  });
  same<typeof ran, Report>(true);
  const count = await client.run("/shelves/{shelf}/counts", { path: { shelf: 3 }, query: { colour: "red" } });
  same<typeof count, number>(true);
  const titles = await client.run("GET /shelves/{shelf}/titles", { path: { shelf: "a" } });
  same<typeof titles, Report[]>(true);
  const file = await client.run("PUT /exports/{name}", { path: { name: "a" } });
  same<typeof file, Blob>(true);
  const nothing = await client.run("/labels", { body: new URLSearchParams({ text: "x", copies: "1" }) });
  same<typeof nothing, unknown>(true); // `-> None` is documented as any JSON
  const bytes = await client.run("/pictures", { body: new FormData() });
  same<typeof bytes, { [key: string]: number }>(true);
  await client.submit("/naps");
  await client.submit("/naps", { query: { seconds: 1 } });
  for await (const event of handle.events({ after: 0 })) {
    same<typeof event, OperationEvent<Report>>(true);
    if (event.type === "done") same<typeof event.resource.result, Report | null>(true);
    if (event.type === "progress") same<typeof event.progress.fraction, number | null>(true);
  }
  for await (const chunk of handle.output<{ page: number }>()) same<typeof chunk, { page: number }>(true);
}

export async function wrong(): Promise<void> {
  // @ts-expect-error: there is no such path.
  await client.submit("/report", { json: { title: "Rain", pages: 3 } });
  // @ts-expect-error: status routes take no operations.
  await client.submit("/operations/{operation_id}", { path: { operation_id: "op_1" } });
  // @ts-expect-error: pages is a number.
  await client.submit("/reports", { json: { title: "Rain", pages: "3" } });
  // @ts-expect-error: the body is missing.
  await client.submit("/reports");
  // @ts-expect-error: the path's value is missing.
  await client.submit("/shelves/{shelf}/counts", {});
  // @ts-expect-error: this is a PUT.
  await client.submit("/exports/{name}", { path: { name: "a" } });
  // @ts-expect-error: a form takes no JSON.
  await client.submit("/labels", { json: { text: "x" } });
  // @ts-expect-error: blue, or red.
  await client.submit("/shelves/{shelf}/counts", { path: { shelf: 3 }, query: { colour: "green" } });
}

export async function untyped(): Promise<void> {
  const plain = new RaincheckClient({ baseUrl: "https://x.example" });
  const handle = await plain.submit("PUT /anything", { json: { any: 1 }, query: { x: [1, 2] } });
  same<typeof handle, OperationHandle<unknown>>(true);
  const report = await handle.result<Report>();
  same<typeof report, Report>(true);
  const kept = await plain.operation<Report>("op_1").result();
  same<typeof kept, Report>(true);
}

export function Shown({ handle }: { handle: OperationHandle<Report> | null }): string {
  const { operation, output, error } = useOperation<Report, string>(handle);
  same<typeof output, readonly string[]>(true);
  return error ? "failed" : (operation?.result?.title ?? output.join(""));
}

export async function hook(request: Request): Promise<number> {
  const { id, type, data } = await verifyWebhook<Report>({
    secret: ["whsec_new", "whsec_old"],
    headers: request.headers,
    body: await request.text(),
  });
  return id && type && data.result ? data.result.pages : data.version;
}
