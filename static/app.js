/* The page. Its address says what is looked at: `?feed=…&city=…` is the form, `#…` a run. */

import {members, plainText} from './body-text.js'
import {createFields} from './form.js'
import {keepRun, knownRuns} from './history.js'
import {createRun, Problem, readJson} from './requests.js'
import {createRunView} from './run-view.js'
import {copy, say} from './template.js'

const ANNOUNCE_MS = 400 // what arrives within them is read out together
const MAX_FOLLOWED = 4 // runs; each takes one of a browser's six connections
const UNDER_WAY = /^(connecting|open|stale|draining|resuming|closed)$/

const page = Object.fromEntries([...document.querySelectorAll('[id]')].map((it) => [it.id, it]))
const address = (path) => new URL(path, document.baseURI)
const notice = (text) => say(page.notice, text)
const titleOf = (feed) => feeds.get(feed)?.title || feed

const feeds = new Map()
const views = new Map() // by run, the last looked at last
let pingInterval, fields

async function load() {
	try {
		const catalogue = await readJson(address('feeds'))
		pingInterval = catalogue.ping_interval
		for (const feed of catalogue.feeds) feeds.set(feed.name, feed)
	} catch (error) {
		return notice(`The feeds could not be loaded: ${error.message}. Reload to try again.`)
	}
	if (feeds.size === 0) return notice('No feed is configured here.')
	page.feed.append(...[...feeds.keys()].map((name) => new Option(titleOf(name), name)))
	page.feed.disabled = page.start.disabled = false
	const query = new URLSearchParams(location.search)
	const asked = query.get('feed')
	if (feeds.has(asked)) page.feed.value = asked
	else if (asked !== null) notice(`There is no feed ${asked} here.`)
	chooseFeed()
	fields.fill(query)
	showLink()
	enter('idle')
	chooseRun()
	refresh()
}

function chooseFeed() {
	const {params, upstreams} = feeds.get(page.feed.value)
	fields = createFields(page.params, params)
	page.calls.textContent = `Calls ${upstreams.length > 8 ? `${upstreams.length} upstreams` : upstreams.join(', ')}.`
	showLink()
}

function showLink() {
	page.link.href = `?${new URLSearchParams([['feed', page.feed.value], ...fields.query()])}`
}

async function start(feed, params, fields) {
	if (document.body.dataset.state !== 'idle') return
	enter('starting')
	notice('')
	try {
		const {run} = await createRun(address(`feeds/${encodeURIComponent(feed)}`), params)
		keepRun(run, {feed, params, title: titleOf(feed), time: Date.now(), word: 'connecting'})
		history.pushState(null, '', `#${run}`)
		chooseRun()
		page.views.scrollIntoView({block: 'nearest'}) // below the form on a phone
	} catch (error) {
		if (!(error instanceof Problem)) return notice('There was no answer: it may have started, or not.')
		notice(`Not possible: ${error.message}.`)
		fields?.reject(error.parameter, error.message)
	} finally {
		enter('idle')
	}
}

function enter(state) {
	document.body.dataset.state = state
	// Not `disabled`: that takes the focus away.
	page.start.ariaDisabled = state !== 'idle'
}

function chooseRun() {
	// Nothing else: `#../feeds/city` would be a link that starts work.
	const [, run] = /^#([0-9a-f]{32})$/.exec(location.hash) ?? []
	const focused = document.activeElement
	if (run) {
		const view = views.get(run) ?? open(run)
		if (['closed', 'refused'].includes(view.word)) view.follow()
		views.delete(run)
		views.set(run, view)
	}
	for (const view of views.values()) view.element.hidden = view.run !== run
	// A button that is hidden now hands the focus to the same one of this run.
	const same = focused.closest('.run[hidden]') && `[data-part=${focused.dataset.part}]`
	if (same) views.get(run)?.element.querySelector(same)?.focus()
	const followed = [...views.values()].filter((view) => view.isLive)
	for (const view of followed.slice(0, -MAX_FOLLOWED)) view.leave()
	listRuns()
}

function open(run) {
	const tell = (text) => view.element.hidden || announce(text)
	const known = knownRuns().find((each) => each.run === run)
	const onAgain = ({feed, params}) => (feed ? start(feed, params) : notice('This run is not known here.'))
	const given = {known, titleOf, pingInterval, announce: tell, onAgain, onChange: keep}
	const view = createRunView(run, address(`runs/${run}`), given)
	page.views.append(view.element)
	view.follow()
	return view
}

function keep({run, feed, params, word, failed}) {
	if (feed) keepRun(run, {feed, params, title: titleOf(feed), word, failed})
	listRuns()
}

function listRuns() {
	const known = knownRuns()
	const focused = document.activeElement.hash
	page.history.hidden = known.length === 0
	page.runs.replaceChildren(...known.map(({run, title, params, time, word, failed}) => {
		const {element, parts} = copy('entry')
		parts.link.href = `#${run}`
		if (parts.link.hash === location.hash) parts.link.ariaCurrent = 'true'
		parts.title.textContent = title
		element.dataset.state = failed ? 'failure' : word
		say(parts.word, word === 'closed' ? 'not followed' : word, failed && `${failed} failed`)
		const values = members(params).map(([, json]) => plainText(json))
		say(parts.said, time && new Date(time).toLocaleTimeString(), ...values)
		return element
	}))
	if (focused) page.runs.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus()
	for (const [run, {element, isLive}] of views) {
		if (isLive || !element.hidden || known.some((each) => each.run === run)) continue
		element.remove()
		views.delete(run)
	}
}

async function refresh() {
	for (const {run, word} of knownRuns()) {
		if (!UNDER_WAY.test(word) || views.get(run)?.isLive) continue
		try {
			const {done} = await readJson(address(`runs/${run}?format=json`))
			if (done) keepRun(run, {word: done.reason, failed: done.failed})
		} catch (error) {
			if (error.status === 404) keepRun(run, {word: 'lost'})
		}
	}
	listRuns()
}

async function forget() {
	await refresh()
	for (const {run, word} of knownRuns()) {
		if (!UNDER_WAY.test(word) && views.get(run)?.element.hidden !== false) keepRun(run, null)
	}
	listRuns()
}

let unsaid = []

function announce(text) {
	if (unsaid.push(text) > 1) return
	setTimeout(() => {
		page.arrivals.textContent = `${unsaid.join('. ')}.`
		unsaid = []
	}, ANNOUNCE_MS)
}

page.form.onsubmit = (event) => {
	event.preventDefault()
	start(page.feed.value, fields.json(), fields)
}
page.form.oninput = showLink
page.feed.onchange = chooseFeed
page.forget.onclick = forget
addEventListener('popstate', chooseRun)
addEventListener('storage', listRuns)
load()
