// Reading again what has changed: soon, but not more often than it can be read, until it succeeds.

import { element, setText } from "../elements.js";
import { problemWords } from "./words.js";

const AGAIN_MS = 5000;

/**
 * What `read()` answers is handed to `shown`, each time that `ask()` is called: never two at once,
 * not again within `pauseMs`, and, where it failed and may succeed, again until it does.
 *
 * `hurry()` asks without the pause. After `forget()` an answer that is on its way is of somebody
 * else. `said` is an element that says what went wrong, for the caller to place.
 */
export function reader(pauseMs, read, shown) {
  const said = element("p", { class: "said", role: "status" });
  let life = {};
  let wanted = false;
  let hurried = false;
  let isBusy = false;
  let wake = () => {};

  async function run() {
    isBusy = true;
    while (wanted) {
      wanted = hurried = false;
      const restMs = await once(life);
      if (!hurried) await rest(restMs);
    }
    isBusy = false;
  }

  /** Read, and answer how long to rest after it. */
  async function once(asked) {
    let answer;
    try {
      answer = await read();
    } catch (problem) {
      if (asked !== life) return 0;
      setText(said, problemWords(problem));
      wanted ||= problem.retryable;
      return Math.max(AGAIN_MS, 1000 * problem.retryAfterSeconds);
    }
    if (asked !== life) return 0;
    setText(said, "");
    shown(answer);
    return pauseMs;
  }

  const rest = (ms) =>
    new Promise((resolve) => {
      wake = resolve;
      setTimeout(resolve, ms);
    });

  function ask() {
    wanted = true;
    if (!isBusy) run();
  }

  function hurry() {
    hurried = true;
    wake();
    ask();
  }

  function forget() {
    life = {};
    wanted = false;
    setText(said, "");
  }

  return { ask, hurry, forget, said };
}

/**
 * A list that the server turns by cursors, of which one page is kept and handed to `shown`.
 *
 * `read(cursor)` answers `{items, nextCursor}`, its cursor ready for the address. `element` turns the
 * pages and says what went wrong; `ask` and `hurry` read the page anew, `forget` shows nothing.
 */
export function pages(what, pauseMs, read, shown) {
  let cursors = [""];
  let next = null;
  const button = (text, target) => element("button", { type: "button", class: "quiet-button", "aria-label": `${text} ${what}`, click: () => turn(target()) }, text);
  const newer = button("Newer", () => cursors.slice(0, -1));
  const older = button("Older", () => [...cursors, `&cursor=${encodeURIComponent(next)}`]);
  const buttons = element("div", { class: "pager" }, newer, older);

  const reading = reader(
    pauseMs,
    async () => {
      const asked = cursors;
      return { asked, page: await read(asked.at(-1)) };
    },
    // The reader may have turned on meanwhile.
    ({ asked, page }) => asked === cursors && show(page),
  );

  function turn(wanted) {
    cursors = wanted;
    newer.disabled = older.disabled = true;
    reading.hurry();
  }

  function show(page) {
    next = page.nextCursor;
    newer.disabled = cursors.length === 1;
    older.disabled = next === null;
    buttons.hidden = newer.disabled && older.disabled;
    shown(page.items);
  }

  function forget() {
    reading.forget();
    cursors = [""];
    show({ items: [], nextCursor: null });
  }

  return { element: element("div", {}, reading.said, buttons), ask: reading.ask, hurry: reading.hurry, forget };
}
