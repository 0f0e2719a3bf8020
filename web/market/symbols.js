// What is traded: the server's directory of symbols.

import { get } from "../http.js";

let bySymbol = new Map();

/** Read it. Raises Problem. */
export async function load() {
  const { items } = await get("/symbols");
  bySymbol = new Map(items.map((item) => [item.symbol, item]));
}

export const all = () => [...bySymbol.values()];
export const has = (symbol) => bySymbol.has(symbol);
export const nameOf = (symbol) => bySymbol.get(symbol)?.name ?? "";

/** The symbol somebody means by this text: it itself, else the first whose name begins with it; else null. */
export function find(text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return null;
  const item =
    bySymbol.get(wanted.toUpperCase()) ?? all().find(({ name }) => name.toLowerCase().startsWith(wanted));
  return item?.symbol ?? null;
}

/** The symbols that traded most today. */
export const busiest = (count) =>
  all()
    .toSorted((one, other) => (other.volume ?? 0) - (one.volume ?? 0))
    .slice(0, count)
    .map(({ symbol }) => symbol);
