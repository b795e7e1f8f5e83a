/** Verifying webhooks (Standard Webhooks) with WebCrypto: in Node, browsers, workers and at the edge. */

import type { Operation } from "./models.js";

export type WebhookHeaders = Headers | Record<string, string | string[] | undefined>;

export interface WebhookOptions {
  /** `whsec_…`; several during a rotation. Any of them may have signed. */
  secret: string | readonly string[];
  headers: WebhookHeaders;
  /** The body as it came: bytes or text, before any JSON parser. */
  body: string | Uint8Array | ArrayBuffer;
  /** Seconds by which the time of the webhook may differ from now (300). */
  tolerance?: number;
  /** The time to compare with. */
  now?: Date;
}

/** Webhooks come at least once and in any order: compare `id`, and `data.version`. */
export interface Webhook<T = unknown> {
  /** The same in each attempt. */
  id: string;
  timestamp: Date;
  type: string;
  data: Operation<T>;
}

/** The webhook is not to be believed; `code` says why. */
export class WebhookVerificationError extends Error {
  override name = "WebhookVerificationError";

  constructor(
    readonly code: "missing-header" | "bad-timestamp" | "bad-secret" | "bad-signature" | "bad-body",
    message: string,
  ) {
    super(message);
  }
}

/**
 * Check the signature and the time of a webhook, and return what it says.
 *
 * Throws WebhookVerificationError; answer it with 400. See https://www.standardwebhooks.com
 */
export async function verifyWebhook<T = unknown>(options: WebhookOptions): Promise<Webhook<T>> {
  const id = header(options.headers, "webhook-id");
  const sent = header(options.headers, "webhook-timestamp");
  const signatures = header(options.headers, "webhook-signature");
  const timestamp = timely(sent, options);
  const body = bytesOf(options.body);
  const signed = joined(new TextEncoder().encode(`${id}.${sent}.`), body);
  const secrets = typeof options.secret === "string" ? [options.secret] : options.secret;
  if (!(await anySigned(signed, signatures, secrets))) {
    throw new WebhookVerificationError(
      "bad-signature",
      "No signature fits. Check the secret, and pass the body as it came, not parsed and written again.",
    );
  }
  try {
    const { type, data } = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body)) as Webhook<T>;
    return { id, timestamp, type, data };
  } catch {
    throw new WebhookVerificationError("bad-body", "The body is signed, but is no JSON object.");
  }
}

function header(headers: WebhookHeaders, name: string): string {
  const plain = headers as Record<string, string | string[] | undefined>;
  const found =
    typeof (headers as Headers).get === "function"
      ? (headers as Headers).get(name)
      : Object.entries(plain).find(([key]) => key.toLowerCase() === name)?.[1];
  if (typeof found !== "string" || found === "") {
    throw new WebhookVerificationError("missing-header", `The header ${name} is missing.`);
  }
  return found;
}

function timely(sent: string, { tolerance = 300, now = new Date() }: WebhookOptions): Date {
  const seconds = /^[0-9]{1,12}$/.test(sent) ? Number(sent) : NaN;
  if (!(Math.abs(now.getTime() / 1000 - seconds) <= tolerance)) {
    throw new WebhookVerificationError(
      "bad-timestamp",
      `webhook-timestamp is more than ${tolerance} s away from now, or no time. Check this machine's clock.`,
    );
  }
  return new Date(seconds * 1000);
}

async function anySigned(
  signed: Uint8Array,
  signatures: string,
  secrets: readonly string[],
): Promise<boolean> {
  let fits = false;
  for (const secret of secrets) {
    const key = await crypto.subtle.importKey(
      "raw",
      keyBytes(secret),
      { name: "HMAC", hash: "SHA-256" },
      false,
      ["verify"],
    );
    for (const each of signatures.split(" ")) {
      const bytes = each.startsWith("v1,") ? fromBase64(each.slice(3)) : undefined;
      // `verify` compares in constant time.
      if (bytes && (await crypto.subtle.verify("HMAC", key, bytes as BufferSource, signed as BufferSource)))
        fits = true;
    }
  }
  return fits;
}

function keyBytes(secret: string): BufferSource {
  const bytes = fromBase64(secret.replace(/^whsec_/, ""));
  if (!bytes || bytes.length === 0) {
    throw new WebhookVerificationError("bad-secret", "The secret is not whsec_ and base64. Copy it whole.");
  }
  return bytes as BufferSource;
}

function fromBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}

function bytesOf(body: WebhookOptions["body"]): Uint8Array {
  if (typeof body === "string") return new TextEncoder().encode(body);
  return body instanceof ArrayBuffer ? new Uint8Array(body) : body;
}

function joined(head: Uint8Array, tail: Uint8Array): Uint8Array {
  const whole = new Uint8Array(head.length + tail.length);
  whole.set(head);
  whole.set(tail, head.length);
  return whole;
}
