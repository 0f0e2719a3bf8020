// The symbols somebody watches, each with its price and the range of its day.

import { element, setText } from "../elements.js";
import { cents, percent, whole } from "../format.js";
import * as symbols from "./symbols.js";

const AT_FIRST = 9;
const FLASH_MS = 600;

/** Put it into `section`; `open(user)` fills it, `say(text)` tells what keeps it from that. */
export function mountWatchList(section, app) {
  let user = null;
  let selected = null;
  const rows = new Map();

  const said = element("p", { class: "problem", id: "watch-said", role: "alert" });
  const options = element("datalist", { id: "symbols" });
  const field = element("input", {
    id: "add-symbol", list: "symbols", autocomplete: "off", autocapitalize: "characters", spellcheck: "false",
    placeholder: "Symbol or name", "aria-describedby": "watch-said",
  });
  const form = element(
    "form",
    { novalidate: true, submit: add },
    element("label", { for: "add-symbol", class: "unseen" }, "Add a symbol"),
    element("div", { class: "joined" }, field, element("button", { type: "submit" }, "Add")),
    options,
  );
  const body = element("tbody", { keydown: steer });
  const table = element(
    "table",
    { "aria-labelledby": "watch-list-title" },
    element(
      "thead",
      { class: "unseen" },
      element("tr", {}, ...["Symbol", "Range of the day", "Price", "Remove"].map((title) => element("th", { scope: "col" }, title))),
    ),
    body,
  );
  section.append(form, said, table);

  app.prices.subscribe((changed) => {
    for (const tick of changed) rows.get(tick.symbol)?.show(tick);
  });
  document.addEventListener("symbol-selected", ({ detail: symbol }) => {
    selected = symbol;
    mark();
  });

  function open(name) {
    user = name;
    setText(said, "");
    options.replaceChildren(...symbols.all().map(({ symbol, name: title }) => element("option", { value: symbol }, title)));
    const kept = (JSON.parse(localStorage.getItem(keptAt())) ?? []).filter(symbols.has);
    fill(kept.length ? kept : symbols.busiest(AT_FIRST));
    app.select([...rows.keys()][0]);
  }

  const keptAt = () => `sherwood.watch.${user}`;

  function fill(list) {
    for (const [symbol, row] of rows) {
      if (list.includes(symbol)) continue;
      row.line.remove();
      rows.delete(symbol);
    }
    for (const symbol of list) {
      if (rows.has(symbol)) continue;
      const row = makeRow(symbol, { select: () => app.select(symbol), remove: () => remove(symbol) });
      rows.set(symbol, row);
      body.append(row.line);
      const tick = app.prices.ticks.get(symbol);
      if (tick) row.show(tick);
    }
    app.prices.need("watch-list", list);
    mark();
  }

  function keep(list) {
    localStorage.setItem(keptAt(), JSON.stringify(list));
    fill(list);
  }

  function add(event) {
    event.preventDefault();
    const symbol = symbols.find(field.value);
    field.setAttribute("aria-invalid", String(!symbol));
    setText(said, symbol ? "" : `Nothing called “${field.value.trim()}” is traded here.`);
    if (!symbol) return;
    field.value = "";
    keep([...new Set([...rows.keys(), symbol])]);
    app.select(symbol);
    app.announce(`${symbol} is on the watch list`);
  }

  function remove(symbol) {
    const list = [...rows.keys()];
    if (list.length === 1) return setText(said, "The last one stays: add another first.");
    const next = list[list.indexOf(symbol) + 1] ?? list.at(-2);
    keep(list.filter((one) => one !== symbol));
    if (symbol === selected) app.select(next);
    rows.get(next).button.focus();
    app.announce(`${symbol} is off the watch list`);
  }

  /** One row is in the order of Tab, the chosen one; arrows go to the others. */
  function mark() {
    const current = rows.has(selected) ? selected : [...rows.keys()][0];
    for (const [symbol, row] of rows) row.mark(symbol === selected, symbol === current);
  }

  function steer(event) {
    const lines = [...rows.values()];
    const at = lines.findIndex(({ line }) => line.contains(event.target));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: lines.length - 1 }[event.key];
    if (event.key === "Delete") lines[at].remove();
    else if (to === undefined) return;
    else lines[Math.max(0, Math.min(to, lines.length - 1))].button.focus();
    event.preventDefault();
  }

  return { open, say: (text) => setText(said, text) };
}

function makeRow(symbol, { select, remove }) {
  const button = element(
    "button",
    { type: "button", class: "symbol", click: select },
    element("b", {}, symbol),
    element("span", { class: "quiet" }, symbols.nameOf(symbol)),
  );
  const dot = element("i");
  const range = element("div", { class: "range", role: "img" }, dot);
  const price = element("b");
  const change = element("span");
  const figures = element("td", { class: "number figures" }, price, change);
  const removing = element(
    "button",
    { type: "button", class: "quiet-button", click: remove, "aria-label": `Remove ${symbol} from the watch list` },
    "×",
  );
  const line = element(
    "tr",
    {},
    element("th", { scope: "row" }, button),
    element("td", { class: "range-cell" }, range),
    figures,
    element("td", { class: "removing" }, removing),
  );
  let before = null;
  let flash = null;

  function show(tick) {
    const { priceInCents: now, openInCents: first, highInCents: high, lowInCents: low } = tick;
    if (now === null) return;
    setText(price, cents(now));
    setText(change, `${now < first ? "▼" : "▲"} ${percent(now / first - 1)}`);
    change.className = now < first ? "down" : "up";
    dot.style.insetInlineStart = `${high > low ? (100 * (now - low)) / (high - low) : 50}%`;
    range.setAttribute("aria-label", `${cents(low)} to ${cents(high)}, ${whole(tick.volume)} shares`);
    if (before !== null && now !== before && flash?.playState !== "running") {
      const colour = `var(--${now < before ? "down" : "up"}-wash)`;
      flash = figures.animate({ backgroundColor: [colour, "transparent"] }, FLASH_MS);
    }
    before = now;
  }

  function mark(isSelected, isCurrent) {
    line.classList.toggle("selected", isSelected);
    if (isSelected) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
    for (const one of [button, removing]) one.tabIndex = isCurrent ? 0 : -1;
  }

  return { line, button, show, mark, remove };
}
