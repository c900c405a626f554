/*
 * The page: form, stream and rows wired together. `body` says what there is, for CSS and tests:
 * `data-state` (loading, idle, and the stream's states), `data-feed`, `data-run`, `data-reason`.
 * Every address is resolved against the page's own, so that any prefix works.
 */

import { Fields } from './form.js';
import { fetchFeeds, stopRun } from './requests.js';
import { Row, seconds } from './rows.js';
import { FeedStream } from './stream.js';

/** How often times under way are redrawn, in milliseconds. */
const TICK_MS = 100;
/** Arrivals are read out together when they come closer than this, in milliseconds. */
const ANNOUNCE_MS = 400;

const byId = (id) => document.getElementById(id);
const address = (path) => new URL(path, document.baseURI);

const feeds = new Map();
let pingInterval;
let fields = null;
let stream = null;
let stopping = ''; // asked, granted
let rows = new Map();
let clock = null; // of the run: performance.now() at its second 0

async function load() {
  try {
    const catalogue = await fetchFeeds(address('feeds'));
    pingInterval = catalogue.ping_interval;
    for (const feed of catalogue.feeds) feeds.set(feed.name, feed);
  } catch (error) {
    return show('notice', `The feeds could not be loaded: ${error.message}. Reload to try again.`);
  }
  const options = [...feeds.values()].map((feed) => new Option(feed.title || feed.name, feed.name));
  byId('feed').replaceChildren(...options);
  if (feeds.size === 0) return show('notice', 'No feed is configured here.');
  byId('feed').disabled = false;
  chooseFeed();
  enter('idle');
}

function chooseFeed() {
  const feed = feeds.get(byId('feed').value);
  fields = new Fields(byId('params'), byId('field-template'), feed.params ?? {});
  show('calls', `Calls ${feed.upstreams.join(', ')}.`);
}

function start(event) {
  event.preventDefault();
  if (!canStart()) return;
  const feed = byId('feed').value;
  const url = address(`feeds/${encodeURIComponent(feed)}`);
  url.search = fields.query();
  clearRun();
  document.body.dataset.feed = feed;
  byId('run').hidden = false;
  stream = new FeedStream(url, { onEvent: receive, onState: receiveState, pingInterval });
}

async function stop() {
  const { run } = document.body.dataset;
  const watched = stream;
  if (!isUnderWay() || stopping === 'asked') return;
  // Pressed again, as the end cannot be seen (no connection): leave. Also before a run is known.
  if (stopping === 'granted' || run === undefined) return watched.close();
  sayStopping('asked');
  const url = address(`runs/${encodeURIComponent(run)}`);
  const refusal = await stopRun(url).catch((error) => error);
  if (watched !== stream || !isUnderWay()) return;
  if (!refusal) return sayStopping('granted');
  show('notice', `The run could not be stopped, only left: ${refusal.message}.`);
  watched.close();
}

function sayStopping(state) {
  stopping = state;
  byId('stop').textContent = state === '' ? 'Stop' : 'Stopping…';
}

function clearRun() {
  show('notice', '');
  rows = new Map();
  clock = null;
  delete document.body.dataset.run;
  delete document.body.dataset.reason;
  byId('rows').replaceChildren();
  show('total', '');
  showProgress(0, 0);
}

const receivers = {
  start({ run, upstreams }) {
    clearRun();
    document.body.dataset.run = run;
    rows = new Map(upstreams.map((name) => [name, new Row(byId('row-template'), name)]));
    byId('rows').replaceChildren(...[...rows.values()].map((row) => row.element));
    showProgress(0, upstreams.length);
  },
  reset() {
    clearRun();
    announce('The run began anew');
  },
  attempt: (data) => rows.get(data.upstream)?.attempt(data),
  chunk: (data, text) => rows.get(data.upstream)?.chunk(data, text),
  result(data, text) {
    rows.get(data.upstream)?.result(data, text);
    settle(data, 'answered');
  },
  failure(data) {
    rows.get(data.upstream)?.failure(data);
    settle(data, 'failed');
  },
  done({ ok, failed, cancelled, elapsed, reason }) {
    const counts = [[ok, 'ok'], [failed, 'failed'], [cancelled, 'cancelled']];
    const said = counts.filter(([n, word]) => n > 0 || word === 'ok').map((pair) => pair.join(' '));
    const total = `${reason}: ${said.join(', ')} in ${seconds(elapsed)}`;
    document.body.dataset.reason = reason;
    show('total', total);
    announce(total);
  },
};

function settle({ upstream, done, of }, word) {
  showProgress(done, of);
  announce(`${upstream} ${word}, ${done} of ${of}`);
}

function receive({ event, data, text }) {
  if (Object.hasOwn(receivers, event)) receivers[event](data, text);
  if (typeof data.at === 'number') setClock(data.at);
  drawSoon();
}

/** A replayed event is late, never early: the earliest second 0 that was seen is the right one. */
function setClock(at) {
  const zero = performance.now() - at * 1000;
  clock = clock === null ? zero : Math.min(clock, zero);
}

function receiveState(state, { waitMs = 0, reason, problem, detail }) {
  enter(state);
  const wait = waitMs > 0 ? `, next try in ${seconds(waitMs / 1000)}` : '';
  const why = problem ? ` (${problem.detail})` : '';
  byId('connection').textContent = {
    connecting: 'connecting',
    open: 'connected',
    stale: `nothing heard${wait}`,
    reconnecting: `reconnecting${why}${wait}`,
    ended: 'ended',
  }[state];
  if (state === 'ended') end(reason, { problem, detail });
}

function end(reason, { problem, detail }) {
  sayStopping('');
  document.body.dataset.reason ??= reason;
  if (reason === 'gone') show('notice', 'There is nothing more to come from this run.');
  if (reason === 'unreadable') show('notice', `The stream cannot be read: ${detail}.`);
  if (reason === 'refused') {
    show('notice', `Not possible: ${problem.detail}.`);
    fields.reject(problem.parameter, problem.detail);
  }
}

function enter(state) {
  document.body.dataset.state = state;
  // Not `disabled`: that would take the focus away from whoever has just pressed the button.
  byId('start').ariaDisabled = !canStart();
  byId('stop').ariaDisabled = !isUnderWay();
}

function canStart() {
  return ['idle', 'ended'].includes(document.body.dataset.state);
}

function isUnderWay() {
  return !canStart() && document.body.dataset.state !== 'loading';
}

/** Put text into an element; without text it is hidden. */
function show(id, text) {
  byId(id).textContent = text;
  byId(id).hidden = text === '';
}

function showProgress(done, of) {
  show('count', of > 0 ? `${done} of ${of}` : '');
  const progress = byId('progress');
  progress.max = of || 1;
  progress.value = done;
  Object.assign(progress.dataset, { done, of });
}

let unsaid = [];

function announce(text) {
  unsaid.push(text);
  if (unsaid.length > 1) return;
  setTimeout(() => {
    byId('arrivals').textContent = `${unsaid.join('. ')}.`;
    unsaid = [];
  }, ANNOUNCE_MS);
}

let isDrawDue = false;

/** Draw once for all that arrives within a frame: measuring after each event costs a layout. */
function drawSoon() {
  if (isDrawDue) return;
  isDrawDue = true;
  requestAnimationFrame(() => {
    isDrawDue = false;
    draw();
  });
}

function draw() {
  const now = clock === null ? 0 : (performance.now() - clock) / 1000;
  const all = [...rows.values()];
  if (isUnderWay()) for (const row of all) row.tick(now);
  const longest = Math.max(...all.map((row) => row.seconds));
  for (const row of all) {
    row.scale(longest);
    row.follow();
  }
}

byId('form').addEventListener('submit', start);
byId('stop').addEventListener('click', stop);
byId('feed').addEventListener('change', chooseFeed);
addEventListener('online', () => stream?.hurry());
setInterval(() => isUnderWay() && drawSoon(), TICK_MS);
load();
