// The chart: history from the server, which the live price continues. Drawn by TradingView's
// lightweight-charts, which the API serves from its installed package.

import { coloursOf } from "../colours.js";
import { element, setText } from "../elements.js";
import { UNKNOWN, cents, compact, percent, signedCents } from "../format.js";
import { INTERVALS, continued, load } from "./bars.js";
import * as symbols from "./symbols.js";

const { createChart, CrosshairMode, TickMarkType } = LightweightCharts;

const ANEW_MS = 60_000;
const AGAIN_MS = 3000;
const ROWS = 20;
const KEPT = "sherwood.interval";

/** Put it into `section`; it follows the chosen symbol. */
export function mountChart(section, app) {
  let symbol = null;
  let interval = INTERVALS[localStorage.getItem(KEPT)] ? localStorage.getItem(KEPT) : "1s";
  let bars = [];
  let tick = null;
  let asked = 0;

  const heading = section.querySelector("h2");
  const name = element("span", { class: "quiet" });
  const price = element("b", { class: "big" });
  const change = element("span");
  const facts = element("dl", { class: "facts" });
  const buttons = Object.entries(INTERVALS).map(([value, { said }]) =>
    element("button", { type: "button", "aria-label": `Bars of ${said}`, click: () => choose(value), value }, value),
  );
  const canvas = element("div", { class: "canvas", role: "img" });
  const legend = element("p", { class: "legend", "aria-hidden": "true" });
  const notice = element("p", { class: "notice", role: "status" });
  const rows = element("tbody");
  const table = element("details", { toggle: fillTable }, element("summary", {}, "The newest bars as a table"), tableOf(rows));
  section.replaceChildren(
    element("div", { class: "panel-head" }, element("div", { class: "quote" }, heading, name), element("div", { class: "choices", role: "group", "aria-label": "Interval" }, ...buttons)),
    element("div", { class: "quote" }, price, change),
    facts,
    element("div", { class: "plot" }, canvas, legend, notice),
    table,
    element("p", { class: "credit" }, "Chart by ", element("a", { href: "https://www.tradingview.com/", rel: "noreferrer" }, "TradingView Lightweight Charts")),
  );

  const chart = createChart(canvas, { autoSize: true });
  const candles = chart.addCandlestickSeries({ priceLineVisible: true });
  const volumes = chart.addHistogramSeries({ priceFormat: { type: "volume" }, priceScaleId: "volume", lastValueVisible: false, priceLineVisible: false });
  chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
  candles.priceScale().applyOptions({ scaleMargins: { top: 0.12, bottom: 0.24 } });
  chart.subscribeCrosshairMove(({ time }) => showLegend(bars.find((bar) => bar.time === time)));
  paint();
  showInterval();

  document.addEventListener("theme-changed", paint);
  document.addEventListener("symbol-selected", ({ detail }) => {
    if (detail === symbol) return;
    symbol = detail;
    begin();
  });
  document.addEventListener("session-changed", ({ detail: { user } }) => user || (symbol = null));
  let wasLive = false;
  document.addEventListener("prices-state", () => {
    const isLive = app.prices.connection() === "live";
    if (isLive && !wasLive) refresh();
    wasLive = isLive;
  });
  // Ticks leave prices out where many come at once; the server's bars have every trade.
  setInterval(() => document.hidden || refresh(), ANEW_MS);
  app.prices.subscribe((changed) => changed.forEach((one) => one.symbol === symbol && follow(one)));

  function choose(value) {
    interval = value;
    localStorage.setItem(KEPT, value);
    showInterval();
    begin();
  }

  function begin() {
    bars = [];
    tick = app.prices.ticks.get(symbol) ?? null;
    draw();
    showQuote();
    setText(notice, "Loading");
    refresh(true);
  }

  /** Read the bars; `afresh` also shows the newest of them. */
  async function refresh(afresh = false) {
    if (!symbol) return;
    const question = (asked += 1);
    try {
      const read = await load(symbol, interval);
      if (question !== asked) return;
      // What ticks told of a bar that the server does not have yet.
      bars = [...read, ...bars.filter(({ time }) => time > (read.at(-1)?.time ?? 0))];
      setText(notice, bars.length ? "" : "Nothing was traded yet");
      draw();
      if (afresh || !bars.length) look();
    } catch (problem) {
      if (question !== asked) return;
      setText(notice, `${problem.title}. Trying again.`);
      setTimeout(() => question === asked && refresh(afresh), AGAIN_MS);
    }
  }

  function follow(next) {
    const traded = Math.max(0, next.volume - (tick?.volume ?? next.volume));
    tick = next;
    showQuote();
    if (next.priceInCents === null || notice.textContent === "Loading") return;
    const bar = continued(bars.at(-1), next, interval, traded);
    if (!bar) return;
    if (bar.time === bars.at(-1)?.time) bars.pop();
    bars.push(bar);
    setText(notice, "");
    candles.update(bar);
    volumes.update(volumeOf(bar));
    section.dataset.bar = `${bar.time} ${bar.close.toFixed(2)}`;
    fillTable();
  }

  function draw() {
    candles.setData(bars);
    volumes.setData(bars.map(volumeOf));
    section.dataset.bars = bars.length;
    canvas.setAttribute("aria-label", bars.length ? described() : `${symbol}: no bars yet`);
    fillTable();
  }

  function described() {
    const [low, high] = [Math.min(...bars.map((bar) => bar.low)), Math.max(...bars.map((bar) => bar.high))];
    return `${symbol}, ${bars.length} bars of ${INTERVALS[interval].said}, from ${low.toFixed(2)} to ${high.toFixed(2)}, last ${bars.at(-1).close.toFixed(2)}`;
  }

  function look() {
    const shown = Math.max(40, Math.min(bars.length, canvas.clientWidth / 8));
    chart.timeScale().setVisibleLogicalRange({ from: bars.length - shown, to: bars.length + 3 });
  }

  function showQuote() {
    setText(heading, symbol ?? "Chart");
    setText(name, symbols.nameOf(symbol));
    const [now, first] = [tick?.priceInCents, tick?.openInCents];
    setText(price, cents(now));
    setText(change, now ? `${signedCents(now - first)} (${percent(now / first - 1)})` : "");
    change.className = now < first ? "down" : "up";
    const shown = { Open: cents(first), High: cents(tick?.highInCents), Low: cents(tick?.lowInCents), Volume: compact(tick?.volume) };
    if (!facts.children.length) facts.append(...Object.keys(shown).map((title) => element("div", {}, element("dt", {}, title), element("dd"))));
    Object.values(shown).forEach((text, index) => setText(facts.children[index].lastChild, text));
  }

  function showLegend(bar) {
    const dollars = (value) => value.toFixed(2);
    setText(legend, bar ? `O ${dollars(bar.open)}  H ${dollars(bar.high)}  L ${dollars(bar.low)}  C ${dollars(bar.close)}  V ${compact(bar.volume)}` : "");
  }

  function showInterval() {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.value === interval));
    chart.applyOptions({
      timeScale: { timeVisible: interval !== "1d", secondsVisible: interval === "1s", tickMarkFormatter: (time, kind) => timeText(time, kind) },
      localization: { timeFormatter: (time) => timeText(time, null) },
    });
  }

  /** Where the reader is; a day is one of New York. */
  function timeText(seconds, kind) {
    const options = {
      [TickMarkType.Year]: { year: "numeric" },
      [TickMarkType.Month]: { month: "short" },
      [TickMarkType.DayOfMonth]: { day: "numeric", month: "short" },
      [TickMarkType.Time]: { hour: "2-digit", minute: "2-digit" },
      [TickMarkType.TimeWithSeconds]: { timeStyle: "medium" },
    }[kind] ?? (interval === "1d" ? { dateStyle: "medium" } : { dateStyle: "medium", timeStyle: "medium" });
    return new Date(seconds * 1000).toLocaleString(undefined, { ...options, timeZone: interval === "1d" ? "America/New_York" : undefined });
  }

  function fillTable() {
    if (!table.open) return;
    const newest = bars.slice(-ROWS).reverse();
    rows.replaceChildren(
      ...newest.map((bar) => {
        const cell = (text) => element("td", { class: "number" }, text);
        const figures = [bar.open, bar.high, bar.low, bar.close].map((value) => cell(value?.toFixed(2) ?? UNKNOWN));
        return element("tr", {}, element("th", { scope: "row" }, timeText(bar.time, null)), ...figures, cell(compact(bar.volume)));
      }),
    );
  }

  function paint() {
    const { up, down, line, quiet, surface, "field-line": bar } = coloursOf(section, "up", "down", "line", "quiet", "surface", "field-line");
    chart.applyOptions({
      layout: { background: { color: surface }, textColor: quiet, fontFamily: getComputedStyle(section).fontFamily },
      grid: { vertLines: { color: line }, horzLines: { color: line } },
      crosshair: { mode: CrosshairMode.Normal, vertLine: { labelBackgroundColor: quiet }, horzLine: { labelBackgroundColor: quiet } },
      rightPriceScale: { borderColor: line },
      timeScale: { borderColor: line },
    });
    candles.applyOptions({ upColor: up, wickUpColor: up, borderUpColor: up, downColor: down, wickDownColor: down, borderDownColor: down });
    volumes.applyOptions({ color: bar });
    volumes.setData(bars.map(volumeOf));
  }

  return chart;
}

const volumeOf = ({ time, volume }) => ({ time, value: volume });

function tableOf(rows) {
  const titles = ["Begins", "Open", "High", "Low", "Close", "Volume"];
  const head = titles.map((title, index) => element("th", { scope: "col", class: index ? "number" : null }, title));
  return element("div", { class: "scroll" }, element("table", {}, element("thead", {}, element("tr", {}, ...head)), rows));
}
