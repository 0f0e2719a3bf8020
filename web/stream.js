// One stream of server-sent events, opened again whenever it ends (docs/http.md, Coming back to a
// stream). Read with fetch instead of EventSource: it sends the token as a header, hears the
// comments by which a quiet stream shows that it is alive, and can read why it was refused.

import { Problem, open } from "./http.js";

const OPENING_SECONDS = 15;
const HIDDEN_MS = 60_000;

/**
 * Follow the stream that `request()`, asked before each opening, names as `{method, path, body}`.
 *
 * `on.event(name, data, id)` hears every event, data read as JSON; `on.lost(problem)` that there is
 * no connection now, and `on.refused(problem)` that there will be none: the request itself is bad.
 * A tab that nobody sees for a minute gives its connection back until it is seen again.
 *
 * Returns a function that ends it.
 */
export function follow(request, on) {
  const ending = new AbortController();
  run(request, on, ending.signal);
  return () => ending.abort();
}

async function run(request, on, ended) {
  while (!ended.aborted) {
    const connection = { retryMs: 1000 + 4000 * Math.random(), heartbeatSeconds: OPENING_SECONDS };
    let problem = new Problem({ code: "ended", detail: "The stream ended." });
    try {
      await listen(request(), on, connection, ended);
    } catch (error) {
      if (error instanceof Problem) problem = error;
    }
    if (ended.aborted) return;
    if (problem.status >= 400 && problem.status < 500 && problem.status !== 429) return on.refused(problem);
    on.lost(problem);
    await pause(Math.max(connection.retryMs, problem.retryAfterSeconds * 1000), ended);
  }
}

/** Read one connection to its end; silence for three heartbeats is an end too. */
async function listen({ method, path, body }, on, connection, ended) {
  const [cut, done] = [new AbortController(), new AbortController()];
  const cutIn = (ms) => setTimeout(() => cut.abort(), ms);
  let silence = cutIn(1000 * OPENING_SECONDS);
  let unseen = null;
  const look = () => {
    clearTimeout(unseen);
    if (document.hidden) unseen = cutIn(HIDDEN_MS);
  };
  look();
  document.addEventListener("visibilitychange", look, { signal: done.signal });
  addEventListener("offline", () => cut.abort(), { signal: done.signal });
  try {
    const answer = await open(method, path, { body, signal: AbortSignal.any([ended, cut.signal]) });
    const parse = parser((name, data, id) => {
      if (name === "hello") connection.heartbeatSeconds = data.heartbeatSeconds;
      on.event(name, data, id);
    }, connection);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      clearTimeout(silence);
      silence = cutIn(3000 * connection.heartbeatSeconds);
      parse(part.value);
    }
  } finally {
    clearTimeout(silence);
    clearTimeout(unseen);
    done.abort();
  }
}

/** Takes text as it comes and tells of each event that is whole. */
function parser(tell, connection) {
  let rest = "";
  return (text) => {
    const blocks = (rest + text).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = {};
      for (const line of block.split("\n")) {
        const colon = line.indexOf(":");
        if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
      }
      if (fields.retry) connection.retryMs = Number(fields.retry);
      if (fields.data) tell(fields.event ?? "message", JSON.parse(fields.data), fields.id);
    }
  };
}

/** Wait before the next opening: at least so long and until somebody looks, or until the network is back. */
function pause(ms, ended) {
  const done = new AbortController();
  return new Promise((resolve) => {
    const finish = () => !document.hidden && (done.abort(), resolve());
    setTimeout(finish, ms);
    addEventListener("online", finish, { signal: done.signal });
    document.addEventListener("visibilitychange", finish, { signal: done.signal });
    ended.addEventListener("abort", () => (done.abort(), resolve()), { signal: done.signal });
  });
}
