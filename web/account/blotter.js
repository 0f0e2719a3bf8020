// The account's half of the page.

/** Put every part of it on the page. */
export function mountAccount() {}
