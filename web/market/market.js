// The market's half of the page: what is watched, its chart, and the ticket.

/** Put every part of it on the page. */
export function mountMarket({ http, prices }) {
  document.addEventListener("session-changed", async ({ detail: { user } }) => {
    if (!user) return;
    const { items } = await http.get("/symbols");
    const busiest = items.toSorted((one, other) => other.volume - one.volume).slice(0, 8);
    prices.need("watch-list", busiest.map(({ symbol }) => symbol));
  });
}
