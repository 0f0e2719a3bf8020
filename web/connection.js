// Whether what is on the screen is the market, said honestly.

import { setText } from "./elements.js";
import { time } from "./format.js";
import * as prices from "./prices.js";

const SAID = {
  off: () => "",
  connecting: () => "Connecting",
  live: () => "Live",
  stale: (since) => `Stale: the exchange is silent since ${since}`,
  reconnecting: (since) => `${navigator.onLine ? "Reconnecting" : "Offline"}: prices are of ${since}`,
  refused: () => "No prices: the server refused",
};

/** Keep `target` saying how prices come. */
export function showConnection(target) {
  let since = "";
  const show = () => {
    const state = prices.connection();
    // The moment it began to be untrue stays on the screen: it is how old the prices are.
    if (state === "live" || !since) since = "";
    if (state !== "live" && !since) since = time(Date.now());
    target.dataset.state = state;
    document.documentElement.dataset.prices = state;
    setText(target, SAID[state](since));
  };
  document.addEventListener("prices-state", show);
  addEventListener("online", show);
  addEventListener("offline", show);
  show();
}
