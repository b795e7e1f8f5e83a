/** A stored request for eyes, and as a command that submits it again. */

import { bytes } from "./clock.svelte";
import { api, type OpenApi, type OpenApiRoute, type StoredInput } from "./api";

export interface SubmitRoute {
  method: string;
  path: string;
  route: OpenApiRoute;
}

let document: Promise<{ root_path: string; document: OpenApi }> | undefined;

/** The application's document, asked for once. */
export function openapi(): Promise<{ root_path: string; document: OpenApi }> {
  document ??= api.openapi();
  return document;
}

/** The routes that submit: a 202 whose answer says where the operation is. */
export function submitRoutes(found: OpenApi): SubmitRoute[] {
  return Object.entries(found.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(
        ([, route]) =>
          route.responses?.["202"]?.headers?.["Operation-Location"] && !/\/operations\//.test(path),
      )
      .map(([method, route]) => ({ method: method.toUpperCase(), path, route })),
  );
}

export function inputText(input: StoredInput): string {
  const parts: string[] = [];
  for (const [name, value] of Object.entries(input.path ?? {})) parts.push(`${name}: ${String(value)}`);
  for (const [name, value] of input.query ?? []) parts.push(`?${name}=${value}`);
  for (const [name, value] of input.headers ?? []) parts.push(`${name}: ${value}`);
  for (const [name, value] of input.form ?? []) {
    parts.push(`${name}: ${formValue(value)}`);
  }
  if (input.body !== undefined) parts.push(pretty(input.body));
  if (input.base64 !== undefined) parts.push(`(bytes) ${input.base64}`);
  if (input.blob !== undefined) parts.push(`(a file of its own: ${input.blob})`);
  if (input.cut) parts.push("… cut at 64 KiB");
  return parts.length > 0 ? parts.join("\n") : "It takes no input.";
}

/** A file is told by its name, size and type; its parts' headers say nothing more. */
function formValue(value: unknown): string {
  if (typeof value === "string") return value;
  const { filename, size } = value as { filename?: unknown; size?: unknown };
  if (typeof filename !== "string" || typeof size !== "number") return JSON.stringify(value);
  return `${filename} (${bytes(size)})`;
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** A command that submits the request again; empty where the route is not in the document. */
export async function curlOf(kind: string, input: StoredInput): Promise<string> {
  const { root_path, document: found } = await openapi();
  const one = submitRoutes(found).find(({ route }) => route.operationId === kind);
  if (!one) return "";
  const path = one.path.replace(/\{([^}:]+)[^}]*\}/g, (_, name: string) =>
    encodeURIComponent(String(input.path?.[name] ?? "")),
  );
  const query = input.query?.length ? `?${new URLSearchParams(input.query)}` : "";
  const words = ["curl", "-i", ...(one.method === "POST" ? [] : ["-X", one.method])];
  words.push(quoted(`${window.location.origin}${root_path}${path}${query}`));
  for (const [name, value] of input.headers ?? []) words.push("-H", quoted(`${name}: ${value}`));
  if (input.body !== undefined)
    words.push(
      "-H",
      quoted(`Content-Type: ${input.type ?? "application/json"}`),
      "--data-raw",
      quoted(input.body),
    );
  else if (input.form) {
    for (const [name, value] of input.form)
      words.push("-F", quoted(`${name}=${typeof value === "string" ? value : "@file"}`));
  } else if (one.method === "POST") words.push("-X", "POST");
  return words.join(" ");
}
