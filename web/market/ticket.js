// The order ticket: what it would cost, what became of it, and never a second order by accident.

import { OrderBook } from "../account/order_book.js";
import { statusWord } from "../account/words.js";
import { element, setText } from "../elements.js";
import { dollars, parseCents, parseWhole, time, whole } from "../format.js";
import { Attempt } from "./placing.js";
import * as symbols from "./symbols.js";

const TYPING_MS = 200;
const ANEW_MS = 5000;

/** Put the ticket into `section`. */
export function mountTicket(section, app) {
  let symbol = null;
  let attempt = null;
  let placed = null;
  let wasRepeated = false;
  /** What events told: one may come before the answer to its order's placing. */
  const heard = new OrderBook();
  let asked = 0;
  let typing = null;
  /** Somebody typed a limit for this symbol: it is theirs now, also when they cleared it. */
  let isLimitTheirs = false;

  const form = element("form", { novalidate: true, input: changed, submit: place });
  const title = element("p", { class: "ticket-symbol" });
  const side = choices("position", "Side", [["buy", "Buy"], ["sell", "Sell"]]);
  const type = choices("type", "Order type", [["market", "Market"], ["limit", "Limit"]]);
  const shares = textField("shares", "Shares", { inputmode: "numeric", value: "10" });
  const limit = textField("limit", "Limit price in $", { inputmode: "decimal", input: () => (isLimitTheirs = true) });
  const timeInForce = element(
    "select",
    { id: "time-in-force", name: "timeInForce" },
    element("option", { value: "day" }, "Until the end of the day"),
    element("option", { value: "gtc" }, "Until cancelled"),
    element("option", { value: "ioc" }, "At once or not at all"),
  );
  const estimate = element("dl", { class: "figures-list" });
  const warning = element("p", { class: "note warn", role: "status", hidden: true });
  const submit = element("button", { type: "submit", class: "main-button place" });
  const fresh = element("button", { type: "button", click: startAnew, hidden: true }, "New order");
  const outcome = element("div", { class: "note", role: "status", hidden: true });
  form.append(
    title,
    side.group,
    type.group,
    element("div", { class: "pair" }, shares.whole, limit.whole),
    element("div", {}, element("label", { for: "time-in-force" }, "Time in force"), timeInForce),
    estimate,
    warning,
    element("div", { class: "joined" }, submit, fresh),
    outcome,
  );
  section.append(form);
  show();

  document.addEventListener("symbol-selected", ({ detail }) => {
    if (detail === symbol) return;
    symbol = detail;
    limit.input.value = "";
    isLimitTheirs = false;
    changed();
  });
  document.addEventListener("session-changed", () => {
    heard.clear();
    changed();
  });
  document.addEventListener("order-placed", preview);
  document.addEventListener("order-changed", ({ detail: order }) => {
    heard.merge(order);
    if (order.id === placed?.id && order.version > placed.version) tellOrder(order);
    preview();
  });
  app.prices.subscribe((ticks) => {
    if (ticks.some((tick) => tick.symbol === symbol) && offerLimit()) changed();
  });
  setInterval(() => document.hidden || preview(), ANEW_MS);

  /** What the form asks for, as the server takes it; null while a field is no number. */
  function order() {
    const isLimit = type.value() === "limit";
    const body = { position: side.value(), symbol, numShares: parseWhole(shares.input.value), timeInForce: timeInForce.value };
    if (isLimit) body.priceInCents = parseCents(limit.input.value);
    return symbol && body.numShares && (!isLimit || body.priceInCents) ? body : null;
  }

  function changed() {
    attempt = placed = null;
    wasRepeated = false;
    outcome.hidden = fresh.hidden = true;
    show();
    clearTimeout(typing);
    typing = setTimeout(preview, TYPING_MS);
  }

  /** Put the last price where a limit is asked for, once there is one; true if it was put there now. */
  function offerLimit() {
    const priceInCents = app.prices.ticks.get(symbol)?.priceInCents;
    if (type.value() !== "limit" || isLimitTheirs || limit.input.value || !priceInCents) return false;
    limit.input.value = (priceInCents / 100).toFixed(2);
    return true;
  }

  function show() {
    const isLimit = type.value() === "limit";
    offerLimit();
    limit.whole.hidden = !isLimit;
    timeInForce.querySelector("[value=gtc]").disabled = !isLimit;
    if (!isLimit && timeInForce.value === "gtc") timeInForce.value = "day";
    title.replaceChildren(element("b", {}, symbol ?? ""), element("span", { class: "quiet" }, symbols.nameOf(symbol)));
    shares.check(parseWhole, "A whole number above zero.");
    limit.check((text) => !isLimit || parseCents(text), "Dollars and cents, above zero.");
    submit.dataset.side = side.value();
    setText(submit, `${side.value() === "buy" ? "Buy" : "Sell"} ${whole(parseWhole(shares.input.value))} ${symbol ?? ""}`);
  }

  /** Ask the server what placing it would do; the newest question counts. */
  async function preview() {
    const body = order();
    const question = (asked += 1);
    if (!body || !app.session.token()) return estimate.replaceChildren();
    let answer;
    try {
      answer = await app.http.post("/order/preview", body);
    } catch (problem) {
      answer = { problems: [problem] };
    }
    if (question === asked) showEstimate(body, answer);
  }

  function showEstimate({ position }, answer) {
    const [problem] = answer.problems;
    // What became of the order says the same once more.
    warning.hidden = !problem || !outcome.hidden;
    setText(warning, problem ? reasonOf(problem) : "");
    if (answer.estimatedNotionalInCents === undefined) return estimate.replaceChildren();
    const figures =
      position === "buy"
        ? [
            ["Estimated cost", dollars(answer.estimatedNotionalInCents)],
            ["Held until it is done", dollars(answer.requiredCashInCents)],
            ["Buying power", dollars(answer.buyingPowerInCents)],
            ["Buying power after", dollars(answer.buyingPowerAfterInCents)],
          ]
        : [
            ["Estimated proceeds", dollars(answer.estimatedNotionalInCents)],
            ["Shares you can sell", whole(answer.sellableShares)],
            ["Shares left to sell", whole(answer.sellableSharesAfter)],
            ["Buying power", dollars(answer.buyingPowerInCents)],
          ];
    estimate.replaceChildren(...figures.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
  }

  async function place(event) {
    event.preventDefault();
    const body = order();
    if (!body) return form.querySelector("[aria-invalid=true]")?.focus();
    attempt ??= new Attempt(body);
    const mine = attempt;
    const tell = (...said) => mine === attempt && say(...said);
    submit.setAttribute("aria-busy", "true");
    tell("", "On its way. Pressing again sends the same order, never a second one.");
    try {
      const answer = await mine.send((problem) => tell("warn", `${reasonOf(problem)} Sending the same order again.`));
      if (mine === attempt) tellOrder(answer.order, answer.isRepeat);
      app.orderPlaced(answer.order);
    } catch (problem) {
      const next = problem.retryable ? " Pressing again sends the same order." : "";
      tell("bad", ...described(problem.order, problem.isRepeat), element("p", {}, reasonOf(problem) + next));
      if (problem.order) app.orderPlaced(problem.order);
    } finally {
      submit.removeAttribute("aria-busy");
    }
  }

  /** The newest that is known of the order; that it was sent again stays true of it. */
  function tellOrder(order, isRepeat = false) {
    placed = heard.newest(order);
    wasRepeated ||= isRepeat;
    say("good", ...described(placed, wasRepeated));
  }

  function say(kind, ...parts) {
    outcome.className = `note ${kind}`;
    outcome.replaceChildren(...parts);
    outcome.hidden = fresh.hidden = false;
    warning.hidden = true;
  }

  function startAnew() {
    changed();
    shares.input.focus();
  }
}

/** An order as it is now; nothing of none. */
function described(order, isRepeat) {
  if (!order) return [];
  const price = order.priceInCents ? `at ${dollars(order.priceInCents)}` : "at the market";
  const deal = `${order.position === "buy" ? "Buy" : "Sell"} ${whole(order.numShares)} ${order.symbol} ${price}`;
  const lines = [
    element("p", {}, element("b", {}, `${deal}: ${statusWord(order.status)}`)),
    element("p", { class: "quiet" }, `Order ${order.id.slice(0, 8)}, ${time(order.createdAt)}`),
  ];
  if (isRepeat) lines.push(element("p", {}, "This is the same order, not a second one. Change the ticket or press New order for another."));
  return lines;
}

/** The server's own words: what is wrong, and what to do about it. */
const reasonOf = ({ title, detail, advice }) => `${title}: ${detail}${/[.!?]$/.test(detail) ? "" : "."} ${advice ?? ""}`.trim();

/** Radio buttons that look like one switch. */
function choices(name, legend, options) {
  const inputs = options.map(([value, label], index) => {
    const input = element("input", { type: "radio", name, value, checked: index === 0 });
    return element("label", {}, input, label);
  });
  const group = element("fieldset", {}, element("legend", { class: "unseen" }, legend), element("div", { class: "choices" }, ...inputs));
  return { group, value: () => group.querySelector(":checked").value };
}

/** A labelled field that says what is wrong with it. */
function textField(id, label, attributes) {
  const said = element("p", { class: "problem", id: `${id}-said` });
  const input = element("input", { id, autocomplete: "off", "aria-describedby": `${id}-said`, ...attributes });
  const check = (isGood, rule) => {
    const fault = !isGood(input.value);
    input.setAttribute("aria-invalid", String(fault));
    setText(said, fault ? rule : "");
  };
  return { input, check, whole: element("div", {}, element("label", { for: id }, label), input, said) };
}
