// Whether what is on the screen is the market, and the account as it is, said honestly.

import { setText } from "./elements.js";
import { time } from "./format.js";
import * as prices from "./prices.js";

const SAID = {
  off: () => "",
  connecting: () => "Connecting",
  live: () => "Live",
  stale: (since) => `Stale: the exchange is silent since ${since}`,
  unsure: (since, part) => `Stale: the server cannot read ${part} since ${since}`,
  reconnecting: (since, part) => `${navigator.onLine ? "Reconnecting" : "Offline"}: ${part} are of ${since}`,
  refused: (since, part) => `No ${part}: the server refused`,
};

/** Keep `target` saying how prices and orders come: of what is not live, prices first. */
export function showConnection(target) {
  const parts = new Map(["prices", "orders"].map((part) => [part, { state: "off", since: "" }]));

  const show = () => {
    const [name, { state, since }] = [...parts].find(([, { state }]) => state !== "live") ?? ["prices", parts.get("prices")];
    target.dataset.state = state;
    setText(target, SAID[state](since, name));
  };
  const become = (name, state) => {
    const part = parts.get(name);
    // The moment it began to be untrue stays on the screen: it is how old this is.
    if (part.state === "live" || part.state === "off") part.since = time(Date.now());
    part.state = state;
    show();
  };

  document.addEventListener("prices-state", () => {
    document.documentElement.dataset.prices = prices.connection();
    become("prices", prices.connection());
  });
  document.addEventListener("orders-state", ({ detail }) => become("orders", detail));
  addEventListener("online", show);
  addEventListener("offline", show);
  show();
}
