// The user's orders: open ones as they move, ended ones in pages, and what cancels them.

import { element, setText } from "../elements.js";
import { cents, time, whole } from "../format.js";
import { get } from "../http.js";
import { choice } from "./choice.js";
import { keyedList, onceAFrame, tableHead } from "./lists.js";
import { isOpen } from "./order_book.js";
import { pages } from "./reading.js";
import { averageCents, limitWord, orderWords, statusWord } from "./words.js";

const ENDED_PAGE = 20;
/** Rows of open orders that are on the page until more are asked for. */
const ROWS_MAX = 50;
const READ_PAUSE_MS = 1000;

/** Show `account`'s orders in `section`; `showOrder(id)` tells more of one. */
export function mountOrders(section, app, account, showOrder) {
  const title = section.querySelector("h2");
  title.tabIndex = -1;
  let shown = "open";
  let rowsMax = ROWS_MAX;
  let endedPage = [];

  const said = element("p", { class: "said", role: "status" });
  const empty = element("p", { class: "empty" });
  const body = element("tbody");
  const rows = keyedList(body, (order) => orderRow(order, app, account, showOrder), title);
  const more = element("button", { type: "button", class: "quiet-button", click: () => ((rowsMax += ROWS_MAX), show()) });
  const which = choice("Which orders", { open: "Open", ended: "Ended" }, shown, (next) => {
    shown = next;
    if (shown === "ended") ended.hurry();
    show();
  });
  const ended = pages("ended orders", READ_PAUSE_MS, (cursor) => get(`/orders?status=closed&limit=${ENDED_PAGE}${cursor}`), (items) => {
    endedPage = items;
    show();
  });

  section.append(
    element("div", { class: "panel-tools" }, which, cancelAllButton(account, tell)),
    said,
    element(
      "table",
      { class: "orders" },
      element("caption", { class: "unseen" }, "Orders, the last placed first"),
      tableHead(HEADINGS),
      body,
    ),
    empty,
    more,
    ended.element,
  );

  function tell(text) {
    setText(said, text);
  }

  function show() {
    const isEnded = shown === "ended";
    const all = isEnded ? endedPage.map((order) => account.book.newest(order)) : account.current();
    rows(all.slice(0, isEnded ? ENDED_PAGE : rowsMax));
    setText(empty, all.length ? "" : isEnded ? "No order has ended yet." : "No open orders.");
    more.hidden = isEnded || all.length <= rowsMax;
    setText(more, `Show more of ${whole(all.length)}`);
    ended.element.classList.toggle("unshown", !isEnded);
    setText(which.labels.open, `Open ${account.book.openCount || ""}`.trim());
  }

  account.addEventListener("orders", onceAFrame(show));
  account.addEventListener("renewed", () => shown === "ended" && ended.ask());
  account.addEventListener("told", ({ detail }) => shown === "ended" && !isOpen(detail.order) && ended.ask());
  account.addEventListener("stopped", () => (ended.forget(), tell("")));
  show();
}

const HEADINGS = [
  ["Placed", ""],
  ["Order", ""],
  ["Filled", "number"],
  ["Limit", "number"],
  ["Average", "number"],
  ["Status", ""],
  ["Acts", "unseen"],
];

/** One line of the table. */
function orderRow(order, app, account, showOrder) {
  let current = order;
  const filled = element("span");
  const bar = element("progress", { max: String(order.numShares), "aria-hidden": "true" });
  const average = element("td", { class: "number", "data-label": "Average" });
  const status = element("span", { class: "status" });
  const answer = element("span", { class: "answer" });
  const cancel = element("button", { type: "button", class: "quiet-button", "data-act": "cancel", "aria-label": `Cancel ${orderWords(order)}` }, "Cancel");
  cancel.addEventListener("click", async () => {
    if (cancel.getAttribute("aria-disabled") === "true") return;
    cancel.setAttribute("aria-disabled", "true");
    setText(answer, "Asking…");
    const text = await account.cancel(order.id);
    setText(answer, text);
    cancel.removeAttribute("aria-disabled");
    app.announce(`${orderWords(order)}: ${text}`);
  });
  const detail = element("button", { type: "button", class: "quiet-button", "data-act": "detail", "aria-label": `Details of ${orderWords(order)}`, click: () => showOrder(order.id) }, "Details");
  const row = element(
    "tr",
    { "data-order": order.id },
    element("td", { class: "placed" }, time(order.createdAt)),
    element(
      "td",
      { class: "what" },
      element("span", { class: `side ${order.position}` }, order.position),
      " ",
      element("button", { type: "button", class: "link", "data-act": "symbol", click: () => app.select(order.symbol) }, order.symbol),
    ),
    element("td", { class: "number filled", "data-label": "Filled" }, filled, bar),
    element("td", { class: "number", "data-label": "Limit" }, limitWord(order)),
    average,
    element("td", { class: "standing" }, status, answer),
    element("td", { class: "acts" }, detail, cancel),
  );

  function update(next) {
    if (next.filledShares !== current.filledShares) flash(row);
    current = next;
    setText(filled, `${whole(next.filledShares)} / ${whole(next.numShares)}`);
    bar.value = next.filledShares;
    setText(average, cents(averageCents(next)));
    setText(status, statusWord(next.status));
    status.dataset.status = next.status;
    status.title = next.reason ?? "";
    if (!isOpen(next) && document.activeElement === cancel) detail.focus();
    cancel.hidden = !isOpen(next);
    row.classList.toggle("over", !isOpen(next));
  }
  return { element: row, update };
}

/** Cancels everything at the second press; the first asks. */
function cancelAllButton(account, tell) {
  const ask = element("button", { type: "button", class: "quiet-button" }, "Cancel all");
  const yes = element("button", { type: "button", class: "danger-button" });
  const no = element("button", { type: "button", class: "quiet-button" }, "Keep them");
  const sure = element("span", { class: "sure", hidden: true }, yes, no);
  const asking = (isAsking) => {
    ask.hidden = isAsking;
    sure.hidden = !isAsking;
    (isAsking ? no : ask).focus();
  };
  ask.addEventListener("click", () => {
    setText(yes, `Cancel ${whole(account.book.openCount)}`);
    asking(true);
  });
  no.addEventListener("click", () => asking(false));
  sure.addEventListener("keydown", (event) => event.key === "Escape" && asking(false));
  yes.addEventListener("click", async () => {
    asking(false);
    ask.disabled = true;
    tell("Cancelling everything…");
    tell(await account.cancelAll());
    enable();
  });
  const enable = () => (ask.disabled = account.book.openCount === 0);
  account.addEventListener("orders", enable);
  enable();
  return element("span", { class: "cancel-all" }, ask, sure);
}

/** Mark a row for a moment. */
function flash(row) {
  row.classList.remove("moved");
  requestAnimationFrame(() => row.classList.add("moved"));
}
