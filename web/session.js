// Who is signed in. The token lives in this tab alone, and is never part of an address.

import { post, useToken } from "./http.js";

const KEPT = "sherwood.session";

let current = null;

/** Sign in as a development user. Raises Problem. */
export async function signIn(name) {
  adopt(await post("/dev/token", { user: name }));
}

/** Leave; `reason` is what the next screen says about it. */
export function signOut(reason = "") {
  adopt(null, reason);
}

/** Go on with what this tab kept, if it is still good. */
export function resume() {
  const kept = JSON.parse(sessionStorage.getItem(KEPT));
  adopt(kept && new Date(kept.expiresAt) > new Date() ? kept : null);
}

export const token = () => current?.token ?? null;
export const user = () => current?.user ?? null;

/** Tells everybody by the document's event `session-changed`, whose detail is `{user, reason}`. */
function adopt(session, reason = "") {
  current = session;
  useToken(token());
  if (session) sessionStorage.setItem(KEPT, JSON.stringify(session));
  else sessionStorage.removeItem(KEPT);
  document.dispatchEvent(new CustomEvent("session-changed", { detail: { user: user(), reason } }));
}

document.addEventListener("unauthorized", () => signOut("Your session has ended. Sign in again."));
