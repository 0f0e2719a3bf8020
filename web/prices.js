// The newest tick of every symbol that some part of the page needs, from one stream.

import { patch } from "./http.js";
import { follow } from "./stream.js";

const SYMBOLS_MAX = 200;
const AGAIN_MS = 1000;

/** By symbol: `{symbol, priceInCents, openInCents, highInCents, lowInCents, volume, at, v}`. */
export const ticks = new Map();

const listeners = new Set();
const needs = new Map();
let state = "off";
let streamId = null;
let shown = "";
let end = null;
let changing = false;

/** `listener(changed)` gets each array of new ticks; returns what unsubscribes it. */
export function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The part of the page called `who` needs exactly these symbols from now on. Raises nothing: at most 200 in all are shown. */
export function need(who, symbols) {
  needs.set(who, symbols);
  if (end) change();
  else if (wanted().length) begin();
}

/** "off", "connecting", "live", "stale" (the exchange is silent), "reconnecting", or "refused" (until something else is needed); told by the document's event `prices-state`. */
export const connection = () => state;

/** Forget everything; nobody is signed in any more. */
export function stop() {
  end?.();
  end = streamId = null;
  needs.clear();
  ticks.clear();
  become("off");
}

const wanted = () => [...new Set([...needs.values()].flat())].slice(0, SYMBOLS_MAX);

function begin() {
  become("connecting");
  end = follow(request, { event: heard, lost, refused });
}

function request() {
  const symbols = wanted();
  shown = symbols.join();
  return { method: "POST", path: "/subscribe", body: { symbols } };
}

function heard(name, data) {
  if (name === "hello") {
    streamId = data.streamId;
    become("live");
    change();
  } else if (name === "prices") {
    for (const tick of data) ticks.set(tick.symbol, tick);
    for (const listener of listeners) listener(data);
  } else {
    become(name);
  }
}

function lost() {
  streamId = null;
  become("reconnecting");
}

function refused() {
  streamId = end = null;
  become("refused");
}

/** Tell the server the whole new list, one change at a time, until it shows what is wanted. */
async function change() {
  if (changing) return;
  changing = true;
  while (streamId && wanted().length && wanted().join() !== shown) {
    const [id, symbols] = [streamId, wanted()];
    try {
      await patch(`/subscribe/${id}`, { symbols });
      if (id === streamId) shown = symbols.join();
    } catch (problem) {
      // A stream that is gone, or a list that is refused: opening it anew tells which.
      if (!problem.retryable && id === streamId) restart();
      else await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
  changing = false;
}

function restart() {
  end?.();
  lost();
  begin();
}

function become(next) {
  if (state === next) return;
  state = next;
  document.dispatchEvent(new Event("prices-state"));
}
