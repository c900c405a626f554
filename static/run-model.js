/* What a run's events come to. Pure: times are their own `at`, so that a replay gives the same. */

const MAX_TICKS = 300 // of a row; of more, every other one goes

export class RunModel {
	rows = new Map() // by upstream
	failed = 0
	// Seconds: the first result or piece, the last outcome, all upstreams one after the other.
	first = null; last = null; sequential = null

	apply(event, data) {
		if (event === 'start') this.rows = new Map(data.upstreams.map((name) => [name, newRow(name)]))
		const row = this.rows.get(data.upstream)
		if (!row) return null
		if (event === 'attempt') receiveAttempt(row, data)
		else if (event === 'chunk') receiveChunk(row, data)
		else {
			receiveOutcome(row, event, data)
			this.last = data.at
			this.sequential += data.elapsed ?? 0
			if (row.state === 'failure') this.failed += 1
		}
		if (event === 'result' || event === 'chunk') this.first ??= data.at
		return row
	}

	/** The last second of a picture. */
	end(now) {
		return Math.max(now, ...[...this.rows.values()].map((row) => row.end ?? row.ticks.at(-1) ?? row.from))
	}
}

// Failed tries are {from, to}. The last goes from `from` over `head`, its first byte, to `end`.
function newRow(name) {
	return {name, state: 'waiting', tries: [], from: 0, head: null, end: null, ticks: [], grain: 0}
}

function receiveAttempt(row, {at, elapsed, retry_in}) {
	row.state = 'retrying'
	row.tries.push({from: at - (elapsed ?? 0), to: at})
	row.from = at + retry_in
}

function receiveChunk(row, {at}) {
	row.state = 'streaming'
	row.head ??= at
	if (at - row.ticks.at(-1) < row.grain) return
	row.ticks.push(at)
	if (row.ticks.length <= MAX_TICKS) return
	row.grain = (at - row.ticks[0]) / (MAX_TICKS / 2)
	row.ticks = row.ticks.filter((_, i) => i % 2 === 0)
}

function receiveOutcome(row, event, {at, elapsed, first_byte, code}) {
	row.state = code === 'cancelled' ? code : event
	row.end = at
	if (row.tries.length === 0) row.from = at - (elapsed ?? 0)
	row.from = Math.min(row.from, at)
	row.head = first_byte === null ? null : Math.min(row.from + first_byte, row.ticks[0] ?? at)
}
