// The page: who is signed in, which symbol is chosen, and the parts that show it.

import { mountAccount } from "./account/blotter.js";
import { showConnection } from "./connection.js";
import { setText } from "./elements.js";
import * as http from "./http.js";
import { mountMarket } from "./market/market.js";
import * as prices from "./prices.js";
import * as session from "./session.js";

const at = (id) => document.getElementById(id);

/** What every part of the page is given. */
const app = {
  session,
  http,
  prices,

  /** Have a screen reader say this once it is silent. */
  announce(text) {
    setText(at("announcements"), text);
  },

  /** Make `symbol` the one that chart and ticket are about: the document's event `symbol-selected`. */
  select(symbol) {
    document.dispatchEvent(new CustomEvent("symbol-selected", { detail: symbol }));
  },

  /** The order is like this now: the document's event `order-changed`. */
  orderChanged(order) {
    document.dispatchEvent(new CustomEvent("order-changed", { detail: order }));
  },

  /** The server answered with this order: the document's event `order-placed`. */
  orderPlaced(order) {
    document.dispatchEvent(new CustomEvent("order-placed", { detail: order }));
  },
};

function showSession({ detail: { user, reason } }) {
  for (const id of ["desk", "tabs", "user", "sign-out", "connection"]) at(id).hidden = !user;
  at("sign-in").hidden = Boolean(user);
  setText(at("user"), user ?? "");
  if (user) return;
  prices.stop();
  setText(at("sign-in-said"), reason);
  at("sign-in-name").focus();
}

async function signIn(event) {
  event.preventDefault();
  const [field, button] = [at("sign-in-name"), event.target.querySelector("button")];
  const name = field.value.trim();
  const isName = /^[A-Za-z0-9_-]{1,64}$/.test(name);
  field.setAttribute("aria-invalid", String(!isName));
  setText(at("sign-in-said"), isName ? "" : "A name is 1 to 64 letters, digits, _ or -.");
  if (!isName) return field.focus();
  button.disabled = true;
  try {
    await session.signIn(name);
    at("desk").querySelector("h1").focus();
  } catch (problem) {
    const development = problem.status === 404 ? "This server signs in no development users." : `${problem.title}. ${problem.advice}`;
    setText(at("sign-in-said"), development);
  } finally {
    button.disabled = false;
  }
}

at("sign-in").querySelector("form").addEventListener("submit", signIn);
at("sign-out").addEventListener("click", () => session.signOut());
document.addEventListener("session-changed", showSession);
showConnection(at("connection"));
mountMarket(app);
mountAccount(app);
session.resume();
