// What the page needs of a view library.

/** An element. Functions are listeners, booleans are there or not, null is left out; text children are text, never markup. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (typeof value === "boolean") made.toggleAttribute(name, value);
    else if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Give `target` this text, and leave the document alone where it has it already. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}
