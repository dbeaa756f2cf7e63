// The tables: queues, outboxes, orders, bills.

import { byId, keyed, make, part, setAttribute, setNote, setText } from './dom.js';
import { drillsOf, postBill, setDrills } from './drills.js';
import { count, duration, moment, money } from './text.js';

const STATES = ['pending', 'processing', 'completed', 'cancelled'];
const MARKED_MILLISECONDS = 4000;
let seen = null;

// Why `name` can't be shown: null if it can.
function missing(status, name, value) {
  if (status.protected?.includes(name)) return 'Not shown without a token.';
  return value ? null : 'Unknown: its source does not answer.';
}

const row = (...cells) => () =>
  make('tr', {}, ...cells.map(([tag, name, kind]) => make(tag, {
    'data-part': name, ...(tag === 'th' && { scope: 'row' }), ...(kind && { class: kind }),
  })));

export function showQueues(status) {
  const create = row(['th', 'name', 'mono'], ['td', 'ready', 'number'], ['td', 'in_flight', 'number'],
    ['td', 'dead_lettered', 'number'], ['td', 'consumers', 'number']);
  keyed(byId('queues'), status.queues ?? [], (queue) => queue.name, create, showQueue);
  setNote(byId('queues-note'), missing(status, 'queues', status.queues) ?? faults(status.queues));
  const { deadLetters } = drillsOf(status.platform);
  const billing = status.machines.find(({ role }) => role === 'billing')?.name;
  const commands = { 'list dead letters': deadLetters(billing, 'list'), 'requeue them': deadLetters(billing, 'requeue --all') };
  setDrills(byId('queues-drills'), commands, null);
}

// Why queues are down: null if none is.
function faults(queues) {
  const down = queues.filter((queue) => queue.status === 'down');
  return down.map((queue) => `${queue.name}: ${queue.detail}`).join(' ') || null;
}

function showQueue(element, queue) {
  const isDown = queue.status === 'down';
  setText(part(element, 'name'), queue.name);
  for (const name of ['ready', 'in_flight', 'dead_lettered', 'consumers']) {
    // null in a queue that is up: it has no such figure
    setText(part(element, name), queue[name] === null && queue.status === 'up' ? '–' : count(queue[name]));
    part(element, name).classList.toggle('nothing', !queue[name]);
  }
  if (isDown) setText(part(element, 'ready'), 'unavailable');
  part(element, 'ready').classList.toggle('alarming', isDown);
  part(element, 'ready').classList.toggle('waiting', queue.ready > 0);
  part(element, 'dead_lettered').classList.toggle('alarming', queue.dead_lettered > 0);
}

export function showOutboxes(status) {
  const create = row(['th', 'process', 'mono'], ['td', 'backlog', 'number'], ['td', 'lag', 'number']);
  keyed(byId('outboxes'), status.outboxes ?? [], (outbox) => `${outbox.machine} ${outbox.process}`, create, showOutbox);
  setNote(byId('outboxes-note'), missing(status, 'outboxes', status.outboxes));
}

function showOutbox(element, { process, backlog, lag_seconds: lag }) {
  setText(part(element, 'process'), process);
  setText(part(element, 'backlog'), count(backlog));
  setText(part(element, 'lag'), backlog === 0 ? '–' : duration(lag));
  part(element, 'backlog').classList.toggle('nothing', !backlog);
  part(element, 'lag').classList.toggle('nothing', !backlog);
  part(element, 'backlog').classList.toggle('waiting', backlog > 0);
}

export function showOrders(status) {
  const names = [...new Set([...STATES, ...Object.keys(status.orders ?? {})])];
  const states = names.map((name) => ({ name, orders: status.orders ? (status.orders[name] ?? 0) : null }));
  const create = () => make('div', {}, make('dt', { 'data-part': 'name' }), make('dd', { 'data-part': 'orders' }));
  keyed(byId('orders'), states, (state) => state.name, create, (element, state) => {
    setAttribute(element, 'data-state', state.name);
    setText(part(element, 'name'), state.name);
    setText(part(element, 'orders'), count(state.orders));
    part(element, 'orders').classList.toggle('nothing', !state.orders);
  });
  setNote(byId('orders-note'), missing(status, 'orders', status.orders));
}

export function showBills(status) {
  const bills = status.bills ?? [];
  const isNew = new Set(seen ? bills.filter((bill) => !seen.has(bill.id)).map((bill) => bill.id) : []);
  keyed(byId('bills'), bills, (bill) => bill.id, (bill) => createBill(isNew.has(bill.id)), showBill);
  if (status.bills) seen = new Set([...(seen ?? []), ...bills.map((bill) => bill.id)].slice(-200));
  const none = status.bills?.length === 0 ? 'None yet.' : null;
  setNote(byId('bills-note'), missing(status, 'bills', status.bills) ?? none);
  setDrills(byId('bills-drills'), { 'post a bill': postBill() }, null);
}

function createBill(isNew) {
  const element = row(['td', 'created_at'], ['th', 'user_id'], ['td', 'items', 'number'],
    ['td', 'amount', 'number'], ['td', 'order', 'mono'])();
  const time = make('time', { 'data-part': 'time' });
  part(element, 'created_at').append(time, make('span', { class: 'tag', 'data-part': 'tag' }));
  part(element, 'order').append(make('span', { 'data-part': 'order_id' }), make('span', { class: 'tag', 'data-part': 'void' }));
  if (isNew) mark(element);
  return element;
}

function mark(element) {
  element.classList.add('new');
  setText(part(element, 'tag'), 'new');
  setTimeout(() => {
    element.classList.remove('new');
    setText(part(element, 'tag'), '');
  }, MARKED_MILLISECONDS);
}

function showBill(element, bill) {
  setAttribute(part(element, 'time'), 'datetime', bill.created_at);
  setText(part(element, 'time'), moment(bill.created_at));
  setText(part(element, 'user_id'), bill.user_id);
  setText(part(element, 'items'), count(bill.number_of_items));
  setText(part(element, 'amount'), money(bill.total_amount));
  setText(part(element, 'order_id'), bill.order_id ?? '–');
  setText(part(element, 'void'), bill.voided_at ? 'void' : '');
  element.classList.toggle('voided', Boolean(bill.voided_at));
}
