// Follows an order stream with the npm package `eventsource`, which comes back by itself and says
// what it heard last; prints what it hears, a line each.
//
//     node follow_orders.js URL TOKEN
import { EventSource } from "eventsource";

const [url, token] = process.argv.slice(2);
const say = (kind, { lastEventId = "", data = "" } = {}) =>
  process.stdout.write(JSON.stringify({ kind, id: lastEventId, data }) + "\n");

const withToken = (input, init) =>
  fetch(input, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } });

let last = "0";

function follow() {
  const source = new EventSource(`${url}?after=${last}`, { fetch: withToken });
  for (const kind of ["hello", "order", "heartbeat", "reset"]) {
    source.addEventListener(kind, (event) => {
      if (event.lastEventId) last = event.lastEventId;
      say(kind, event);
    });
  }
  source.addEventListener("error", () => {
    say("lost");
    // A refusal (503, say) ends it for good: a new one goes on after the last event.
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 1000);
  });
}

follow();
