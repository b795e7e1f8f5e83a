// Prints, line by line, [id, type, data] of each event up to `done`, as one of Node's EventSources reads them.
//   node node_reader.mjs eventsource|eventsource-client|undici URL
const [, , library, url] = process.argv;
const types = ["snapshot", "status", "progress", "output", "log", "reset", "done"];

function print(id, type, data) {
  process.stdout.write(`${JSON.stringify([id, type, data])}\n`, () => type === "done" && process.exit(0));
}

if (library === "eventsource-client") {
  const { createEventSource } = await import("eventsource-client");
  const source = createEventSource(url);
  for await (const { id, event, data } of source) print(id, event, data);
} else {
  const { EventSource } = await import(library);
  const source = new EventSource(url);
  setInterval(() => {}, 1000);  // undici's wait for the next connection does not keep Node alive
  for (const type of types) source.addEventListener(type, (event) => print(event.lastEventId, type, event.data));
  source.onerror = () => {
    if (source.readyState === 2) { console.error("the EventSource gave up"); process.exit(1); }
  };
}
