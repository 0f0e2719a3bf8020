// What the orders were executed at, as it stands: a bust or a correction changes the line it is of.

import { element, setText } from "../elements.js";
import { cents, time, whole } from "../format.js";
import { get } from "../http.js";
import { keyedList, tableHead } from "./lists.js";
import { pages } from "./reading.js";

const PAGE = 12;
const READ_PAUSE_MS = 1000;

/** Show `account`'s executions in `section`; `showOrder(id)` tells more of the order of one. */
export function mountExecutions(section, account, showOrder) {
  const title = section.querySelector("h2");
  title.tabIndex = -1;
  const empty = element("p", { class: "empty" });
  const body = element("tbody");
  const rows = keyedList(body, (execution) => executionRow(execution, showOrder), title);
  const list = pages("executions", READ_PAUSE_MS, (cursor) => get(`/executions?limit=${PAGE}${cursor}`), show);

  section.append(
    element(
      "table",
      { class: "executions" },
      element("caption", { class: "unseen" }, "Executions, the newest first"),
      tableHead(HEADINGS),
      body,
    ),
    empty,
    list.element,
  );

  function show(items) {
    rows(items);
    setText(empty, items.length ? "" : "Nothing was executed yet.");
  }

  account.addEventListener("renewed", list.ask);
  account.addEventListener("told", ({ detail }) => detail.execution && list.ask());
  account.addEventListener("stopped", list.forget);
}

const HEADINGS = [
  ["Time", ""],
  ["Order", ""],
  ["Shares", "number"],
  ["Price", "number"],
  ["Amount", "number"],
  ["Better by", "number"],
  ["Acts", "unseen"],
];

/** One line of the table. */
function executionRow(execution, showOrder) {
  const [shares, price, amount, better] = ["Shares", "Price", "Amount", "Better by"].map((label) => element("td", { class: "number", "data-label": label }));
  const standing = element("span", { class: "status" });
  const row = element(
    "tr",
    { "data-execution": execution.id },
    element("td", { class: "placed" }, time(execution.at)),
    element("td", { class: "what" }, element("span", { class: `side ${execution.position}` }, execution.position), " ", execution.symbol),
    shares,
    price,
    amount,
    better,
    element(
      "td",
      { class: "acts" },
      standing,
      element(
        "button",
        { type: "button", class: "quiet-button", "data-act": "detail", "aria-label": `Order of ${execution.position} ${execution.symbol} executed at ${time(execution.at)}`, click: () => showOrder(execution.orderId) },
        "Order",
      ),
    ),
  );

  function update(next) {
    const was = next.was;
    instead(shares, whole(next.shares), was && whole(was.shares));
    instead(price, cents(next.priceInCents), was && cents(was.priceInCents));
    instead(amount, cents(next.notionalInCents), was && cents(was.notionalInCents));
    setText(better, cents(next.priceImprovementInCents));
    setText(standing, next.status === "booked" ? "" : next.status);
    standing.dataset.status = next.status;
  }
  return { element: row, update };
}

/** Show what holds, and before it what was told first, struck out, where that was something else. */
function instead(cell, now, before) {
  cell.replaceChildren(...(before && before !== now ? [element("del", {}, before), " "] : []), now);
}
