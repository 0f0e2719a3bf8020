// Placing an order so that it exists once, however often it is sent.

import { send } from "../http.js";

const ATTEMPTS = 5;
const PAUSE_SECONDS = 0.5;
const PAUSE_SECONDS_MAX = 5;

/** A key for one order. `crypto.randomUUID` is missing where the page came over plain HTTP. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** One order: what is asked for, and the key under which it is the same order for ever. */
export class Attempt {
  #key = newKey();
  #sending = null;
  #sent = 0;

  constructor(body) {
    this.body = body;
  }

  /**
   * Send it, or join the sending that is under way. Resolves to `{order, isRepeat}`, `isRepeat` being
   * true when the server had answered this very order before. Raises Problem, after a few repeats
   * where that may help: the order can then be sent again without ever being a second one.
   * `waiting(problem)` hears why it takes longer.
   */
  send(waiting) {
    this.#sending ??= this.#untilAnswered(waiting).finally(() => (this.#sending = null));
    return this.#sending;
  }

  async #untilAnswered(waiting) {
    for (let attempt = 1; ; attempt += 1) {
      this.#sent += 1;
      try {
        const headers = { "Idempotency-Key": this.#key };
        const answer = await send("POST", "/order", { body: this.body, headers });
        return { order: answer.data, isRepeat: answer.headers.get("Idempotent-Replayed") === "true" };
      } catch (problem) {
        problem.isRepeat = this.#sent > 1;
        const seconds = Math.max(problem.retryAfterSeconds, PAUSE_SECONDS * 2 ** (attempt - 1) * (0.5 + Math.random()));
        if (!problem.retryable || attempt === ATTEMPTS || seconds > PAUSE_SECONDS_MAX) throw problem;
        waiting(problem);
        await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
      }
    }
  }
}
