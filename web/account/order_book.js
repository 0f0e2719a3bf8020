// The account's orders as last heard, from lists, answers and events alike.
//
// Three sources tell of one order and may arrive in any order; each carries the order's `version`,
// so the newest version wins, whoever told it.

/** Open orders that are kept; the server has the others. */
export const OPEN_MAX = 1000;
/** Ended orders that are kept, so that an answer from before their end does not open them again. */
const ENDED_MAX = 200;

const OPEN = new Set(["pending", "submitted", "partially_filled", "pending_cancel"]);

/** Whether anything may still happen to the order by itself. */
export const isOpen = (order) => OPEN.has(order.status);

export class OrderBook {
  #open = new Map();
  #ended = new Map();

  /** Take in an order as somebody told it; false if as new a one is known. */
  merge(order) {
    if (this.get(order.id)?.version >= order.version) return false;
    this.#open.delete(order.id);
    this.#ended.delete(order.id);
    (isOpen(order) ? this.#open : this.#ended).set(order.id, order);
    forgetOldest(this.#open, OPEN_MAX);
    forgetOldest(this.#ended, ENDED_MAX);
    return true;
  }

  get(id) {
    return this.#open.get(id) ?? this.#ended.get(id);
  }

  /** The order as it is known best: this one, unless a newer version was heard. */
  newest(order) {
    const known = this.get(order.id);
    return known?.version > order.version ? known : order;
  }

  get openCount() {
    return this.#open.size;
  }

  /** The orders of which `wanted` holds, the last placed first. */
  newestFirst(wanted) {
    return [...this.#open.values(), ...this.#ended.values()].filter(wanted).sort(newerFirst);
  }

  /** Forget everything: what is told next counts, whatever its version. */
  clear() {
    this.#open.clear();
    this.#ended.clear();
  }
}

const newerFirst = (a, b) => (a.createdAt === b.createdAt ? compare(b.id, a.id) : compare(b.createdAt, a.createdAt));
const compare = (a, b) => (a < b ? -1 : 1);

/** A Map remembers in which order its keys came. */
function forgetOldest(kept, max) {
  while (kept.size > max) kept.delete(kept.keys().next().value);
}
