/* An SVG of a RunModel: a line for each upstream, on one axis of seconds. */

import {seconds} from './body-text.js'

// Pixels: a line, the axis, room for a bar's end, the least between labels.
const ROW = 28, AXIS = 22, PAD = 24, LABEL = 56
const MIN_SPAN = 0.1, GROWTH = 1.3 // of a live axis, in seconds

const SHAPES = {
	result: 'M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z',
	failure: 'M-4.5-4.5 4.5 4.5M-4.5 4.5 4.5-4.5',
	cancelled: 'M-5 0 0-5 5 0 0 5z',
	running: 'M-3-5 4 0-3 5z',
}

export function createWaterfall(svg, onResize) {
	const axis = make('g')
	const marks = make('g')
	let drawn, lines, height, span
	let scale = 0 // pixels of a second

	new ResizeObserver(onResize).observe(svg)
	return draw

	/** Draw a model at second `now`; its `dirty` rows have changed. */
	function draw(model, now, dirty, isLive) {
		const isNew = drawn !== model
		if (isNew) begin(model)
		span = isLive ? grow(span, model.end(now)) : Math.max(model.end(now), MIN_SPAN / 100)
		const before = scale
		scale = Math.max(svg.clientWidth - PAD, 0) / span
		if (scale === 0) return // nobody sees it
		const isAll = isNew || scale !== before
		if (isAll) axis.replaceChildren(...drawAxis())
		for (const row of model.rows.values()) {
			if (isAll || dirty.has(row) || (isLive && row.end === null)) {
				const line = lines.get(row)
				line.dataset.state = row.state
				line.replaceChildren(...drawRow(row, row.end ?? now, isLive))
			}
		}
		const times = Object.entries({first: model.first, last: isLive ? null : model.last})
		marks.replaceChildren(...times.filter(([, at]) => at !== null).map(([kind, at]) => upright(`mark ${kind}`, at)))
	}

	function begin(model) {
		drawn = model
		span = MIN_SPAN
		const top = (i) => AXIS + ROW * i
		lines = new Map([...model.rows.values()].map((row, i) => [row, make('g', {transform: `translate(0 ${top(i)})`})]))
		height = top(lines.size)
		svg.setAttribute('height', height)
		svg.replaceChildren(axis, ...lines.values(), marks)
	}

	function drawAxis() {
		const step = niceStep(LABEL / scale)
		return Array.from({length: Math.floor(span / step) + 1}, (_, n) => {
			const text = make('text', {x: n * step * scale, y: 12})
			text.textContent = seconds(n * step)
			return [upright('grid', n * step), text]
		}).flat()
	}

	function drawRow({tries, from, head, ticks, state, end: known}, end, isLive) {
		const parts = tries.flatMap((failed, i) => {
			const next = Math.min(tries[i + 1]?.from ?? from, end)
			const pause = path('pause', `M${failed.to * scale} 14H${next * scale}`)
			return [bar('try', failed.from, failed.to), pause, shape('failure', failed.to, 0.7)]
		})
		parts.push(bar('head', Math.min(from, end), Math.min(head ?? end, end)))
		if (head !== null) parts.push(bar('body', Math.min(head, end), end))
		if (ticks.length > 0) parts.push(path('ticks', ticks.map((at) => `M${(at * scale).toFixed(1)} 7v14`).join('')))
		if (known !== null) parts.push(shape(state, end))
		else if (isLive) parts.push(shape('running', end))
		return parts
	}

	function bar(kind, from, to) {
		const [y, height] = kind === 'body' ? [7, 14] : [10, 8]
		const width = Math.max((to - from) * scale, 1)
		return make('rect', {class: kind, x: from * scale, y, width, height})
	}

	function shape(name, at, size = 1) {
		return path(`shape ${name}`, SHAPES[name], {transform: `translate(${at * scale} 14) scale(${size})`})
	}

	function upright(kind, at) {return path(kind, `M${at * scale} ${AXIS - 4}V${height}`)}
}

function grow(span, end) {return span < end ? grow(span * GROWTH, end) : span}

function niceStep(least) {
	const power = 10 ** Math.floor(Math.log10(least))
	return [1, 2, 5, 10].find((n) => n * power >= least) * power
}

function path(kind, d, more) {return make('path', {class: kind, d, ...more})}

function make(name, attributes = {}) {
	const element = document.createElementNS('http://www.w3.org/2000/svg', name)
	for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
	return element
}
