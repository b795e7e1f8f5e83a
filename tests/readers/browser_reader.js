// Runs in a page: gives [id, type, data] of each event up to `done`.
window.readEventSource = (url) => new Promise((resolve, reject) => {
  const found = [], source = new EventSource(url);
  for (const type of ["snapshot", "status", "progress", "output", "log", "reset", "done"]) {
    source.addEventListener(type, (event) => {
      found.push([event.lastEventId, type, event.data]);
      if (type === "done") { source.close(); resolve(found); }
    });
  }
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) reject(new Error("the EventSource gave up")); };
});

window.readWebSocket = (url, operation) => new Promise((resolve) => {
  const found = [];
  const connect = () => {
    const socket = new WebSocket(url, "raincheck.v1");
    const after = () => Number(found.at(-1)?.[0] ?? 0);
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: "connection_init" }));
      socket.send(JSON.stringify({ type: "subscribe", id: "1", operation, after: after() }));
    };
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type !== "event") return;
      found.push([String(message.version), message.event, JSON.stringify(message.data)]);
      if (message.event === "done") { socket.onclose = null; socket.close(); resolve(found); }
    };
    socket.onclose = () => setTimeout(connect, 50);
  };
  connect();
});
