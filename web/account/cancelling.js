// Cancelling one order or all of them, and the server's answer in words.

import { send } from "../http.js";
import { whole } from "../format.js";
import { problemWords } from "./words.js";

/** Requests of one "cancel all"; each sees to a hundred orders. */
const REQUESTS_MAX = 20;

/** What one order's cancel came to, by the status of its answer. */
const CAME_TO = {
  200: "cancelled",
  202: "asked for, not answered by the exchange yet",
};
const CODES = {
  "too-late-to-cancel": "too late",
  "cancel-refused": "kept by the exchange",
  unavailable: "not on record: cancel again",
};

/** `{orders, text}`: the order as the server answered with it, if it did. Raises nothing. */
export async function cancelOrder(id) {
  try {
    const { status, data } = await send("DELETE", `/order/${id}`);
    return { orders: [data.order], text: status === 200 ? "Cancelled" : "Asked for; the exchange has not answered yet" };
  } catch (problem) {
    return { orders: problem.order ? [problem.order] : [], text: problemWords(problem) };
  }
}

/**
 * Cancel everything that is open: `{orders, text}`, every order that was answered for. Raises nothing;
 * what was answered before a failure is told with it.
 */
export async function cancelAll() {
  const items = new Map();
  let failure = "";
  try {
    let more = true;
    for (let requests = 0; more && requests < REQUESTS_MAX; requests++) {
      const { data } = await send("DELETE", "/orders");
      for (const item of data.items) items.set(item.id, item);
      more = data.more;
    }
    if (more) failure = "Others are still open: cancel all once more.";
  } catch (problem) {
    failure = problemWords(problem);
  }
  const told = summary([...items.values()]);
  return { orders: [...items.values()].map((item) => item.order), text: [told, failure].filter(Boolean).join(". ") };
}

/** `3 cancelled, 1 too late` */
function summary(items) {
  if (items.length === 0) return "Nothing was open";
  const counts = new Map();
  for (const item of items) {
    const word = CAME_TO[item.status] ?? CODES[item.code];
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts].map(([word, number]) => `${whole(number)} ${word}`).join(", ");
}
