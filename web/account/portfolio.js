// Cash, what open orders hold of it, and positions, worth what the newest prices say.

import { element, setText } from "../elements.js";
import { UNKNOWN, cents, signedCents, percent, time, whole } from "../format.js";
import { get } from "../http.js";
import { need, subscribe, ticks } from "../prices.js";
import { choice } from "./choice.js";
import { keyedList, onceAFrame, tableHead } from "./lists.js";
import { reader } from "./reading.js";
import { drawValue } from "./value_chart.js";

const READ_PAUSE_MS = 1000;
const HISTORY_PAUSE_MS = 5000;
/** The chart's points move on at most so often without anything happening. */
const HISTORY_MS = 60_000;
const POSITIONS_MAX = 200;
const WINDOWS = { "1d": "1D", "1w": "1W", "1m": "1M", "1y": "1Y", all: "All" };
const SPOKEN = { "1d": "in a day", "1w": "in a week", "1m": "in a month", "1y": "in a year", all: "since the opening" };

/** Show the portfolio of `account`'s user in `section`. */
export function mountPortfolio(section, app, account) {
  const title = section.querySelector("h2");
  title.tabIndex = -1;
  let portfolio = null;
  let history = null;
  let shownWindow = "1d";

  const total = element("p", { class: "total" });
  const change = element("p", { class: "change" });
  const chart = element("div", { class: "value-chart", role: "img", "aria-label": "Value over time" });
  const windows = choice("How far back", WINDOWS, shownWindow, (next) => {
    shownWindow = next;
    worth.hurry();
  });
  const [cash, held, power] = [element("dd"), element("dd"), element("dd")];
  const standing = element("p", { class: "note warn", hidden: true });
  const body = element("tbody");
  const rows = keyedList(body, (position) => positionRow(position, app), title);
  const others = element("p", { class: "empty" });
  const draw = drawValue(chart);

  const holdings = reader(
    READ_PAUSE_MS,
    () => get("/portfolio"),
    (answer) => {
      portfolio = answer;
      need("portfolio", portfolio.positions.map((position) => position.symbol));
      show();
    },
  );
  const worth = reader(
    HISTORY_PAUSE_MS,
    () => get(`/portfolio/history?window=${shownWindow}`),
    (answer) => {
      // Another one may have been chosen meanwhile.
      if (answer.window !== shownWindow) return;
      history = answer;
      draw.points(history.points);
      show();
    },
  );

  section.append(
    holdings.said,
    worth.said,
    standing,
    total,
    change,
    chart,
    windows,
    element("dl", { class: "terms" }, ...fact("Buying power", power), ...fact("Cash", cash), ...fact("Held for orders", held)),
    element(
      "table",
      { class: "positions" },
      element("caption", { class: "unseen" }, "Positions"),
      tableHead(HEADINGS),
      body,
    ),
    others,
  );

  function show() {
    if (portfolio === null) return;
    const { positions } = portfolio;
    const values = positions.map((position) => valued(position));
    const known = values.every((position) => position.valueInCents !== null);
    const totalInCents = known ? values.reduce((sum, position) => sum + position.valueInCents, portfolio.cashInCents) : null;
    setText(total, cents(totalInCents));
    setText(cash, cents(portfolio.cashInCents));
    setText(held, cents(portfolio.heldCashInCents));
    setText(power, cents(portfolio.buyingPowerInCents));
    standing.hidden = portfolio.state === "active";
    setText(standing, portfolio.state === "frozen" ? "This account is frozen: open orders can be cancelled." : "This account may only sell.");
    rows(values.slice(0, POSITIONS_MAX));
    setText(others, positions.length === 0 ? "No positions." : positions.length > POSITIONS_MAX ? `and ${whole(positions.length - POSITIONS_MAX)} more` : "");
    if (history !== null) showChange(totalInCents);
  }

  /** What the account earned in the window, the live prices included. */
  function showChange(totalInCents) {
    const last = history.points.at(-1);
    if (totalInCents !== null) draw.last(totalInCents);
    const since = totalInCents === null || last.valueInCents === null ? 0 : totalInCents - last.valueInCents;
    const profit = history.windowProfitInCents === null ? null : history.windowProfitInCents + since;
    const ratio = history.baseValueInCents ? profit / history.baseValueInCents : NaN;
    const words = profit === null ? UNKNOWN : `${signedCents(profit)} (${percent(ratio)})`;
    setText(change, `${words} ${SPOKEN[history.window]}`);
    change.classList.toggle("up", profit > 0);
    change.classList.toggle("down", profit < 0);
    chart.setAttribute("aria-label", `Value over time: ${cents(history.baseValueInCents)} at ${time(history.points[0].at)}, ${cents(totalInCents)} now.`);
  }

  const showSoon = onceAFrame(show);
  subscribe(showSoon);
  document.addEventListener("theme-changed", draw.dress);
  for (const happened of ["renewed", "told"]) {
    account.addEventListener(happened, () => {
      holdings.ask();
      worth.ask();
    });
  }
  account.addEventListener("stopped", () => {
    holdings.forget();
    worth.forget();
    portfolio = history = null;
    rows([]);
    draw.points([]);
    for (const text of [total, change, cash, held, power]) setText(text, "");
  });
  setInterval(() => account.connection === "live" && !document.hidden && worth.ask(), HISTORY_MS);
}

const HEADINGS = [
  ["Symbol", ""],
  ["Shares", "number"],
  ["Price", "number"],
  ["Value", "number"],
];

const fact = (name, value) => [element("div", {}, element("dt", {}, name), value)];

/** A position at the newest price that was heard, with an id for the list. */
function valued(position) {
  const priceInCents = ticks.get(position.symbol)?.priceInCents ?? position.priceInCents;
  return { ...position, id: position.symbol, priceInCents, valueInCents: priceInCents === null ? null : position.shares * priceInCents };
}

function positionRow(position, app) {
  const [price, value] = [1, 2].map(() => element("td", { class: "number" }));
  const [shares, held] = [element("span"), element("span", { class: "held" })];
  const row = element(
    "tr",
    { "data-position": position.symbol },
    element("td", {}, element("button", { type: "button", class: "link", "data-act": "symbol", click: () => app.select(position.symbol) }, position.symbol)),
    element("td", { class: "number" }, shares, held),
    price,
    value,
  );

  function update(next) {
    setText(shares, whole(next.shares));
    setText(held, next.heldShares ? `${whole(next.heldShares)} held` : "");
    setText(price, cents(next.priceInCents));
    setText(value, cents(next.valueInCents));
  }
  return { element: row, update };
}
