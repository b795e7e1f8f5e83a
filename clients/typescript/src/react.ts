/** `useOperation`: an operation's live state in a React component. */

import { useCallback, useMemo, useSyncExternalStore } from "react";
import type { OperationHandle } from "./handle.js";
import { advance, type Operation } from "./models.js";

export interface OperationState<T = unknown, Chunk = unknown> {
  /** The newest record; undefined before the first one has come. */
  operation: Operation<T> | undefined;
  /** What the newest run has emitted, at most `outputLimit` chunks. */
  output: readonly Chunk[];
  /** Why following has ended early, such as a 404, or a server that is away for too long. */
  error: unknown;
  /** Whether news can still come. */
  following: boolean;
}

export interface UseOperationOptions {
  /** How many of the newest chunks to keep (1,000); 0 for none. */
  outputLimit?: number;
}

const NOTHING: OperationState<never, never> = {
  operation: undefined,
  output: [],
  error: undefined,
  following: false,
};

/**
 * Follow an operation while the component is mounted; null follows nothing.
 *
 * Components that come and go resume from their cursor. Unmounting cancels nothing on the server.
 */
export function useOperation<T = unknown, Chunk = unknown>(
  handle: OperationHandle<T> | null | undefined,
  options: UseOperationOptions = {},
): OperationState<T, Chunk> {
  const { outputLimit = 1000 } = options;
  const live = useMemo(
    () => (handle ? new LiveOperation<T, Chunk>(handle, outputLimit) : undefined),
    [handle, outputLimit],
  );
  const subscribe = useCallback(
    (changed: () => void) => live?.subscribe(changed) ?? ((): void => {}),
    [live],
  );
  const state = useCallback(() => live?.state ?? (NOTHING as OperationState<T, Chunk>), [live]);
  return useSyncExternalStore(subscribe, state, state);
}

/** Follows as long as somebody looks, and goes on from its cursor when somebody looks again. */
class LiveOperation<T, Chunk> {
  state: OperationState<T, Chunk>;
  private readonly listeners = new Set<() => void>();
  private following: AbortController | undefined;
  private cursor: number | undefined;
  private run = 0;

  constructor(
    private readonly handle: OperationHandle<T>,
    private readonly outputLimit: number,
  ) {
    this.cursor = outputLimit > 0 ? 0 : undefined;
    this.state = { operation: handle.latest, output: [], error: undefined, following: true };
  }

  subscribe(changed: () => void): () => void {
    this.listeners.add(changed);
    if (!this.following && this.state.following) {
      this.following = new AbortController();
      void this.follow(this.following.signal);
    }
    return () => {
      this.listeners.delete(changed);
      if (this.listeners.size > 0) return;
      this.following?.abort();
      this.following = undefined;
    };
  }

  private async follow(signal: AbortSignal): Promise<void> {
    try {
      // The log alone does not say what the operation is called: begin with its record.
      if (!this.state.operation) this.change({ operation: await this.handle.refresh({ signal }) });
      const after = this.cursor === undefined ? {} : { after: this.cursor };
      for await (const event of this.handle.events({ signal, ...after })) {
        this.cursor = Math.max(this.cursor ?? 0, event.version);
        const operation = advance(this.state.operation, event);
        if (event.type === "output")
          this.change({ operation, output: this.added(event.run, event.chunk as Chunk) });
        else this.change({ operation });
      }
      this.change({ following: false });
    } catch (error) {
      if (!signal.aborted) this.change({ error, following: false });
    }
  }

  private added(run: number, chunk: Chunk): readonly Chunk[] {
    if (this.outputLimit === 0) return this.state.output;
    const former = run === this.run ? this.state.output : [];
    this.run = run;
    return [...former, chunk].slice(-this.outputLimit);
  }

  private change(news: Partial<OperationState<T, Chunk>>): void {
    this.state = { ...this.state, ...news };
    for (const listener of this.listeners) listener();
  }
}
