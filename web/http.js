// Requests to the server this page came from, as the user who is signed in.

const TIMEOUT_MS = 15_000;
const UNREACHABLE = {
  code: "unreachable",
  title: "The server did not answer",
  detail: "No answer came.",
  advice: "Whether it got the request is not known. It may be repeated.",
  retryable: true,
};

let token = null;

/** Every request after this one carries `newToken`; none with null. */
export function useToken(newToken) {
  token = newToken;
}

/**
 * What the server says went wrong: its problem document (docs/problems.md), whose members are this
 * error's. Without an answer `status` is 0 and `code` is "unreachable".
 */
export class Problem extends Error {
  constructor(document, status = 0, retryAfterSeconds = 0) {
    super(document.detail);
    Object.assign(this, document, { status, retryAfterSeconds });
  }
}

/**
 * The answer, whose body is not read yet. Raises Problem for all but 2xx, and the signal's own
 * AbortError. A request that the token is no longer good for raises the event `unauthorized` as well.
 */
export async function open(method, path, { body, headers = {}, signal } = {}) {
  const all = { ...headers };
  if (token) all.Authorization = `Bearer ${token}`;
  if (body !== undefined) all["Content-Type"] = "application/json";
  const sent = token;
  let answer;
  try {
    const text = body === undefined ? undefined : JSON.stringify(body);
    answer = await fetch(path, { method, headers: all, body: text, signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(UNREACHABLE);
  }
  if (answer.ok) return answer;
  const retryAfterSeconds = Number(answer.headers.get("Retry-After")) || 0;
  const document = await answer.json().catch(() => ({ ...UNREACHABLE, code: "unreadable", detail: `The answer was ${answer.status} ${answer.statusText}.` }));
  if (answer.status === 401 && sent && sent === token) globalThis.document.dispatchEvent(new Event("unauthorized"));
  throw new Problem(document, answer.status, retryAfterSeconds);
}

/** The whole answer: `{status, headers, data}`. Raises Problem, also when it takes too long. */
export async function send(method, path, { timeoutMs = TIMEOUT_MS, ...options } = {}) {
  try {
    const answer = await open(method, path, { signal: AbortSignal.timeout(timeoutMs), ...options });
    return { status: answer.status, headers: answer.headers, data: await answer.json() };
  } catch (error) {
    throw error instanceof Problem ? error : new Problem(UNREACHABLE);
  }
}

const dataOf = async (answer) => (await answer).data;

export const get = (path, options) => dataOf(send("GET", path, options));
export const post = (path, body, options) => dataOf(send("POST", path, { body, ...options }));
export const patch = (path, body, options) => dataOf(send("PATCH", path, { body, ...options }));
export const del = (path, options) => dataOf(send("DELETE", path, options));
