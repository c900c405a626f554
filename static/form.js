/*
 * The fields of a feed's parameters. The server judges the values; the browser's own checks must
 * never be stricter, so a pattern that means another thing in JavaScript is left to the server.
 */

import { copy } from './template.js';

/** Make the fields of `params` in `fieldset`: {fill, query, json, reject}. */
export function createFields(fieldset, params) {
	const inputs = new Map(Object.entries(params).map(([name, param]) => [name, createInput(name, param)]));
	fieldset.replaceChildren(...[...inputs.values()].map((input) => input.parentElement));
	fieldset.hidden = inputs.size === 0;
	return { fill, query, json, reject };

	function fill(said) {
		for (const [name, input] of inputs) {
			if (!said.has(name)) continue;
			input.value = said.get(name);
			input.checked = input.value === 'true';
		}
	}

	/** Names with values, for a link; what is left empty is left to its default. */
	function query() {
		return [...inputs].map(([name, input]) => [name, valueOf(input)]).filter(([, value]) => value !== '');
	}

	/** The parameters as JSON, in which numbers stay as long as they were written. */
	function json() {
		return `{${query().map(([name]) => `${JSON.stringify(name)}:${jsonOf(inputs.get(name))}`)}}`;
	}

	function reject(name, reason) {
		inputs.get(name)?.setCustomValidity(reason);
		inputs.get(name)?.reportValidity();
	}
}

function createInput(name, param) {
	const { element, parts: { label, input } } = copy('field-template');
	element.dataset.type = param.type;
	label.textContent = param.label || name;
	input.name = input.dataset.param = name;
	if (param.type === 'boolean') Object.assign(input, { type: 'checkbox', checked: param.default });
	else describe(input, param);
	input.oninput = () => input.setCustomValidity('');
	return input;
}

function valueOf({ type, checked, value }) {
	return type === 'checkbox' ? String(checked) : value;
}

/** What is no number of JSON goes as text, and the server says what is wrong with it. */
function jsonOf({ type, checked, inputMode, value }) {
	if (type === 'checkbox') return checked;
	const number = value.trim().replace(/^\+/, '').replace(/^(-?)0+(?=[0-9])/, '$1');
	const isNumber = inputMode && /^-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?$/i.test(number);
	return isNumber ? number : JSON.stringify(value);
}

function describe(input, { type, default: value, pattern, max_length }) {
	input.required = value === undefined;
	// An integer that was rounded on its way here is left to the server, which has it whole.
	const isRounded = type === 'integer' && !Number.isSafeInteger(value);
	input.value = input.placeholder = isRounded ? '' : value ?? '';
	if (type === 'string') {
		if (max_length) input.maxLength = 2 * max_length; // of UTF-16, where some take two
		if (isSameInBoth(pattern)) Object.assign(input, { pattern, title: `as in ${pattern}` });
		return;
	}
	const isWhole = type === 'integer';
	input.pattern = isWhole ? '[+\\-]?[0-9]+' : '[+\\-0-9.eE]+';
	input.inputMode = isWhole ? 'numeric' : 'decimal';
	input.title = isWhole ? 'a whole number' : 'a number';
}

/** Whether a pattern of Python's `re` may be checked by the browser. */
function isSameInBoth(pattern) {
	// \w, \d and \b know all scripts there; flags and names are written otherwise.
	if (!pattern || /\\[wWdDbBAZ]|\(\?(?![:=!])/.test(pattern)) return false;
	try {
		return Boolean(new RegExp(`^(?:${pattern})$`, 'v'));
	} catch {
		return false;
	}
}
