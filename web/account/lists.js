// Showing what changes often: lists whose lines stay where they are, and not more than once a frame.

import { element } from "../elements.js";

/**
 * Keep one element for each item, in the items' order.
 *
 * An element whose item stays is neither made anew nor moved, so focus, selection and animations
 * survive. Where the focus was in an element that goes, it goes to the same place of the next one,
 * or to `fallback`.
 *
 * @param {Element} parent
 * @param {(item: object) => {element: HTMLElement, update: (item: object) => void}} make
 * @param {HTMLElement} fallback
 * @returns {(items: {id: string}[]) => void} shows these
 */
export function keyedList(parent, make, fallback) {
  const rows = new Map();
  return (items) => {
    const focused = parent.contains(document.activeElement) ? document.activeElement : null;
    const wanted = new Set(items.map((item) => item.id));
    let orphaned = null;
    for (const [id, { element }] of rows) {
      if (wanted.has(id)) continue;
      if (element.contains(focused)) orphaned = element.nextElementSibling ?? parent;
      element.remove();
      rows.delete(id);
    }
    let next = parent.firstElementChild;
    for (const item of items) {
      if (!rows.has(item.id)) rows.set(item.id, make(item));
      const row = rows.get(item.id);
      row.update(item);
      if (row.element === next) next = next.nextElementSibling;
      else parent.insertBefore(row.element, next);
    }
    if (orphaned !== null) {
      const heir = parent.contains(orphaned) ? orphaned.querySelector(`[data-act="${focused.dataset.act}"]`) : null;
      (heir ?? fallback).focus();
    }
  };
}

/** The head of a table, of `[text, class]` a column; of class "unseen" only a screen reader has it. */
export function tableHead(headings) {
  const cells = headings.map(([text, kind]) => element("th", { scope: "col", class: kind === "unseen" ? null : kind }, element("span", { class: kind === "unseen" ? kind : null }, text)));
  return element("thead", {}, element("tr", {}, ...cells));
}

/** Once a frame, however often it is asked for. */
export function onceAFrame(act) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      act();
    });
  };
}
