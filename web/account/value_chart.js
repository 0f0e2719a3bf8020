// What the account was worth, as a line; the last point moves with the prices.

import { coloursOf } from "../colours.js";
import { cents, time } from "../format.js";

const { createChart } = globalThis.LightweightCharts;

/** Draw into `target`: `points(points)` shows a history, `last(cents)` moves its end, `dress()` takes the theme's colours. */
export function drawValue(target) {
  const chart = createChart(target, {
    autoSize: true,
    layout: { background: { color: "transparent" } },
    rightPriceScale: { borderVisible: false },
    timeScale: { borderVisible: false, timeVisible: true, fixLeftEdge: true, fixRightEdge: true },
    grid: { vertLines: { visible: false } },
    handleScroll: false,
    handleScale: false,
    // The library thinks in dollars and in UTC.
    localization: { priceFormatter: (dollars) => cents(Math.round(dollars * 100)), timeFormatter: (seconds) => time(seconds * 1000) },
  });
  const series = chart.addAreaSeries({ lineWidth: 2, priceLineVisible: false, lastValueVisible: false });
  let lastTime = null;

  function points(history) {
    const bySecond = new Map(history.map((point) => [Math.floor(Date.parse(point.at) / 1000), point]));
    // Where a price was not known there is no value, and no line.
    series.setData([...bySecond].map(([time, { valueInCents }]) => (valueInCents === null ? { time } : { time, value: valueInCents / 100 })));
    lastTime = [...bySecond.keys()].at(-1) ?? null;
    chart.timeScale().fitContent();
  }

  function last(valueInCents) {
    if (lastTime !== null) series.update({ time: lastTime, value: valueInCents / 100 });
  }

  function dress() {
    const { quiet, line, accent } = coloursOf(target, "quiet", "line", "accent");
    chart.applyOptions({ layout: { textColor: quiet }, grid: { horzLines: { color: line } } });
    const faded = (alpha) => accent.replace(/rgb\((.*)\)/, `rgba($1, ${alpha})`);
    series.applyOptions({ lineColor: accent, topColor: faded(0.25), bottomColor: faded(0) });
  }

  dress();
  return { points, last, dress };
}
