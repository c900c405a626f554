/** A copy of a template: {element, parts}, these by their `data-part`. */
export function copy(name) {
	const element = document.getElementById(`${name}-template`).content.firstElementChild.cloneNode(true)
	const parts = [...element.querySelectorAll('[data-part]')].map((part) => [part.dataset.part, part])
	return {element, parts: Object.fromEntries(parts)}
}

export const make = (name, more) => Object.assign(document.createElement(name), more)

/** Say what is not empty; without any the element is hidden. */
export function say(element, ...facts) {
	element.textContent = facts.filter(Boolean).join(', ')
	element.hidden = element.textContent === ''
}
