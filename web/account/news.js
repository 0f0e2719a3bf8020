// What happened, said once: to a screen reader, and as a line above the orders.
//
// Busts and corrections stay until they are put away: they change what was thought to be over.

import { element, setText } from "../elements.js";
import { time } from "../format.js";
import { newsOf } from "./words.js";

const GATHER_MS = 400;
const SPOKEN_MAX = 3;
const AMENDMENTS_MAX = 5;

/** Tell the news of `account` at the top of `section`. */
export function tellNews(section, app, account, showOrder) {
  const newest = element("p", { class: "newest" });
  const amendments = element("ul", { class: "amendments" });
  section.querySelector("h2").after(amendments);
  section.append(newest);
  let gathered = [];

  account.addEventListener("told", ({ detail }) => {
    const text = newsOf(detail);
    if (text === null) return;
    if (gathered.push(text) === 1) setTimeout(say, GATHER_MS);
    if (detail.kind === "bust" || detail.kind === "correction") amend(text, detail.order.id);
  });
  account.addEventListener("stopped", () => {
    gathered = [];
    amendments.replaceChildren();
    setText(newest, "");
  });

  function say() {
    if (gathered.length === 0) return;
    const text = gathered.length > SPOKEN_MAX ? `${gathered.length} things happened to your orders; the last: ${gathered.at(-1)}` : gathered.join(". ");
    setText(newest, `${time(Date.now())} ${text}`);
    app.announce(text);
    gathered = [];
  }

  function amend(text, orderId) {
    const note = element(
      "li",
      { class: "note warn" },
      text,
      element("button", { type: "button", class: "quiet-button", click: () => showOrder(orderId) }, "Show the order"),
      element("button", { type: "button", class: "quiet-button", "aria-label": `Put away: ${text}`, click: () => note.remove() }, "Put away"),
    );
    amendments.prepend(note);
    while (amendments.children.length > AMENDMENTS_MAX) amendments.lastChild.remove();
  }
}
