// Asks for the status every second, one request at a time, only while somebody looks; less often while
// there is no answer.

const EVERY = 1000;
const PATIENCE = 8000;
const LONGEST_PAUSE = 5000;

async function fetched(address, signal) {
  const answer = await fetch(address, { signal, cache: 'no-store', headers: { Accept: 'application/json' } });
  if (!answer.ok) throw new Error(`it answers with status ${answer.status}`);
  return answer.json();
}

function reason(error) {
  if (error.name === 'AbortError') return 'it was silent for too long';
  return error instanceof TypeError ? 'no connection' : error.message;
}

// Calls `shown(status)` after each answer, `away(reason, pause)` after each failure.
export function poll(address, shown, away) {
  let timer = null;
  let request = null;
  let failures = 0;

  async function ask() {
    const current = new AbortController();
    const started = performance.now();
    const limit = setTimeout(() => current.abort(), PATIENCE);
    request = current;
    try {
      const status = await fetched(address, current.signal);
      failures = 0;
      if (request === current) shown(status);
    } catch (error) {
      if (request === current) away(reason(error), pauseAfter(++failures));
    } finally {
      clearTimeout(limit);
      if (request === current) timer = setTimeout(ask, failures ? pauseAfter(failures) : rest(started));
    }
  }

  const rest = (started) => Math.max(0, EVERY - (performance.now() - started));
  const pauseAfter = (times) => Math.min(EVERY * 2 ** (times - 1), LONGEST_PAUSE);

  function pause() {
    clearTimeout(timer);
    const abandoned = request;
    request = null;
    abandoned?.abort();
  }

  document.addEventListener('visibilitychange', () => {
    pause();
    if (!document.hidden) ask();
  });
  if (!document.hidden) ask();
}
