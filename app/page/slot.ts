/** How modules reach the places that `index.html` leaves for them to fill. */

/**
 * The element that `selector` names, checked to be of `type`.
 *
 * @throws TypeError when it is not there: page and code no longer fit together
 */
export function find<T extends Element>(
  root: ParentNode,
  selector: string,
  type: abstract new () => T,
): T {
  const element = root.querySelector(selector);
  if (element instanceof type) return element;
  throw new TypeError(`Cannot find an element of this type in the page: ${selector}`);
}

/** The element with `data-slot="name"` under `root`. @throws TypeError when there is none */
export function slot(root: ParentNode, name: string): HTMLElement {
  return find(root, `[data-slot="${name}"]`, HTMLElement);
}

/** A new copy of the one element in `<template id>`. @throws TypeError when there is no such template */
export function stamp(id: string): HTMLElement {
  const template = find(document, `template#${id}`, HTMLTemplateElement);
  const copy = template.content.firstElementChild?.cloneNode(true);
  if (copy instanceof HTMLElement) return copy;
  throw new TypeError(`Cannot copy an empty template: ${id}`);
}

/** Sets the text of an element, but leaves the document alone when nothing changed. */
export function write(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}
