// Verifies what stdin lists, one JSON object a line: {library, secret, body (base64), headers}. Prints "" or the refusal.
import { createInterface } from "node:readline";
import { Webhook as StandardWebhook } from "standardwebhooks";
import { Webhook as SvixWebhook } from "svix";

const libraries = { standardwebhooks: StandardWebhook, svix: SvixWebhook };

for await (const line of createInterface({ input: process.stdin })) {
  const { library, secret, body, headers } = JSON.parse(line);
  try {
    new libraries[library](secret).verify(Buffer.from(body, "base64").toString("utf8"), headers);
    console.log(JSON.stringify(""));
  } catch (error) {
    console.log(JSON.stringify(`${error.name}: ${error.message}`));
  }
}
