// The theme's colours as a canvas takes them: it knows no custom properties.

import { element } from "./elements.js";

/** What these tokens of the style come to inside `place`, by name: `coloursOf(section, "line").line`. */
export function coloursOf(place, ...tokens) {
  const probe = place.appendChild(element("i"));
  const colours = tokens.map((token) => {
    probe.style.color = `var(--${token})`;
    return [token, getComputedStyle(probe).color];
  });
  probe.remove();
  return Object.fromEntries(colours);
}
