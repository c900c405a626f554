/* JSON as a tree that folds, as it was written. What is folded is not built yet. */

import {clip, members} from './body-text.js'
import {make} from './template.js'

const PAGE = 200 // members shown at once
const OPEN_CHARS = 1_000 // what is not longer is unfolded at first

export function jsonTree(json, isOpen = true) {
	const found = members(json)
	if (found.length === 0) return scalar(json)
	const button = make('button', {onclick: showMore})
	const ul = make('ul')
	const textContent = json[0] === '[' ? `[ ${found.length} ]` : `{ ${found.length} }`
	const details = make('details', {ontoggle: unfold, open: isOpen})
	details.append(make('summary', {textContent}))
	if (isOpen) unfold()
	return details

	function unfold() {
		if (ul.parentElement) return
		ul.append(button)
		details.append(ul)
		showMore()
	}

	// Before the button, which keeps the focus.
	function showMore() {
		for (const [key, value] of found.splice(0, PAGE)) {
			const li = make('li')
			if (key !== null) li.append(make('span', {className: 'key', textContent: key}), ': ')
			li.append(jsonTree(value, json.length <= OPEN_CHARS))
			button.before(li)
		}
		button.textContent = `${found.length} more`
		if (found.length === 0) button.remove()
	}
}

/** A string reads as text, in quotes that tell "5" from 5. */
function scalar(json) {
	const isString = json[0] === '"'
	const text = isString ? `"${JSON.parse(json)}"` : json
	const className = isString ? 'string' : /^[-0-9]/.test(json) ? 'number' : 'word'
	return make('span', {className, textContent: clip(text)})
}
