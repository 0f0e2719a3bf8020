// The account's half of the page: orders, executions, portfolio, and one order in full.

import { Account } from "./account.js";
import { mountExecutions } from "./executions.js";
import { tellNews } from "./news.js";
import { orderDialog } from "./order_dialog.js";
import { mountOrders } from "./orders.js";
import { mountPortfolio } from "./portfolio.js";

/** Put every part of it on the page. */
export function mountAccount(app) {
  const at = (id) => document.getElementById(id);
  const account = new Account();
  const showOrder = orderDialog(at("order-detail"), app, account);
  mountOrders(at("orders"), app, account, showOrder);
  mountExecutions(at("executions"), account, showOrder);
  mountPortfolio(at("portfolio"), app, account);
  tellNews(at("orders"), app, account, showOrder);

  account.addEventListener("told", ({ detail }) => app.orderChanged(detail.order));
  document.addEventListener("order-placed", ({ detail }) => account.merge(detail));
  document.addEventListener("session-changed", ({ detail: { user } }) => (user ? account.start() : account.stop()));
}
