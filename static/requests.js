/*
 * The requests that are no streams: listing the feeds, stopping a run, and reading why something
 * was refused. What fails is thrown as an Error with the reason, for a person, as its message.
 */

/** How long an answer may take, in milliseconds. */
const TIMEOUT_MS = 15_000;

/** Ask for the feeds: {feeds: […]}. */
export async function fetchFeeds(url, world = globalThis) {
  return (await ask(url, { headers: { Accept: 'application/json' } }, world)).json();
}

/** End a run for all its viewers. */
export async function stopRun(url, world = globalThis) {
  await ask(url, { method: 'DELETE' }, world);
}

async function ask(url, options, { fetch }) {
  const response = await fetch(url, { ...options, signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Error((await readProblem(response)).detail);
  return response;
}

/** Read the problem document (RFC 9457) of a response; it has a `detail` in any case. */
export async function readProblem(response) {
  const isJson = /[/+]json\b/i.test(response.headers.get('Content-Type') ?? '');
  const problem = isJson ? await response.json().catch(() => null) : null;
  const said = problem?.detail ?? problem?.title;
  return { ...problem, detail: said ?? `the server answered with status ${response.status}` };
}
