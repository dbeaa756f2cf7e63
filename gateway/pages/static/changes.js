// Changes of state since the page was opened: a visible list, and an announcement for screen readers.

import { byId, make, setText } from './dom.js';
import { parts, tone, words } from './states.js';
import { clock, duration, list } from './text.js';

const MAX_LISTED = 8;
const since = new Map();
let before = null;

export function noteChanges(status) {
  const now = new Map(parts(status));
  const changed = before ? [...now].filter(([name, state]) => before.has(name) && before.get(name) !== state) : [];
  before = now;
  if (!changed.length) return;
  const sentences = grouped(changed);
  sentences.forEach(([text, kind]) => add(text, kind));
  setText(byId('announcements'), sentences.map(([text]) => text).join(' '));
}

export function noteUnavailable() {
  if (!since.has('gateway')) noteSentence('The gateway does not answer.', 'bad');
  if (!since.has('gateway')) since.set('gateway', Date.now());
}

export function noteAvailable() {
  if (since.has('gateway')) noteSentence(`The gateway answers again${after('gateway')}.`, 'good');
}

function noteSentence(text, kind) {
  add(text, kind);
  setText(byId('announcements'), text);
}

// One sentence for all parts that have changed to the same state at the same time.
function grouped(changed) {
  const byState = new Map();
  for (const [name, state] of changed) byState.set(state, [...(byState.get(state) ?? []), name]);
  return Array.from(byState, ([state, names]) => [sentence(state, names), tone(state)]);
}

function sentence(state, names) {
  const isGood = tone(state) === 'good';
  const time = isGood ? after(names[0]) : '';
  if (isGood) names.forEach((name) => since.delete(name));
  else names.filter((name) => !since.has(name)).forEach((name) => since.set(name, Date.now()));
  return `${list(names)} ${names.length > 1 ? 'are' : 'is'} ${words(state)}${isGood ? ' again' : ''}${time}.`;
}

function after(name) {
  const started = since.get(name);
  since.delete(name);
  return started ? `, after ${duration((Date.now() - started) / 1000)}` : '';
}

function add(text, kind) {
  const changes = byId('changes');
  byId('changes-note').hidden = true;
  changes.prepend(make('li', { 'data-tone': kind }, make('time', { class: 'muted' }, clock(new Date())),
    make('span', {}, text)));
  while (changes.children.length > MAX_LISTED) changes.lastElementChild.remove();
}
