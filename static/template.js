/* Filling in the page's templates, with text only. */

/** A copy of a template: {element, parts}, these by their `data-part`. */
export function copy(id) {
	const element = document.getElementById(id).content.firstElementChild.cloneNode(true);
	const parts = [...element.querySelectorAll('[data-part]')].map((part) => [part.dataset.part, part]);
	return { element, parts: Object.fromEntries(parts) };
}

/** Put what is not empty into an element; without any it is hidden. */
export function say(element, ...facts) {
	const text = facts.filter(Boolean).join(', ');
	element.textContent = text;
	element.hidden = text === '';
}
