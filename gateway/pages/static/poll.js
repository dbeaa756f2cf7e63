// Asks for the status every second, one request at a time, only while the page is visible; less often
// while there is no answer.

const INTERVAL = 1000; // all times in milliseconds
const TIMEOUT = 8000;
const LONGEST_PAUSE = 5000;

async function fetched(address, headers, signal) {
  const answer = await fetch(address, { signal, cache: 'no-store', headers: { Accept: 'application/json', ...headers } });
  if (!answer.ok) throw new Error(`it answers with status ${answer.status}`);
  return answer.json();
}

async function attempt(address, headers, controller) {
  const limit = setTimeout(() => controller.abort(), TIMEOUT);
  try {
    return { status: await fetched(address, headers, controller.signal) };
  } catch (error) {
    return { error };
  } finally {
    clearTimeout(limit);
  }
}

function reason(error) {
  if (error.name === 'AbortError') return 'it was silent for too long';
  return error instanceof TypeError ? 'no connection' : error.message;
}

// Calls `headers()` before each request, `answered(status)` after each answer, `failed(reason, pause)` after
// each failure. Returns a function that asks again at once.
export function poll(address, headers, answered, failed) {
  let timer = null;
  let request = null;
  let failures = 0;

  async function ask() {
    const current = new AbortController();
    const started = performance.now();
    request = current;
    const { status, error } = await attempt(address, headers(), current);
    // abandoned meanwhile: the page is hidden
    if (request !== current) return;
    failures = error ? failures + 1 : 0;
    const delay = error ? pauseAfter(failures) : rest(started);
    timer = setTimeout(ask, delay);
    if (error) failed(reason(error), delay);
    else answered(status);
  }

  const rest = (started) => Math.max(0, INTERVAL - (performance.now() - started));
  const pauseAfter = (times) => Math.min(INTERVAL * 2 ** (times - 1), LONGEST_PAUSE);

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
  return () => {
    pause();
    ask();
  };
}
