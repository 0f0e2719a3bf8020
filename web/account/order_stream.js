// The user's order events, through lost connections: all of them, once, in order.
//
// A list is read with `asOfSeq`, then the log is followed from there, so nothing lies between. A
// stream that was lost is opened again after the last event that was told. A log that leaves
// something out, or is shorter than it was, is not believed: the list is read anew
// (docs/life-of-an-order-event.md).

import { follow } from "../stream.js";

const AGAIN_MS = 1000;
const AGAIN_MAX_MS = 15_000;

/**
 * Follow the log. Returns a function that ends it.
 *
 * `log.read()` reads what there is and answers the last event that it includes; it may raise Problem
 * and is then asked again. `log.tell(event)` gets each event, `{seq, kind, order, execution}`.
 * `log.state(state)` gets "connecting", "live", "unsure" (the server itself cannot tell whether there
 * is more), "reconnecting", or "refused".
 */
export function followOrders(log) {
  const ending = new AbortController();
  let position = 0;
  let endStream = () => {};
  let current;
  ending.signal.addEventListener("abort", () => endStream());

  async function begin() {
    endStream();
    // What the stream that ends here still has in hand is not heard.
    const stream = (current = {});
    for (let failures = 0; !ending.signal.aborted; failures++) {
      try {
        position = await log.read();
        break;
      } catch (problem) {
        log.state(failures ? "reconnecting" : "connecting");
        await pause(failures, problem.retryAfterSeconds);
      }
    }
    if (ending.signal.aborted) return;
    endStream = follow(() => ({ method: "GET", path: `/orders/stream?after=${position}` }), {
      event: (name, data) => stream === current && heard(name, data),
      lost: () => log.state("reconnecting"),
      refused: () => log.state("refused"),
    });
  }

  function heard(name, data) {
    if (name === "hello") log.state("live");
    else if (name === "order") advance(data);
    else if (name === "reset" || data.lastSeq > position) begin();
    else if (name === "heartbeat") log.state(data.lastSeq === null ? "unsure" : "live");
  }

  function advance(event) {
    if (event.seq === position + 1) {
      position = event.seq;
      log.tell(event);
    } else if (event.seq > position) {
      begin();
    }
  }

  log.state("connecting");
  begin();
  return () => ending.abort();
}

/** Longer each time, with jitter, and never shorter than the server asked for. */
function pause(failures, retryAfterSeconds = 0) {
  const longestMs = Math.min(AGAIN_MAX_MS, AGAIN_MS * 2 ** failures);
  const ms = Math.max(retryAfterSeconds * 1000, longestMs * (0.5 + Math.random() / 2));
  return new Promise((resolve) => setTimeout(resolve, ms));
}
