/** Cancelling and retrying many: what is asked before, how far it has come, what came of it. */

import { api, type Action, type Item, type Pairs } from "./api";
import { counted } from "./clock.svelte";
import { fits } from "./filters";

/** The question that comes first: of these, or of all that match and were there until a moment. */
export interface Question {
  action: Action;
  count: number;
  /** Whether there may be more than were counted. */
  capped: boolean;
  until: string | null;
  all: boolean;
  /** Those that are named; empty where all that match are meant. */
  items: Item[];
}

export class Bulk {
  asking = $state.raw<Question>();
  working = $state.raw<{ done: number; refused: number; of: number }>();
  said = $state("");
  problem = $state("");

  askFor(action: Action, chosen: Item[]): void {
    const items = chosen.filter((each) => fits(action, each));
    this.asking = { action, count: items.length, capped: false, until: null, all: false, items };
  }

  async askForAll(action: Action, filters: Pairs): Promise<void> {
    try {
      this.asking = { action, ...(await api.count(action, filters)), all: true, items: [] };
    } catch (error) {
      this.problem = (error as Error).message;
    }
  }

  /** Do what was asked, portion by portion; all of them are one batch of the audit log. */
  async act(filters: Pairs): Promise<void> {
    if (!this.asking) return;
    const { action, all, until, count, items } = this.asking;
    const batch = crypto.randomUUID();
    const ids = items.map(({ id }) => id);
    const result = { done: 0, refused: 0, of: count };
    this.working = { ...result };
    this.problem = "";
    try {
      let after: string | null = null;
      do {
        const answer: Awaited<ReturnType<typeof api.bulk>> = await api.bulk(
          all ? { action, batch, filters, until, after_id: after } : { action, batch, ids },
        );
        result.done += answer.done.length;
        result.refused += Object.keys(answer.refused).length;
        this.working = { ...result };
        after = answer.next;
      } while (after !== null);
      const verb = action === "cancel" ? "cancelled" : "submitted again";
      const refused = result.refused ? `, ${counted(result.refused)} had changed meanwhile` : "";
      this.said = `${counted(result.done)} ${verb}${refused}.`;
    } catch (error) {
      this.problem = `${(error as Error).message} ${counted(result.done)} were done before that.`;
    }
    this.working = undefined;
    this.asking = undefined;
  }
}
