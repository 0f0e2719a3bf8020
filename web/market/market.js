// The market's half of the page: what is watched, its chart, and the ticket.

import { cents } from "../format.js";
import { mountChart } from "./chart.js";
import * as symbols from "./symbols.js";
import { mountTicket } from "./ticket.js";
import { mountWatchList } from "./watch_list.js";

const AGAIN_MS = 2000;

/** Put every part of it on the page; they fill once somebody is signed in. */
export function mountMarket(app) {
  const { session, prices } = app;
  const watchList = mountWatchList(document.getElementById("watch-list"), app);
  mountChart(document.getElementById("chart"), app);
  mountTicket(document.getElementById("ticket"), app);

  document.addEventListener("symbol-selected", ({ detail: symbol }) => {
    prices.need("selected", [symbol]);
    // The one moment at which a price is read aloud; a stream of them would drown everything else.
    app.announce(`${symbol}, ${symbols.nameOf(symbol)}, ${cents(prices.ticks.get(symbol)?.priceInCents)}`);
  });
  document.addEventListener("session-changed", async ({ detail: { user } }) => {
    if (!user) return;
    while (session.user() === user) {
      try {
        await symbols.load();
        return watchList.open(user);
      } catch (problem) {
        watchList.say(`${problem.title}: ${problem.detail} Trying again.`);
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  });
}
