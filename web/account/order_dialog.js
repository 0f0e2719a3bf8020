// One order in full: how it stands, why it has not filled, and what happened to it.

import { element, setText } from "../elements.js";
import { cents, time, whole } from "../format.js";
import { get } from "../http.js";
import { isOpen } from "./order_book.js";
import { reader } from "./reading.js";
import { averageCents, executionWords, filledWords, kindWord, limitWord, orderWords, statusWord } from "./words.js";

const EVENTS_PAGE = 100;
/** Events on the page; more are asked for by the button, up to so many. */
const EVENTS_MAX = 500;
const WHY_MS = 5000;
const READ_PAUSE_MS = 500;

const IN_FORCE = { day: "until the end of the day", gtc: "until cancelled", ioc: "at once or not at all" };
const BY = { you: "you", exchange: "the exchange", sherwood: "Sherwood" };

/** Fill `dialog`; returns what opens it for the order with this id. */
export function orderDialog(dialog, app, account) {
  let opened = null;
  let opener = null;

  dialog.addEventListener("close", () => {
    opened?.end();
    opened = null;
    dialog.replaceChildren();
    // The browser gives the focus back to where it was; that row may be gone by now.
    if (!opener?.isConnected) document.querySelector("#orders h2").focus();
  });
  // A press beside the dialog's box is one on its backdrop.
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  account.addEventListener("told", ({ detail }) => detail.order.id === opened?.id && opened.renew());
  account.addEventListener("orders", () => opened?.show());
  account.addEventListener("renewed", () => opened?.anew());
  account.addEventListener("stopped", () => dialog.close());

  return (id) => {
    opener = document.activeElement;
    opened = oneOrder(id, dialog, app, account);
    dialog.showModal();
  };
}

/** The content of the dialog while it is about this order. */
function oneOrder(id, dialog, app, account) {
  let order;
  let lastVersion = 0;
  let isOver = false;

  const itself = reader(READ_PAUSE_MS, () => get(`/order/${id}`), (answer) => show((order = answer)));
  const reasons = reader(READ_PAUSE_MS, () => get(`/order/${id}/why`), showWhy);
  const history = reader(READ_PAUSE_MS, () => get(`/order/${id}/events?limit=${EVENTS_PAGE}&cursor=${lastVersion}`), showEvents);

  const title = element("h2", { id: "order-detail-title" }, "Order");
  const close = element("button", { type: "button", class: "quiet-button", autofocus: true, click: () => dialog.close() }, "Close");
  const facts = element("dl", { class: "terms" });
  const ids = element("p", { class: "ids" });
  const said = element("p", { class: "answer", role: "status" });
  const explanation = element("p", { class: "explanation" });
  const numbers = element("dl", { class: "terms" });
  const events = element("ol", { class: "timeline" });
  const cut = element("p", { class: "empty" });
  const more = element("button", { type: "button", class: "quiet-button", hidden: true, click: () => history.hurry() }, "Show more");
  const cancel = element("button", { type: "button", class: "danger-button", hidden: true, click: cancelThis }, "Cancel order");

  dialog.replaceChildren(
    element("div", { class: "panel-head" }, title, close),
    facts,
    element("div", { class: "order-acts" }, cancel, said, itself.said),
    element("section", { class: "note", "aria-labelledby": "why-title" }, element("h3", { id: "why-title" }, "Why it stands as it does"), explanation, numbers, reasons.said),
    element("section", { "aria-labelledby": "timeline-title" }, element("h3", { id: "timeline-title" }, "Timeline"), events, more, cut, history.said),
    ids,
  );

  function show() {
    order = order ? account.book.newest(order) : account.book.get(id);
    if (!order) return;
    setText(title, capital(orderWords(order)));
    setFacts(facts, {
      Status: [statusWord(order.status), order.reason?.replaceAll("-", " ")].filter(Boolean).join(": "),
      Filled: `${whole(order.filledShares)} of ${whole(order.numShares)}`,
      Limit: limitWord(order),
      Average: cents(averageCents(order)),
      "In force": IN_FORCE[order.timeInForce],
      Placed: time(order.createdAt),
    });
    setText(ids, `Order ${order.id}${order.externalOrderId ? `, at the exchange ${order.externalOrderId}` : ""}`);
    if (!isOpen(order) && document.activeElement === cancel) close.focus();
    cancel.hidden = !isOpen(order);
  }

  function showWhy(why) {
    setText(explanation, why.explanation);
    setFacts(numbers, {
      "Sent at": cents(why.limitInCents),
      "Last price": cents(why.lastPriceInCents),
      "Best since": cents(why.bestPriceInCents),
      "Still away": cents(why.distanceInCents),
      "Traded at its price": `${whole(why.traded.reachedVolume)} shares`,
    });
  }

  /** Append what happened after what is shown. */
  function showEvents(page) {
    events.append(...page.items.map(timelineItem));
    lastVersion = page.items.at(-1)?.order.version ?? lastVersion;
    const isFull = events.children.length >= EVENTS_MAX;
    more.hidden = page.nextCursor === null || isFull;
    setText(cut, isFull ? `The first ${whole(EVENTS_MAX)} are shown; the API has the others.` : "");
  }

  async function cancelThis() {
    setText(said, "Asking…");
    const text = await account.cancel(id);
    if (isOver) return;
    setText(said, text);
  }

  function renew() {
    reasons.ask();
    if (events.children.length < EVENTS_MAX) history.ask();
  }

  /** What was shown may never have been. */
  function anew() {
    history.forget();
    events.replaceChildren();
    lastVersion = 0;
    itself.ask();
    renew();
  }

  const timer = setInterval(() => order && isOpen(order) && !document.hidden && reasons.ask(), WHY_MS);
  show();
  if (!order) itself.ask();
  renew();

  return {
    id,
    show,
    renew,
    anew,
    end() {
      isOver = true;
      for (const reading of [itself, reasons, history]) reading.forget();
      clearInterval(timer);
    },
  };
}

/** One thing that happened. */
function timelineItem({ kind, at, by, address, order, execution }) {
  const what = execution ? `${kindWord(kind)}: ${executionWords(execution)}` : kindWord(kind);
  const then = [statusWord(order.status), order.filledShares ? filledWords(order) : null, order.reason?.replaceAll("-", " ")];
  return element(
    "li",
    { "data-kind": kind },
    element("span", { class: "at" }, time(at)),
    element("span", { class: "happened" }, what),
    element("span", { class: "quiet" }, `by ${BY[by] ?? by}${address ? ` from ${address}` : ""}; ${then.filter(Boolean).join(", ")}`),
  );
}

/** Show these in a list of terms, whose elements stay. */
function setFacts(list, facts) {
  const names = Object.keys(facts);
  if (list.children.length !== names.length) {
    list.replaceChildren(...names.map((name) => element("div", {}, element("dt", {}, name), element("dd"))));
  }
  Object.values(facts).forEach((text, at) => setText(list.children[at].lastChild, text));
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);
