/* What is shown as text. Bodies are shown as written: JSON.parse rounds integers and moves keys. */

/** The members of a JSON object or array: [key or null, text]; none of a scalar. */
export function members(json) {
	const isArray = json.trimStart()[0] === '['
	const found = []
	let depth = 0
	let key = null
	let from = -1
	// By the character: a match for each mark costs ten times as much.
	for (let at = 0; at < json.length; at += 1) {
		const char = json[at]
		if (char === '"') {
			const end = endOfString(json, at)
			if (depth === 1 && from < 0) key = JSON.parse(json.slice(at, end))
			at = end - 1
			continue
		}
		if (char === '}' || char === ']') depth -= 1
		if (from >= 0 && (depth === 0 || (depth === 1 && char === ','))) {
			const value = json.slice(from, at).trim()
			if (value !== '') found.push([key, value])
			from = -1
		}
		if (char === '{' || char === '[') depth += 1
		if (depth !== 1) continue
		if (isArray ? (char === '[' || char === ',') && from < 0 : char === ':') from = at + 1
	}
	return found
}

function endOfString(json, from) {
	for (let at = from + 1; at < json.length; at += 1) {
		if (json[at] === '\\') at += 1
		else if (json[at] === '"') return at + 1
	}
	return json.length
}

export function memberText(json, name) {
	return members(json).findLast(([key]) => key === name)?.[1] ?? null
}

/** How a chunk is shown, {kind, text}: a `token` flows on, a `line` is one, a `piece` may be either. */
export function chunkText(data, json) {
	if (typeof data === 'string') return {kind: 'piece', text: data}
	const isEvent = typeof data?.data === 'string' && typeof data.event === 'string' && 'id' in data
	if (!isEvent) return {kind: 'line', text: json}
	try {
		// An event of a chat completion.
		const {choices} = JSON.parse(data.data)
		const content = choices[0]?.delta?.content
		if (Array.isArray(choices)) return {kind: 'token', text: typeof content === 'string' ? content : ''}
	} catch {} // it is none
	const label = data.event === 'message' ? '' : `${data.event}: `
	return {kind: 'line', text: label + data.data}
}

export function imageAddress(contentType, body) {
	const [type] = /^image\/[\w.+-]+/i.exec(contentType) ?? []
	const isBase64 = typeof body === 'string' && /^[A-Za-z0-9+/]+={0,2}$/.test(body)
	return type && isBase64 ? `data:${type};base64,${body}` : null
}

export function plainText(json) {
	return json[0] === '"' ? JSON.parse(json) : json
}

export const MAX_CHARS = 200_000

export const clip = (text) => (text.length > MAX_CHARS ? `${text.slice(0, MAX_CHARS)}…` : text)

export const seconds = (time) => (time < 0.9995 ? `${Math.round(time * 1000)} ms` : `${time.toFixed(2)} s`)
