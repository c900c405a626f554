/* The fields of a feed's parameters. The server judges; the browser's checks are never stricter. */

import {copy} from './template.js'

export function createFields(fieldset, params) {
	const inputs = Object.entries(params).map(([name, param]) => createInput(name, param))
	fieldset.replaceChildren(...inputs.map((input) => input.parentElement))
	fieldset.hidden = inputs.length === 0
	return {fill, query, json, reject}

	function fill(said) {
		for (const input of inputs.filter(({name}) => said.has(name))) {
			input.value = said.get(input.name)
			input.checked = input.value === 'true'
		}
	}

	// What is left empty is left to its default.
	function given() {return inputs.filter((input) => valueOf(input) !== '')}

	function query() {return given().map((input) => [input.name, valueOf(input)])}

	/** As JSON, in which numbers stay as long as they were written. */
	function json() {return `{${given().map((input) => `${JSON.stringify(input.name)}:${jsonOf(input)}`)}}`}

	function reject(name, reason) {
		const input = inputs.find((each) => each.name === name)
		input?.setCustomValidity(reason)
		input?.reportValidity()
	}
}

function createInput(name, param) {
	const {element, parts: {label, input}} = copy('field')
	element.dataset.type = param.type
	label.textContent = param.label || name
	input.name = input.dataset.param = name
	if (param.type === 'boolean') Object.assign(input, {type: 'checkbox', checked: param.default})
	else describe(input, param)
	input.oninput = () => input.setCustomValidity('')
	return input
}

function valueOf({type, checked, value}) {
	return type === 'checkbox' ? String(checked) : value
}

function jsonOf({type, checked, inputMode, value}) {
	if (type === 'checkbox') return checked
	const number = value.trim().replace(/^\+/, '').replace(/^(-?)0+(?=[0-9])/, '$1')
	const isNumber = inputMode && /^-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?$/i.test(number)
	return isNumber ? number : JSON.stringify(value)
}

function describe(input, {type, default: value, pattern, max_length}) {
	const isWhole = type === 'integer'
	input.required = value === undefined
	// One that was rounded on its way here is left to the server.
	const isRounded = isWhole && !Number.isSafeInteger(value)
	input.value = input.placeholder = isRounded ? '' : value ?? ''
	if (type === 'string') {
		if (max_length) input.maxLength = 2 * max_length // of UTF-16, where some take two
		// Python's \w, \d, \b and flags are others.
		const isSame = pattern && !/\\[wWdDbBAZ]|\(\?(?![:=!])/.test(pattern)
		if (isSame) Object.assign(input, {pattern, title: `as in ${pattern}`})
		return
	}
	const whole = {pattern: '[+\\-]?[0-9]+', inputMode: 'numeric', title: 'a whole number'}
	const number = {pattern: '[+\\-0-9.eE]+', inputMode: 'decimal', title: 'a number'}
	Object.assign(input, isWhole ? whole : number)
}
