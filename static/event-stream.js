/* The parser of event streams (WHATWG HTML, section 9.2.6). */

// UTF-16 units, of a line and of an event's data. Beyond them `feed` throws a RangeError.
const MAX_CHARS = 16 * 1024 * 1024
const MAX_ID_CHARS = 4096
/** The most that a timer takes. */
export const MAX_RETRY_MS = 2 ** 31 - 1

/** Make a parser of one connection, whose `feed(text)` calls `onEvent({event, data, lastEventId})`. */
export function createParser(onEvent, {maxChars = MAX_CHARS, maxIdChars = MAX_ID_CHARS, lastEventId = ''} = {}) {
	let partial = ''
	let afterCr = false
	let name = ''
	let lines = []
	let dataChars = 0
	let id = lastEventId
	let retryMs = null
	return {feed, get lastEventId() {return lastEventId}, get retryMs() {return retryMs}}

	function feed(text) {
		if (text === '') return
		const ends = /\r\n?|\n/g
		let from = (ends.lastIndex = afterCr && text[0] === '\n' ? 1 : 0)
		// Whether an LF belongs to it is known with the next piece only.
		afterCr = text.endsWith('\r')
		for (let end = ends.exec(text); end; end = ends.exec(text)) {
			const line = join(text.slice(from, end.index))
			from = ends.lastIndex
			partial = ''
			takeLine(line)
		}
		partial = join(text.slice(from))
	}

	function join(rest) {
		bound('line', partial.length + rest.length, maxChars)
		return partial + rest
	}

	function bound(what, chars, maxChars) {
		if (chars > maxChars) throw new RangeError(`the ${what} is longer than ${maxChars} characters`)
	}

	function takeLine(line) {
		if (line === '') return dispatch()
		const colon = line.indexOf(':')
		if (colon < 0) takeField(line, '')
		else takeField(line.slice(0, colon), line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1)))
	}

	function takeField(field, value) {
		if (field === 'data') {
			bound('event', dataChars + value.length, maxChars)
			dataChars += value.length + 1
			lines.push(value)
		} else if (field === 'event') name = value
		else if (field === 'id' && !value.includes('\0')) {
			bound('id', value.length, maxIdChars)
			id = value
		} else if (field === 'retry' && /^[0-9]+$/.test(value)) retryMs = Math.min(value, MAX_RETRY_MS)
	}

	function dispatch() {
		lastEventId = id
		const event = {event: name || 'message', data: lines.join('\n'), lastEventId}
		const isEvent = lines.length > 0
		name = ''
		lines = []
		dataChars = 0
		if (isEvent) onEvent(event)
	}
}
