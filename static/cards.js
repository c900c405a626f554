import {chunkText, clip, imageAddress, MAX_CHARS, memberText, plainText, seconds} from './body-text.js'
import {jsonTree} from './json-tree.js'
import {copy, make, say} from './template.js'

const MAX_LINES = 1_000 // of a stream; of a text that flows, beyond MAX_CHARS the first half goes

/** Make an upstream's card, whose pieces wait for `draw`, and its `line` beside the waterfall. */
export function createCard(name) {
	const line = copy('line')
	const {element, parts} = copy('card')
	const {scroller, stream, raw, body, actions, note} = parts
	const pending = []
	let shown = []
	let answer = null // to be shown
	let written = null // its body

	for (const it of [line, {element, parts}]) it.element.dataset.upstream = it.parts.name.textContent = name
	line.element.title = name
	scroller.ariaLabel = `what ${name} sends`
	raw.ariaLabel = `what ${name} sent, as written`
	parts.rawButton.onclick = () => showAs(raw.hidden)
	parts.copyButton.onclick = copyText
	return {element, line: line.element, apply, drawHead, draw}

	function apply(event, data, text) {
		if (event === 'attempt') noteAttempt(data)
		else if (event !== 'chunk') settle(data)
		else if (pending.push([data.data, memberText(text, 'data')]) === 1) say(note)
		if (event === 'result' && data.chunks === undefined) answer = [data, text]
	}

	function drawHead(state, time) {
		for (const it of [line, {element, parts}]) {
			it.element.dataset.state = it.parts.state.textContent = state
			it.parts.time.textContent = seconds(time)
		}
	}

	function draw() {
		if (answer) showBody(...answer)
		answer = null
		if (pending.length === 0) return
		for (const chunk of pending.splice(0)) {
			append(chunkText(...chunk))
			shown.push(chunk[1])
		}
		shown = shown.slice(-MAX_LINES)
		actions.hidden = false
		showAs(!raw.hidden)
	}

	function noteAttempt({attempt, code, status, retry_in}) {
		say(note, `attempt ${attempt} failed (${code}${status ? ` ${status}` : ''})`, `the next in ${seconds(retry_in)}`)
	}

	function settle({status, first_byte, attempts, chunks, done, code, message}) {
		Object.assign(element.dataset, {done, ...(code && {code})})
		parts.status.textContent = status ?? ''
		say(parts.error, code && (code === 'cancelled' ? message : `${code}: ${message}`))
		say(
			note,
			first_byte !== null && `first byte after ${seconds(first_byte)}`,
			attempts > 1 && `${attempts} attempts`,
			chunks !== undefined && `${chunks} chunk${chunks === 1 ? '' : 's'}`,
		)
	}

	function showBody({body: value, content_type}, text) {
		written = memberText(text, 'body') ?? 'null'
		const src = imageAddress(content_type, value)
		if (src) body.append(make('img', {src, alt: `what ${name} has sent`}))
		else if (typeof value !== 'string') body.append(jsonTree(written))
		else body.append(make('pre', {textContent: clip(value), tabIndex: 0, dir: 'auto'}))
		body.hidden = actions.hidden = false
		say(parts.kind, content_type, !src && `${written.length} characters`)
	}

	function append({kind, text}) {
		// A piece with a line break is no line: this upstream sends text as it comes.
		if (kind === 'token' || (kind === 'piece' && text.includes('\n'))) stream.dataset.flow = ''
		const last = stream.lastElementChild
		if (kind !== 'line' && 'flow' in stream.dataset && last && last.dataset.kind !== 'line') {
			last.firstChild.appendData(text)
			if (last.firstChild.length > MAX_CHARS) last.firstChild.deleteData(0, MAX_CHARS / 2)
			return
		}
		const span = make('span')
		span.dataset.kind = kind
		span.append(text)
		stream.append(span)
		if (stream.childElementCount > MAX_LINES) stream.firstElementChild.remove()
	}

	function showAs(isRaw) {
		parts.rawButton.ariaPressed = isRaw
		say(raw, isRaw && clip(written ?? shown.join('\n')))
		body.hidden = isRaw || written === null
		scroller.hidden = isRaw || written !== null
	}

	async function copyText({target}) {
		const text = written !== null ? plainText(written) : raw.hidden ? stream.innerText : raw.textContent
		const said = navigator.clipboard?.writeText(text).then(() => 'Copied', () => null)
		target.textContent = (await said) ?? 'Not allowed'
		setTimeout(() => {target.textContent = 'Copy'}, 1500)
	}
}
