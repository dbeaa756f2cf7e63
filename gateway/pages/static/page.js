// The page: shows /api/status every second. gateway/status/document.py computes its numbers.

import { headers, listenToAccess, showAccess } from './access.js';
import { noteAvailable, noteChanges, noteUnavailable } from './changes.js';
import { byId, setAttribute, setText } from './dom.js';
import { drillsOf, listenToDrills, setDrills } from './drills.js';
import { showMachines } from './machines.js';
import { poll } from './poll.js';
import { named } from './states.js';
import { showBills, showOrders, showOutboxes, showQueues } from './tables.js';
import { clock, duration, list } from './text.js';

let last = null;
let shownAt = null;
let trouble = null;

function show(status) {
  last = status;
  shownAt = Date.now();
  trouble = null;
  noteAvailable();
  for (const render of [showAccess, showMachines, showQueues, showOutboxes, showOrders, showBills, noteChanges]) render(status);
  setText(byId('version'), `${status.version} · ${status.platform === 'machines' ? 'on machines' : 'on one machine'}`);
  summarize(named(status, 'bad'), named(status, 'warn'));
  byId('away').hidden = true;
  document.body.classList.remove('stale');
}

function summarize(down, unready) {
  if (last.protected.includes('machines')) return outline();
  const troubles = [down.length && `Down: ${list(down)}`, unready.length && `Not ready: ${list(unready)}`].filter(Boolean);
  setText(byId('summary'), [...(troubles.length ? troubles : ['Everything is up']), clock(new Date(shownAt))].join(' · '));
  setAttribute(byId('summary'), 'data-tone', down.length ? 'bad' : unready.length ? 'warn' : 'good');
  document.title = troubles.length ? `${down.length + unready.length} not up · CRUD Master` : 'CRUD Master';
}

// Without a token for the details, the page knows only whether everything is up.
function outline() {
  const isUp = last.status === 'up';
  const state = isUp ? 'Everything is up' : 'Not everything is up';
  setText(byId('summary'), `${state} · ${clock(new Date(shownAt))}`);
  setAttribute(byId('summary'), 'data-tone', isUp ? 'good' : 'warn');
  document.title = isUp ? 'CRUD Master' : 'Not all up · CRUD Master';
}

function showUnavailable(reason, pause) {
  trouble = { reason, until: Date.now() + pause };
  noteUnavailable();
  byId('away').hidden = false;
  document.body.classList.add('stale');
  document.title = 'No answer · CRUD Master';
  setText(byId('summary'), 'The gateway does not answer');
  setAttribute(byId('summary'), 'data-tone', 'bad');
  const machine = last?.machines.find(({ entrance }) => entrance);
  if (machine) {
    const { start } = drillsOf(last.platform).process(machine, { name: 'gateway' });
    setDrills(byId('away-drill'), { start }, 'start');
  }
  showAge();
}

// Runs between two polls, too, since a person waits for it.
function showAge() {
  if (!trouble) return;
  const shown = shownAt ? `What you see is ${duration((Date.now() - shownAt) / 1000)} old.` : 'Nothing is known yet.';
  const left = Math.max(0, Math.ceil((trouble.until - Date.now()) / 1000));
  setText(byId('away-text'), `Reason: ${trouble.reason}. ${shown} ${left ? `Asking again in ${left} s.` : 'Asking again now.'}`);
}

listenToDrills();
setInterval(showAge, 500);
listenToAccess(poll('/api/status', headers, show, showUnavailable));
