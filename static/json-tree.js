/* JSON as a tree that folds, every value as it was written. What is folded is not built yet. */

import { members } from './body-text.js';

/** So many members are shown at once. */
const PAGE = 200;
/** What is not longer is unfolded from the start, as is the outermost. */
const OPEN_CHARS = 1_000;
const MAX_CHARS = 200_000;

export function jsonTree(json, isOpen = true) {
	const found = members(json);
	if (found.length === 0) return scalar(json);
	const details = document.createElement('details');
	const summary = document.createElement('summary');
	summary.textContent = json[0] === '[' ? `[ ${found.length} ]` : `{ ${found.length} }`;
	details.append(summary);
	details.addEventListener('toggle', unfold);
	details.open = isOpen;
	if (details.open) unfold();
	return details;

	function unfold() {
		if (details.childElementCount > 1) return;
		const ul = document.createElement('ul');
		showMembers(ul, found, json.length <= OPEN_CHARS);
		details.append(ul);
	}
}

function showMembers(ul, found, isShort) {
	const button = document.createElement('button');
	button.type = 'button';
	button.onclick = showMore;
	ul.append(button);
	showMore();

	// Before the button, which stays and keeps the focus while there is more.
	function showMore() {
		for (const [key, json] of found.splice(0, PAGE)) {
			const li = document.createElement('li');
			if (key !== null) li.append(span('key', key), ': ');
			li.append(jsonTree(json, isShort));
			button.before(li);
		}
		button.textContent = `${found.length} more`;
		if (found.length === 0) button.remove();
	}
}

/** A string reads as text, in quotes that tell "5" from 5. */
function scalar(json) {
	const isString = json[0] === '"';
	const text = isString ? `"${JSON.parse(json)}"` : json;
	const kind = isString ? 'string' : /^[-0-9]/.test(json) ? 'number' : 'word';
	return span(kind, text.length > MAX_CHARS ? `${text.slice(0, MAX_CHARS)}…` : text);
}

function span(kind, text) {
	const element = document.createElement('span');
	element.className = kind;
	element.textContent = text;
	return element;
}
