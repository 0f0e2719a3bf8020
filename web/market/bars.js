// A symbol's bars: those the server keeps, and the newest one as live prices continue it.

import { get } from "../http.js";

const BARS = 500;
const dayInNewYork = new Intl.DateTimeFormat("en-CA", { timeZone: "America/New_York" });

/** By name, as the server calls them: how long, and what people say. */
export const INTERVALS = {
  "1s": { seconds: 1, said: "one second" },
  "1m": { seconds: 60, said: "one minute" },
  "5m": { seconds: 300, said: "five minutes" },
  "15m": { seconds: 900, said: "a quarter of an hour" },
  "1h": { seconds: 3600, said: "one hour" },
  "1d": { seconds: 86_400, said: "one day" },
};

/** The last bars, ascending: `{time, open, high, low, close, volume}`; time in seconds, prices in dollars. Raises Problem. */
export async function load(symbol, interval) {
  const { items } = await get(`/symbol/${encodeURIComponent(symbol)}/bars?interval=${interval}&limit=${BARS}`);
  return items.map((bar) => ({
    time: Date.parse(bar.at) / 1000,
    open: bar.openInCents / 100,
    high: bar.highInCents / 100,
    low: bar.lowInCents / 100,
    close: bar.closeInCents / 100,
    volume: bar.volume,
  }));
}

/**
 * The bar that this tick belongs to, as it is with it: `last` grown, or a new one after it; null for
 * a tick that is older. `traded` is what was traded since the tick before.
 */
export function continued(last, tick, interval, traded) {
  const price = tick.priceInCents / 100;
  const time = beginOf(Date.parse(tick.at) / 1000, interval, last?.time);
  if (last && time < last.time) return null;
  if (!last || time > last.time) return { time, open: price, high: price, low: price, close: price, volume: traded };
  const { high, low, volume } = last;
  return { ...last, high: Math.max(high, price), low: Math.min(low, price), close: price, volume: volume + traded };
}

/** When the bar of this moment began. Days begin at midnight in New York: the last one's, until its date has passed there. */
function beginOf(seconds, interval, last) {
  const date = (at) => dayInNewYork.format(at * 1000);
  if (interval === "1d" && last !== undefined && date(last) === date(seconds)) return last;
  const length = interval === "1d" ? 60 : INTERVALS[interval].seconds;
  return seconds - (seconds % length);
}
