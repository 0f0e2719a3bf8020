// One of a few: native radio buttons, so the arrow keys work, that look like one control.

import { element } from "../elements.js";

let made = 0;

/**
 * A fieldset called `legend`, of `{value: label}`. `chosen(value)` is told each new choice.
 * `labels` of what is returned has the text of each.
 */
export function choice(legend, options, first, chosen) {
  const name = `choice-${++made}`;
  const labels = {};
  const fieldset = element("fieldset", { class: "choices" }, element("legend", { class: "unseen" }, legend));
  for (const [value, label] of Object.entries(options)) {
    const radio = element("input", { type: "radio", name, value, checked: value === first, change: () => chosen(value) });
    labels[value] = element("span", {}, label);
    fieldset.append(element("label", {}, radio, labels[value]));
  }
  return Object.assign(fieldset, { labels });
}
