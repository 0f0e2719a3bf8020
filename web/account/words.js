// Orders, and what happens to them, in words: the same for the eye and for a screen reader.

import { cents, whole } from "../format.js";

const STATUS_WORDS = {
  partially_filled: "partly filled",
  pending_cancel: "cancelling",
};

const KIND_WORDS = {
  placed: "Placed",
  submitted: "The exchange has it",
  fill: "Executed",
  "cancel-requested": "Cancel asked for",
  "cancel-refused": "The exchange keeps it",
  ending: "Ended at the exchange, executions still to come",
  cancelled: "Cancelled",
  expired: "Expired",
  filled: "Filled",
  rejected: "Rejected",
  failed: "Never reached the exchange",
  bust: "Execution busted",
  correction: "Execution corrected",
};

/** `partly filled` */
export const statusWord = (status) => STATUS_WORDS[status] ?? status;

/** `Executed`; a kind that a later server added is told as it is */
export const kindWord = (kind) => KIND_WORDS[kind] ?? kind.replaceAll("-", " ");

/** `52.20`, or `market` */
export const limitWord = (order) => (order.priceInCents === null ? "market" : cents(order.priceInCents));

/** `buy 10 META at 52.20` */
export function orderWords(order) {
  return `${order.position} ${whole(order.numShares)} ${order.symbol} at ${limitWord(order)}`;
}

/** What the filled shares cost or brought on average, in cents; null of none. For display only. */
export function averageCents(order) {
  return order.filledShares === 0 ? null : Math.round(order.filledNotionalInCents / order.filledShares);
}

/** `4 of 10 filled at 52.19` */
export function filledWords(order) {
  const average = averageCents(order);
  const at = average === null ? "" : ` at ${cents(average)}`;
  return `${whole(order.filledShares)} of ${whole(order.numShares)} filled${at}`;
}

/** `10 shares at 52.20`, of an execution as an event tells it */
export function executionWords({ shares, priceInCents }) {
  return `${whole(shares)} at ${cents(priceInCents)}`;
}

/**
 * One event as news for somebody who looks elsewhere; null for what follows from their own doing.
 *
 * @returns {string | null}
 */
export function newsOf({ kind, order, execution }) {
  const terms = orderWords(order);
  const because = order.reason === null ? "" : `, ${order.reason.replaceAll("-", " ")}`;
  switch (kind) {
    case "fill":
      return order.status === "filled"
        ? `Filled: ${terms}, average ${cents(averageCents(order))}`
        : `Executed ${executionWords(execution)}: ${terms}, ${filledWords(order)}`;
    case "bust":
      return `The exchange busted an execution: ${terms}, now ${filledWords(order)}`;
    case "correction":
      return `The exchange corrected an execution to ${executionWords(execution)}: ${terms}, now ${filledWords(order)}`;
    case "cancelled":
    case "expired":
      return `${kindWord(kind)}: ${terms}, ${filledWords(order)}`;
    case "filled":
      return `Filled: ${terms}, ${filledWords(order)}`;
    case "cancel-refused":
    case "rejected":
    case "failed":
      return `${kindWord(kind)}: ${terms}${because}`;
    default:
      return null;
  }
}

/** A problem as its server tells it: `Title: detail. Advice` where a repeat may help. */
export function problemWords({ title, detail, advice, retryable }) {
  const said = detail ? `${title}: ${detail.replace(/\.$/, "")}.` : `${title}.`;
  return retryable ? `${said} ${advice}` : said;
}
