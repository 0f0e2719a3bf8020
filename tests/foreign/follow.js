// Follows a price stream with the npm package `eventsource`; prints what it hears, a line each.
//
//     node follow.js URL TOKEN
import { EventSource } from "eventsource";

const [url, token] = process.argv.slice(2);
const say = (kind, data = "") => process.stdout.write(JSON.stringify({ kind, data }) + "\n");

const withToken = (input, init) =>
  fetch(input, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } });

function follow() {
  const source = new EventSource(url, { fetch: withToken });
  source.addEventListener("open", () => say("open"));
  for (const kind of ["hello", "prices", "stale", "live"]) {
    source.addEventListener(kind, (event) => say(kind, event.data));
  }
  source.addEventListener("error", () => {
    say("lost");
    // It comes back by itself from a lost connection, but not from a refusal: 503, say.
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 1000 + 4000 * Math.random());
  });
}

follow();
