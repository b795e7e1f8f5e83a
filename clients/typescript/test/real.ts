// Prints what one way of reading gives, as JSON: `node real.js log|told|sse|long-poll|poll BASE_URL ID NAME`.
import type { Transport } from "../src/index.js";
import { log, result, told } from "./readers.js";

const [way, url, id, name] = process.argv.slice(2) as [string, string, string, string];
const read = way === "log" ? log : way === "told" ? told : undefined;
const found = read ? await read(url, id, name) : await result(url, id, name, [way as Transport]);
process.stdout.write(JSON.stringify(found));
