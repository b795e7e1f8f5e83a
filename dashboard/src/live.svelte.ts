/** The tab's one stream: the status of everything, or one operation's log; never two at a time. */

import { client } from "./api";

export type Connection = "none" | "connecting" | "live" | "lost";

class Live {
  connection = $state<Connection>("none");
  private current: AbortController | undefined;

  /** Follow something until the returned function is called or another takes its place. */
  follow(read: (signal: AbortSignal, connected: () => void) => Promise<void>): () => void {
    this.current?.abort();
    const mine = new AbortController();
    this.current = mine;
    this.connection = "connecting";
    const connected = (): void => {
      if (this.current === mine) this.connection = "live";
    };
    void this.keep(mine, read, connected);
    return () => {
      mine.abort();
      if (this.current !== mine) return;
      this.current = undefined;
      this.connection = "none";
    };
  }

  /** Call for each change of any operation's status; `refetch` also once connected, since nothing is replayed. */
  everything(refetch: () => void): () => void {
    return this.follow(async (signal, connected) => {
      const onConnect = (): void => {
        connected();
        refetch();
      };
      for await (const event of client.events(undefined, { signal, onConnect })) {
        if (event.type === "status" || event.type === "done") refetch();
      }
    });
  }

  private async keep(
    mine: AbortController,
    read: (signal: AbortSignal, connected: () => void) => Promise<void>,
    connected: () => void,
  ): Promise<void> {
    while (!mine.signal.aborted) {
      try {
        await read(mine.signal, connected);
        return;
      } catch (error) {
        if (mine.signal.aborted) return;
        this.connection = "lost";
        console.warn("The stream was lost; trying again in ten seconds.", error);
        await new Promise((resolve) => setTimeout(resolve, 10_000));
      }
    }
  }
}

export const live = new Live();

/** Run a task soon, not more often than once in an interval, and never twice at once. */
export function paced(task: (signal: AbortSignal) => Promise<void>, interval: number) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wanted = false;
  let busy = false;
  let last = -Infinity;
  const ending = new AbortController();
  const run = async (): Promise<void> => {
    timer = undefined;
    wanted = false;
    busy = true;
    last = performance.now();
    await task(ending.signal);
    busy = false;
    if (wanted) ask();
  };
  const ask = (): void => {
    if (ending.signal.aborted) return;
    wanted = true;
    if (busy || timer !== undefined) return;
    timer = setTimeout(() => void run(), Math.max(0, last + interval - performance.now()));
  };
  return {
    ask,
    stop(): void {
      ending.abort();
      clearTimeout(timer);
    },
  };
}
