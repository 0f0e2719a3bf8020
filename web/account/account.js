// What the page knows of the account's orders, and how it keeps hearing of them.

import { get } from "../http.js";
import { cancelAll, cancelOrder } from "./cancelling.js";
import { OPEN_MAX, OrderBook, isOpen } from "./order_book.js";
import { followOrders } from "./order_stream.js";

const PAGE_MAX = 200;
/** So long an order that has just changed for the last time stays where it was looked at. */
const LINGER_MS = 5000;

/**
 * Events: `orders` (some order is another one now), `told` (`detail` is the order event), `renewed`
 * (everything was read anew), `stopped` (nobody is signed in any more). The document's event `orders-state` tells `connection`.
 */
export class Account extends EventTarget {
  book = new OrderBook();
  /** "off", or as `followOrders` tells it. */
  connection = "off";
  #ended = new Map();
  #end = null;
  /** Another one for each user: an answer that was asked for in another is of somebody else. */
  #life = {};

  /** Follow the orders of whoever is signed in. */
  start() {
    this.stop();
    this.#end = followOrders({
      read: () => this.#read(),
      tell: (event) => {
        this.merge(event.order);
        this.dispatchEvent(new CustomEvent("told", { detail: event }));
      },
      state: (state) => this.#become(state),
    });
  }

  /** Forget everything. */
  stop() {
    this.#end?.();
    this.#end = null;
    this.#life = {};
    this.#forget();
    this.#become("off");
    this.dispatchEvent(new Event("orders"));
    this.dispatchEvent(new Event("stopped"));
  }

  /** Take in an order that somebody told; an older version of it changes nothing. */
  merge(order) {
    if (!this.book.merge(order)) return;
    if (!isOpen(order)) this.#linger(order.id);
    this.dispatchEvent(new Event("orders"));
  }

  /** Cancel one order; what the server answered, in words. Raises nothing. */
  async cancel(id) {
    const life = this.#life;
    return this.#answered(await cancelOrder(id), life);
  }

  /** The same for everything that is open. */
  async cancelAll() {
    const life = this.#life;
    return this.#answered(await cancelAll(), life);
  }

  /** Open orders and those that have just ended, newest first. */
  current() {
    return this.book.newestFirst((order) => isOpen(order) || this.#ended.has(order.id));
  }

  #answered({ orders, text }, life) {
    if (life === this.#life) orders.forEach((order) => this.merge(order));
    return text;
  }

  async #read() {
    const life = this.#life;
    const orders = [];
    let asOfSeq = null;
    let cursor = "";
    do {
      const page = await get(`/orders?status=open&limit=${PAGE_MAX}${cursor}`);
      // What happened while pages were turned is told by the stream, which begins with the first.
      asOfSeq ??= page.asOfSeq;
      orders.push(...page.items);
      cursor = page.nextCursor && `&cursor=${encodeURIComponent(page.nextCursor)}`;
    } while (cursor && orders.length < OPEN_MAX);
    if (life !== this.#life) return asOfSeq;
    this.#forget();
    // Oldest first: those are what the book forgets first.
    for (const order of orders.reverse()) this.book.merge(order);
    this.dispatchEvent(new Event("orders"));
    this.dispatchEvent(new Event("renewed"));
    return asOfSeq;
  }

  #forget() {
    this.book.clear();
    for (const timer of this.#ended.values()) clearTimeout(timer);
    this.#ended.clear();
  }

  #linger(id) {
    clearTimeout(this.#ended.get(id));
    const leave = () => {
      this.#ended.delete(id);
      this.dispatchEvent(new Event("orders"));
    };
    this.#ended.set(id, setTimeout(leave, LINGER_MS));
  }

  #become(state) {
    if (this.connection === state) return;
    this.connection = state;
    document.dispatchEvent(new CustomEvent("orders-state", { detail: state }));
  }
}
