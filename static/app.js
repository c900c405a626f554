/*
 * The page: the form, the list of runs, and the run that is looked at. Its address says which:
 * `?feed=…&city=…` is the form, `#…` the run; others are resolved against it, for any prefix.
 */

import { members, plainText } from './body-text.js';
import { createFields } from './form.js';
import { keepRun, knownRuns } from './history.js';
import { createRun, Problem, readJson } from './requests.js';
import { createRunView } from './run-view.js';
import { copy, say } from './template.js';

/** Arrivals that come within so many milliseconds are read out together. */
const ANNOUNCE_MS = 400;
/** So many runs are followed at once: each takes one of a browser's six connections. */
const MAX_FOLLOWED = 4;
/** What the list says of runs that go on, here or in another tab. */
const UNDER_WAY = ['connecting', 'open', 'stale', 'draining', 'resuming', 'closed'];

const byId = (id) => document.getElementById(id);
const address = (path) => new URL(path, document.baseURI);
const notice = (text) => say(byId('notice'), text);
const titleOf = (feed) => feeds.get(feed)?.title || feed;

const feeds = new Map();
const views = new Map(); // by run, the last looked at last
let pingInterval;
let fields;

async function load() {
	try {
		const catalogue = await readJson(address('feeds'));
		pingInterval = catalogue.ping_interval;
		for (const feed of catalogue.feeds) feeds.set(feed.name, feed);
	} catch (error) {
		return notice(`The feeds could not be loaded: ${error.message}. Reload to try again.`);
	}
	if (feeds.size === 0) return notice('No feed is configured here.');
	byId('feed').append(...[...feeds.keys()].map((name) => new Option(titleOf(name), name)));
	byId('feed').disabled = byId('start').disabled = false;
	const query = new URLSearchParams(location.search);
	const asked = query.get('feed');
	if (feeds.has(asked)) byId('feed').value = asked;
	else if (asked !== null) notice(`There is no feed ${asked} here.`);
	chooseFeed();
	fields.fill(query);
	showLink();
	enter('idle');
	chooseRun();
	refresh();
}

function chooseFeed() {
	const { params, upstreams } = feeds.get(byId('feed').value);
	fields = createFields(byId('params'), params);
	byId('calls').textContent = `Calls ${upstreams.length > 8 ? `${upstreams.length} upstreams` : upstreams.join(', ')}.`;
	showLink();
}

function showLink() {
	byId('link').href = `?${new URLSearchParams([['feed', byId('feed').value], ...fields.query()])}`;
}

function submit(event) {
	event.preventDefault();
	start(byId('feed').value, fields.json(), fields);
}

async function start(feed, params, fields) {
	if (document.body.dataset.state !== 'idle') return;
	enter('starting');
	notice('');
	try {
		const { run } = await createRun(address(`feeds/${encodeURIComponent(feed)}`), params);
		keepRun(run, { feed, params, title: titleOf(feed), time: Date.now(), word: 'connecting' });
		history.pushState(null, '', `#${run}`);
		chooseRun();
		// On a phone it stands below the form.
		if (byId('views').getBoundingClientRect().top > innerHeight / 2) byId('views').scrollIntoView();
	} catch (error) {
		if (!(error instanceof Problem)) return notice('There was no answer: it may have started, or not.');
		notice(`Not possible: ${error.message}.`);
		fields?.reject(error.parameter, error.message);
	} finally {
		enter('idle');
	}
}

function enter(state) {
	document.body.dataset.state = state;
	// Not `disabled`: that would take the focus away from whoever has just pressed the button.
	byId('start').ariaDisabled = state !== 'idle';
}

/** Show the run that the address names. */
function chooseRun() {
	// Nothing else: `#../feeds/city` would be a link that starts work.
	const [, run] = /^#([0-9a-f]{32})$/.exec(location.hash) ?? [];
	const focused = document.activeElement;
	if (run) {
		const view = views.get(run) ?? open(run);
		if (['closed', 'refused'].includes(view.word)) view.follow();
		views.delete(run);
		views.set(run, view);
	}
	for (const view of views.values()) view.element.hidden = view.run !== run;
	// A button that is hidden now hands the focus to the same one of the run that is looked at.
	const same = focused.closest('.run[hidden]') && `[data-part=${focused.dataset.part}]`;
	if (same) views.get(run)?.element.querySelector(same)?.focus();
	const followed = [...views.values()].filter((view) => view.isLive);
	for (const view of followed.slice(0, -MAX_FOLLOWED)) view.leave();
	listRuns();
}

function open(run) {
	const view = createRunView(run, address(`runs/${run}`), {
		titleOf,
		pingInterval,
		announce: (text) => view.element.hidden || announce(text),
		onAgain: again,
		onChange: keep,
	});
	byId('views').append(view.element);
	view.follow();
	return view;
}

/** Of a run that was lost before this page was loaded, only the list knows what it was. */
function again(view) {
	const { feed, params } = view.feed ? view : knownRuns().find(({ run }) => run === view.run) ?? {};
	if (feed) start(feed, params);
	else notice('What this run was is not known here.');
}

function keep({ run, feed, params, word, failed }) {
	if (feed) keepRun(run, { feed, params, title: titleOf(feed), word, failed });
	else if (knownRuns().some((known) => known.run === run)) keepRun(run, { word });
	listRuns();
}

function listRuns() {
	const known = knownRuns();
	const focused = document.activeElement.hash; // of a link
	dropViews(known);
	byId('history').hidden = known.length === 0;
	byId('runs').replaceChildren(...known.map(({ run, title, params, time, word, failed }) => {
		const { element, parts } = copy('entry-template');
		parts.link.href = `#${run}`;
		if (parts.link.hash === location.hash) parts.link.ariaCurrent = 'true';
		parts.title.textContent = title;
		element.dataset.state = failed ? 'failure' : word;
		say(parts.word, word === 'closed' ? 'not followed' : word, failed && `${failed} failed`);
		const values = members(params).map(([, json]) => plainText(json));
		say(parts.said, time && new Date(time).toLocaleTimeString(), ...values);
		return element;
	}));
	if (focused) byId('runs').querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
}

/** Views go with their entries, but not one that goes on or is looked at. */
function dropViews(known) {
	for (const [run, { element, isLive }] of views) {
		if (isLive || !element.hidden || known.some((each) => each.run === run)) continue;
		element.remove();
		views.delete(run);
	}
}

/** Ask how the runs stand that are not followed here. */
async function refresh() {
	for (const { run, word } of knownRuns()) {
		if (!UNDER_WAY.includes(word) || views.get(run)?.isLive) continue;
		try {
			const { done } = await readJson(address(`runs/${run}?format=json`));
			if (done) keepRun(run, { word: done.reason, failed: done.failed });
		} catch (error) {
			if (error.status === 404) keepRun(run, { word: 'lost' }); // else nothing is known of it
		}
	}
	listRuns();
}

/** Take ended runs off the list, but not the one that is looked at. */
async function forget() {
	await refresh();
	for (const { run, word } of knownRuns()) {
		if (!UNDER_WAY.includes(word) && views.get(run)?.element.hidden !== false) keepRun(run, null);
	}
	listRuns();
}

let unsaid = [];

function announce(text) {
	if (unsaid.push(text) > 1) return;
	setTimeout(() => {
		byId('arrivals').textContent = `${unsaid.join('. ')}.`;
		unsaid = [];
	}, ANNOUNCE_MS);
}

byId('form').addEventListener('submit', submit);
byId('form').addEventListener('input', showLink);
byId('feed').addEventListener('change', chooseFeed);
byId('forget').addEventListener('click', forget);
addEventListener('popstate', chooseRun);
addEventListener('storage', listRuns);
load();
