// Numbers and times as people read them. Money is whole cents everywhere else.

const dollarsFormat = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const wholeFormat = new Intl.NumberFormat("en-US");
const compactFormat = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const percentFormat = new Intl.NumberFormat("en-US", { style: "percent", minimumFractionDigits: 2, signDisplay: "exceptZero" });
const timeFormat = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const dateTimeFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export const UNKNOWN = "–";

/** 123456 -> "1,234.56" */
export const cents = (value) => (value === null || value === undefined ? UNKNOWN : dollarsFormat.format(value / 100));

/** 123456 -> "$1,234.56" */
export const dollars = (value) => (value === null || value === undefined ? UNKNOWN : `$${cents(value)}`);

/** 123456 -> "+1,234.56" */
export const signedCents = (value) => (value > 0 ? "+" : "") + cents(value);

/** 0.0123 -> "+1.23%" */
export const percent = (ratio) => (Number.isFinite(ratio) ? percentFormat.format(ratio) : UNKNOWN);

/** 1234567 -> "1,234,567" */
export const whole = (value) => (value === null || value === undefined ? UNKNOWN : wholeFormat.format(value));

/** 1234567 -> "1.2M" */
export const compact = (value) => (value === null || value === undefined ? UNKNOWN : compactFormat.format(value));

/** The time of day where the reader is; with the date where that is not today's. */
export function time(value) {
  if (!value) return UNKNOWN;
  const date = new Date(value);
  const isToday = date.toDateString() === new Date().toDateString();
  return (isToday ? timeFormat : dateTimeFormat).format(date);
}

/** "1,234.5" -> 123450, read digit by digit; null for what is no amount above zero in whole cents. */
export function parseCents(text) {
  const match = /^\$?(\d{1,8})(?:\.(\d{0,2}))?$/.exec(text.trim().replaceAll(",", ""));
  const value = match && Number(match[1]) * 100 + Number((match[2] ?? "").padEnd(2, "0"));
  return value || null;
}

/** "1,000" -> 1000; null for what is no whole number above zero. */
export function parseWhole(text) {
  const digits = text.trim().replaceAll(",", "");
  return /^\d{1,10}$/.test(digits) ? Number(digits) || null : null;
}
