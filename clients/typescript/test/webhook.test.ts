import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { verifyWebhook, WebhookVerificationError } from "../src/webhook.js";

const SECRET = `whsec_${Buffer.from("a secret of twenty-four b").toString("base64")}`;
const OTHER = `whsec_${Buffer.from("another one of some length").toString("base64")}`;
const BODY = JSON.stringify({
  type: "operation.succeeded",
  timestamp: "x",
  data: { id: "op_1", version: 3, text: "é🌧" },
});
const NOW = new Date("2026-01-31T12:00:00Z");

function headers(
  body = BODY,
  secret = SECRET,
  at = NOW.getTime() / 1000,
  id = "msg_1",
): Record<string, string> {
  const key = Buffer.from(secret.slice(6), "base64");
  const signature = createHmac("sha256", key).update(`${id}.${at}.${body}`).digest("base64");
  return { "Webhook-Id": id, "Webhook-Timestamp": String(at), "Webhook-Signature": `v1,${signature}` };
}

async function code(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => assert.fail("it was believed"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof WebhookVerificationError, String(error));
  return error.code;
}

test("a signed webhook is believed, in each form that frameworks give headers and bodies in", async () => {
  const bytes = new TextEncoder().encode(BODY);
  for (const given of [headers(), new Headers(headers())]) {
    for (const body of [BODY, bytes, bytes.buffer as ArrayBuffer]) {
      const found = await verifyWebhook<never>({ secret: SECRET, headers: given, body, now: NOW });
      assert.equal(found.id, "msg_1");
      assert.equal(found.type, "operation.succeeded");
      assert.equal(found.data.version, 3);
      assert.deepEqual(found.timestamp, NOW);
    }
  }
});

test("Standard Webhooks' own example is believed", async () => {
  const given = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  };
  const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const found = await verifyWebhook({
    secret,
    headers: given,
    body: '{"test": 2432232314}',
    now: new Date(1614265330_000),
  });
  assert.equal(found.id, given["webhook-id"]);
});

test("during a rotation either side may be ahead", async () => {
  const old = headers(BODY, OTHER);
  const both = {
    ...headers(),
    "Webhook-Signature": `${old["Webhook-Signature"]} ${headers()["Webhook-Signature"]}`,
  };
  await verifyWebhook({ secret: SECRET, headers: both, body: BODY, now: NOW });
  await verifyWebhook({ secret: [SECRET, OTHER], headers: old, body: BODY, now: NOW });
  assert.equal(
    await code(verifyWebhook({ secret: SECRET, headers: old, body: BODY, now: NOW })),
    "bad-signature",
  );
});

test("whatever was changed is refused", async () => {
  const check = (given: Record<string, string>, body = BODY): Promise<string> =>
    code(verifyWebhook({ secret: SECRET, headers: given, body, now: NOW }));
  assert.equal(await check(headers(), BODY.replace("3", "4")), "bad-signature");
  assert.equal(await check({ ...headers(), "Webhook-Id": "msg_2" }), "bad-signature");
  assert.equal(
    await check({ ...headers(), "Webhook-Timestamp": String(NOW.getTime() / 1000 + 1) }),
    "bad-signature",
  );
  assert.equal(await check({ ...headers(), "Webhook-Signature": "v1a,AAAA v1, v1,*" }), "bad-signature");
  assert.equal(await check({ ...headers(), "Webhook-Signature": "" }), "missing-header");
  assert.equal(await check({}), "missing-header");
});

test("an old or a future webhook is refused, although it is signed", async () => {
  for (const [away, fits] of [
    [-300, true],
    [300, true],
    [-301, false],
    [301, false],
  ] as const) {
    const given = headers(BODY, SECRET, NOW.getTime() / 1000 + away);
    const call = verifyWebhook({ secret: SECRET, headers: given, body: BODY, now: NOW });
    if (fits) await call;
    else assert.equal(await code(call), "bad-timestamp");
  }
  const never = { ...headers(), "Webhook-Timestamp": "NaN" };
  assert.equal(
    await code(verifyWebhook({ secret: SECRET, headers: never, body: BODY, now: NOW })),
    "bad-timestamp",
  );
});

test("a secret that cannot be one is named as the reason", async () => {
  for (const secret of ["whsec_", "whsec_***"]) {
    assert.equal(
      await code(verifyWebhook({ secret, headers: headers(), body: BODY, now: NOW })),
      "bad-secret",
    );
  }
});

test("a signed body that is no JSON is refused", async () => {
  assert.equal(
    await code(verifyWebhook({ secret: SECRET, headers: headers("{"), body: "{", now: NOW })),
    "bad-body",
  );
});
